"""The walls of the house: imports run one way, heavy libraries have one owner, the top level is fixed."""

from __future__ import annotations

import ast
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
HOUSES = ("jobs", "restore", "manifests", "cluster")
GROUND = {"command_line", "errors", "recipe", "outcome", "item", "identity", "storage", "codec"}

# Modules that only serve one of the ground floor's own, named with their owner.
PARTS_OF = {
    "access": "storage",
    "azure": "storage",
    "connections": "storage",
    "disk": "storage",
    "gcs": "storage",
    "inventory": "storage",
    "objects": "storage",
    "retry": "storage",
    "s3": "storage",
    "web": "storage",
    "containers": "codec",
    "samples": "codec",
    "tiles": "windows",
    "checkpoint": "weights",
    "charts": "report",
}

MAY_IMPORT: dict[str, set[str]] = {
    "mask": GROUND,
    "windows": GROUND,
    "composite": GROUND | {"mask"},
    "figures": GROUND | {"mask"},
    "engines": GROUND | {"mask"},
    "srgb": GROUND,
    "canvas": GROUND,
    "route": GROUND | {"engines", "srgb", "windows"},
    "paste": GROUND | {"canvas", "composite", "mask", "srgb", "windows"},
    "provenance": set(),
    "proof": GROUND | {"composite"},
    "photo": GROUND
    | {"canvas", "engines", "figures", "mask", "paste", "proof", "provenance", "room", "route", "thumbs"},
    "weights": GROUND,
    "estimate": GROUND | {"engines", "photo"},
    "choice": GROUND | {"engines", "route", "weights"},
    "roster": GROUND,
    "ahead": GROUND,
    "attendance": GROUND | {"photo", "roster"},
    "timer": set(),
    "room": {"timer"},
    "meters": GROUND | {"estimate", "ledger", "lease", "photo"},
    "flow": GROUND | {"ahead", "attendance", "choice", "engines", "meters", "photo", "roster", "timer"},
    "thumbs": GROUND,
    "lease": GROUND,
    "events": GROUND,
    "budget": {"errors"},
    "ledger": GROUND | {"budget", "events", "lease"},
    "progress": GROUND | {"events", "ledger"},
    "album": {"outcome"},
    "report": {"storage", "album"},
}

# What an engine's `build` imports, in the actor that will hold it.
TORCH = (
    "diffusion",
    "ensemble",
    "experts",
    "flops",
    "latents",
    "loading",
    "memory",
    "prompts",
    "sd2",
    "sdxl",
)

OWNERS = {
    "ray": {"restore/flow.py", "jobs/run.py"},
    "fsspec": {"restore/connections.py"},
    "azure": {"restore/azure.py"},
    "gcsfs": {"restore/gcs.py"},
    "pyvips": {"restore/codec.py", "restore/srgb.py"},
    "huggingface_hub": {"restore/checkpoint.py"},
    "torch": {f"restore/engines/{name}.py" for name in TORCH},
    "diffusers": {f"restore/engines/{name}.py" for name in ("ensemble", "flops", "loading", "sdxl", "sd2")},
    "transformers": {"restore/engines/flops.py", "restore/engines/loading.py"},
    "accelerate": {"restore/engines/memory.py"},
}


def sources() -> list[Path]:
    return [path for house in HOUSES for path in sorted((ROOT / house).rglob("*.py"))]


def imports(path: Path) -> set[str]:
    """Full dotted names that a module imports, also inside functions."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def room(dotted: str) -> str:
    """`restore.codec.decode` -> `codec`, a module's parts counted as the module itself."""
    name = dotted.split(".")[1] if "." in dotted else ""
    return PARTS_OF.get(name, name)


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_one_way(path: Path) -> None:
    house, *rest = path.relative_to(ROOT).with_suffix("").parts
    ours = [name for name in imports(path) if name.split(".")[0] in HOUSES]
    if house == "jobs":
        return
    assert not [name for name in ours if name.startswith("jobs")], "nobody imports jobs"
    if house == "cluster":
        assert not ours, "cluster uses nothing of ours"
    elif house == "manifests":
        # A diff against a store needs the hashes of the engines that a profile chooses.
        # Upkeep takes the lease there and hands its check down.
        entry = {"choice", "engines", "lease", "profiles"} if rest == ["__main__"] else set()
        bad = [n for n in ours if not n.startswith("manifests") and room(n) not in GROUND | entry]
        assert not bad, f"manifests uses the ground floor only, not {bad}"
    elif rest != ["__init__"]:
        own = room(f"restore.{rest[0]}")
        allowed = MAY_IMPORT.get(own, GROUND if own in GROUND else None)
        assert allowed is not None, f"restore/{rest[0]} has no place in the import rule"
        assert all(n.startswith("restore") for n in ours), f"restore imports {ours}"
        assert {room(n) for n in ours} <= allowed | {own}, f"{own} may not import all of {ours}"


@pytest.mark.parametrize("library", OWNERS)
def test_heavy_libraries_have_one_owner(library: str) -> None:
    users = {
        str(path.relative_to(ROOT))
        for path in sources()
        if any(name.split(".")[0] == library for name in imports(path))
    }
    assert users <= OWNERS[library]


def test_nothing_from_outside_is_run() -> None:
    """No model's own code, no pickle but our own between operators, weights by safetensors alone."""
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            name = ast.unparse(node.func)
            where = f"{path.relative_to(ROOT)}:{node.lineno}: {name}"
            assert name not in {"eval", "exec", "torch.load", "os.system", "yaml.load", "pickle.load"}, where
            assert name != "pickle.loads" or path.name == "flow.py", where
            assert not any(word.arg in {"trust_remote_code", "shell"} for word in node.keywords), where
    loading = (ROOT / "restore/engines/loading.py").read_text()
    assert '"use_safetensors": True' in loading and "from_pretrained" in loading
    users = [path for path in sources() if "from_pretrained(" in path.read_text()]
    assert {path.name for path in users} == {"loading.py"}, users


def test_one_photo_needs_neither_ray_nor_torch() -> None:
    code = (
        "import restore.photo.prepare, restore.photo.paint, restore.photo.finish, sys; "
        "sys.exit(any(m in sys.modules for m in ('ray', 'torch', 'diffusers')))"
    )
    python = ROOT / ".venv/bin/python"
    subprocess.run([python if python.exists() else "python3", "-c", code], check=True, cwd=ROOT)


def test_top_level_is_the_prescribed_one() -> None:
    listed = subprocess.run(["git", "ls-files"], capture_output=True, text=True, check=True, cwd=ROOT)
    folders = {line.split("/")[0] for line in listed.stdout.splitlines() if "/" in line}
    visible = {folder for folder in folders if not folder.startswith(".")}
    assert visible == {"jobs", "restore", "manifests", "cluster", "tests"}
