"""Parquet files written byte by byte, so that they can lie: Thrift's compact protocol, pages and a footer."""

from __future__ import annotations

from typing import Any

INT32, INT64, BINARY, LIST, STRUCT = 5, 6, 8, 9, 12
GZIP = 2
MAGIC = b"PAR1"


class Small(int):
    """A number that Thrift's file declares as i32; others are i64."""


def varint(number: int) -> bytes:
    """An unsigned number, seven bits a byte."""
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def struct(fields: dict[int, Any]) -> bytes:
    """A structure of numbers, byte strings, lists and structures by the numbers of its fields, rising."""
    out, before = b"", 0
    for number, value in fields.items():
        kind, data = _value(value)
        out += bytes([(number - before) << 4 | kind]) + data
        before = number
    return out + b"\0"


def _value(value: Any) -> tuple[int, bytes]:
    if isinstance(value, int):
        return INT32 if isinstance(value, Small) else INT64, varint((value << 1) ^ (value >> 63))
    if isinstance(value, bytes):
        return BINARY, varint(len(value)) + value
    if isinstance(value, dict):
        return STRUCT, struct(value)
    kind = _value(value[0])[0] if value else STRUCT
    head = (
        bytes([len(value) << 4 | kind]) if len(value) < 15 else bytes([15 << 4 | kind]) + varint(len(value))
    )
    return LIST, head + b"".join(_value(one)[1] for one in value)


def column(name: str) -> dict[int, Any]:
    """The schema of a required column of text."""
    return {1: Small(6), 3: Small(0), 4: name.encode(), 6: Small(0)}


def data_page(packed: bytes, size: int, values: int, encoding: int = 0) -> bytes:
    """A page that says to have `size` bytes when it is unpacked."""
    kind = {1: Small(values), 2: Small(encoding), 3: Small(3), 4: Small(3)}
    return struct({1: Small(0), 2: Small(size), 3: Small(len(packed)), 5: kind}) + packed


def chunk(name: str, start: int, length: int, rows: int, codec: int = 0, **more: Any) -> dict[int, Any]:
    """A column's place in the file; `statistics` are those of its sizes."""
    metadata = {
        1: Small(6),
        2: [Small(0)],
        3: [name.encode()],
        4: Small(codec),
        5: rows,
        6: length,
        7: length,
    }
    metadata |= {9: start}
    if "statistics" in more:
        metadata[16] = more["statistics"]
    return {2: 0, 3: metadata}


def file(body: bytes, columns: list[dict[int, Any]], rows: int, groups: list[dict[int, Any]]) -> bytes:
    """A whole file. `body` begins at byte 4."""
    root = {4: b"root", 5: Small(len(columns))}
    footer = struct({1: Small(1), 2: [root, *columns], 3: rows, 4: groups})
    return MAGIC + body + footer + len(footer).to_bytes(4, "little") + MAGIC


def group(chunks: list[dict[int, Any]], rows: int) -> dict[int, Any]:
    """A row group."""
    return {1: chunks, 2: 0, 3: rows}
