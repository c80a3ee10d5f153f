"""What keeps an output store small: runs' parts merged, what nobody names removed.

Whoever calls holds the store's lease and says so by `held`, which is asked before every change.
"""

from __future__ import annotations

import io
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice

import pyarrow as pa
import pyarrow.parquet as pq

from manifests.catalog.rows import committed_rows
from manifests.query import sql
from manifests.query.spool import register
from restore.errors import StorageConfigError
from restore.outcome import REMOVED
from restore.storage import Entry, OutStore, Upload
from restore.storage.local import TEMPORARY

Held = Callable[[], None]
"""Asked before every change; raises when the lease is lost."""

FEW = 4
"""So many small parts of a run are merged; fewer are left as they are."""
SMALL, FULL = 8 << 20, 32 << 20
"""Bytes: a part that is small, and what parts are merged into. One merged part is held in memory."""
COMPACT_GRACE = timedelta(hours=24)
"""How long sources stay beside their merged part: whoever has listed them may still be reading."""
GARBAGE_GRACE = timedelta(days=7)
"""Longer than any run: its pictures are written before the rows that name them."""

_PART = re.compile(r"(metadata/run=[^/]+)/part-(\d{5,})\.parquet")
_COMPACT = re.compile(r"(metadata/run=[^/]+)/compact-(\d{5,})-(\d{5,})\.parquet")
_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Compaction:
    """What `compact` did: merged parts written, sources they hold, sources removed."""

    written: int
    merged: int
    removed: int


def compact(store: OutStore, held: Held, grace: timedelta = COMPACT_GRACE) -> Compaction:
    """Merge small parts within each run; remove sources whose merged part is older than `grace`.

    Killed anywhere it loses nothing: a merged part is created whole, its rows carry their `row_id`,
    and a source goes only after its rows were read back from there.

    Raises:
        StorageConfigError: when a merged part does not hold its sources; nothing of it is removed.
    """
    now = datetime.now(UTC)
    parts, merged = _parts(store)
    removed = sum(
        _remove_sources(store, entry, parts, held) for entry in merged if now - entry.modified >= grace
    )
    groups = [group for run in parts for group in _groups(parts[run], _ranges(merged, run))]
    for group in groups:
        held()
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


def _remove_sources(store: OutStore, merged: Entry, parts: dict[str, dict[int, Entry]], held: Held) -> int:
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
        held()
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


@dataclass(frozen=True, slots=True)
class Garbage:
    """Something in OUT that no row names.

    Attributes:
        kind: `image`; `temporary`, a file that a killed writer left half written; or `upload`.
        size: bytes; None for an upload, which tells none.
    """

    kind: str
    path: str
    size: int | None
    modified: datetime
    upload: Upload | None = None


def garbage(store: OutStore) -> Iterator[Garbage]:
    """All that no row of any run names; rows from before their item was pruned do not count. Listed before
    the rows are read, so that a row that is committed in the meantime still counts; what a run is about
    to name shows as young.
    """
    yield from (
        Garbage("upload", upload.path, None, upload.begun, upload)
        for upload in store.uploads()
        if upload.path.startswith("images/")
    )
    if store.is_local:
        yield from (
            Garbage("temporary", entry.path, entry.size, entry.modified)
            for entry in store.list()
            if _is_temporary(entry)
        )
    yield from _unnamed_images(store)


def _is_temporary(entry: Entry) -> bool:
    return entry.path.rpartition("/")[2].startswith(TEMPORARY)


_LISTED = pa.schema([("path", pa.string()), ("size", pa.int64()), ("modified", pa.timestamp("us", tz="UTC"))])


def _unnamed_images(store: OutStore) -> Iterator[Garbage]:
    with sql.connection() as con:
        con.register("listing", pa.RecordBatchReader.from_batches(_LISTED, _listed(store)))
        con.execute("CREATE TEMP TABLE listed AS FROM listing")
        register(con, "committed", committed_rows(store))
        unnamed = con.sql(f"""
            SELECT {sql.names(_LISTED.names)} FROM listed
            ANTI JOIN (
                SELECT DISTINCT output AS path
                FROM committed LEFT JOIN (
                    SELECT item_id, max(row_id) AS pruned_at
                    FROM committed WHERE status = '{REMOVED}' GROUP BY item_id
                ) USING (item_id)
                WHERE output IS NOT NULL AND (pruned_at IS NULL OR row_id > pruned_at)
            ) USING (path)
            ORDER BY path
        """)
        for batch in unnamed.to_arrow_reader(10_000):
            for row in batch.to_pylist():
                yield Garbage("image", row["path"], row["size"], row["modified"])


def _listed(store: OutStore) -> Iterator[pa.RecordBatch]:
    images = (entry for entry in store.list("images") if not _is_temporary(entry))
    while some := list(islice(images, 10_000)):
        rows = [{"path": one.path, "size": one.size, "modified": one.modified} for one in some]
        yield pa.RecordBatch.from_pylist(rows, schema=_LISTED)


def remove(store: OutStore, found: Iterable[Garbage], held: Held) -> int:
    """Remove what `garbage` found. Returns how many things that were.

    Raises:
        StorageConfigError: when the store has images and no row at all: its rows were lost or moved,
            and every picture would seem to be garbage.
    """
    things, removed = iter(found), 0
    has_rows = committed_rows(store).count_rows() > 0
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        while some := list(islice(things, 1000)):
            if not has_rows and any(thing.kind == "image" for thing in some):
                raise StorageConfigError(
                    f"{store.root} holds images and not one row, so nothing tells what is garbage; bring "
                    "OUT/metadata back, or remove the folder by hand"
                )
            held()
            list(pool.map(lambda thing: _remove(store, thing), some))
            removed += len(some)
    return removed


def remove_pictures(store: OutStore, paths: Sequence[str], held: Held) -> None:
    """Remove pictures that are wanted no more. One that is gone already is no fault."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for start in range(0, len(paths), 1000):
            held()
            list(pool.map(store.remove, paths[start : start + 1000]))


def _remove(store: OutStore, thing: Garbage) -> None:
    if thing.upload:
        store.abort(thing.upload)
    else:
        store.remove(thing.path)
