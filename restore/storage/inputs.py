"""Inputs: bytes read from any store, with their versions, and listings of them."""

from __future__ import annotations

import errno
import io
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

from restore.errors import ErrorCode, ItemError, StorageConfigError
from restore.storage.access import AccessPolicy
from restore.storage.base import HTTP, NOWHERE, Entry, Fetched, LeftOut, Reason, Store
from restore.storage.filesystems import (
    arrow_filesystem,
    filesystem,
    object_store,
    require_answer,
    store_at,
)
from restore.storage.local import DiskStore
from restore.storage.object_store import ObjectStore
from restore.storage.parallel_listing import entries_below
from restore.storage.retry import ARCHIVED, ATTEMPTS, describe, http_status, is_transient, retrying
from restore.storage.uris import Location, redact
from restore.storage.web.http import HttpStore

LISTERS = 16
"""Folders listed at the same time."""


HEADS_BELOW = 3
"""Most objects of a folder that are requested one by one; more are found by listing it."""


WEB_LOOK_UPS = 3
"""Tries to look up a version on the web: a plan does not wait for one host."""


STREAM_BUFFER = 2**20


def fetch(
    uri: str,
    *,
    version: str | None,
    missing: ErrorCode,
    max_bytes: int | None = None,
    attempts: int = ATTEMPTS,
    access: AccessPolicy | None = None,
) -> Fetched:
    """Read one input whole, with the store's token for exactly the bytes that came.

    Args:
        uri: absolute, and let pass by an `AccessPolicy`.
        access: the policy that let it pass, which a local file must satisfy once more when it is open.
        version: the token it must have, as `versions` gives it; None takes what is there.
        missing: code for an object that does not exist, `image_not_found` or `mask_not_found`.
        max_bytes: refuse larger objects before reading them.
        attempts: how often to try while the store's errors are transient.

    Raises:
        ItemError: `missing`, storage_denied, storage_unavailable, changed_during_run, image_too_large.
        StorageConfigError: when there are no credentials at all, or no library for the scheme.
    """
    store, path = _reader(Location.of(uri))
    if isinstance(store, DiskStore) and access is not None:
        store = DiskStore(check_opened=access.check)

    def check_before_read(size: int, found: str) -> None:
        if version is not None and found != version.strip('"'):
            raise ItemError(
                ErrorCode.CHANGED_DURING_RUN,
                f"{redact(uri)} has version {found}, not {version} as listed or pinned; list it again",
            )
        if max_bytes is not None and size > max_bytes:
            raise ItemError(
                ErrorCode.IMAGE_TOO_LARGE,
                f"{redact(uri)} has {size} bytes, more than the {max_bytes} allowed; raise "
                "max_megapixels to take it",
            )

    try:
        return retrying(uri, lambda: store.get(path, check_before_read), attempts)
    except OSError as error:
        raise _item_error(uri, error, missing) from error


def _item_error(uri: str, error: OSError, missing: ErrorCode) -> ItemError:
    """The row's error. What no rule knows is the store's fault, so that a later run tries the photo again."""
    if describe(error) in ARCHIVED:
        return ItemError(
            ErrorCode.STORAGE_UNAVAILABLE,
            f"{redact(uri)} is in an archive tier, such as Glacier ({describe(error)}); restore the "
            "object, then run again",
            own=True,
        )
    if isinstance(error, PermissionError):
        return ItemError(
            ErrorCode.STORAGE_DENIED,
            f"{redact(uri)}: may not be read ({describe(error)}); grant the job read and list rights",
        )
    if isinstance(error, FileNotFoundError) or error.errno in NOWHERE:
        return ItemError(missing, f"{redact(uri)} does not exist; correct the manifest or bring it back")
    if _rejected(error):
        return ItemError(ErrorCode.STORAGE_DENIED, f"{redact(uri)}: the store rejects it ({describe(error)})")
    return ItemError(
        ErrorCode.STORAGE_UNAVAILABLE,
        f"{redact(uri)}: cannot be read ({describe(error)}); the next run tries again",
    )


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
        store, path = _reader(Location.of(folder))
        if isinstance(store, DiskStore):
            return _disk_versions(store, folder, uris)
        if len(uris) < HEADS_BELOW or not isinstance(store, ObjectStore):
            return {uri: _version(uri) for uri in uris}
        return _listed_versions(store, path, folder, uris)
    except FileNotFoundError:
        return dict.fromkeys(uris)  # no such bucket
    except OSError as error:
        if not _rejected(error):
            raise StorageConfigError(f"{redact(folder)}: cannot list versions ({describe(error)})") from error
        return {uri: _version(uri) for uri in uris}
    except ItemError as error:
        raise StorageConfigError(f"cannot list versions: {error.message}") from error


