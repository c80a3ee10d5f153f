"""What every kind of store has: its protocol and values, and the table of the kinds, one row each.

A new store is a row of the table, a file of its own and, where it needs a library, an extra to install.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
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


class Reason(StrEnum):
    """Why a listing left something out."""

    LINK = "link"
    """A local link that leads out of the folder, nowhere, or to another folder."""
    PASSED_OVER = "passed_over"
    """A name that the caller does not want; nothing below it was looked at."""
    NOT_UTF8 = "not_utf8"
    """A local file whose path is not UTF-8, so that no manifest can name it."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Something below a listed folder that is no `Entry`; `path` is relative to what was asked."""

    path: str
    reason: Reason


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


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreKind:
    """One kind of store.

    Attributes:
        schemes: of its URIs, in lower case.
        store: `module:Class` of its `restore.storage.base.Store`, imported when the first URI needs it.
        creates: whether it can refuse to overwrite, so that it may hold outputs.
        lists_uploads: whether it keeps, and lists, uploads that killed writers left unfinished.
        extra: what installs its library besides the package itself.
    """

    schemes: tuple[str, ...]
    store: str
    creates: bool = True
    lists_uploads: bool = False
    extra: str | None = None


LOCAL = StoreKind(schemes=("file",), store="restore.storage.local:DiskStore")
S3 = StoreKind(schemes=("s3", "s3a"), store="restore.storage.s3:S3Store", lists_uploads=True)
GCS = StoreKind(schemes=("gs", "gcs"), store="restore.storage.gcs:GcsStore", extra="gcs")
AZURE = StoreKind(schemes=("abfs", "abfss", "az"), store="restore.storage.azure:AzureStore", extra="azure")
HTTP = StoreKind(schemes=("http", "https"), store="restore.storage.web.http:HttpStore", creates=False)

KINDS: Mapping[str, StoreKind] = MappingProxyType(
    {scheme: kind for kind in (LOCAL, S3, GCS, AZURE, HTTP) for scheme in kind.schemes}
)
"""Every kind by each of its schemes."""
