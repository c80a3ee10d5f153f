"""Photoshop's image resources (Adobe Photoshop File Formats Specification, "Image Resource Blocks").

JPEG files hold them in APP13, TIFF files in a tag. They contain IPTC, clipping paths, a URL, the copyright
flag and much else, all of which stays as it is.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from restore.imaging.resolution import Resolution, stated

_SIGNATURES = (b"8BIM", b"MeSa", b"PHUT", b"AgHg", b"DCSR")
_RESOLUTION, _IPTC = 0x03ED, 0x0404
_MAX_RESOURCES = 10_000  # Photoshop's own have fewer than 100
_THUMBNAILS = (0x0409, 0x040C)  # they show the damaged photo
_COPIES = {
    0x040F: "photoshop icc",
    0x0422: "photoshop exif",
    0x0423: "photoshop exif",
    0x0424: "photoshop xmp",
}
_PATHS = range(0x07D0, 0x0BB8)  # the last one names the path that clips
_PLACES = {**dict.fromkeys(_PATHS, "clipping paths"), 0x0408: "guides", 0x041A: "slices"}


@dataclass(frozen=True, slots=True)
class Resources:
    """What image resources hold.

    Attributes:
        kept: those that have no field of their own, as they are.
        iptc: the values of those that hold IPTC.
        dropped: names of what is not kept.
    """

    kept: bytes | None
    iptc: tuple[bytes, ...]
    dropped: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Block:
    """One resource: its number, all its bytes, its value, and where the next one begins."""

    kind: int
    whole: bytes
    value: bytes
    end: int


def read(data: bytes) -> Resources:
    """The resources, as far as they can be followed."""
    blocks = list(_blocks(data))
    kept = b"".join(block.whole for block in blocks if block.kind not in (_IPTC, *_THUMBNAILS, *_COPIES))
    dropped = [_COPIES[block.kind] for block in blocks if block.kind in _COPIES]
    if data[blocks[-1].end if blocks else 0 :].strip(b"\0"):
        dropped.append("part of photoshop")
    return Resources(
        kept or None,
        tuple(block.value for block in blocks if block.kind == _IPTC),
        tuple(dict.fromkeys(dropped)),
    )


def _blocks(data: bytes) -> Iterator[_Block]:
    at = 0
    for _ in range(_MAX_RESOURCES):
        if data[at : at + 4] not in _SIGNATURES or at + 12 > len(data):
            return
        (kind,) = struct.unpack_from(">H", data, at + 4)
        start = at + 6 + (data[at + 6] // 2 + 1) * 2 + 4  # behind a name of even length, and the size
        size = int.from_bytes(data[start - 4 : start], "big")
        if start + size > len(data):
            return
        value, padding = data[start : start + size], bytes(size % 2)
        yield _Block(kind, data[at:start] + value + padding, value, start + size + len(padding))
        at = start + size + len(padding)


def of_iptc(records: bytes) -> bytes:
    """Image resources that hold IPTC records and nothing else."""
    head = struct.pack(">4sHHL", _SIGNATURES[0], _IPTC, 0, len(records))
    return head + records + bytes(len(records) % 2)


def resolution_of(resources: bytes) -> Resolution | None:
    """The resolution that they state, which is always one per inch."""
    for block in _blocks(resources):
        if block.kind == _RESOLUTION and len(block.value) >= 12:
            across, down = (number / 65536 for number in struct.unpack_from(">L4xL", block.value))
            return stated(across, down, "inch")
    return None


def without_places(resources: bytes) -> tuple[bytes | None, tuple[str, ...]]:
    """Those of a picture that was turned or extended: without places in it, and the names of these.

    The resolution, which has its own field, goes too: that of a picture on its side has its sides swapped.
    """
    blocks = list(_blocks(resources))
    kept = b"".join(block.whole for block in blocks if block.kind not in (*_PLACES, _RESOLUTION))
    names = (_PLACES[block.kind] for block in blocks if block.kind in _PLACES)
    return kept or None, tuple(dict.fromkeys(names))
