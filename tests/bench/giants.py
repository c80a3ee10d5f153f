"""Peak memory of all workers together over 20 photos of 200 megapixels strewn among 200 small ones.

Counted is what each worker has for itself, twice a second; the object store that they share is not. Ray's
own actors are workers too.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import psutil
from PIL import Image

from jobs.demo.damage import scratched_photograph
from tests.support.archives import make_archive, read_manifest_rows, write_manifest

GIANTS, SMALL = 20, 200
WIDTH, HEIGHT, TILES = 16_000, 12_500, 4


def add_giants(manifest: Path) -> None:
    """Rows of one scan of 200 megapixels with masks of their own, every eleventh of the manifest."""
    folder, rows = manifest.parent, read_manifest_rows(manifest)
    pixels, mask = scratched_photograph(WIDTH // TILES, HEIGHT // TILES, 1)
    Image.fromarray(np.tile(pixels, (TILES, TILES, 1))).save(folder / "images/giant.jpg", quality=85)
    for number in range(GIANTS):
        whole = np.zeros((HEIGHT, WIDTH), np.uint8)
        top, left = (number // TILES % TILES) * mask.shape[0], (number % TILES) * mask.shape[1]
        whole[top : top + mask.shape[0], left : left + mask.shape[1]] = mask * 255
        cv2.imwrite(str(folder / f"masks/giant-{number:02d}.png"), whole)
        row = {"item_id": f"giant-{number:02d}", "image": "images/giant.jpg"}
        rows.insert(number * (SMALL // GIANTS + 1), {**row, "mask": f"masks/giant-{number:02d}.png"})
    write_manifest(manifest, rows)


def own_bytes(job: psutil.Process) -> int:
    """What all Ray workers below the job's process have for themselves."""
    total = 0
    for process in job.children(recursive=True):
        try:
            if not process.name().startswith("ray::"):
                continue
            rollup = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
        except (OSError, psutil.Error):  # it has just ended
            continue
        total += (
            sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss_Anon")) * 1024
        )
    return total


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        manifest, out = make_archive(Path(name) / "in", SMALL, 640, 480), Path(name) / "out"
        add_giants(manifest)
        command = [sys.executable, "-m", "jobs.restore_archive", "--manifest", str(manifest)]
        command += ["--output", str(out)]
        began, peak = time.perf_counter(), 0
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        job = psutil.Process(child.pid)
        while child.poll() is None:
            peak = max(peak, own_bytes(job))
            time.sleep(0.5)
        record = json.loads(next((out / "runs").iterdir()).read_text())
        print(
            f"{GIANTS} photos of {WIDTH * HEIGHT / 1e6:.0f} megapixels among {SMALL} small ones: "
            f"{record['status']} {record['errors']} in {time.perf_counter() - began:.0f} s, "
            f"all workers' own memory at most {peak / 2**30:.2f} GiB"
        )
