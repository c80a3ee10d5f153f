"""What OUT holds: the rows of all runs, the last outcome and the current picture of each item."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatchcase
from typing import TypeAlias

import pyarrow as pa
import pyarrow.dataset as ds

from manifests.query import sql
from manifests.query.spool import SpooledTable, register
from restore.errors import StorageConfigError
from restore.item import EXTRA_PREFIX
from restore.outcome import OUTCOME_SCHEMA, REMOVED, outcome_schema
from restore.storage import OutStore

Rows: TypeAlias = pa.Table | ds.Dataset | SpooledTable
"""Rows in memory, or rows that are read from storage each time they are scanned."""

SUCCESS = ("restored", "copied")
SHOWS = (*SUCCESS, REMOVED)
"""The newest row with one of these says what its item shows: a picture, or nothing any more."""
PARTS = ("metadata/run=*/part-*.parquet", "metadata/run=*/compact-*.parquet")

_PARQUET = ds.ParquetFileFormat()
_FOOTERS_AT_ONCE = 16
_BATCH = 5_000


def committed_rows(store: OutStore) -> ds.Dataset:
    """Every committed row, as a dataset that is scanned, not loaded.

    A part of an older version may lack columns, which read as null, or hold columns no longer known,
    which are left out. A row may come twice where a compacted part stands beside its sources; all
    readers here tell rows apart by `row_id`.

    Returns:
        A dataset of `OUTCOME_SCHEMA` and all `x_*` columns of any part; empty for a new store.

    Raises:
        StorageConfigError: naming a part that is not whole.
    """
    paths = sorted(entry.path for entry in store.list("metadata/") if _is_part(entry.path))
    filesystem, root = store.arrow_filesystem()
    with ThreadPoolExecutor(_FOOTERS_AT_ONCE) as pool:
        parts = list(pool.map(lambda path: _part(filesystem, root, path), paths))
    schema = outcome_schema(_extra_columns(part.physical_schema for part in parts))
    return ds.FileSystemDataset(parts, schema, _PARQUET, filesystem)


def read_committed(store: OutStore, columns: Sequence[str] = OUTCOME_SCHEMA.names) -> pa.Table:
    """The given columns of every committed row, each row once, in the order of time."""
    rows = committed_rows(store)
    wanted = sql.names(columns)
    return _select(rows, columns, f"SELECT {wanted} FROM ({_once(columns)}) ORDER BY row_id")


def last_outcomes(rows: Rows, columns: Sequence[str] = OUTCOME_SCHEMA.names) -> pa.Table:
    """The newest row of each item, ordered by item_id."""
    return _select(rows, columns, _newest_query(columns, "true"))


def current_pictures(rows: Rows, columns: Sequence[str] = OUTCOME_SCHEMA.names) -> pa.Table:
    """The newest successful row of each item, ordered by item_id: what the archive shows. Pruned items
    are left out."""
    return _select(rows, columns, _current_query(columns))


def current_batches(
    rows: Rows, columns: Sequence[str] = OUTCOME_SCHEMA.names, condition: str = "true"
) -> Iterator[pa.Table]:
    """`current_pictures`, some thousands at a time, so that an archive's rows need not fit into memory.

    Args:
        condition: SQL of `item_id`: which items.
    """
    query = _current_query(columns, condition)
    schema = _nullable(rows, columns)
    with sql.connection() as con:
        register(con, "committed", rows)
        for batch in con.sql(query).to_arrow_reader(_BATCH):
            yield pa.Table.from_batches([batch]).cast(schema)


def present_batches(rows: Rows, columns: Sequence[str] = OUTCOME_SCHEMA.names) -> Iterator[pa.Table]:
    """What the archive is now, some thousands of rows at a time: the current picture of each item, and the
    last outcome of each item whose last outcome failed.
    """
    shows = f"status IN {sql.texts(SHOWS)}"
    newest = "SELECT max(row_id) FROM committed {0} GROUP BY item_id"
    condition = (
        f"(status IN {sql.texts(SUCCESS)} AND row_id IN ({newest.format('WHERE ' + shows)}))"
        f" OR (status = 'failed' AND row_id IN ({newest.format('')}))"
    )
    schema = _nullable(rows, columns)
    with sql.connection() as con:
        register(con, "committed", rows)
        query = (
            f"SELECT {sql.names(columns)} FROM ({_once([*columns, 'item_id'], condition)}) ORDER BY item_id"
        )
        for batch in con.sql(query).to_arrow_reader(_BATCH):
            yield pa.Table.from_batches([batch]).cast(schema)


def _current_query(columns: Sequence[str], condition: str = "true") -> str:
    says = f"status IN {sql.texts(SHOWS)} AND ({condition})"
    return _newest_query(columns, says, f"status IN {sql.texts(SUCCESS)}")


def _newest_query(columns: Sequence[str], condition: str, kept: str = "true") -> str:
    newest = f"row_id IN (SELECT max(row_id) FROM committed WHERE {condition} GROUP BY item_id)"
    once = _once([*columns, "item_id"], f"{newest} AND {kept}")
    return f"SELECT {sql.names(columns)} FROM ({once}) ORDER BY item_id"


def _once(columns: Iterable[str], condition: str = "true") -> str:
    kept = sql.names(dict.fromkeys([*columns, "row_id"]))
    return f"SELECT DISTINCT ON (row_id) {kept} FROM committed WHERE {condition}"


def _select(rows: Rows, columns: Sequence[str], query: str) -> pa.Table:
    with sql.connection() as con:
        register(con, "committed", rows)
        return con.sql(query).to_arrow_table().cast(_nullable(rows, columns))


def _nullable(rows: Rows, columns: Iterable[str]) -> pa.Schema:
    """Nullable throughout: a part may be older than a column that is required today."""
    return pa.schema([rows.schema.field(column).with_nullable(True) for column in columns])


def _is_part(path: str) -> bool:
    return any(fnmatchcase(path, pattern) for pattern in PARTS) and path.count("/") == 2


def _part(filesystem: pa.fs.FileSystem, root: str, path: str) -> ds.ParquetFileFragment:
    """One part with its footer read: a truncated part has none and is recognised here."""
    part = _PARQUET.make_fragment(f"{root}/{path}", filesystem)
    try:
        part.ensure_complete_metadata()
    except pa.ArrowInvalid as error:
        raise StorageConfigError(
            f"{path} is not a readable Parquet file ({error}); restore it from a backup, or remove it "
            "and its photos are planned again"
        ) from None
    return part


def _extra_columns(schemas: Iterable[pa.Schema]) -> list[str]:
    return sorted({name for schema in schemas for name in schema.names if name.startswith(EXTRA_PREFIX)})
