"""Bytes in and out of any store.

Inputs come through `fetch` and `versions`, outputs go through an `OutStore`. Which URIs may be read at
all is said in `restore.access`, how each kind of store is used in `restore.disk`, `restore.objects` and
`restore.web`, what is tried again in `restore.retry`.
"""

from __future__ import annotations

import errno
import io
import os
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeVar

import pyarrow.fs

from restore.errors import ErrorCode, ItemError, StorageConfigError
from restore.identity import sha256_bytes
from restore.storage.access import (
    HTTP_SCHEMES,
    S3_SCHEMES,
    AccessPolicy,
    is_local,
    local_path,
    never_allowed,
    printable,
    resolve,
    scheme_of,
)
from restore.storage.filesystems import CREATE_CONDITIONALLY, filesystem, object_store
from restore.storage.http import HttpStore
from restore.storage.local import NOWHERE, DiskStore, Entry, Fetched, Store
from restore.storage.object_store import ObjectStore
from restore.storage.parallel_listing import entries_below
from restore.storage.retry import ATTEMPTS, FULL, cannot_serve, describe, http_status, retrying
from restore.storage.s3 import S3Store, Upload

__all__ = [
    "AccessPolicy",
    "Created",
    "Entry",
    "Fetched",
    "OutStore",
    "Upload",
    "arrow_filesystem",
    "fetch",
    "is_local",
    "local_path",
    "open_input",
    "photographs",
    "resolve",
    "versions",
]

LISTERS = 16
"""Folders listed at the same time."""
HEADS_BELOW = 3
"""So few objects of a folder are asked for one by one; more are found by listing it."""
CHECK_ATTEMPTS = 3
STREAM_BUFFER = 2**20

Names = list[str]
T = TypeVar("T")


def fetch(
    uri: str,
    *,
    version: str | None,
    missing: ErrorCode,
    max_bytes: int | None = None,
    attempts: int = ATTEMPTS,
) -> Fetched:
    """Read one input whole, with the store's token for exactly the bytes that came.

    Args:
        uri: absolute, and let pass by an `AccessPolicy`.
        version: the token it must have, as `versions` gives it; None takes what is there.
        missing: code for an object that does not exist, `image_not_found` or `mask_not_found`.
        max_bytes: refuse larger objects before reading them.
        attempts: how often to try while the store fails in passing ways.

    Raises:
        ItemError: `missing`, storage_denied, storage_unavailable, changed_during_run, image_too_large.
        StorageConfigError: when there are no credentials at all, or no library for the scheme.
    """
    store, path = _reader(uri)

    def admit(size: int, found: str) -> None:
        if version is not None and found != version.strip('"'):
            raise ItemError(
                ErrorCode.CHANGED_DURING_RUN,
                f"{printable(uri)} has version {found}, not {version} as listed or pinned; list it again",
            )
        if max_bytes is not None and size > max_bytes:
            raise ItemError(
                ErrorCode.IMAGE_TOO_LARGE,
                f"{printable(uri)} has {size} bytes, more than the {max_bytes} allowed; raise "
                "--max-megapixels to take it",
            )

    try:
        return retrying(uri, lambda: store.get(path, admit), attempts)
    except OSError as error:
        failed = _item_error(uri, error, missing)
        if failed is None:
            raise
        raise failed from error


def _item_error(uri: str, error: OSError, missing: ErrorCode) -> ItemError | None:
    if isinstance(error, PermissionError):
        return ItemError(
            ErrorCode.STORAGE_DENIED,
            f"{printable(uri)}: may not be read ({describe(error)}); grant the job read and list rights",
        )
    if isinstance(error, FileNotFoundError) or error.errno in NOWHERE:
        return ItemError(missing, f"{printable(uri)} does not exist; correct the manifest or bring it back")
    if _rejected(error):
        return ItemError(
            ErrorCode.STORAGE_DENIED, f"{printable(uri)}: the store rejects it ({describe(error)})"
        )
    return None


def _rejected(error: OSError) -> bool:
    status = http_status(error)
    return isinstance(error, PermissionError) or (status is not None and 300 <= status < 500)


def versions(uris: Sequence[str]) -> dict[str, str | None]:
    """The store's tokens of many objects, as `fetch` would report them; None where there is none to be had.

    Object stores are asked by listing each parent folder, page by page, several at the same time; where
    listing is denied, and for few objects of a folder, object by object. Nothing is cached.

    Raises:
        StorageConfigError: when a store cannot be reached or has no credentials.
    """
    groups: dict[str, set[str]] = defaultdict(set)
    for uri in uris:
        groups[uri.rpartition("/")[0]].add(uri)
    found: dict[str, str | None] = {}
    with ThreadPoolExecutor(LISTERS) as pool:
        for some in pool.map(_folder_versions, groups, groups.values()):
            found.update(some)
    return found


