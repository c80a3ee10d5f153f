"""A manifest of Parquet, which gives its own types."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from manifests.reading.chunks import Chunk, numbers
from manifests.reading.faults import Faults
from manifests.reading.limits import (
    CHUNK_BYTES,
    CHUNK_ROWS,
    MAX_FOOTER_BYTES,
    beyond,
    check_cells,
    check_columns,
    check_rows,
)
from manifests.reading.parquet_pages import BadPage, rows_at_once

log = logging.getLogger(__name__)

PANDAS_INDEX = "__index_level_0__"

_BUFFER = 2**20  # a column's pages are read through it; without one Arrow reads all of a column at once
_TYPE_SHOWN = 100


def parquet_chunks(source: BinaryIO, faults: Faults) -> Iterator[Chunk]:
    """The chunks of a Parquet file; the first has no rows and names the columns.

    Raises:
        ManifestError: when the file is larger than a manifest may be, packed or unpacked.
    """
    try:
        _check_footer(source, faults)
        file = pq.ParquetFile(source, buffer_size=_BUFFER)
        check_columns(file.schema.names, 0, faults)
        check_rows(file.metadata.num_rows, faults)
        yield Chunk(numbers([]), _without_index(file.schema_arrow.empty_table()))
        if not _has_nested(file.schema_arrow, faults):
            yield from _chunks(file, rows_at_once(source, faults), faults)
    except (pa.ArrowException, OSError, UnicodeDecodeError, BadPage) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the store's fault: Arrow's own complaints about the file have no errno
        faults.add(0, f"not readable as Parquet: {error}")


def _check_footer(source: BinaryIO, faults: Faults) -> None:
    size = source.seek(0, 2)
    source.seek(max(size - 8, 0))
    footer = int.from_bytes(source.read(4), "little")
    if size >= footer > MAX_FOOTER_BYTES:
        found = f"the footer has {footer:,} bytes"
        faults.refuse(0, beyond(found, MAX_FOOTER_BYTES, "write fewer row groups"))
    source.seek(0)


def _has_nested(schema: pa.Schema, faults: Faults) -> bool:
    """Whether there are columns of lists or structures, each of which is a fault. They are not read."""
    nested = [field for field in schema if pa.types.is_nested(_value_type(field.type))]
    for field in nested:
        shown = str(field.type)
        shown = shown if len(shown) <= _TYPE_SHOWN else f"{shown[:_TYPE_SHOWN]}…"
        faults.add_once(f"column {field.name} holds {shown}; write plain values")
    return bool(nested)


def _value_type(kind: pa.DataType) -> pa.DataType:
    """The type that values are stored in."""
    if pa.types.is_dictionary(kind):
        return _value_type(kind.value_type)
    return kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind


def _chunks(file: pq.ParquetFile, rows: int, faults: Faults) -> Iterator[Chunk]:
    first = 1
    for columns in _joined(file.iter_batches(rows), faults):
        chunk = Chunk(numbers(range(first, first + columns.num_rows)), _without_index(columns))
        check_cells(chunk.numbers, chunk.columns, faults)
        yield chunk
        first += columns.num_rows


def _joined(batches: Iterator[pa.RecordBatch], faults: Faults) -> Iterator[pa.Table]:
    """Batches as tables of up to `CHUNK_ROWS`: one long value makes many small batches."""
    parts: list[pa.Table] = []
    rows = size = 0
    for batch in batches:
        batch.validate(full=True)
        part = _decoded(batch)
        parts.append(part)
        rows, size = rows + part.num_rows, size + part.nbytes
        if rows + part.num_rows > CHUNK_ROWS or size + part.nbytes > CHUNK_BYTES:
            yield pa.concat_tables(parts)
            parts, rows, size = [], 0, 0
    if parts:
        yield pa.concat_tables(parts)


def _decoded(batch: pa.RecordBatch) -> pa.Table:
    """A batch without dictionaries: it is small enough for all values, and the next one may not be."""
    return pa.Table.from_arrays([_plain(column) for column in batch.columns], batch.schema.names)


def _plain(column: pa.Array) -> pa.Array:
    if pa.types.is_dictionary(column.type):
        return column.dictionary_decode()
    if pa.types.is_string_view(column.type):
        return column.cast(pa.large_string())
    return column.cast(pa.large_binary()) if pa.types.is_binary_view(column.type) else column


def _without_index(columns: pa.Table) -> pa.Table:
    """The columns without the row number that pandas stores beside them."""
    if PANDAS_INDEX not in columns.schema.names:
        return columns
    if not columns.num_rows:  # once per file: its first chunk is empty
        log.warning("the column %s, which pandas adds, is passed over", PANDAS_INDEX)
    return columns.drop_columns([PANDAS_INDEX])
