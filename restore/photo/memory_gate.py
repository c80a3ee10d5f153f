"""A semaphore over a node's memory, shared by all its workers, for large photos.

A worker reserves what its photo will need before it decodes it, and waits while that is not free. One locked
byte of a file stands for `UNIT_BYTES` bytes of memory: the kernel frees the locks of a process that dies.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from restore.photo import watchdog

UNIT_BYTES = 32 * 2**20
"""Bytes of memory that one locked byte stands for."""

SMALL_BYTES = 128 * 2**20
"""Bytes; a photo that needs less reserves nothing, since every worker has that much of its own."""

DEFAULT_SHARE = 0.25
"""Default share of a node's memory. Ray's object store takes 0.3; idle workers, models, fetched bytes and
the system need the rest.
"""

_POLL_SECONDS = 0.1
_TURN = 0
_CGROUPS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


@dataclass(frozen=True, slots=True)
class MemoryGate:
    """The memory of one node that its large photos may take together.

    Attributes:
        total: bytes; None is `DEFAULT_SHARE` of what the node has.
    """

    total: int | None = None

    @contextmanager
    def reserve(self, need: int) -> Iterator[None]:
        """Hold `need` bytes for the block. A photo that needs more than the total takes all of it.

        One process can hold one reservation. The photo's time limit starts when the wait is over.
        """
        if need < SMALL_BYTES:
            yield
            return
        units = max(1, (self.total or int(DEFAULT_SHARE * node_memory())) // UNIT_BYTES)
        file = os.open(_path(), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            _lock_units(file, min(-(-need // UNIT_BYTES), units), units)
            yield
        finally:
            os.close(file)  # and all its locks


def _path() -> str:
    """The file of locks, one for all runs of a user on the node."""
    return str(Path(tempfile.gettempdir()) / f"silverprint-{os.getuid()}.room")


def node_memory() -> int:
    """Bytes of memory that this machine, or the container round this process, has."""
    sizes = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for limit in map(Path, _CGROUPS):
        with suppress(OSError, ValueError):  # no such group, or one without a limit
            sizes.append(int(limit.read_text()))
    return min(sizes)


def _lock_units(file: int, wanted: int, units: int) -> None:
    """Lock `wanted` of the bytes 1 to `units`.

    One process at a time does so. Otherwise two that each hold a part could wait for each other, and
    large photos would wait longer than small ones.
    """
    while not _locked(file, _TURN):
        _wait()
    held: set[int] = set()
    while True:
        for unit in range(1, units + 1):
            if unit not in held and _locked(file, unit):
                held.add(unit)
            if len(held) == wanted:
                fcntl.lockf(file, fcntl.LOCK_UN, 1, _TURN)
                return
        _wait()


def _locked(file: int, position: int) -> bool:
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, position)
    except (BlockingIOError, PermissionError):  # POSIX allows either
        return False
    return True


def _wait() -> None:
    watchdog.restart()
    time.sleep(_POLL_SECONDS)
