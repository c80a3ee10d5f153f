"""What keeps an output store small: runs' parts merged, what nobody names removed.

The caller holds the store's lease; `check_lease` is called before every change.
"""

from __future__ import annotations

import io
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.parquet as pq

from restore.errors import StorageConfigError
from restore.storage import Entry, OutStore

CheckLease = Callable[[], None]
"""Asked before every change; raises when the lease is lost."""

FEW = 4
"""Number of small parts from which a run is merged; fewer are left as they are."""
SMALL, FULL = 8 << 20, 32 << 20
"""Bytes: a part that is small, and what parts are merged into. One merged part is held in memory."""
COMPACT_GRACE = timedelta(hours=24)
"""How long sources stay beside their merged part: a reader that has listed them may still be reading."""

_PART = re.compile(r"(metadata/run=[^/]+)/part-(\d{5,})\.parquet")
_COMPACT = re.compile(r"(metadata/run=[^/]+)/compact-(\d{5,})-(\d{5,})\.parquet")
_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Compaction:
    """What `compact` did: merged parts written, sources they hold, sources removed."""

    written: int
    merged: int
    removed: int


def compact(store: OutStore, check_lease: CheckLease, grace: timedelta = COMPACT_GRACE) -> Compaction:
    """Merge small parts within each run; remove sources whose merged part is older than `grace`.

    Killed anywhere it loses nothing: a merged part is created whole, its rows carry their `row_id`,
    and a source goes only after its rows were read back from there.

    Raises:
        StorageConfigError: when a merged part does not hold its sources; nothing of it is removed.
    """
    now = datetime.now(UTC)
    parts, merged = _parts(store)
    removed = sum(
        _remove_sources(store, entry, parts, check_lease) for entry in merged if now - entry.modified >= grace
    )
    groups = [group for run in parts for group in _groups(parts[run], _ranges(merged, run))]
    for group in groups:
        check_lease()
        _merge(store, group)
    return Compaction(len(groups), sum(map(len, groups)), removed)


def _parts(store: OutStore) -> tuple[dict[str, dict[int, Entry]], list[Entry]]:
    """The parts of each run's folder by their number, and all merged parts."""
    parts: dict[str, dict[int, Entry]] = defaultdict(dict)
    merged = []
    for entry in store.list("metadata"):
        if part := _PART.fullmatch(entry.path):
            parts[part[1]][int(part[2])] = entry
        elif _COMPACT.fullmatch(entry.path):
            merged.append(entry)
    return parts, merged


def _ranges(merged: Iterable[Entry], run: str) -> list[range]:
    """The numbers of a run's parts that are in a merged part already."""
    return [_range(entry) for entry in merged if entry.path.startswith(f"{run}/")]


def _range(merged: Entry) -> range:
    match = _COMPACT.fullmatch(merged.path)
    assert match, merged.path
    return range(int(match[2]), int(match[3]) + 1)


def _groups(parts: dict[int, Entry], merged: Sequence[range]) -> Iterator[list[Entry]]:
    """Small parts with consecutive numbers that are in no merged part yet, up to `FULL` bytes together."""
    group: list[Entry] = []
    last = None
    for number, entry in sorted(parts.items()):
        fits = entry.size < SMALL and not any(number in numbers for numbers in merged)
        full = sum(one.size for one in group) + entry.size > FULL
        if group and (not fits or full or number - 1 != last):
            if len(group) >= FEW:
                yield group
            group = []
        if fits:
            group.append(entry)
        last = number
    if len(group) >= FEW:
        yield group


def _merge(store: OutStore, group: Sequence[Entry]) -> None:
    """One part of all rows of the group, each source a row group, so that they can be compared one by one."""
    first, last = (_PART.fullmatch(entry.path) for entry in (group[0], group[-1]))
    assert first and last
    sink, writer = io.BytesIO(), None
    for entry in group:
        table = _read(store, entry.path)
        writer = writer or pq.ParquetWriter(sink, table.schema, compression="zstd")
        writer.write_table(table, row_group_size=max(table.num_rows, 1))
    assert writer
    writer.close()
    store.create(f"{first[1]}/compact-{first[2]}-{last[2]}.parquet", sink.getvalue())


def _remove_sources(
    store: OutStore, merged: Entry, parts: dict[str, dict[int, Entry]], check_lease: CheckLease
) -> int:
    """Remove the sources of a merged part that are still there. Returns how many were."""
    run, numbers = merged.path.rpartition("/")[0], _range(merged)
    sources = {number: entry for number, entry in parts[run].items() if number in numbers}
    if not sources:
        return 0
    whole = pq.ParquetFile(io.BytesIO(store.read(merged.path)))
    if whole.num_row_groups != len(numbers):
        raise _not_its_sources(merged.path)
    for number, entry in sources.items():
        ours = whole.read_row_group(number - numbers.start)
        if _encoded(ours) != _encoded(_read(store, entry.path)):
            raise _not_its_sources(merged.path)
    for entry in sources.values():
        check_lease()
        store.remove(entry.path)
    return len(sources)


def _read(store: OutStore, path: str) -> pa.Table:
    return pq.ParquetFile(io.BytesIO(store.read(path))).read()


def _encoded(table: pa.Table) -> bytes:
    """One form for equal rows: Arrow's own comparison holds no NaN equal to another."""
    sink = io.BytesIO()
    pq.write_table(table.combine_chunks(), sink, compression="none")
    return sink.getvalue()


def _not_its_sources(path: str) -> StorageConfigError:
    return StorageConfigError(
        f"{path} does not hold the rows of its sources, which stay; remove it, and it is written again"
    )