def _disk_versions(store: DiskStore, folder: str, uris: set[str]) -> dict[str, str | None]:
    """File by file. A file that the disk cannot give has none, and its own fetch says why in its row.

    Raises:
        ItemError: `storage_unavailable` where that is so for all of several files: the disk is away.
    """
    found: dict[str, str | None] = {}
    failed: list[OSError] = []
    for uri in uris:
        try:
            found[uri] = store.version(Location.of(uri).path)
        except OSError as error:
            found[uri] = None
            failed.append(error)
    if 1 < len(failed) == len(uris) and all(is_transient(error) for error in failed):
        return retrying(folder, lambda: {uri: store.version(Location.of(uri).path) for uri in uris})
    return found


def _listed_versions(store: ObjectStore, path: str, folder: str, uris: set[str]) -> dict[str, str | None]:
    found: dict[str, str | None] = dict.fromkeys(uris)
    missing = set(uris)
    for name, version in store.versions_in(path):
        uri = f"{folder}/{name}"
        if uri in missing:
            found[uri] = version
            missing.remove(uri)
            if not missing:  # the folder may have many more pages
                break
    return found


def _version(uri: str) -> str | None:
    store, path = _reader(Location.of(uri))
    attempts = WEB_LOOK_UPS if isinstance(store, HttpStore) else ATTEMPTS
    try:
        return retrying(uri, lambda: store.version(path), attempts)
    except OSError:
        return None  # the photo's own fetch says why in its row
    except ItemError:
        if not isinstance(store, HttpStore):  # one web host that is away is no reason to stop
            raise
        return None


def photographs(uri: str, pass_over: Callable[[str], bool]) -> Iterator[Entry | LeftOut]:
    """All objects below the folder `uri` that may be somebody's photographs, and what was left out.

    They come in no order. Object stores are listed page by page, several folders at the same time, and
    nothing is cached. Folders' placeholders are no objects.

    Args:
        uri: absolute.
        pass_over: whether a file or folder of this name is left out, and all below it. A store may give
            such a folder more than once.

    Raises:
        StorageConfigError: no such bucket or folder, no right to list it, or a store that stays away.
    """
    try:
        location = Location.of(uri)
        if location.is_local:
            yield from DiskStore().photographs(location.path, pass_over)
        else:
            require_answer(uri)
            store, path = object_store(location)
            for entry in entries_below(store, path.rstrip("/")):
                if entry.path[-1:] not in {"", "/"}:
                    passed = _passed_over(entry.path, pass_over)
                    yield LeftOut(passed, Reason.PASSED_OVER) if passed else entry
    except (FileNotFoundError, NotADirectoryError):
        raise StorageConfigError(f"{redact(uri)}: there is no such bucket or folder; correct it") from None
    except ItemError as error:
        raise StorageConfigError(f"cannot be listed: {error.message}") from error
    except OSError as error:
        raise StorageConfigError(
            f"{redact(uri)}: cannot be listed ({describe(error)}); grant the job the right to list it"
        ) from error


def _passed_over(path: str, pass_over: Callable[[str], bool]) -> str | None:
    """The topmost folder of `path`, or `path` itself, that is passed over; None where nothing is."""
    segments = path.split("/")
    depth = next((depth for depth, name in enumerate(segments, 1) if pass_over(name)), None)
    return None if depth is None else "/".join(segments[:depth])


def open_input(uri: str) -> BinaryIO:
    """One input, to be read as a stream.

    Raises:
        FileNotFoundError, IsADirectoryError: there is no such object, or it is no object.
        StorageConfigError: when the store refuses us, stays away, or cannot be connected to.
    """
    require_answer(uri)
    source, path = arrow_filesystem(uri)
    try:
        if not Location.of(uri).is_local and _known_version(uri) is None:
            raise FileNotFoundError(errno.ENOENT, "no such object", redact(uri))
        return io.BufferedReader(retrying(uri, lambda: source.open_input_file(path)), STREAM_BUFFER)
    except ItemError as error:
        raise StorageConfigError(error.message) from error
    except PermissionError as error:
        raise StorageConfigError(
            f"{redact(uri)}: may not be read ({describe(error)}); check the credentials and grant read"
        ) from error


def read_range(uri: str, start: int, stop: int) -> bytes:
    """Bytes `start` to `stop` of an input, or fewer where it ends before; of whatever version is there.

    Raises:
        ItemError: storage_unavailable.
        OSError: of any other kind, as the store's library says it.
    """
    location = Location.of(uri)
    if location.is_local:
        with Path(location.path).open("rb") as file:
            file.seek(start)
            return file.read(stop - start)
    fs, path = filesystem(location)
    return bytes(retrying(uri, lambda: fs.cat_file(path, start=start, end=stop)))


def _known_version(uri: str) -> str | None:
    """Asked first, since pyarrow takes whatever goes wrong for a missing file."""
    store, path = _reader(Location.of(uri))
    return retrying(uri, lambda: store.version(path))


def _reader(location: Location) -> tuple[Store | HttpStore, str]:
    """The store to read from and the path in it; the web is read-only and named by whole URLs."""
    return (HttpStore(), location.uri) if location.kind is HTTP else store_at(location)
