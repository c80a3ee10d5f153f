"""Folder in, folder out, as a newcomer types it: a real run, again, and the same picture by itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.dataset as ds
from PIL import Image
from skimage import data

ROOT = Path(__file__).resolve().parents[2]


def silverprint(*words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "jobs", *map(str, words)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_a_folder_is_restored_and_then_only_what_is_new(tmp_path: Path) -> None:
    photos, masks, out = tmp_path / "photos", tmp_path / "masks", tmp_path / "restored"
    for number, name in enumerate(("a", "box/b")):
        photo, mask = photos / f"{name}.jpg", masks / f"{name}.png"
        for path in (photo, mask):
            path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(data.astronaut()[number * 50 :][:100, :150]).save(photo, quality=95)
        damage = np.zeros((100, 150), np.uint8)
        damage[40:44, 10:140] = 255
        Image.fromarray(damage).save(mask)

    first = silverprint("restore", photos, masks, "-o", out)
    assert first.returncode == 0, first.stderr
    assert "2 photos, 2 of them in the manifest" in first.stdout and "2 restored" in first.stdout
    rows = ds.dataset(out / "metadata", format="parquet").to_table().to_pylist()
    assert {row["item_id"]: row["status"] for row in rows} == {"a": "restored", "box/b": "restored"}

    again = silverprint("restore", photos, masks, "-o", out)
    assert again.returncode == 0 and "2 done" in again.stdout, again.stdout + again.stderr

    # The same picture without Ray has the same pixels.
    alone = silverprint("restore", photos / "a.jpg", masks / "a.png", "-o", tmp_path / "alone.png")
    assert alone.returncode == 0, alone.stderr
    (stored,) = [row["output"] for row in rows if row["item_id"] == "a"]
    assert np.array_equal(
        np.asarray(Image.open(tmp_path / "alone.png")), np.asarray(Image.open(out / stored))
    )