def _folder_versions(folder: str, uris: set[str]) -> dict[str, str | None]:
    try:
        store, path = _reader(folder)
        if isinstance(store, DiskStore):
            return retrying(folder, lambda: {uri: store.version(local_path(uri)) for uri in uris})
        if len(uris) < HEADS_BELOW or not isinstance(store, ObjectStore):
            return {uri: _version(uri) for uri in uris}
        return _listed_versions(store, path, folder, uris)
    except FileNotFoundError:
        return dict.fromkeys(uris)  # no such bucket
    except OSError as error:
        if not _rejected(error):
            raise
        return {uri: _version(uri) for uri in uris}
    except ItemError as error:
        raise StorageConfigError(f"cannot list versions: {error.message}") from error


def _listed_versions(store: ObjectStore, path: str, folder: str, uris: set[str]) -> dict[str, str | None]:
    found: dict[str, str | None] = dict.fromkeys(uris)
    for name, version in store.versions_in(path):
        uri = f"{folder}/{name}"
        if uri in found:
            found[uri] = version
    return found


def _version(uri: str) -> str | None:
    store, path = _reader(uri)
    try:
        return retrying(uri, lambda: store.version(path))
    except OSError as error:
        if not _rejected(error):
            raise
    except ItemError:
        if not isinstance(store, HttpStore):  # one web host that is away is no reason to stop
            raise
    return None  # the photo's own fetch says why in its row


def photographs(uri: str, left_out: Callable[[str], None]) -> Iterator[Entry]:
    """All objects below the folder `uri` that may be somebody's photographs, in no order.

    Object stores are listed page by page, several folders at the same time, and nothing is cached. What
    is hidden (a segment of its path begins with a dot) is passed over, and so are folders' placeholders.

    Args:
        uri: absolute.
        left_out: told the path of each local link that leads out of the folder or to another folder.

    Raises:
        StorageConfigError: no such bucket or folder, no right to list it, or a store that stays away.
    """
    try:
        if is_local(uri):
            yield from DiskStore().photographs(local_path(uri), left_out)
        else:
            store, path = object_store(uri)
            for entry in entries_below(store, path.rstrip("/")):
                if (
                    not entry.path.startswith(".")
                    and "/." not in entry.path
                    and entry.path[-1:] not in {"", "/"}
                ):
                    yield entry
    except (FileNotFoundError, NotADirectoryError):
        raise StorageConfigError(f"{printable(uri)}: there is no such bucket or folder; correct it") from None
    except ItemError as error:
        raise StorageConfigError(f"cannot be listed: {error.message}") from error
    except OSError as error:
        raise StorageConfigError(
            f"{printable(uri)}: cannot be listed ({describe(error)}); grant the job the right to list it"
        ) from error


def arrow_filesystem(uri: str) -> tuple[pyarrow.fs.FileSystem, str]:
    """A pyarrow file system and the path of `uri` in it. It pickles without credentials."""
    if is_local(uri):
        return pyarrow.fs.LocalFileSystem(), os.path.normpath(Path(local_path(uri)).absolute())
    fs, path = filesystem(uri)
    return pyarrow.fs.PyFileSystem(pyarrow.fs.FSSpecHandler(fs)), path.rstrip("/")


def open_input(uri: str) -> BinaryIO:
    """One input, to be read as a stream.

    Raises:
        FileNotFoundError, IsADirectoryError: there is no such object, or it is no object.
        StorageConfigError: when the store refuses us, stays away, or cannot be connected to.
    """
    source, path = arrow_filesystem(uri)
    try:
        if not is_local(uri) and _known_version(uri) is None:
            raise FileNotFoundError(errno.ENOENT, "no such object", printable(uri))
        return io.BufferedReader(retrying(uri, lambda: source.open_input_file(path)), STREAM_BUFFER)
    except ItemError as error:
        raise StorageConfigError(error.message) from error
    except PermissionError as error:
        raise StorageConfigError(
            f"{printable(uri)}: may not be read ({describe(error)}); check the credentials and grant read"
        ) from error


def part(uri: str, start: int, stop: int) -> bytes:
    """Bytes `start` to `stop` of an input, or fewer where it ends before; of whatever version is there.

    Raises:
        ItemError: storage_unavailable.
        OSError: of any other kind, as the store's library says it.
    """
    if is_local(uri):
        with Path(local_path(uri)).open("rb") as file:
            file.seek(start)
            return file.read(stop - start)
    fs, path = filesystem(uri)
    return bytes(retrying(uri, lambda: fs.cat_file(path, start=start, end=stop)))


