"""What all object stores have in common: keys below a bucket, listed page by page.

Paths are `bucket/key`. A key is passed on letter by letter: fsspec's own path handling would cut it at
`?versionId=` and drop trailing slashes.
"""

from __future__ import annotations

import errno
import mimetypes
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from restore.storage.base import BeforeRead, Entry, Fetched
from restore.storage.retry import Damaged, retrying


@dataclass(frozen=True, slots=True)
class Page:
    """One answer of a listing.

    Attributes:
        entries: objects, with their whole keys as paths.
        folders: keys up to and with the delimiter, where one was given.
        next: what asks for the page after this one; None on the last.
    """

    entries: list[Entry]
    folders: list[str]
    next: str | None

    @property
    def names(self) -> set[str]:
        """Keys of its entries and folders."""
        return {entry.path for entry in self.entries} | set(self.folders)


def _without_repeats(page: Page, before: Page | None) -> Page:
    """The page with each name once, and without those of the page before: some stores double entries."""
    known = before.names if before else set[str]()
    entries = {entry.path: entry for entry in page.entries if entry.path not in known}
    folders = dict.fromkeys(name for name in page.folders if name not in known)
    return Page(list(entries.values()), list(folders), page.next)


class ObjectStore(ABC):
    """One kind of object store. Only listings retry by themselves, page by page."""

    scheme: str

    @abstractmethod
    def get(self, path: str, check_before_read: BeforeRead) -> Fetched:
        """Read one object; bytes and version belong together."""

    @abstractmethod
    def version(self, path: str) -> str | None:
        """The version of one object; None where there is none."""

    @abstractmethod
    def create(self, path: str, data: bytes) -> None:
        """Write one object unless its name is taken, else FileExistsError."""

    @abstractmethod
    def replace(self, path: str, data: bytes) -> None:
        """Write one object, replacing the one of that name."""

    @abstractmethod
    def remove(self, path: str) -> None:
        """Delete one object; a missing one is fine."""

    @abstractmethod
    def page(self, bucket: str, prefix: str, delimiter: str, after: str | None) -> Page:
        """The page `after` of the objects whose keys start with `prefix`; the first one for None."""

    def walk(self, folder: str) -> Iterator[Entry]:
        """All objects whose keys start with `folder/`; one page at a time is held in memory."""
        prefix = prefix_of(folder)
        for page in self._pages(folder, delimiter=""):
            for entry in page.entries:
                yield Entry(entry.path[len(prefix) :], entry.size, entry.version, entry.modified)

    def children(self, folder: str) -> set[str]:
        """Names directly below `folder/`."""
        prefix = prefix_of(folder)
        found: set[str] = set()
        for page in self._pages(folder, delimiter="/"):
            found.update(entry.path[len(prefix) :] for entry in page.entries)
            found.update(name[len(prefix) : -1] for name in page.folders)
        return found - {""}

    def versions_in(self, folder: str) -> Iterator[tuple[str, str]]:
        """Name and version of each object directly below `folder/`, page by page."""
        prefix = prefix_of(folder)
        for page in self._pages(folder, delimiter="/"):
            for entry in page.entries:
                yield entry.path[len(prefix) :], entry.version

    def ask(self, bucket: str, prefix: str, delimiter: str, before: Page | None) -> Page:
        """The page after `before`, tried again while the store is away, without what `before` has.

        Raises:
            ItemError: `storage_unavailable`, also for a store that gives the same page again and again.
        """
        call = partial(self._new_page, bucket, prefix, delimiter, before)
        return retrying(f"{self.scheme}://{bucket}/{prefix}", call)

    def _new_page(self, bucket: str, prefix: str, delimiter: str, before: Page | None) -> Page:
        page = self.page(bucket, prefix, delimiter, before.next if before else None)
        fresh = _without_repeats(page, before)
        if before and (page.next == before.next or (page.names and not fresh.names)):
            raise Damaged(None, "the listing gives the same page again", f"{bucket}/{prefix}")
        return fresh

    def _pages(self, folder: str, delimiter: str) -> Iterator[Page]:
        bucket, prefix = folder.partition("/")[0], prefix_of(folder)
        page = None
        while page is None or page.next:
            page = self.ask(bucket, prefix, delimiter, page)
            yield page


def split(path: str) -> tuple[str, str]:
    """Bucket and key; FileNotFoundError where one of them is empty."""
    bucket, _, key = path.partition("/")
    if not bucket or not key:
        raise unnameable(path)
    return bucket, key


def unnameable(path: str) -> FileNotFoundError:
    """The error for a bucket or key that the store's rules forbid."""
    return FileNotFoundError(errno.ENAMETOOLONG, "no bucket or key can have this name", path)


def tag(text: str) -> str:
    """An ETag without its quotes, which some listings have and some headers lack."""
    return text.strip('"')


def media_type(path: str) -> str | None:
    """What a name's ending says, so that browsers show pictures and pages from the store."""
    return mimetypes.guess_type(path.rpartition("/")[2])[0]


def prefix_of(folder: str) -> str:
    """What the keys of everything below `folder` start with."""
    key = folder.partition("/")[2]
    return f"{key}/" if key else ""
