"""The architecture: imports run one way, heavy libraries have one owner, the top level is fixed."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from restore.methods import METHODS

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("jobs", "restore", "manifests", "cluster")

# Who imports a heavy library: a file, or a folder with all below it. torch's owner stands in pyproject.toml.
OWNERS = {
    "ray": ("restore/pipeline/", "jobs/run.py"),
    "fsspec": ("restore/storage/filesystems.py",),
    "azure": ("restore/storage/azure.py",),
    "gcsfs": ("restore/storage/gcs.py",),
    "pyvips": ("restore/imaging/vips.py",),
    "cv2": ("restore/imaging/opencv.py",),
    "huggingface_hub": ("restore/weights/checkpoint.py",),
}

MOST_FILES_IN_A_FOLDER = 15


def sources() -> list[Path]:
    return [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


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


def test_imports_run_one_way() -> None:
    """The order is declared in pyproject.toml, section `tool.importlinter`."""
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run()"]
    check = subprocess.run(
        [*command, "--no-cache", "--no-logo"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert check.returncode == 0, check.stdout + check.stderr


def test_a_folder_holds_few_files() -> None:
    folders = Counter(str(path.parent.relative_to(ROOT)) for path in sources())
    crowded = {folder: files for folder, files in folders.items() if files > MOST_FILES_IN_A_FOLDER}
    assert not crowded, f"split by subject: {crowded}"


@pytest.mark.parametrize("library", OWNERS)
def test_heavy_libraries_have_one_owner(library: str) -> None:
    users = [
        str(path.relative_to(ROOT))
        for path in sources()
        if any(name.split(".")[0] == library for name in imports(path))
    ]
    assert users, f"nothing imports {library}: take it out of OWNERS"
    assert [user for user in users if not user.startswith(OWNERS[library])] == []


def test_nothing_from_outside_is_run() -> None:
    """No model's own code, pickle between the pipeline's operators only, weights as safetensors only."""
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            name = ast.unparse(node.func)
            where = f"{path.relative_to(ROOT)}:{node.lineno}: {name}"
            assert name not in {"eval", "exec", "torch.load", "os.system", "yaml.load", "pickle.load"}, where
            assert name != "pickle.loads" or path.name == "flow.py", where
            assert not any(word.arg in {"trust_remote_code", "shell"} for word in node.keywords), where
    loading = (ROOT / "restore/engines/diffusion/loading.py").read_text()
    assert '"use_safetensors": True' in loading and "from_pretrained" in loading
    users = [path for path in sources() if "from_pretrained(" in path.read_text()]
    assert {path.name for path in users} == {"loading.py"}, users


def test_one_photo_needs_neither_ray_nor_torch() -> None:
    code = (
        "import importlib, pkgutil, sys; from restore import photo; "
        "names = [module.name for module in pkgutil.iter_modules(photo.__path__)]; "
        "[importlib.import_module(f'restore.photo.{name}') for name in names]; "
        "assert len(names) > 5; "
        "sys.exit(any(m in sys.modules for m in ('ray', 'torch', 'diffusers')))"
    )
    python = ROOT / ".venv/bin/python"
    subprocess.run([python if python.exists() else "python3", "-c", code], check=True, cwd=ROOT)


def test_imaging_and_repair_name_no_method() -> None:
    """A new restoration method changes neither: what they need of one is given to them."""
    for package in ("imaging", "repair"):
        for path in sorted((ROOT / "restore" / package).rglob("*.py")):
            words = {
                node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)
            }
            assert not words & set(METHODS), path
            assert not any(name.startswith("restore.methods") for name in imports(path)), path


def test_top_level_is_the_prescribed_one() -> None:
    listed = subprocess.run(["git", "ls-files"], capture_output=True, text=True, check=True, cwd=ROOT)
    folders = {line.split("/")[0] for line in listed.stdout.splitlines() if "/" in line}
    visible = {folder for folder in folders if not folder.startswith(".")}
    assert visible == {"jobs", "restore", "manifests", "cluster", "tests"}
