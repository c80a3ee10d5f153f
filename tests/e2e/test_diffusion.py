"""The main job with the SDXL engine on tiny checkpoints: real Ray, real files, injected faults."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from manifests.catalog.rows import read_committed
from restore.imaging.codec import decode
from restore.storage import OutStore
from tests.support.archives import make_archive, read_manifest_rows, write_manifest
from tests.support.tiny_checkpoints import Checkpoints, make_vae

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = ("dtype=float32", "num_inference_steps=4", "high_noise_frac=0.6", "window_context=16")


def run(
    manifest: Path, out: Path, checkpoints: Checkpoints, *settings: str, dry: bool = False, **env: str
) -> str:
    """Run the job; return its exit code and its output as one text."""
    job = [sys.executable, "-m", "jobs.restore_archive", "--manifest", str(manifest), "--output", str(out)]
    job += ["--dry-run"] if dry else []
    options = ["--set", *SETTINGS, *checkpoints.settings(), *settings]
    python = os.pathsep.join([*([env.pop("before")] if "before" in env else []), str(ROOT)])
    full = {
        **os.environ,
        "PYTHONPATH": python,
        "OMP_NUM_THREADS": "1",
        "SILVERPRINT_WEIGHTS": str(out.parent / "w"),
        **env,
    }
    done = subprocess.run([*job, *options], capture_output=True, text=True, cwd=ROOT, check=False, env=full)
    return f"exit {done.returncode}\n{done.stdout}{done.stderr}"


def rows(out: Path) -> dict[str, dict[str, Any]]:
    return {row["item_id"]: row for row in read_committed(OutStore.open(str(out))).to_pylist()}


def check_known_pixels(manifest: Path, out: Path, row: dict[str, Any]) -> None:
    wanted = {r["item_id"]: r for r in read_manifest_rows(manifest)}[row["item_id"]]
    source = decode((manifest.parent / wanted["image"]).read_bytes()).pixels
    stored = np.asarray(Image.open(out / row["output"]))
    changed = (stored != source).any(axis=2)
    assert 0 < changed.mean() < 0.05 and row["changed_outside_mask"] == 0 and row["proof"] == "exact"


def test_an_archive_is_painted_by_sdxl(checkpoints: Checkpoints, tmp_path: Path) -> None:
    manifest, out = make_archive(tmp_path / "in", 3, 320, 240), tmp_path / "out"
    wanted = read_manifest_rows(manifest)
    wanted[1]["engine"] = "telea"
    wanted[2]["guidance_scale"] = "3.0"
    write_manifest(manifest, wanted)
    dry = run(manifest, out, checkpoints, "engine=sdxl", dry=True)
    assert "from 3 of 3 photos: windows 2 by sdxl, 4 by telea" in dry and "GPU-hours" in dry, dry
    assert not out.exists(), "a dry run writes nothing"
    first = run(manifest, out, checkpoints, "engine=sdxl")
    assert first.startswith("exit 0"), first
    found = rows(out)
    painted = [row for row in found.values() if row["engine"] == "sdxl"]
    assert len(painted) == 2
    for row in painted:
        assert [model["role"] for model in row["models"]] == ["inpaint", "refiner", "vae"]
        assert all(len(model["sha256"]) == 64 for model in row["models"])
        assert row["dtype"] == "float32" and row["device"] == "cpu" and row["engine_steps"] == []
        assert row["scheduler"] == "EulerDiscreteScheduler"
        assert all((w["paint_width"], w["paint_height"]) >= (640, 640) for w in row["windows"])
        check_known_pixels(manifest, out, row)
    (telea,) = (row for row in found.values() if row["engine"] == "telea")
    assert telea["dtype"] is None and telea["models"] == [] and telea["scheduler"] is None

    again = run(manifest, out, checkpoints, "engine=sdxl", dry=True)
    assert "3 done" in again, again
    other = run(manifest, out, checkpoints, "engine=sdxl", "models.vae=", dry=True)
    assert "2 engine_changed" in other, other


@pytest.mark.heavy
def test_output_that_is_not_finite_is_a_failed_row(checkpoints: Checkpoints, tmp_path: Path) -> None:
    vae = make_vae()
    with torch.no_grad():
        vae.decoder.conv_out.bias.fill_(float("nan"))
    vae.save_pretrained(tmp_path / "vae")
    manifest, out = make_archive(tmp_path / "in", 1, 320, 240), tmp_path / "out"
    done = run(manifest, out, checkpoints, "engine=sdxl", f"models.vae={tmp_path / 'vae'}")
    assert done.startswith("exit 3") and "1 failed with non_finite_output" in done, done
    (row,) = rows(out).values()
    assert row["error_code"] == "non_finite_output" and "fp32 VAE" in row["error_message"]


# Every Python of the job loads this: "memory" holds one window in tiles, "lost" is a device that dies once.
FAULTS = """
import os, sys
from pathlib import Path
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name != "restore.engines.diffusion.sdxl" or Finder.done:
            return None
        Finder.done = True
        import torch
        from restore.engines.diffusion import engine
        whole = engine.decoded
        def decoded(latents, vae):
            marker = Path(os.environ["FAULT_MARKER"])
            if os.environ["FAULT"] == "lost" and not marker.exists():
                marker.touch()
                raise torch.AcceleratorError("CUDA error: unspecified launch failure")
            if os.environ["FAULT"] == "memory" and (len(latents) > 1 or not vae.use_tiling):
                raise torch.OutOfMemoryError("injected")
            return whole(latents, vae)
        engine.decoded = decoded
        return None
Finder.done = False
sys.meta_path.insert(0, Finder())
"""


@pytest.mark.heavy
@pytest.mark.parametrize("fault", ["memory", "lost"])
def test_a_device_in_trouble_costs_no_photo(checkpoints: Checkpoints, tmp_path: Path, fault: str) -> None:
    (tmp_path / "faults").mkdir()
    (tmp_path / "faults/sitecustomize.py").write_text(FAULTS)
    manifest, out = make_archive(tmp_path / "in", 2, 320, 240), tmp_path / "out"
    env = {"before": str(tmp_path / "faults"), "FAULT": fault, "FAULT_MARKER": str(tmp_path / "marker")}
    done = run(manifest, out, checkpoints, "engine=sdxl", "refine=false", **env)
    assert done.startswith("exit 0"), done
    steps = [row["engine_steps"] for row in rows(out).values()]
    if fault == "memory":
        assert steps == [["micro_batch_1", "vae_tiling"]] * 2
    else:
        assert steps == [[], []] and (tmp_path / "marker").exists()
