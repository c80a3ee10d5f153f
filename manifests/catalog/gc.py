"""Images that no row names, half-written files and unfinished uploads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

import pyarrow as pa

from manifests.catalog.compact import _AT_ONCE, CheckLease
from manifests.catalog.rows import committed_rows
from manifests.query import sql
from manifests.query.spool import register
from restore.errors import StorageConfigError
from restore.outcome import REMOVED
from restore.storage import Entry, OutStore, Upload
from restore.storage.local import TEMPORARY

GARBAGE_GRACE = timedelta(days=7)
"""Longer than any run: its pictures are written before the rows that name them."""


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
    """All that no row of any run names; rows from before their item was pruned do not count. An image that
    a file system may take for one that a row names is no garbage.

    Listed before the rows are read, so that a row that is committed in the meantime still counts; what a run
    is about to name shows as young.
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
                SELECT DISTINCT {sql.alike("output")} AS alike
                FROM committed LEFT JOIN (
                    SELECT item_id, max(row_id) AS pruned_at
                    FROM committed WHERE status = '{REMOVED}' GROUP BY item_id
                ) USING (item_id)
                WHERE output IS NOT NULL AND (pruned_at IS NULL OR row_id > pruned_at)
            ) ON {sql.alike("path")} = alike
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


def remove(store: OutStore, found: Iterable[Garbage], check_lease: CheckLease) -> int:
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
            check_lease()
            list(pool.map(lambda thing: _remove(store, thing), some))
            removed += len(some)
    return removed


def remove_pictures(store: OutStore, paths: Sequence[str], check_lease: CheckLease) -> None:
    """Remove pictures that are no longer wanted. One that is missing already is no fault."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for start in range(0, len(paths), 1000):
            check_lease()
            list(pool.map(store.remove, paths[start : start + 1000]))


def _remove(store: OutStore, thing: Garbage) -> None:
    if thing.upload:
        store.abort(thing.upload)
    else:
        store.remove(thing.path)
