"""TIFF directories: the EXIF block of every format, and the tags of TIFF files themselves.

Layout after TIFF 6.0 (Adobe, 1992), the BigTIFF design and Exif 3.0 (CIPA DC-008). Malformed input
raises ValueError; nothing here looks at pixels.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

SHORT, LONG, RATIONAL, BYTE, UNDEFINED = 3, 4, 5, 1, 7
WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC = 256, 257, 258, 259, 262
ORIENTATION, SAMPLES, X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT = 274, 277, 282, 283, 296
STRIP_OFFSETS, STRIP_ROWS, STRIP_SIZES = 273, 278, 279
TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_SIZES = 322, 323, 324, 325
SUBFILE_TYPE, OLD_SUBFILE_TYPE, SUB_IFDS, DNG_VERSION = 254, 255, 330, 50706
FILL_ORDER, PLANAR, CCITT_OPTIONS, PREDICTOR, COLOUR_MAP = 266, 284, (292, 293), 317, 320
INK_SET, EXTRA_SAMPLES, SAMPLE_FORMAT, JPEG_TABLES, YCBCR = 332, 338, 339, 347, (529, 530, 531, 532)
XMP, IPTC, PHOTOSHOP, ICC_PROFILE, PHOTOSHOP_LAYERS = 700, 33723, 34377, 34675, 37724
EXIF_IFD, GPS_IFD, INTEROP_IFD = 34665, 34853, 40965
PIXEL_X, PIXEL_Y = 40962, 40963

SUBDIRECTORIES = (EXIF_IFD, GPS_IFD, INTEROP_IFD)

# Tags that describe how a TIFF file's samples lie, or that have a field of their own in a Picture.
STRUCTURAL = frozenset(
    (
        *(*range(254, 260), *range(262, 267), 273, 274, *range(277, 285), *range(288, 294), 296, 297, 301),
        *(*range(317, 329), *range(330, 348), *range(512, 522), *range(529, 533), 559),
        *(XMP, IPTC, PHOTOSHOP, ICC_PROFILE, PHOTOSHOP_LAYERS),
    )
)

# Bytes of one value of each type, and of the part of it that byte order turns round.
_UNIT = dict.fromkeys((1, 2, 6, 7), 1) | dict.fromkeys((3, 8), 2) | dict.fromkeys((4, 5, 9, 10, 11, 13), 4)
_UNIT |= dict.fromkeys((12, 16, 17, 18), 8)
_SIZE = _UNIT | {5: 8, 10: 8}
_NUMBERS = {1: "u1", 3: "<u2", 4: "<u4", 5: "<u4", 13: "<u4", 16: "<u8"}


@dataclass(frozen=True, slots=True)
class Entry:
    """One tag. `value` is always little-endian; `position` is the offset of its record."""

    kind: int
    count: int
    value: bytes
    position: int = 0

    def numbers(self) -> list[int]:
        """The unsigned integers of the value; a RATIONAL gives numerator, denominator."""
        if self.kind not in _NUMBERS:
            raise ValueError(f"type {self.kind} is not an unsigned number")
        return [int(n) for n in np.frombuffer(self.value, _NUMBERS[self.kind])]


_MAX_TAGS = 65535  # a tag number has 16 bits
SHORT_BYTES = 8192
"""Longest value that `read_short_entries` reads."""

Directory = dict[int, "Entry | Directory"]


@dataclass(frozen=True, slots=True)
class Layout:
    """Byte order of a TIFF structure ("<" or ">") and whether it is BigTIFF."""

    order: str
    big: bool


def first_directory(data: bytes) -> tuple[Layout, int]:
    """Layout of a TIFF structure and offset of its first directory."""
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None:
        raise ValueError("no TIFF byte order mark")
    (magic,) = _unpack(order + "H", data, 2)
    if magic not in (42, 43):
        raise ValueError(f"TIFF magic number {magic}, not 42 or 43")
    layout = Layout(order, magic == 43)
    (offset,) = _unpack(order + ("Q" if layout.big else "L"), data, 8 if layout.big else 4)
    return layout, offset


def read_entries(data: bytes, layout: Layout, offset: int) -> tuple[dict[int, Entry], int]:
    """Tags of the directory at `offset`, and where the offset of the next directory is written."""
    positions, following = _records(data, layout, offset)
    entries, room = {}, 2 * len(data)  # some writers let two tags share a value; a bomb lets thousands do so
    for position in positions:
        tag, entry = _read_entry(data, layout, position)
        if entry is not None:
            entries[tag] = entry
            room -= len(entry.value)
        if room < 0:
            raise ValueError("its tags' values lie on top of one another")
    return entries, following


def read_short_entries(
    data: bytes, layout: Layout, offset: int, wanted: Collection[int]
) -> tuple[dict[int, Entry], int]:
    """As `read_entries`, but only the tags `wanted`, and those longer than `SHORT_BYTES` left out.

    Thousands of directories can so be looked at, though all their values are the same long one.
    """
    positions, following = _records(data, layout, offset)
    entries = {}
    for position in positions:
        (tag,) = _unpack(layout.order + "H", data, position)
        if tag in wanted and _length(data, layout, position) <= SHORT_BYTES:
            _, entry = _read_entry(data, layout, position)
            if entry is not None:
                entries[tag] = entry
    return entries, following


def _records(data: bytes, layout: Layout, offset: int) -> tuple[range, int]:
    """Where the records of a directory begin, and where they end."""
    (count,) = _unpack(layout.order + ("Q" if layout.big else "H"), data, offset)
    start, size = offset + (8 if layout.big else 2), 20 if layout.big else 12
    if start + count * size > len(data) or count > _MAX_TAGS:
        raise ValueError(f"a directory of {count} tags goes beyond the end")
    return range(start, start + count * size, size), start + count * size


def _length(data: bytes, layout: Layout, position: int) -> int:
    """Bytes of a tag's value, as far as its type is known."""
    _, kind, count = _unpack(layout.order + ("HHQ" if layout.big else "HHL"), data, position)
    return count * _SIZE.get(kind, 0)