def _known_version(uri: str) -> str | None:
    """Asked first, since pyarrow takes whatever goes wrong for a missing file."""
    store, path = _reader(uri)
    return retrying(uri, lambda: store.version(path))


@dataclass(frozen=True, slots=True)
class Created:
    """What became of a create.

    Attributes:
        sha256: of the bytes that were to be stored.
        existed: whether the name holds other bytes. The same bytes count as created: they are our own,
            from a try whose answer was lost, or as good as our own.
        existing: those other bytes, for the caller to verify and adopt.
    """

    sha256: str
    existed: bool
    existing: bytes | None


@dataclass(frozen=True, slots=True)
class OutStore:
    """The output store. Pickles as its URI; connections are made in the process that uses it.

    Paths are relative to `root`, joined by `/`, and never interpreted. Methods raise ItemError
    `storage_unavailable` when a store stays away, StorageConfigError when it refuses us.
    """

    root: str

    @classmethod
    def open(cls, uri: str) -> OutStore:
        """Name a store without touching it.

        Raises:
            StorageConfigError: for a URI that can never serve.
        """
        root = os.path.normpath(Path(local_path(uri)).absolute()) if is_local(uri) else uri.rstrip("/")
        reason = never_allowed(root)
        if reason is None and not is_local(root) and scheme_of(root) not in CREATE_CONDITIONALLY:
            reason = (
                f"{scheme_of(root)} cannot create without overwriting; use a local folder, s3, gs or abfs"
            )
        if reason:
            raise StorageConfigError(f"output {printable(uri)}: {reason}")
        return cls(root)

    @property
    def is_local(self) -> bool:
        """Whether it lies on this machine's own disks."""
        return is_local(self.root)

    def create(self, path: str, data: bytes) -> Created:
        """Store `data` under a new name, whole or not at all; never overwrites."""
        digest = sha256_bytes(data)
        existing = self._call(path, lambda store, full: _create(store, full, data))
        if existing is None or existing == data:
            return Created(digest, existed=False, existing=None)
        return Created(digest, existed=True, existing=existing)

    def read(self, path: str) -> bytes:
        """All bytes of one object; FileNotFoundError when there is none."""
        return self._call(path, lambda store, full: store.get(full, _admit_any).data)

    def overwrite(self, path: str, data: bytes) -> None:
        """Store `data`, replacing what is there: for heartbeats and reports only."""
        self._call(path, lambda store, full: store.replace(full, data))

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
            store, root = _writer(self.root)
            folder = _join(root, prefix)
            above = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
            for entry in store.walk(folder):
                yield Entry(above + entry.path, entry.size, entry.version, entry.modified)

    @property
    def lists_uploads(self) -> bool:
        """Whether `uploads` can tell of any."""
        return scheme_of(self.root) in S3_SCHEMES

    def uploads(self) -> Iterator[Upload]:
        """Uploads below `root` that killed writers left unfinished; none but on S3.

        Azure drops its own after a week, and on Google each output is one request.
        """
        with self._refusals():
            store, root = _writer(self.root)
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
            store, root = _writer(self.root)
            return retrying(f"{self.root}/{path}", lambda: call(store, _join(root, path)), attempts)

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if isinstance(error, PermissionError) or error.errno in FULL:
                raise StorageConfigError(f"output {self.root}: {cannot_serve(error)}") from error
            raise


def _join(root: str, path: str) -> str:
    """`path` below `root`; it comes from validated ids, and a climbing one is a fault of ours."""
    segments = path.strip("/").split("/") if path.strip("/") else []
    if path.startswith("/") or any(segment in {"", ".", ".."} for segment in segments):
        raise ValueError(f"not a path below the output: {path!r}")
    return "/".join([root, *segments])


def _create(store: Store, path: str, data: bytes) -> bytes | None:
    """None when created, otherwise the bytes that hold the name."""
    try:
        store.create(path, data)
    except FileExistsError:
        try:
            return store.get(path, _admit_any).data
        except FileNotFoundError:
            raise BlockingIOError(errno.EAGAIN, "removed while it was read back", path) from None
    return None


def _s3(store: Store) -> S3Store:
    assert isinstance(store, S3Store), "only S3 lists uploads"
    return store


def _admit_any(size: int, version: str) -> None:
    """Outputs are read whatever their size and version."""


def _reader(uri: str) -> tuple[Store | HttpStore, str]:
    if scheme_of(uri) in HTTP_SCHEMES:
        return HttpStore(), uri
    return _writer(uri)


def _writer(uri: str) -> tuple[Store, str]:
    return (DiskStore(), local_path(uri)) if is_local(uri) else object_store(uri)
