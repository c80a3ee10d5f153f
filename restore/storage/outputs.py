"""The output store: created once, verified, never overwritten."""

from __future__ import annotations

import errno
import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pyarrow.fs

from restore.errors import ErrorCode, ItemError, StorageConfigError
from restore.identity import sha256_bytes
from restore.storage.access import forbidden_reason
from restore.storage.base import Entry, Store
from restore.storage.filesystems import arrow_filesystem, require_answer, store_at
from restore.storage.integrity import Misstored
from restore.storage.retry import ATTEMPTS, cannot_serve, describe, refuses_name, refuses_size, retrying
from restore.storage.s3 import S3Store, Upload
from restore.storage.uris import Location, redact

CHECK_ATTEMPTS = 3
WRITES = 3
"""Tries to write an object that the store keeps with other bytes."""

Names = list[str]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Created:
    """What became of a create.

    Attributes:
        sha256: of the bytes that were to be stored.
        existing: other bytes that hold the name already, for the caller to verify and adopt. The same bytes
            count as created: they come from a try whose answer was lost, or serve as well.
    """

    sha256: str
    existing: bytes | None


@dataclass(frozen=True, slots=True)
class OutStore:
    """The output store. Pickles as its URI; connections are made in the process that uses it.

    Paths are relative to `root`, joined by `/`, and never interpreted. Methods raise ItemError
    `storage_unavailable` when a store stays away. StorageConfigError stands for every other error of the
    store but FileNotFoundError: a store that cannot keep what it is given concerns the run, not the photo.
    """

    root: str

    @classmethod
    def open(cls, uri: str) -> OutStore:
        """Name a store without touching it.

        Raises:
            StorageConfigError: for a URI that can never serve.
        """
        given = Location.of(uri)
        root = os.path.normpath(Path(given.path).absolute()) if given.is_local else uri.rstrip("/")
        reason = forbidden_reason(root)
        if reason is None and given.kind is not None and not given.kind.creates:
            reason = f"{given.scheme} cannot create without overwriting; use a local folder, s3, gs or abfs"
        if reason:
            raise StorageConfigError(f"output {redact(uri)}: {reason}")
        return cls(root)

    @property
    def _location(self) -> Location:
        return Location.of(self.root)

    @property
    def is_local(self) -> bool:
        """Whether it lies on this machine's own disks."""
        return self._location.is_local

    def create(self, path: str, data: bytes) -> Created:
        """Store `data` under a new name, whole or not at all; never overwrites.

        Raises:
            ItemError: `invalid_row` or `image_too_large` where the store can hold no object of this name
                or size. It concerns this photo alone, and stays so until its item_id or output changes.
        """
        digest = sha256_bytes(data)
        try:
            existing = self._call(path, lambda store, full: _create(store, full, data))
        except OSError as error:
            raise self._not_created(path, len(data), error) from error
        if existing is None or existing == data:
            return Created(digest, existing=None)
        return Created(digest, existing=existing)

    def read(self, path: str) -> bytes:
        """All bytes of one object; FileNotFoundError when there is none."""
        try:
            return self._call(path, lambda store, full: store.get(full, _admit_any).data)
        except NotADirectoryError as error:  # a file stands where its folder would be
            raise FileNotFoundError(*error.args) from error

    def overwrite(self, path: str, data: bytes) -> None:
        """Store `data`, replacing what is there: for heartbeats and reports only."""
        try:
            self._call(path, lambda store, full: store.replace(full, data))
        except OSError as error:
            raise self._unusable(error) from error

    def remove(self, path: str) -> None:
        """Remove one object; a missing one is fine."""
        self._call(path, lambda store, full: store.remove(full))

    def names(self, prefix: str = "") -> Names:
        """Names of the objects and folders directly below the folder `prefix`, sorted."""
        return sorted(self._call(prefix, lambda store, full: store.children(full)))

    def list(self, prefix: str = "") -> Iterator[Entry]:
        """All objects below the folder `prefix`, paged and uncached, with paths relative to `root`.

        Includes what killed writers left behind on a local disk, so that it can be collected.
        """
        with self._refusals():
            store, root = store_at(self._location)
            folder = _join(root, prefix)
            above = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
            for entry in store.walk(folder):
                yield Entry(above + entry.path, entry.size, entry.version, entry.modified)

    @property
    def lists_uploads(self) -> bool:
        """Whether `uploads` can tell of any."""
        return self._location.kind is not None and self._location.kind.lists_uploads

    def uploads(self) -> Iterator[Upload]:
        """Uploads below `root` that killed writers left unfinished; none but on S3.

        Azure drops its own after a week, and on Google each output is one request.
        """
        with self._refusals():
            store, root = store_at(self._location)
            if isinstance(store, S3Store):
                yield from store.uploads(root)

    def abort(self, upload: Upload) -> None:
        """Drop an unfinished upload."""
        self._call(upload.path, lambda store, full: _s3(store).abort(full, upload.upload_id))

    def arrow_filesystem(self) -> tuple[pyarrow.fs.FileSystem, str]:
        """A pyarrow file system and the root's path in it, for Ray Data and pyarrow.parquet."""
        return arrow_filesystem(self.root)

    def check(self) -> None:
        """Fail now rather than later: reach the store, list, create, refuse to overwrite, remove.

        A local folder is made if it is missing.

        Raises:
            StorageConfigError: saying what is wrong and the way out.
        """
        require_answer(self.root)
        try:
            if self.is_local:
                Path(self.root).mkdir(parents=True, exist_ok=True)
            honoured = self._probe()
            self.names()
        except ItemError as error:
            raise StorageConfigError(f"output {error.message}; check the endpoint and the network") from error
        except OSError as error:
            raise StorageConfigError(f"output {self.root}: {cannot_serve(error)}") from error
        if not honoured:
            raise StorageConfigError(
                f"output {self.root}: this store ignores create-only writes (If-None-Match), so two runs "
                "could overwrite each other; use a store or a version of it that honours them"
            )

    def _probe(self) -> bool:
        """Create twice under one name; whether the second was refused."""
        name = f".probe-{uuid.uuid4().hex}"
        self._call(name, lambda store, full: _create(store, full, b"first"), CHECK_ATTEMPTS)
        existing = self._call(name, lambda store, full: _create(store, full, b"second"), CHECK_ATTEMPTS)
        self.remove(name)
        return existing == b"first"

    def _call(self, path: str, call: Callable[[Store, str], T], attempts: int = ATTEMPTS) -> T:
        with self._refusals():
            store, root = store_at(self._location)
            full = _join(root, path)
            return retrying(f"{self.root}/{path}", lambda: call(store, full), attempts)

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if isinstance(error, FileNotFoundError) or refuses_name(error) or refuses_size(error):
                raise  # for the caller: no such object, or none that this store could hold
            raise self._unusable(error) from error

    def _unusable(self, error: OSError) -> StorageConfigError:
        return StorageConfigError(f"output {self.root}: {cannot_serve(error)}")

    def _not_created(self, path: str, size: int, error: OSError) -> ItemError | StorageConfigError:
        if refuses_name(error):
            return ItemError(
                ErrorCode.INVALID_ROW,
                f"{self.root} can hold no object named {path}{self._why_not(error)}",
            )
        if refuses_size(error):
            return ItemError(
                ErrorCode.IMAGE_TOO_LARGE,
                f"{self.root} can hold no object of {size} bytes ({describe(error)}); choose a smaller "
                "output_format or another output",
            )
        return self._unusable(error)

    def _why_not(self, error: OSError) -> str:
        """Why a store can hold no object of a name, and the way out."""
        if isinstance(error, NotADirectoryError | IsADirectoryError):
            other = str(error.filename).removeprefix(f"{self.root}/")
            kind = "file" if isinstance(error, NotADirectoryError) else "folder"
            return f": the {kind} {other} is there, which a disk cannot hold too; rename one of the two items"
        return f" ({describe(error)}); shorten the item_id"


