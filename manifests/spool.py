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
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from manifests import sql

ROW_GROUP = 50_000
"""Rows written and read at once: some megabytes, so that a reader can stream."""


READ_AHEAD = {"batch_size": 16_384, "batch_readahead": 4, "fragment_readahead": 2}


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Spooled:
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


def spool(con: duckdb.DuckDBPyConnection, query: str, schema: pa.Schema) -> Spooled:
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
    return Spooled(Path(name), schema, rows)


def register(
    con: duckdb.DuckDBPyConnection,
    view: str,
    rows: pa.Table | ds.Dataset | Spooled,
    columns: Sequence[str] | None = None,
) -> None:
    """Make rows known to queries under the name `view`.

    Args:
        columns: all that queries will ask for, else every column.
    """
    if isinstance(rows, Spooled):  # its own reader takes half of Arrow's memory, and is faster
        con.execute(f"CREATE OR REPLACE TEMP VIEW {view} AS FROM read_parquet({sql.text(str(rows.path))})")
    elif isinstance(rows, ds.Dataset) and columns is not None:
        # By itself Arrow reads so far ahead that ten million rows take two gigabytes.
        con.register(view, rows.scanner(list(columns), **READ_AHEAD))
    else:
        con.register(view, rows)
