"""What a manifest or a sidecar may hold at most: a small file can stand for any amount of memory.

A file beyond a limit is refused with exit code 2. The sizes of a chunk are no limits of a file: a larger one
is read in more chunks.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc

from manifests.reading.faults import Faults

MAX_COLUMNS = 500
MAX_NAME_BYTES = 256
"""Of a column's name."""

MAX_CELL_BYTES = 64 * 2**10
MAX_ROW_BYTES = 2**20
"""Of a row of CSV or JSON Lines, as written."""

MAX_ROWS = 20_000_000
MAX_BYTES = 4 * 2**30
"""Of all rows in memory, and of a Parquet file's pages when they are unpacked."""

MAX_FOOTER_BYTES = 4 * 2**20
"""Of a Parquet file's footer: 16 KB for a million rows, as common writers make it."""

MAX_PAGE_BYTES = 512 * 2**20
"""Of the pages of all columns that a Parquet reader holds at once, the largest of each column."""

MAX_PAGES = 1_000_000

CHUNK_ROWS = 100_000
CHUNK_CELLS = 4_000_000
CHUNK_BYTES = 32 * 2**20
"""Rows, cells and bytes of a chunk. Python's values take up to ten times the bytes that were written."""

_TEXTS = (
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_binary,
    pa.types.is_large_binary,
    pa.types.is_fixed_size_binary,
)

_OFFSET_BYTES = 4  # of each text of a column, null or not


def beyond(found: str, limit: int, way_out: str) -> str:
    """The message of something beyond its limit. `found` says what there is, with its number."""
    return f"{found}; the limit is {limit:,}. {way_out[:1].upper()}{way_out[1:]}"


class Total:
    """The rows of one file so far, held against its limits.

    Columns that some chunks lack count as if they had them: all chunks get one shape in the end.
    """

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._rows = 0
        self._bytes = 0
        self._columns: set[str] = set()

    def add(self, chunk: pa.Table) -> None:
        """One more chunk, as it is kept.

        Raises:
            ManifestError: when the file has more rows or bytes than a manifest may have.
        """
        self._rows += chunk.num_rows
        self._bytes += chunk.nbytes
        self._columns.update(chunk.column_names)
        check_rows(self._rows, self._faults)
        held = self._bytes + self._rows * len(self._columns) * _OFFSET_BYTES
        if held > MAX_BYTES:
            found = f"its first {self._rows:,} rows take {held:,} bytes"
            self._faults.refuse(0, beyond(found, MAX_BYTES, _SPLIT))


_SPLIT = "split the manifest"


def check_rows(rows: int, faults: Faults) -> None:
    """Raises ManifestError for more rows than a manifest may have."""
    if rows > MAX_ROWS:
        faults.refuse(0, beyond(f"it has {rows:,} rows or more", MAX_ROWS, _SPLIT))


def check_file(source: BinaryIO, faults: Faults) -> None:
    """Raises ManifestError for a file of more bytes than a manifest may have."""
    size = source.seek(0, 2)
    source.seek(0)
    if size > MAX_BYTES:
        faults.refuse(0, beyond(f"the file has {size:,} bytes", MAX_BYTES, _SPLIT))


def check_columns(names: Collection[str], row: int, faults: Faults) -> None:
    """Raises ManifestError for more columns than a manifest may have, or for a name that none may have."""
    if len(names) > MAX_COLUMNS:
        faults.refuse(row, beyond(f"{len(names):,} columns", MAX_COLUMNS, "remove those that nobody needs"))
    for name in names:
        size = len(name.encode(errors="replace"))
        if size > MAX_NAME_BYTES:
            found = f"the column {name[:20]}… has a name of {size:,} bytes"
            faults.refuse(row, beyond(found, MAX_NAME_BYTES, "shorten it"))
        if "\0" in name:
            faults.refuse(row, f"the name of the column {name!r} holds a null character; remove it")


def check_cells(numbers: pa.Array, columns: pa.Table, faults: Faults) -> None:
    """Raises ManifestError for a text of more bytes than a cell may have; names its row and column."""
    for name, column in zip(columns.column_names, columns.columns, strict=True):
        values = _stored(column)
        if not any(is_kind(values.type) for is_kind in _TEXTS):
            continue
        sizes = pc.binary_length(values)
        longest = pc.max(sizes).as_py() or 0
        if longest > MAX_CELL_BYTES:
            row = numbers[pc.index(sizes, longest).as_py()].as_py()
            found = beyond(f"column {name} has {longest:,} bytes", MAX_CELL_BYTES, "shorten the cell")
            faults.refuse(row, found)


def _stored(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The values without the meaning that an extension gives them."""
    if not isinstance(column.type, pa.BaseExtensionType):
        return column
    return pa.chunked_array([part.storage for part in column.chunks], column.type.storage_type)