def next_directory(data: bytes, layout: Layout, following: int) -> int:
    """The offset written at `following`, as `read_entries` gives it; 0 after the last directory."""
    if following >= len(data):
        return 0  # some writers leave the last one out
    return _unpack(layout.order + ("Q" if layout.big else "L"), data, following)[0]


def _read_entry(data: bytes, layout: Layout, position: int) -> tuple[int, Entry | None]:
    tag, kind, count = _unpack(layout.order + ("HHQ" if layout.big else "HHL"), data, position)
    if kind not in _SIZE:
        return tag, None  # TIFF 6.0: readers skip types they do not know
    length, where = count * _SIZE[kind], position + (12 if layout.big else 8)
    if length > (8 if layout.big else 4):
        (where,) = _unpack(layout.order + ("Q" if layout.big else "L"), data, where)
    if where + length > len(data):
        raise ValueError(f"the value of tag {tag} goes beyond the end")
    value = data[where : where + length]
    if layout.order == ">" and _UNIT[kind] > 1:
        value = np.frombuffer(value, f"u{_UNIT[kind]}").byteswap().tobytes()
    return tag, Entry(kind, count, value, position)


def read_tree(data: bytes, layout: Layout, offset: int, depth: int = 0) -> Directory:
    """Tags of a directory, its EXIF, GPS and interoperability directories read in place."""
    tree: Directory = dict(read_entries(data, layout, offset)[0])
    for tag in SUBDIRECTORIES:
        entry = tree.get(tag)
        if isinstance(entry, Entry):
            if depth >= 2 or not entry.numbers():
                raise ValueError(f"directory {tag} does not belong where it is")
            tree[tag] = read_tree(data, layout, entry.numbers()[0], depth + 1)
    return tree


def write_tree(tree: Mapping[int, Entry | Directory], start: int, big: bool = False) -> bytes:
    """A little-endian directory to lie at `start`, followed by its values and subdirectories."""
    inline, pointer = (8, "<Q") if big else (4, "<L")
    head = struct.pack("<Q" if big else "<H", len(tree))
    records, tail = bytearray(), bytearray()
    values = start + len(head) + len(tree) * (20 if big else 12) + inline
    for tag in sorted(tree):
        item, at = tree[tag], struct.pack(pointer, values + len(tail))
        if isinstance(item, Entry):
            kind, count, value = item.kind, item.count, item.value
        else:
            kind, count, value = LONG, 1, at[:4]
            tail += write_tree(item, values + len(tail), big)
        if len(value) > inline:
            tail, value = tail + value, at
        tail += bytes(len(tail) % 2)
        records += struct.pack("<HHQ" if big else "<HHL", tag, kind, count) + value.ljust(inline, b"\0")
    return bytes(head + records + bytes(inline) + tail)


