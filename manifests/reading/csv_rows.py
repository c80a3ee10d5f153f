"""A manifest of CSV: each value is the text that was written."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import BinaryIO

import pyarrow as pa

from manifests.query.csv_cells import unmarked
from manifests.reading.chunks import Chunk, batches, numbers
from manifests.reading.faults import Faults
from manifests.reading.limits import MAX_CELL_BYTES, beyond, check_cells, check_columns
from manifests.reading.lines import Meter, lines_of
from manifests.reading.spreadsheet import is_empty, named_columns, separator_of, trimmed


def csv_chunks(source: BinaryIO, faults: Faults) -> Iterator[Chunk]:
    """The chunks of a CSV file; the first has no rows and names the columns."""
    meter = Meter()
    separator, lines, before = separator_of(lines_of(source, meter, faults))
    reader = csv.reader(lines, delimiter=separator, strict=True)
    records = _records(reader, before, meter, faults)
    header = next(records, None)
    if header is None:
        faults.add(0, "the file is empty; a manifest needs a header with item_id and image")
        return
    names = named_columns(header[1])
    check_columns(names, header[0], faults)
    trim = ((line, trimmed(cells, len(names))) for line, cells in records)
    whole = (record for record in trim if _has_width(record, len(names), separator, faults))
    yield _chunk(names, [], faults)
    for batch in batches(whole, names, meter):
        yield _chunk(names, batch, faults)


def _records(
    reader: csv._reader,  # type: ignore[name-defined]
    before: int,
    meter: Meter,
    faults: Faults,
) -> Iterator[tuple[int, list[str]]]:
    """Records with the line each begins on; empty ones are passed over.

    Args:
        before: lines of the file that the reader does not see.
    """
    while True:
        line = before + reader.line_num + 1
        meter.before_row = meter.read
        try:
            record = next(reader, None)
        except csv.Error as error:
            if "field limit" in str(error):
                found = f"a cell of more than {csv.field_size_limit():,} characters"
                faults.refuse(line, beyond(found, MAX_CELL_BYTES, "look for a quote that never closes"))
            faults.add(line, f"not readable as CSV from here on: {error}")
            return
        if record is None:
            return
        if not is_empty(record):
            yield line, record


def _has_width(record: tuple[int, list[str]], width: int, separator: str, faults: Faults) -> bool:
    line, cells = record
    if len(cells) != width:
        name = {",": "a comma", ";": "a semicolon", "\t": "a tab"}.get(separator, separator)
        faults.add(line, f"{len(cells)} cells where the header has {width}; quote cells that hold {name}")
    return len(cells) == width


def _chunk(names: list[str], records: list[tuple[int, list[str]]], faults: Faults) -> Chunk:
    cells = zip(*(record for _, record in records), strict=True) if records else [()] * len(names)
    columns = [unmarked(pa.array([cell or None for cell in column], pa.string())) for column in cells]
    chunk = Chunk(numbers(line for line, _ in records), pa.Table.from_arrays(columns, names))
    check_cells(chunk.numbers, chunk.columns, faults)
    return chunk
