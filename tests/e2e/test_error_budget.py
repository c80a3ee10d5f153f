"""The error budget in real runs: bad photos that lie together never keep a run from the good ones."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from manifests.catalog.rows import committed_rows, last_outcomes
from restore.storage import OutStore

ROOT = Path(__file__).resolve().parents[2]
BAD, ALL = 25, 60


def run(manifest: Path, out: Path, *more: str) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-m",
        "jobs.restore_archive",
        "--manifest",
        str(manifest),
        "--output",
        str(out),
    ]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def archive(folder: Path, kind: str) -> Path:
    """A manifest whose first 25 photos are no pictures, or lie where nothing may be read."""
    folder.mkdir()
    Image.new("RGB", (32, 32), (90, 80, 70)).save(folder / "good.png")
    damage = np.zeros((32, 32), np.uint8)
    damage[10:14, 4:28] = 255
    Image.fromarray(damage).save(folder / "mask.png")
    elsewhere = folder.parent / "elsewhere.png"
    Image.new("RGB", (32, 32)).save(elsewhere)
    lines = ["item_id,image,mask"]
    for number in range(ALL):
        name = "good.png"
        if number < BAD:
            name = f"bad-{number}.png" if kind == "garbage" else str(elsewhere)
            if kind == "garbage":
                (folder / name).write_bytes(b"no picture")
        lines.append(f"{number:02d},{name},mask.png")
    manifest = folder / "manifest.csv"
    manifest.write_text("\n".join(lines))
    return manifest


@pytest.mark.parametrize(("kind", "code"), [("garbage", "image_unreadable"), ("refused", "storage_denied")])
def test_bad_photos_at_the_front_do_not_hide_the_good_ones(tmp_path: Path, kind: str, code: str) -> None:
    manifest, out = archive(tmp_path / "in", kind), tmp_path / "out"
    first = run(manifest, out)
    assert first.returncode == 4 and "photos failed" in first.stderr, first.stdout + first.stderr
    second = run(manifest, out)
    assert second.returncode in {0, 3, 4}, second.stderr
    store = OutStore.open(str(out))
    rows = last_outcomes(committed_rows(store), ["item_id", "status", "error_code"]).to_pylist()
    assert Counter(row["status"] for row in rows) == {"restored": ALL - BAD, "failed": BAD}
    assert {row["error_code"] for row in rows if row["status"] == "failed"} == {code}
    records = [json.loads(path.read_text()) for path in sorted((out / "runs").iterdir())]
    assert "the last error: " in first.stderr and not first.stderr.rstrip().endswith("the last error:")
    assert [record["unrecorded"] for record in records] == [{}, {}]


def test_a_photo_that_was_away_for_one_run_is_restored_by_the_next(tmp_path: Path) -> None:
    """Listed, missing when it is read, back unchanged: with the version that failed."""
    folder, out = tmp_path / "in", tmp_path / "out"
    archive(folder, "garbage")
    listed, photos = tmp_path / "listed.parquet", tmp_path / "photos"
    photos.mkdir()
    for name in ("a.png", "a_mask.png"):
        (photos / name).write_bytes((folder / ("good.png" if name == "a.png" else "mask.png")).read_bytes())
    build = [sys.executable, "-m", "manifests", "build", "--images", str(photos), "--out", str(listed)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    away, kept = photos / "a.png", tmp_path / "kept.png"
    away.rename(kept)
    assert run(listed, out, "--allow-root", str(photos)).returncode == 3
    kept.rename(away)  # the same file: size and time are those of the listing
    again = run(listed, out, "--allow-root", str(photos))
    assert again.returncode == 0 and "1 restored" in again.stdout, again.stdout + again.stderr


def test_a_run_names_what_failed_before(tmp_path: Path) -> None:
    manifest, out = archive(tmp_path / "in", "garbage"), tmp_path / "out"
    manifest.write_text("\n".join(manifest.read_text().splitlines()[:4]))
    assert run(manifest, out).returncode == 3
    again = run(manifest, out)
    assert again.returncode == 0 and "3 failed in earlier runs" in again.stdout, again.stdout
    record = json.loads(max((out / "runs").iterdir()).read_text())
    assert record["failed_before"] == 3
