"""Rows that need not fit into memory: the result of a query, kept in a temporary Parquet file."""

from __future__ import annotations

import os
import tempfile
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from manifests.query import sql

ROW_GROUP = 50_000
"""Rows written and read at once: some megabytes, so that a reader can stream."""

READ_AHEAD = {"batch_size": 16_384, "batch_readahead": 4, "fragment_readahead": 2}
"""By itself Arrow reads so far ahead that ten million rows take two gigabytes."""


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class SpooledTable:
    """Rows in a Parquet file of their own, which goes when nobody holds them any more."""

    path: Path
    schema: pa.Schema
    num_rows: int

    def __post_init__(self) -> None:
        weakref.finalize(self, self.path.unlink, missing_ok=True)

    def to_table(self) -> pa.Table:
        """All rows in memory."""
        return pq.read_table(self.path)

    def to_pylist(self) -> list[dict[str, Any]]:
        """All rows as Python values."""
        rows: list[dict[str, Any]] = self.to_table().to_pylist()
        return rows

    def take(self, numbers: range) -> pa.Table:
        """The rows of these numbers, counted from 0."""
        return ds.dataset(self.path, self.schema).take(pa.array(numbers, pa.int64()))


def spool(con: duckdb.DuckDBPyConnection, query: str, schema: pa.Schema) -> SpooledTable:
    """The rows of a query with the schema's columns, a row group in memory at a time."""
    descriptor, name = tempfile.mkstemp(prefix="silverprint-rows-", suffix=".parquet")
    os.close(descriptor)
    rows = 0
    try:
        with pq.ParquetWriter(name, schema, compression="zstd") as writer:
            for batch in con.sql(query).to_arrow_reader(ROW_GROUP):
                writer.write_table(pa.Table.from_batches([batch]).cast(schema))
                rows += len(batch)
    except BaseException:
        Path(name).unlink()
        raise
    return SpooledTable(Path(name), schema, rows)


def register(con: duckdb.DuckDBPyConnection, view: str, rows: pa.Table | ds.Dataset | SpooledTable) -> None:
    """Make rows known to queries under the name `view`. Those of a dataset are read as they are asked for."""
    if isinstance(rows, SpooledTable):  # its own reader takes half of Arrow's memory, and is faster
        con.execute(f"CREATE OR REPLACE TEMP VIEW {view} AS FROM read_parquet({sql.text(str(rows.path))})")
    else:
        con.register(view, _Scanned(rows) if isinstance(rows, ds.Dataset) else rows)


class _Scanned(ds.Dataset):  # type: ignore[misc]
    """A dataset as DuckDB scans it: what it asks of one, and nothing else."""

    def __init__(self, rows: ds.Dataset) -> None:
        self._rows = rows

    @property
    def schema(self) -> pa.Schema:
        return self._rows.schema

    def scanner(self, columns: Sequence[str] | None = None, filter: pc.Expression | None = None) -> _Scan:
        return _Scan(self._rows.scanner(columns=columns, filter=filter, **READ_AHEAD))


class _Scan:
    """A scan that begins without Python's lock.

    pyarrow's own `Scanner.to_reader` (26.0) holds it while Arrow starts, and Arrow's threads want it to
    open the next file of a file system written in Python, with a mutex in hand that starting waits for.
    """

    def __init__(self, scanner: ds.Scanner) -> None:
        self._scanner = scanner

    def to_reader(self) -> pa.RecordBatchReader:
        return pa.RecordBatchReader.from_batches(self._scanner.projected_schema, self._scanner.to_batches())
