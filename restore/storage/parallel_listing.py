"""All objects below a folder of an object store, several folders of it listed at the same time."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace

from restore.storage.base import Entry
from restore.storage.object_store import ObjectStore, Page, prefix_of

LISTERS = 16
"""Pages asked for at the same time."""
WAITING = 4 * LISTERS
"""With this many folders waiting, the next one is listed whole rather than split into its own folders."""
CHILDREN_PAGES = 4
"""A folder of more children is listed whole: asking for each of its folders could take far more pages."""


@dataclass(frozen=True, slots=True)
class _Place:
    """What to ask for: all keys that start with `prefix`, from the page after `before` on."""

    prefix: str
    before: Page | None = None


@dataclass(frozen=True, slots=True)
class _Answer:
    entries: list[Entry]
    next: list[_Place]


def entries_below(store: ObjectStore, folder: str) -> Iterator[Entry]:
    """All objects below `folder`, a `bucket/key`, in no order; their paths are relative to it.

    Holds a few pages for each lister, and the names of the folders that wait for one. Nothing is asked
    for faster than entries are taken.
    """
    bucket, prefix = folder.partition("/")[0], prefix_of(folder)
    waiting, asked = [_Place(prefix)], set[Future[_Answer]]()
    with ThreadPoolExecutor(LISTERS) as pool:
        while waiting or asked:
            while waiting and len(asked) < LISTERS:
                place = waiting.pop()
                split = place.before is None and len(waiting) < WAITING
                asked.add(pool.submit(_children if split else _page, store, bucket, place))
            done, asked = wait(asked, return_when=FIRST_COMPLETED)
            for future in done:
                answer = future.result()
                waiting.extend(answer.next)
                for entry in answer.entries:
                    yield replace(entry, path=entry.path[len(prefix) :])


def _children(store: ObjectStore, bucket: str, place: _Place) -> _Answer:
    """A folder's own objects, its folders to be asked for next; where they are many, the first of all."""
    entries: list[Entry] = []
    folders: list[_Place] = []
    page = None
    for _ in range(CHILDREN_PAGES):
        page = store.ask(bucket, place.prefix, "/", page)
        entries.extend(page.entries)
        folders.extend(map(_Place, page.folders))
        if not page.next:
            return _Answer(entries, folders)
    return _page(store, bucket, place)


def _page(store: ObjectStore, bucket: str, place: _Place) -> _Answer:
    page = store.ask(bucket, place.prefix, "", place.before)
    return _Answer(page.entries, [_Place(place.prefix, page)] if page.next else [])
