"""Photos a second of the main job against a plain two-process pool running the naive loop.

The naive loop decodes, runs cv2.inpaint on the whole image and saves PNG through Pillow, at its
default level and at level 1; it verifies nothing. The job's rate is steady: first outcome to last.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from jobs.demo.damage import scratched_photograph
from tests.support.archives import write_manifest

PHOTOS = 200
WIDTH, HEIGHT = 1632, 1224


def make_inputs(folder: Path, count: int = PHOTOS) -> Path:
    """JPEGs of 2 megapixels with local damages, their masks and a manifest."""
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    with ProcessPoolExecutor(2) as pool:
        list(pool.map(partial(make_input, folder), range(count)))
    names = [f"{number:04d}" for number in range(count)]
    rows = [{"item_id": name, "image": f"images/{name}.jpg", "mask": f"masks/{name}.png"} for name in names]
    return write_manifest(folder / "manifest.csv", rows)


def make_input(folder: Path, number: int) -> None:
    pixels, mask = scratched_photograph(WIDTH, HEIGHT, number)
    Image.fromarray(pixels).save(folder / f"images/{number:04d}.jpg", quality=90)
    Image.fromarray(mask.astype(np.uint8) * 255).save(folder / f"masks/{number:04d}.png")


def naive(folder: Path, out: Path, options: dict[str, int], number: int) -> int:
    """The plain loop's body; returns the PNG's size in bytes."""
    cv2.setNumThreads(1)
    pixels = np.asarray(Image.open(folder / f"images/{number:04d}.jpg"))
    mask = np.asarray(Image.open(folder / f"masks/{number:04d}.png"))
    path = out / f"{number:04d}.png"
    Image.fromarray(cv2.inpaint(pixels, mask, 3, cv2.INPAINT_TELEA)).save(path, **options)
    return path.stat().st_size


def naive_pool(folder: Path, out: Path, options: dict[str, int]) -> tuple[float, float]:
    """Photos a second and mean megabytes of the loop in two processes."""
    out.mkdir()
    with ProcessPoolExecutor(2) as pool:
        list(pool.map(partial(naive, folder, out, options), range(2)))  # both processes are up
        began = time.perf_counter()
        sizes = list(pool.map(partial(naive, folder, out, options), range(PHOTOS)))
        spent = time.perf_counter() - began
    return PHOTOS / spent, sum(sizes) / len(sizes) / 1e6


def job(manifest: Path, out: Path) -> tuple[float, float, float]:
    """Steady photos a second, mean megabytes, and seconds of the whole run, of the main job."""
    command = [
        sys.executable,
        "-m",
        "jobs.restore_archive",
        "--manifest",
        str(manifest),
        "--output",
        str(out),
    ]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    record = json.loads(next((out / "runs").iterdir()).read_text())
    sizes = [path.stat().st_size for path in (out / "images").iterdir()]
    return record["photos_per_second"], sum(sizes) / len(sizes) / 1e6, record["seconds"]


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        manifest = make_inputs(folder)
        default, default_mb = naive_pool(folder, folder / "default", {})
        ours, ours_mb, seconds = job(manifest, folder / "out")
        fast, fast_mb = naive_pool(folder, folder / "fast", {"compress_level": 1})
        print(f"naive pool, Pillow PNG default level: {default:5.2f} photos/s, {default_mb:.2f} MB a photo")
        print(f"naive pool, Pillow PNG level 1:       {fast:5.2f} photos/s, {fast_mb:.2f} MB a photo")
        print(f"silverprint, steady:                  {ours:5.2f} photos/s, {ours_mb:.2f} MB a photo")
        print(f"silverprint, whole run: {seconds:.1f} s for {PHOTOS} photos")
        print(f"ratio to default level {ours / default:.2f} (target 1.3)")
        print(f"ratio to level 1       {ours / fast:.2f} (target 0.8)")
