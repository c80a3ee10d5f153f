"""Installation: an interpreter without the libraries says so in one line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("module", ["jobs.restore_archive", "jobs", "manifests", "restore.weights"])
def test_a_bare_interpreter_names_the_way_out(module: str) -> None:
    # -S leaves site-packages out, as in a Python that nothing was installed for.
    done = subprocess.run(
        [sys.executable, "-S", "-m", module, "--help"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr
    assert "lacks ray, pyarrow" in done.stderr and "make install" in done.stderr
