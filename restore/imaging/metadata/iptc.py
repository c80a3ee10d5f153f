"""IPTC-IIM records (IIM 4.2), and the containers in which picture files hold them.

JPEG holds them in Photoshop's image resources. PNG defines no chunk for them; readers follow ImageMagick,
which writes the resources in hexadecimal as a text chunk.
"""

from __future__ import annotations

import re
import struct

_RECORD = 0x1C
_RESOURCE, _SIGNATURE = 0x0404, b"8BIM"
_HEX_LINE = 72


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


def of_resources(resources: bytes) -> bytes | None:
    """The records among Photoshop's image resources, if there are any."""
    at = 0
    while resources[at : at + 4] == _SIGNATURE and at + 12 <= len(resources):
        (kind,) = struct.unpack_from(">H", resources, at + 4)
        start = at + 6 + (resources[at + 6] // 2 + 1) * 2  # a name, padded to an even length
        if start + 4 > len(resources):
            break
        (size,) = struct.unpack_from(">L", resources, start)
        if kind == _RESOURCE:
            return sound(resources[start + 4 : start + 4 + size])
        at = start + 4 + size + size % 2
    return None


def as_resources(records: bytes) -> bytes:
    """Image resources that hold the records and nothing else."""
    head = struct.pack(">4sHHL", _SIGNATURE, _RESOURCE, 0, len(records))
    return head + records + bytes(len(records) % 2)


def of_text(text: bytes) -> bytes | None:
    """The records of PNG's text `Raw profile type iptc`, given without its keyword."""
    match = re.fullmatch(rb"\s*iptc\s+(\d{1,8})\s+([0-9a-fA-F\s]*)", text)
    if not match:
        return None
    digits = b"".join(match[2].split())
    found = bytes.fromhex(digits[: len(digits) // 2 * 2].decode())[: int(match[1])]
    return of_resources(found) or sound(found)


def as_text(records: bytes) -> bytes:
    """The value of PNG's text `Raw profile type iptc`."""
    resources = as_resources(records)
    digits = resources.hex()
    lines = [digits[at : at + _HEX_LINE] for at in range(0, len(digits), _HEX_LINE)]
    return "\n".join(["", "iptc", f"{len(resources):8d}", *lines, ""]).encode()