def write_exif(tree: Mapping[int, Entry | Directory]) -> bytes:
    """A whole little-endian EXIF block."""
    return struct.pack("<2sHL", b"II", 42, 8) + write_tree(tree, 8)


def orientation_of(entries: Mapping[int, Entry]) -> int:
    """Orientation 1 to 8; 0 where it is absent or invalid."""
    value = number(entries, ORIENTATION, 0)
    return value if 1 <= value <= 8 else 0


def dpi_of(entries: Mapping[int, Entry]) -> tuple[float, float] | None:
    """Resolution in dots per inch, or None."""
    scale = {2: 1.0, 3: 2.54}.get(number(entries, RESOLUTION_UNIT, 2))
    stated = [entries[tag] for tag in (X_RESOLUTION, Y_RESOLUTION) if tag in entries]
    pairs = [entry.numbers() for entry in stated if entry.kind == RATIONAL]
    if scale is None or len(pairs) != 2 or any(len(pair) != 2 or 0 in pair for pair in pairs):
        return None
    (x, x_per), (y, y_per) = pairs
    return x / x_per * scale, y / y_per * scale


def number(entries: Mapping[int, Entry], tag: int, default: int) -> int:
    """The first number of a tag, or `default` where it has none."""
    values = entries[tag].numbers() if tag in entries and entries[tag].kind in _NUMBERS else []
    return values[0] if values else default


def dpi_entries(dpi: tuple[float, float]) -> dict[int, Entry]:
    """The three tags that state a resolution in dots per inch."""
    x, y = (struct.pack("<2L", round(value * 10_000), 10_000) for value in dpi)
    return {
        X_RESOLUTION: Entry(RATIONAL, 1, x),
        Y_RESOLUTION: Entry(RATIONAL, 1, y),
        RESOLUTION_UNIT: Entry(SHORT, 1, struct.pack("<H", 2)),
    }


def upright(exif: bytes) -> bytes:
    """The EXIF of the upright picture: Orientation 1, and no thumbnail of the damaged one.

    All other bytes stay where they are, since maker notes hold offsets into the block.
    """
    layout, offset = first_directory(exif)
    read_tree(exif, layout, offset)  # refuses what a reader could not follow
    entries, following = read_entries(exif, layout, offset)
    block = bytearray(exif)
    if following + 4 <= len(block):
        block[following : following + 4] = bytes(4)
    _overwrite(block, layout, entries, ORIENTATION, 1)
    return bytes(block)


def resized(exif: bytes, width: int, height: int) -> bytes:
    """The EXIF with the picture's new size in px, where it states a size."""
    layout, offset = first_directory(exif)
    pointer = read_entries(exif, layout, offset)[0].get(EXIF_IFD)
    if pointer is None:
        return exif
    entries, _ = read_entries(exif, layout, pointer.numbers()[0])
    block = bytearray(exif)
    _overwrite(block, layout, entries, PIXEL_X, width)
    _overwrite(block, layout, entries, PIXEL_Y, height)
    return bytes(block)


def _overwrite(block: bytearray, layout: Layout, entries: Mapping[int, Entry], tag: int, value: int) -> None:
    entry = entries.get(tag)
    kind = {SHORT: "H", LONG: "L"}.get(entry.kind) if entry is not None and entry.count == 1 else None
    if entry is not None and kind is not None and (kind == "L" or value < 1 << 16):
        struct.pack_into(layout.order + kind, block, entry.position + 8, value)


def _unpack(form: str, data: bytes, offset: int) -> tuple[int, ...]:
    if offset + struct.calcsize(form) > len(data):
        raise ValueError(f"nothing at offset {offset}")
    return struct.unpack_from(form, data, offset)
