"""Watchdog: a hung process ends, whatever it hangs in; one in time does not."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


def ended(body: str) -> tuple[int, str, float]:
    """Exit code, stderr and seconds of a process that runs `body` within a limit of 1 s."""
    within = f"with watchdog.time_limit(1):\n    {body}"
    code = "import ctypes, time\nfrom restore.photo import watchdog\n"
    code += f"{within}\nwatchdog.restart()\ntime.sleep(2)"
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False, timeout=60
    )
    return done.returncode, done.stderr, time.monotonic() - began


@pytest.mark.parametrize("body", ["time.sleep(50)", "ctypes.PyDLL(None).sleep(50)"])
def test_a_hung_process_ends_and_tells_where(body: str) -> None:
    code, stderr, seconds = ended(body)
    assert code == 1 and seconds < 30
    assert "Timeout" in stderr and "line 4" in stderr


def test_one_in_time_goes_on_without_a_watchdog() -> None:
    assert ended("pass")[0] == 0


def test_the_time_can_begin_anew() -> None:
    assert ended("[(time.sleep(0.3), watchdog.restart()) for _ in range(6)]")[0] == 0
    assert ended("watchdog.restart(); time.sleep(50)")[0] == 1