def _join(root: str, path: str) -> str:
    """`path` below `root`; it comes from validated ids, and a climbing one is a bug."""
    segments = path.strip("/").split("/") if path.strip("/") else []
    if path.startswith("/") or any(segment in {"", ".", ".."} for segment in segments):
        raise ValueError(f"not a path below the output: {path!r}")
    return "/".join([root, *segments])


def _create(store: Store, path: str, data: bytes) -> bytes | None:
    """None when created, otherwise the bytes that hold the name."""
    try:
        _create_checked(store, path, data)
    except FileExistsError:
        try:
            return store.get(path, _admit_any).data
        except FileNotFoundError:
            raise BlockingIOError(errno.EAGAIN, "removed while it was read back", path) from None
    return None


def _create_checked(store: Store, path: str, data: bytes) -> None:
    """Create, and again where the store keeps other bytes than it was sent."""
    for attempt in range(1, WRITES + 1):
        try:
            return store.create(path, data)
        except Misstored as error:
            if not _removed(store, path, error.version) or attempt == WRITES:
                raise ItemError(
                    ErrorCode.VERIFY_FAILED, f"{path}: {error.strerror}, in {attempt} writes; check the store"
                ) from error
    raise AssertionError("unreachable")


def _removed(store: Store, path: str, version: str | None) -> bool:
    """Whether the name is free again. A wrong object is removed only where it is provably our own write."""
    found = store.version(path)
    if found is not None and found == version:
        with suppress(PermissionError):  # rights to delete outputs are not asked for
            store.remove(path)
            return True
    return found is None


def _s3(store: Store) -> S3Store:
    assert isinstance(store, S3Store), "only S3 lists uploads"
    return store


def _admit_any(size: int, version: str) -> None:
    """Outputs are read whatever their size and version."""
