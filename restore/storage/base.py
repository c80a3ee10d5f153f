"""What every kind of store has: its protocol, its values, and its version checks."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from restore.errors import ErrorCode, ItemError

NOWHERE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG})
"""Errors of paths that lead to no file: missing ones, links in a circle, names that are too long."""


BeforeRead = Callable[[int, str], None]
"""Called with the size in bytes and the version of what is about to be read; raises to stop the read."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """An object's bytes and the store's token for exactly these bytes."""

    data: bytes
    version: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One object of a listing. `path` is relative to what was asked, `size` in bytes, `modified` in UTC."""

    path: str
    size: int
    version: str
    modified: datetime


class Store(Protocol):
    """One kind of store. Paths are absolute, or `bucket/key`; `create` raises FileExistsError."""

    def get(self, path: str, check_before_read: BeforeRead) -> Fetched: ...

    def version(self, path: str) -> str | None: ...

    def create(self, path: str, data: bytes) -> None: ...

    def replace(self, path: str, data: bytes) -> None: ...

    def remove(self, path: str) -> None: ...

    def walk(self, folder: str) -> Iterator[Entry]: ...

    def children(self, folder: str) -> set[str]: ...


def require_same(path: str, before: str, after: str) -> None:
    """Raise `changed_during_run` when a version moved while its object was read."""
    if before != after:
        raise ItemError(
            ErrorCode.CHANGED_DURING_RUN,
            f"{path} changed while it was read: version {before}, then {after}; run again when it is still",
        )
