"""Room: real processes that share it, wait for it and die with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from restore.photo import memory_gate as room
from restore.photo.memory_gate import SMALL_BYTES, UNIT_BYTES, MemoryGate

ROOT = Path(__file__).resolve().parents[3]
TOTAL = 10 * UNIT_BYTES

HOLDER = """
import sys
from restore.photo.memory_gate import MemoryGate
from restore.photo.watchdog import time_limit
total, need, limit = map(float, sys.argv[1:])
with time_limit(limit), MemoryGate(int(total)).reserve(int(need)):
    print("holds", flush=True)
    sys.stdin.readline()
"""

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a process that takes room and holds it until it reads a line."""
    running = []

    def started(need: int, limit: float = 60) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(TOTAL), str(need), str(limit)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=ROOT,
            env={**os.environ, "TMPDIR": str(tmp_path)},
        )
        running.append(process)
        return process

    yield started
    for process in running:
        process.kill()
        process.communicate()


def holds(process: subprocess.Popen[str], within: float = 20) -> bool:
    """Whether it has its room by then."""
    assert process.stdout is not None
    os.set_blocking(process.stdout.fileno(), False)
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        if process.stdout.readline():
            return True
        time.sleep(0.05)
    return False


def release(process: subprocess.Popen[str]) -> None:
    process.communicate("\n", timeout=20)


def test_as_many_hold_room_as_there_is_and_the_next_waits(start: Start) -> None:
    first, second = start(5 * UNIT_BYTES), start(5 * UNIT_BYTES)
    assert holds(first) and holds(second)
    third = start(5 * UNIT_BYTES)
    assert not holds(third, within=2)
    release(first)
    assert holds(third)


def test_who_is_killed_gives_its_room_back(start: Start) -> None:
    first = start(10 * UNIT_BYTES)
    assert holds(first)
    second = start(6 * UNIT_BYTES)
    assert not holds(second, within=1)
    first.send_signal(signal.SIGKILL)
    assert holds(second)


def test_a_photo_larger_than_the_room_takes_all_of_it(start: Start) -> None:
    giant = start(1000 * UNIT_BYTES)
    assert holds(giant)
    assert not holds(start(5 * UNIT_BYTES), within=2)


def test_small_photos_never_wait(start: Start) -> None:
    assert holds(start(1000 * UNIT_BYTES))
    assert holds(start(SMALL_BYTES - 1))


def test_the_large_wait_no_longer_than_those_after_them(start: Start) -> None:
    first = start(5 * UNIT_BYTES)
    assert holds(first)
    giant = start(10 * UNIT_BYTES)
    assert not holds(giant, within=2)
    later = start(5 * UNIT_BYTES)
    assert not holds(later, within=2), "there is room for it, and the giant would wait for ever"
    release(first)
    assert holds(giant)


def test_waiting_is_not_counted_as_work(start: Start) -> None:
    first = start(10 * UNIT_BYTES)
    assert holds(first)
    second = start(10 * UNIT_BYTES, limit=2)
    assert not holds(second, within=5)
    assert second.poll() is None
    release(first)
    assert holds(second)
    assert second.wait(20) == 1, "but holding it is"


def test_room_is_given_back_after_a_fault(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, start: Start
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(KeyError), MemoryGate(TOTAL).reserve(10 * UNIT_BYTES):
        raise KeyError
    assert holds(start(10 * UNIT_BYTES))


def test_a_node_has_what_its_container_may_use(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(room, "_CGROUPS", (str(limit), str(tmp_path / "none")))
    whole = room.node_memory()
    assert whole == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit.write_text("max\n")
    assert room.node_memory() == whole
    limit.write_text("1073741824\n")
    assert room.node_memory() == 2**30
