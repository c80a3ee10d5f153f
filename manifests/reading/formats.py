"""A manifest's file as chunks of columns, whichever of the three formats it is in.

CSV and JSON Lines give every value as the text that was written; Parquet gives its own types.
"""

from __future__ import annotations

import csv
import json
import logging
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from manifests.query.csv_cells import unmarked
from manifests.reading.spreadsheet import (
    is_empty,
    is_utf16,
    named_columns,
    separator_of,
    trimmed,
    utf16_lines,
)
from restore.errors import ManifestError
from restore.storage import open_input
from restore.storage.access import forbidden_reason
from restore.storage.uris import redact

log = logging.getLogger(__name__)

CHUNK_ROWS = 100_000
PANDAS_INDEX = "__index_level_0__"
FAULTS_LISTED = 100
_BOM = "\ufeff"
_SURROGATE = re.compile(r"\\ud[89a-f]", re.IGNORECASE)


@dataclass(slots=True)
class Faults:
    """What is wrong with a manifest, gathered so that one error can say it all.

    Attributes:
        unit: what a row's number counts, "line" or "row".
        total: all faults; only the first `FAULTS_LISTED` of each check are kept.
    """

    unit: str
    total: int = 0
    listed: list[tuple[int, str]] = field(default_factory=list)

    def add(self, row: int, message: str) -> None:
        """One fault. `row` 0 is the manifest as a whole."""
        self.total += 1
        if len(self.listed) < 10 * FAULTS_LISTED:
            self.listed.append((row, message))

    def add_once(self, message: str) -> None:
        """A fault of the manifest as a whole, or of a column, however many chunks show it."""
        if (0, message) not in self.listed:
            self.add(0, message)

    def error(self, uri: str) -> ManifestError:
        """All faults as one error, in the order of their rows."""
        shown = sorted(self.listed, key=lambda fault: fault[0])[:FAULTS_LISTED]
        lines = [f"{self.unit} {row}: {message}" if row else message for row, message in shown]
        if self.total > len(shown):
            lines.append(f"and {self.total - len(shown)} more")
        count = "1 fault" if self.total == 1 else f"{self.total} faults"
        return ManifestError(f"{redact(uri)}: {count}\n  " + "\n  ".join(lines))


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some rows of a manifest. `numbers` are int64, 1-based, as a person counts them in the file."""

    numbers: pa.Array
    columns: pa.Table


Reader = Callable[[BinaryIO, Faults], Iterator[Chunk]]


def read_chunks(uri: str) -> tuple[Iterator[Chunk], Faults]:
    """The chunks of the manifest at `uri`, at least one; reading them adds to the faults.

    Raises:
        ManifestError: no such file, an extension that is not known, or a URI that is never read.
        StorageConfigError: the store does not let us read it.
    """
    reason = forbidden_reason(uri)
    if reason:
        raise ManifestError(f"{redact(uri)}: {reason}")
    extension = Path(uri).suffix.lower()
    if extension not in _READERS:
        raise ManifestError(f"{redact(uri)}: not a manifest; name it {', '.join(_READERS)}")
    unit, reader = _READERS[extension]
    faults = Faults(unit)
    return reader(_opened(uri), faults), faults


def _opened(uri: str) -> BinaryIO:
    try:
        return open_input(uri)
    except FileNotFoundError:
        raise ManifestError(f"{redact(uri)}: no such file; correct the name of the manifest") from None
    except OSError as error:
        raise ManifestError(f"{redact(uri)}: cannot be opened: {error}") from None


def _csv_chunks(source: BinaryIO, faults: Faults) -> Iterator[Chunk]:
    separator, lines, before = separator_of(_lines(source, faults))
    reader = csv.reader(lines, delimiter=separator, strict=True)
    records = _records(reader, before, faults)
    header = next(records, None)
    if header is None:
        faults.add(0, "the file is empty; a manifest needs a header with item_id and image")
        return
    names = named_columns(header[1])
    trim = ((line, trimmed(cells, len(names))) for line, cells in records)
    whole = (record for record in trim if _has_width(record, len(names), separator, faults))
    yield _text_chunk(names, [])
    while batch := list(islice(whole, CHUNK_ROWS)):
        yield _text_chunk(names, batch)


def _records(
    reader: csv._reader,  # type: ignore[name-defined]
    before: int,
    faults: Faults,
) -> Iterator[tuple[int, list[str]]]:
    """Records with the line each begins on; empty ones are passed over.

    Args:
        before: lines of the file that the reader does not see.
    """
    while True:
        line = before + reader.line_num + 1
        try:
            record = next(reader, None)
        except csv.Error as error:
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


def _text_chunk(names: list[str], records: list[tuple[int, list[str]]]) -> Chunk:
    cells = zip(*(record for _, record in records), strict=True) if records else [()] * len(names)
    columns = [unmarked(pa.array([cell or None for cell in column], pa.string())) for column in cells]
    return Chunk(_numbers(line for line, _ in records), pa.Table.from_arrays(columns, names))


def _lines(source: BinaryIO, faults: Faults) -> Iterator[str]:
    """Lines of UTF-8 or UTF-16 without their byte order mark; a line that is neither is a fault."""
    if is_utf16(source):
        try:
            yield from utf16_lines(source)
        except UnicodeError as error:
            faults.add(0, f"not UTF-16 to its end ({error}); save the file as UTF-8")
        return
    for number, line in enumerate(source, start=1):
        try:
            decoded = line.decode()
        except UnicodeDecodeError as error:
            faults.add(number, f"not UTF-8 at byte {error.start + 1} of the line; save the file as UTF-8")
            decoded = line.decode(errors="replace")
        yield decoded.removeprefix(_BOM) if number == 1 else decoded


def _json_chunks(source: BinaryIO, faults: Faults) -> Iterator[Chunk]:
    lines = enumerate(_lines(source, faults), start=1)
    first = next(lines, None)
    if first is None:
        faults.add(0, "the file is empty; a manifest has an object with item_id and image on each line")
        return
    objects = _objects([first], faults), _objects(lines, faults)
    records = (record for part in objects for record in part)
    while batch := list(islice(records, CHUNK_ROWS)):
        names = list(dict.fromkeys(name for _, values in batch for name in values))
        columns = [pa.array([values.get(name) for _, values in batch], pa.string()) for name in names]
        yield Chunk(_numbers(line for line, _ in batch), pa.Table.from_arrays(columns, names))


def _objects(lines: Iterable[tuple[int, str]], faults: Faults) -> Iterator[tuple[int, dict[str, str | None]]]:
    for number, line in lines:
        if not line.strip():
            continue
        try:
            yield number, _object(line)
        except json.JSONDecodeError as error:
            faults.add(number, f"not JSON: {error.msg} at column {error.colno}")
        except (ValueError, RecursionError) as error:
            faults.add(number, f"not a JSON object of plain values: {error}")


def _object(line: str) -> dict[str, str | None]:
    # Numbers stay as written: 1.10 is 1.10 in an `x_*` column.
    parsed = json.loads(line, parse_int=str, parse_float=str, parse_constant=_no_constant)
    if not isinstance(parsed, dict):
        raise ValueError("an object with item_id and image is expected")
    if _SURROGATE.search(line) and not _is_unicode(parsed):
        raise ValueError("a \\u escape is half a surrogate pair; write both halves, or the letter itself")
    return {name: _text(name, value) for name, value in parsed.items()}


def _is_unicode(parsed: dict[str, object]) -> bool:
    try:
        json.dumps(parsed, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _text(name: str, value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    raise ValueError(f"{name} holds a list or an object; write plain values")


def _no_constant(constant: str) -> float:
    raise ValueError(f"{constant} is not JSON")


def _parquet_chunks(source: BinaryIO, faults: Faults) -> Iterator[Chunk]:
    try:
        file = pq.ParquetFile(source)
        first = 1
        yield Chunk(_numbers([]), _without_index(file.schema_arrow.empty_table()))
        for batch in file.iter_batches(CHUNK_ROWS):
            batch.validate(full=True)
            columns = _without_index(pa.Table.from_batches([batch]))
            yield Chunk(_numbers(range(first, first + len(batch))), columns)
            first += len(batch)
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the store's fault: Arrow's own complaints about the file have no errno
        faults.add(0, f"not readable as Parquet: {error}")


def _without_index(columns: pa.Table) -> pa.Table:
    """The columns without the row number that pandas stores beside them."""
    if PANDAS_INDEX not in columns.schema.names:
        return columns
    if not columns.num_rows:  # once per file: its first chunk is empty
        log.warning("the column %s, which pandas adds, is passed over", PANDAS_INDEX)
    return columns.drop_columns([PANDAS_INDEX])


def _numbers(numbers: Iterable[int]) -> pa.Array:
    return pa.array(numbers, pa.int64())


_READERS: dict[str, tuple[str, Reader]] = {
    ".parquet": ("row", _parquet_chunks),
    ".csv": ("line", _csv_chunks),
    ".jsonl": ("line", _json_chunks),
    ".ndjson": ("line", _json_chunks),
}
