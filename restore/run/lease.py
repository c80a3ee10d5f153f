"""Which run may write: one lease per output store, acquired by creating the next epoch's file.

The lease saves the cost of two runs that paint the same photos; correctness does not rest on it. Its
epoch is part of every run id and row id, so their order is the order of time.
"""

from __future__ import annotations

import json
import logging
import os
import re
import socket
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

from restore.errors import ItemError, LeaseHeld, StoreVanished, SystemicError
from restore.identity import sha256_bytes
from restore.storage import OutStore

log = logging.getLogger(__name__)

BEAT_SECONDS = 5.0
TAKEOVER_SECONDS = 20.0
"""A lease file that stays unchanged for this time belongs to a dead writer."""
_POLL_SECONDS = 1.0
_JOIN_SECONDS = 1.0
"""Longest wait for a renewal under way. A job that is stopped has three seconds for all that it must do."""

_RUN_ID = r"\d{8}T\d{6}Z-(\d{6,})"
RUN_RECORD = re.compile(rf"{_RUN_ID}\.json")
"""The name of a run record. People put files of their own beside them."""

_LEASE_FILE = re.compile(r"(\d{6,})\.json")
_TRACES = {
    "runs": RUN_RECORD,
    "plans": re.compile(rf"{_RUN_ID}\.parquet"),
    "metadata": re.compile(rf"run={_RUN_ID}"),
}
"""For each folder, the exact form of the names by which runs leave their epoch."""


@dataclass(frozen=True, slots=True)
class LeaseHolder:
    """The process that wrote a lease file. `boot` names the boot of its host and its pid namespace."""

    epoch: int
    token: str
    host: str
    boot: str
    pid: int
    since: str
    beat: int = 0

    def describe(self) -> str:
        return f"process {self.pid} on {self.host}, since {self.since} (epoch {self.epoch})"


class Lease:
    """A lease of this process. A context manager: leaving it removes the lease file."""

    def __init__(self, store: OutStore, holder: LeaseHolder) -> None:
        self._store = store
        self._holder = holder
        self._stop = threading.Event()
        self._beating = threading.Thread(target=self._beat, name="lease", daemon=True)
        self._beating.start()

    @property
    def epoch(self) -> int:
        return self._holder.epoch

    @property
    def since(self) -> datetime:
        """When it was acquired."""
        return datetime.fromisoformat(self._holder.since)

    def check(self) -> None:
        """Make sure that this epoch is still the newest; called before each commit.

        Raises:
            LeaseHeld: when another writer has taken over the store.
        """
        newest = newest_epoch(self._store)
        if newest > self.epoch:
            raise LeaseHeld(
                f"another writer took over {self._store.root} (epoch {newest} after {self.epoch}); "
                "the rows of this run so far stay, and that writer does the rest"
            )

    def require_file(self) -> None:
        """Before each commit and at the end: is our own lease file still there?

        Raises:
            StoreVanished: when it is not.
        """
        found = _read(self._store, self.epoch)
        if found is None or found.token != self._holder.token:
            raise vanished(self._store, _path(self.epoch))

    def __enter__(self) -> Lease:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self.release()

    def release(self) -> None:
        """Remove the lease file, once. A renewal that ends later may write it again: a contender sees that
        it stays unchanged."""
        if self._stop.is_set():
            return
        self._stop.set()
        self._beating.join(_JOIN_SECONDS)
        self._store.remove(_path(self.epoch))

    def _beat(self) -> None:
        while not self._stop.wait(BEAT_SECONDS):
            self._holder = replace(self._holder, beat=self._holder.beat + 1)
            try:
                self._store.overwrite(_path(self.epoch), _encode(self._holder))
            except (ItemError, SystemicError) as error:
                log.warning("could not renew the lease, trying again in %g s: %s", BEAT_SECONDS, error)
            except Exception:
                log.warning("could not renew the lease; trying again in %g s", BEAT_SECONDS, exc_info=True)


def vanished(store: OutStore, path: str) -> StoreVanished:
    """The error of a store that lacks `path`, which this run wrote."""
    return StoreVanished(
        f"{store.root} lacks {path}, which this run wrote: the folder was unmounted, emptied or replaced; "
        "bring it back and run again"
    )


