"""How much memory the pages of a Parquet file take, found before any of them is unpacked.

The footer says how large a file is when it is unpacked, and each page says so of itself. The footer may lie,
so the pages are asked: their headers stand in the file as plain Thrift structures.
https://github.com/apache/parquet-format, "Data Pages" and `parquet.thrift`
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import pyarrow as pa

from manifests.reading.faults import Faults
from manifests.reading.limits import (
    CHUNK_BYTES,
    CHUNK_CELLS,
    CHUNK_ROWS,
    MAX_BYTES,
    MAX_PAGE_BYTES,
    MAX_PAGES,
    beyond,
)
from manifests.reading.thrift import Struct, read_struct

_HEADER_BYTES = (2**10, 2**20)
"""Bytes of a page's header that are read first, and where those are too few. It holds two values at most."""

_DICTIONARY_VALUE_BYTES = 32
"""What a value of a dictionary counts at least, since looking at its length takes time."""

# Numbers of fields and of enumerated values, by `parquet.thrift`.
_SCHEMA, _ROW_GROUPS = 2, 4  # of FileMetaData
_COLUMNS, _METADATA = 1, 3  # of RowGroup and ColumnChunk
_TYPE, _CODEC, _PACKED, _DATA_OFFSET, _DICTIONARY_OFFSET = 1, 4, 7, 9, 11  # of ColumnMetaData
_TYPE_LENGTH, _CHILDREN = 2, 5  # of SchemaElement
_DICTIONARY, _DATA_V1, _DATA_V2 = 7, 5, 8  # of PageHeader: of which kind a page is
_DELTA_BYTE_ARRAY = 7
_BYTE_ARRAY = 6
_CODECS = {1: "snappy", 2: "gzip", 4: "brotli", 6: "zstd", 7: "lz4_raw"}
_UNCOMPRESSED = 0
_FIXED_BYTES = 12  # of the widest type of one size


class BadPage(ValueError):
    """A page's header that is none, or a page outside of its file."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a column.

    Attributes:
        start, stop: its place in the file, behind its header.
        size: its bytes when it is unpacked.
        values: their number, nulls among them.
        kind: the field of its header that describes it.
        encoding: of its values.
    """

    start: int
    stop: int
    size: int
    values: int
    kind: int
    encoding: int


@dataclass(slots=True)
class _Need:
    """What reading a column, or all columns of a row group, takes.

    Attributes:
        held: bytes of the largest page and of the dictionary.
        a_row: bytes that one row may take when it is decoded, on average over a page.
    """

    held: int = 0
    a_row: int = 1


