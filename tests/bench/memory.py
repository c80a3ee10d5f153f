"""Peak memory of the driver over 200 and over 2,000 small photos: it must not grow with the archive."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from tests.support.archives import make_archive


def peak_of_driver(manifest: Path, out: Path) -> float:
    """Peak resident megabytes of the job's own process; Ray's daemons and workers are others."""
    command = [
        sys.executable,
        "-m",
        "jobs.restore_archive",
        "--manifest",
        str(manifest),
        "--output",
        str(out),
    ]
    job = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    process, peak = psutil.Process(job.pid), 0
    while job.poll() is None:
        peak = max(peak, process.memory_info().rss)
        time.sleep(0.05)
    assert job.returncode == 0
    return peak / 1e6


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        peaks = []
        for count in (200, 2000):
            folder = Path(name) / str(count)
            peaks.append(peak_of_driver(make_archive(folder, count, 320, 240), folder / "out"))
            print(f"{count:5d} photos: driver peak {peaks[-1]:.0f} MB", flush=True)
        print(f"ratio {peaks[1] / peaks[0]:.2f}")
