"""IPTC-IIM records (IIM 4.2), without the containers in which picture files hold them."""

from __future__ import annotations

import struct
from collections.abc import Sequence

_RECORD = 0x1C


def sound(records: bytes) -> bytes | None:
    """The well-formed records from the start, or None where the first is malformed."""
    at = 0
    while at + 5 <= len(records) and records[at] == _RECORD:
        (size,) = struct.unpack_from(">H", records, at + 3)
        if size & 0x8000:  # an extended dataset: the low bits count the bytes of its size
            long = size & 0x7FFF
            size = long + int.from_bytes(records[at + 5 : at + 5 + long], "big")
        if at + 5 + size > len(records):
            break
        at += 5 + size
    return records[:at] or None


def first_of(blocks: Sequence[bytes]) -> tuple[bytes | None, tuple[str, ...]]:
    """The records of the first of a file's blocks that has some, and the names of what is lost."""
    first, dropped = None, []
    for block in blocks:
        records = sound(block)
        if block[len(records or b"") :].strip(b"\0"):
            dropped.append("part of iptc" if records else "iptc")
        if records and first is None:
            first = records
        elif records and records != first:
            dropped.append("further iptc")
    return first, tuple(dropped)