def acquire(store: OutStore, sleep: Callable[[float], None] = time.sleep) -> Lease:
    """Acquire the lease; waits only until a former holder is known to be dead.

    Raises:
        LeaseHeld: when the holder is alive; the message names it.
    """
    while True:
        for epoch in _lease_epochs(store):
            _wait_for_holder(store, epoch, sleep)
        holder = _this_process(newest_epoch(store) + 1)
        created = store.create(_path(holder.epoch), _encode(holder))
        # A create whose first answer was lost finds its own file.
        if created.existing is not None and _decode(created.existing).token != holder.token:
            continue
        if _finished_meanwhile(store, holder.epoch):
            store.remove(_path(holder.epoch))
            continue
        for epoch in _lease_epochs(store):
            if epoch < holder.epoch:
                store.remove(_path(epoch))
        return Lease(store, holder)


def newest_epoch(store: OutStore) -> int:
    """The newest epoch that has left any trace; 0 in a new store."""
    return max([0, *_lease_epochs(store), *_run_epochs(store)])


def _lease_epochs(store: OutStore) -> list[int]:
    return sorted(_epochs(store.names("lease"), _LEASE_FILE))


def _run_epochs(store: OutStore) -> list[int]:
    return [epoch for folder, form in _TRACES.items() for epoch in _epochs(store.names(folder), form)]


def _epochs(names: list[str], form: re.Pattern[str]) -> list[int]:
    return [int(match[1]) for match in map(form.fullmatch, names) if match]


def _finished_meanwhile(store: OutStore, epoch: int) -> bool:
    """Whether a run of this epoch began and ended between the listing and the create."""
    return any(seen >= epoch for seen in _run_epochs(store))


def _wait_for_holder(store: OutStore, epoch: int, sleep: Callable[[float], None]) -> None:
    """Return when the holder of `epoch` has ended or is known to be dead.

    Raises:
        LeaseHeld: when the holder is alive.
    """
    first = _read(store, epoch)
    if first is None or _is_dead_here(first):
        return
    deadline = time.monotonic() + TAKEOVER_SECONDS
    while time.monotonic() < deadline:
        sleep(_POLL_SECONDS)
        now = _read(store, epoch)
        if now is None:
            return
        if now != first:
            raise LeaseHeld(f"{store.root} is being written by {now.describe()}; wait for it to end")


def _is_dead_here(holder: LeaseHolder) -> bool:
    if (holder.host, holder.boot) != (_host(), _boot()):
        return False
    try:
        os.kill(holder.pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def _this_process(epoch: int) -> LeaseHolder:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return LeaseHolder(epoch, uuid.uuid4().hex, _host(), _boot(), os.getpid(), now)


def _host() -> str:
    return socket.gethostname()


def _boot() -> str:
    """This boot and this pid namespace: a pid has a meaning only within both."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    space = Path("/proc/self/ns/pid")
    if not boot.exists():
        return "unknown-" + uuid.uuid4().hex  # so that no pid counts as dead
    return f"{boot.read_text().strip()} {space.readlink()}"


def _read(store: OutStore, epoch: int) -> LeaseHolder | None:
    try:
        return _decode(store.read(_path(epoch)))
    except FileNotFoundError:
        return None


def _path(epoch: int) -> str:
    return f"lease/{epoch:06d}.json"


def _encode(holder: LeaseHolder) -> bytes:
    return json.dumps(asdict(holder)).encode()


def _decode(data: bytes) -> LeaseHolder:
    """The holder. Fields of a newer version are ignored; a file that says nothing has an unknown holder.

    The bytes of its file identify an unknown holder, so that a contender watches it too.
    """
    known = {field.name for field in fields(LeaseHolder)}
    try:
        values = json.loads(data)
        return LeaseHolder(**{name: value for name, value in values.items() if name in known})
    except (ValueError, TypeError, AttributeError):
        return LeaseHolder(0, sha256_bytes(data), "an unknown host", "unknown", 0, "an unknown time")