def rows_at_once(source: BinaryIO, faults: Faults) -> int:
    """Rows that may be decoded together within `CHUNK_BYTES`, whatever values the pages hold.

    Args:
        source: a Parquet file without nested columns.

    Raises:
        ManifestError: when the pages are larger than a manifest's may be.
        BadPage: when a page cannot be found.
    """
    footer = _footer(source)
    lengths = [
        _number(leaf, _TYPE_LENGTH) for leaf in _structs(footer, _SCHEMA) if not _number(leaf, _CHILDREN)
    ]
    scan = _Scan(source, faults)
    most = 1
    for number, group in enumerate(_structs(footer, _ROW_GROUPS), start=1):
        chunks = [_struct(chunk, _METADATA) for chunk in _structs(group, _COLUMNS)]
        needs = [scan.column(*one) for one in zip(chunks, lengths, strict=False)]
        held = sum(need.held for need in needs)
        if held > MAX_PAGE_BYTES:
            found = f"the pages of row group {number} take {held:,} bytes at once"
            faults.refuse(0, beyond(found, MAX_PAGE_BYTES, "write smaller row groups or pages"))
        most = max(most, sum(need.a_row for need in needs))
    return max(1, min(CHUNK_ROWS, CHUNK_BYTES // most, CHUNK_CELLS // max(len(lengths), 1)))


def _footer(source: BinaryIO) -> Struct:
    """What the file says of itself. Arrow's objects of it end the process where a number in them is wrong."""
    end = source.seek(-8, 2)
    size = int.from_bytes(source.read(4), "little")
    source.seek(end - size)
    try:
        footer, _ = read_struct(source.read(size))
    except IndexError as error:
        raise BadPage(f"the footer is no structure: {error}") from None
    return footer


class _Scan:
    """The walk over all pages of a file, and what they add up to."""

    def __init__(self, source: BinaryIO, faults: Faults) -> None:
        self._source = source
        self._faults = faults
        self._end = source.seek(0, 2)
        self._pages = 0
        self._bytes = 0

    def column(self, chunk: Struct, length: int) -> _Need:
        """What one column of a row group takes; `length` is that of a type whose values are all as long."""
        dictionary, data, a_row = 0, 0, float(max(length, _FIXED_BYTES))
        for page in self._pages_of(chunk):
            self._count(page)
            if page.kind == _DICTIONARY:
                dictionary = max(dictionary, page.size)
                a_row = max(a_row, self._longest(page, chunk))
            else:
                data = max(data, page.size)
                a_row = max(a_row, page.size / max(page.values, 1))
                if page.encoding == _DELTA_BYTE_ARRAY:  # a value may repeat all of the one before it
                    a_row = max(a_row, page.size)
        return _Need(dictionary + data, int(a_row) + 1)

    def _count(self, page: Page) -> None:
        self._pages += 1
        if self._pages > MAX_PAGES:
            self._faults.refuse(0, beyond(f"{self._pages:,} pages or more", MAX_PAGES, "write larger pages"))
        worked = page.values * _DICTIONARY_VALUE_BYTES if page.kind == _DICTIONARY else 0
        self._bytes += max(page.size, worked)
        if self._bytes > MAX_BYTES:
            found = f"its pages take {self._bytes:,} bytes or more when they are unpacked"
            self._faults.refuse(0, beyond(found, MAX_BYTES, "split the manifest"))

    def _pages_of(self, chunk: Struct) -> Iterator[Page]:
        at = _number(chunk, _DATA_OFFSET)
        dictionary = _number(chunk, _DICTIONARY_OFFSET)
        at = min(at, dictionary) if dictionary > 0 else at
        stop = at + _number(chunk, _PACKED)
        if not 0 <= at <= stop <= self._end:
            raise BadPage("a column lies outside of the file")
        while at < stop:
            page = self._page(at, stop)
            yield page
            at = page.stop

    def _page(self, at: int, stop: int) -> Page:
        for size in _HEADER_BYTES:
            self._source.seek(at)
            data = self._source.read(min(size, stop - at))
            try:
                header, length = read_struct(data)
            except IndexError:  # cut off
                continue
            page = _described(header, at + length)
            if not 0 <= page.start <= page.stop <= stop or page.size < 0:
                break
            return page
        raise BadPage(f"no page begins at byte {at}")

    def _longest(self, page: Page, chunk: Struct) -> int:
        """Bytes of a dictionary's longest value; of the dictionary itself where that cannot be found."""
        if _number(chunk, _TYPE) != _BYTE_ARRAY:
            return 0
        self._source.seek(page.start)
        packed = self._source.read(page.stop - page.start)
        codec = _number(chunk, _CODEC)
        if codec == _UNCOMPRESSED:
            return longest(packed, page.values)
        if codec not in _CODECS or page.size > MAX_PAGE_BYTES:  # refused with its row group
            return page.size
        try:
            return longest(pa.decompress(packed, page.size, _CODECS[codec], asbytes=True), page.values)
        except (pa.ArrowException, OSError, ValueError):
            return page.size


def _described(header: Struct, start: int) -> Page:
    """A page by its header: fields 2 and 3 are its sizes."""
    kind = next((kind for kind in (_DICTIONARY, _DATA_V1, _DATA_V2) if _struct(header, kind)), 0)
    fields = _struct(header, kind)
    encoding = 4 if kind == _DATA_V2 else 2
    size, packed = _number(header, 2), _number(header, 3)
    return Page(start, start + packed, size, _number(fields, 1), kind, _number(fields, encoding))


def _number(fields: Struct, field: int) -> int:
    value = fields.get(field)
    return value if isinstance(value, int) else 0


def _struct(fields: Struct, field: int) -> Struct:
    value = fields.get(field)
    return value if isinstance(value, dict) else {}


def _structs(fields: Struct, field: int) -> list[Struct]:
    values = fields.get(field)
    return [value for value in values if isinstance(value, dict)] if isinstance(values, list) else []


def longest(values: bytes, count: int) -> int:
    """Bytes of the longest of `count` values of type BYTE_ARRAY in plain encoding."""
    at = most = 0
    for _ in range(count):
        size = int.from_bytes(values[at : at + 4], "little")
        if at + 4 + size > len(values):
            break
        most = max(most, size)
        at += 4 + size
    return most
