"""OpenCV: one thread in every process that restores photos."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    "module", ["restore.photo.prepare", "restore.photo.finish", "restore.engines.classical"]
)
def test_opencv_uses_one_thread(module: str) -> None:
    code = f"import {module}, cv2; print(cv2.getNumThreads())"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert shown.stdout.split() == ["1"]
