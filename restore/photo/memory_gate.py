"""Room in a node's memory for large photos, shared by all its workers.

Each takes what its photo will need before it decodes, and waits where that is not free. Room is counted in
bytes of a file that a process locks: the kernel frees the locks of one that dies, however it dies.
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

UNIT = 32 * 2**20
"""Bytes of memory that one locked byte stands for."""

SMALL = 128 * 2**20
"""What needs less takes no room: every worker has as much of its own."""

SHARE = 0.25
"""Of a node's memory, where nothing else is said. Ray's object store takes 0.3; idle workers, models, the
bytes that are fetched and the system need the rest.
"""

_POLL_SECONDS = 0.1
_TURN = 0
_CGROUPS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


@dataclass(frozen=True, slots=True)
class MemoryGate:
    """The memory of one node that its large photos may take together.

    Attributes:
        total: bytes; None is `SHARE` of what the node has.
    """

    total: int | None = None

    @contextmanager
    def reserve(self, need: int) -> Iterator[None]:
        """Hold room for `need` bytes. A photo that needs more than there is takes all of it.

        One process can hold room once. The photo's time begins when the wait is over.
        """
        if need < SMALL:
            yield
            return
        placements = max(1, (self.total or int(SHARE * node_memory())) // UNIT)
        file = os.open(_path(), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            _gather(file, min(-(-need // UNIT), placements), placements)
            yield
        finally:
            os.close(file)  # and all its locks


def _path() -> str:
    """The file of locks: one for all of a user's runs on the node."""
    return str(Path(tempfile.gettempdir()) / f"silverprint-{os.getuid()}.room")


def node_memory() -> int:
    """Bytes of memory that this machine, or the container round this process, has."""
    sizes = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for limit in map(Path, _CGROUPS):
        with suppress(OSError, ValueError):  # no such group, or one without a limit
            sizes.append(int(limit.read_text()))
    return min(sizes)


def _gather(file: int, wanted: int, placements: int) -> None:
    """Lock `wanted` of the bytes 1 to `placements`. One process gathers at a time, so that none that holds
    some waits for another which does the same, and the large wait no longer than the small.
    """
    while not _locked(file, _TURN):
        _wait()
    held: set[int] = set()
    while True:
        for place in range(1, placements + 1):
            if place not in held and _locked(file, place):
                held.add(place)
            if len(held) == wanted:
                fcntl.lockf(file, fcntl.LOCK_UN, 1, _TURN)
                return
        _wait()


def _locked(file: int, place: int) -> bool:
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
    except (BlockingIOError, PermissionError):  # POSIX allows either
        return False
    return True


def _wait() -> None:
    watchdog.restart()
    time.sleep(_POLL_SECONDS)
