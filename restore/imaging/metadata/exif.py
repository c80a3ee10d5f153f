"""TIFF directories: the EXIF block of every format, and the tags of TIFF files themselves.

Layout after TIFF 6.0 (Adobe, 1992), the BigTIFF design and Exif 3.0 (CIPA DC-008). Malformed input
raises ValueError; nothing here looks at pixels.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from restore.imaging.resolution import Resolution, Unit, stated

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

TRANSFER_FUNCTION, WHITE_POINT, PRIMARIES = 301, 318, 319
COLOURS = {TRANSFER_FUNCTION: "transfer function", WHITE_POINT: "white point", PRIMARIES: "primaries"}
"""Tags of a TIFF or of EXIF that say what its colours mean, where no ICC profile does."""

SUBDIRECTORIES = {EXIF_IFD: "exif", GPS_IFD: "gps", INTEROP_IFD: "interoperability"}

# Tags that describe how a TIFF file's samples lie, or that have a field of their own in a Picture.
STRUCTURAL = frozenset(
    (
        *(*range(254, 260), 262, 266, 273, 274, *range(277, 285), *range(288, 294), 296, 317, 320),
        *(*range(322, 329), *range(330, 337), *range(338, 348), 400, *range(512, 522), *range(529, 533), 559),
        *(XMP, IPTC, PHOTOSHOP, ICC_PROFILE, PHOTOSHOP_LAYERS),
    )
)

# Bytes of one value of each type, and of the part of it that byte order turns round. 129 is Exif 3.0's UTF-8.
_UNIT = (
    dict.fromkeys((1, 2, 6, 7, 129), 1) | dict.fromkeys((3, 8), 2) | dict.fromkeys((4, 5, 9, 10, 11, 13), 4)
)
_UNIT |= dict.fromkeys((12, 16, 17, 18), 8)
_SIZE = _UNIT | {5: 8, 10: 8}
_UNITS: Mapping[int, Unit] = {1: "none", 2: "inch", 3: "centimetre"}
_NUMBERS = {1: "u1", 3: "<u2", 4: "<u4", 5: "<u4", 13: "<u4", 16: "<u8", 18: "<u8"}


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
class Fault:
    """A tag that cannot be read.

    Attributes:
        directory, position: offsets of its directory and of its record.
        tag: its number.
        name: of what is lost with it.
    """

    directory: int
    position: int
    tag: int
    name: str


@dataclass(frozen=True, slots=True)
class Found:
    """The tags of a directory.

    Attributes:
        entries: by their number.
        following: where the offset of the next directory is written.
        faults: tags of an unknown type, or whose value goes beyond the end.
    """

    entries: dict[int, Entry]
    following: int
    faults: tuple[Fault, ...]


@dataclass(frozen=True, slots=True)
class Tree:
    """The tags of a directory and of those below it.

    Attributes:
        spans: start and end of each directory, without its tags' values.
    """

    items: Directory
    faults: tuple[Fault, ...]
    spans: tuple[tuple[int, int], ...]


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


def read_directory(data: bytes, layout: Layout, offset: int, name: str = "exif") -> Found:
    """Tags of the directory at `offset`, as far as they can be read.

    Args:
        name: of the directory, for its faults.

    Raises:
        ValueError: the directory itself cannot be read, or its tags' values lie on top of one another.
    """
    positions, following = _records(data, layout, offset)
    entries, faults = {}, []
    room = 2 * len(data)  # some writers let two tags share a value; a bomb lets thousands do so
    for position in positions:
        tag, entry = _read_entry(data, layout, position)
        if entry is None:
            faults.append(Fault(offset, position, tag, f"{name} tag {tag}"))
            continue
        entries[tag] = entry
        room -= len(entry.value)
        if room < 0:
            raise ValueError("its tags' values lie on top of one another")
    return Found(entries, following, tuple(faults))


def read_entries(data: bytes, layout: Layout, offset: int) -> tuple[dict[int, Entry], int]:
    """Tags of a directory of which all can be read, and where the offset of the next one is written."""
    found = read_directory(data, layout, offset)
    if found.faults:
        raise ValueError(f"tag {found.faults[0].tag} has no sound value")
    return found.entries, found.following


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
    """A tag's number and the tag; None where its type is unknown or its value goes beyond the end."""
    tag, kind, count = _unpack(layout.order + ("HHQ" if layout.big else "HHL"), data, position)
    if kind not in _SIZE:
        return tag, None
    length, where = count * _SIZE[kind], position + (12 if layout.big else 8)
    if length > (8 if layout.big else 4):
        (where,) = _unpack(layout.order + ("Q" if layout.big else "L"), data, where)
    if where + length > len(data):
        return tag, None
    value = data[where : where + length]
    if layout.order == ">" and _UNIT[kind] > 1:
        value = np.frombuffer(value, f"u{_UNIT[kind]}").byteswap().tobytes()
    return tag, Entry(kind, count, value, position)


def read_tree(
    data: bytes, layout: Layout, offset: int, above: tuple[int, ...] = (), name: str = "exif"
) -> Tree:
    """Tags of a directory, its EXIF, GPS and interoperability directories read in place.

    Args:
        above: offsets of the directories that lead to this one.
    """
    found = read_directory(data, layout, offset, name)
    items: Directory = dict(found.entries)
    faults, spans = list(found.faults), [(offset, found.following)]
    for tag in sorted(SUBDIRECTORIES.keys() & found.entries.keys()):
        try:
            (start,) = found.entries[tag].numbers()
            if start in (offset, *above) or len(above) == 2:
                raise ValueError(f"directory {tag} does not belong where it is")
            below = read_tree(data, layout, start, (offset, *above), SUBDIRECTORIES[tag])
        except ValueError:
            del items[tag]
            lost = f"{SUBDIRECTORIES[tag]} directory"
            faults.append(Fault(offset, found.entries[tag].position, tag, lost))
        else:
            items[tag] = below.items
            faults += below.faults
            spans += below.spans
    return Tree(items, tuple(faults), tuple(spans))


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


def shortened(exif: bytes, most: int) -> tuple[bytes | None, tuple[str, ...]]:
    """An EXIF block of at most `most` bytes, without its longest tags, and the names of these."""
    tree, lost = read_tree(exif, *first_directory(exif)).items, []
    excess = len(write_exif(tree)) - most
    for length, name, directory, tag in sorted(_leaves(tree, "exif"), key=lambda leaf: -leaf[0]):
        if excess <= 0:
            break
        del directory[tag]
        lost.append(f"{name} tag {tag}")
        excess -= length
    return write_exif(tree) if excess <= 0 else None, tuple(lost)


def _leaves(tree: Directory, name: str) -> Iterator[tuple[int, str, Directory, int]]:
    """Length of each tag's value, the name of its directory, that directory, and its number."""
    for tag, item in tree.items():
        if isinstance(item, Entry):
            yield len(item.value), name, tree, tag
        else:
            yield from _leaves(item, SUBDIRECTORIES[tag])


def orientation_of(entries: Mapping[int, Entry]) -> int:
    """Orientation 1 to 8; 0 where it is absent or invalid."""
    value = number(entries, ORIENTATION, 0)
    return value if 1 <= value <= 8 else 0


def resolution_of(entries: Mapping[int, Entry]) -> Resolution | None:
    """The resolution, or None where none is stated that can be read."""
    unit = _UNITS.get(number(entries, RESOLUTION_UNIT, 2))
    found = [entries[tag] for tag in (X_RESOLUTION, Y_RESOLUTION) if tag in entries]
    pairs = [entry.numbers() for entry in found if entry.kind == RATIONAL]
    if unit is None or len(pairs) != 2 or any(len(pair) != 2 or 0 in pair for pair in pairs):
        return None
    (x, x_per), (y, y_per) = pairs
    return stated(x / x_per, y / y_per, unit)


def lacks_resolution(entries: Mapping[int, Entry]) -> bool:
    """Whether something is stated of the resolution that cannot be read: not zeros, nor 1 without a unit."""
    found = [entries[tag] for tag in (X_RESOLUTION, Y_RESOLUTION) if tag in entries]
    return bool(found) and resolution_of(entries) is None and not all(map(_idle, found))


def _idle(entry: Entry) -> bool:
    """Whether a resolution says nothing: a zero, or 1."""
    if entry.kind != RATIONAL:
        return False
    pair = entry.numbers()
    return 0 in pair or len(set(pair)) == 1


def number(entries: Mapping[int, Entry], tag: int, default: int) -> int:
    """The first number of a tag, or `default` where it has none."""
    values = entries[tag].numbers() if tag in entries and entries[tag].kind in _NUMBERS else []
    return values[0] if values else default


def resolution_entries(resolution: Resolution) -> dict[int, Entry]:
    """The three tags that state a resolution."""
    x, y = (struct.pack("<2L", round(value * 10_000), 10_000) for value in (resolution.x, resolution.y))
    unit = next(number for number, name in _UNITS.items() if name == resolution.unit)
    return {
        X_RESOLUTION: Entry(RATIONAL, 1, x),
        Y_RESOLUTION: Entry(RATIONAL, 1, y),
        RESOLUTION_UNIT: Entry(SHORT, 1, struct.pack("<H", unit)),
    }


def sound(exif: bytes) -> tuple[bytes, tuple[str, ...]]:
    """An EXIF block without the tags that no reader could follow, and the names of what they held.

    All other bytes stay where they are, since maker notes hold offsets into the block.

    Raises:
        ValueError: its first directory cannot be read, or no tag in it, or its directories overlap.
    """
    layout, offset = first_directory(exif)
    tree = read_tree(exif, layout, offset)
    spans = sorted(tree.spans)
    if not tree.items or any(end > start for (_, end), (start, _) in pairwise(spans)):
        raise ValueError("it has no tag that can be read, or its directories overlap")
    block = _without_records(exif, layout, tree.faults)
    return block, tuple(fault.name for fault in tree.faults)


def without_tags(exif: bytes, names: Mapping[int, str]) -> tuple[bytes, tuple[str, ...]]:
    """An EXIF block whose first directory lacks the tags in `names`, and the names of those it had."""
    layout, offset = first_directory(exif)
    entries, _ = read_entries(exif, layout, offset)
    lost = [Fault(offset, entries[tag].position, tag, names[tag]) for tag in names if tag in entries]
    return _without_records(exif, layout, lost), tuple(fault.name for fault in lost)


def _without_records(exif: bytes, layout: Layout, faults: Iterable[Fault]) -> bytes:
    """A block whose directories lack some of their records; the records behind them move up."""
    lost: dict[int, set[int]] = {}
    for fault in faults:
        lost.setdefault(fault.directory, set()).add(fault.position)
    form, size, pointer = ("Q", 20, 8) if layout.big else ("H", 12, 4)
    block = bytearray(exif)
    for directory, positions in lost.items():
        records, following = _records(exif, layout, directory)
        kept = [exif[at : at + size] for at in records if at not in positions]
        moved = b"".join([*kept, exif[following : following + pointer]])
        struct.pack_into(layout.order + form, block, directory, len(kept))
        block[records.start : following + pointer] = moved.ljust(following + pointer - records.start, b"\0")
    return bytes(block[: len(exif)])


def upright(exif: bytes) -> bytes:
    """The EXIF of the upright picture: Orientation 1, and no thumbnail of the damaged one.

    All other bytes stay where they are, since maker notes hold offsets into the block.
    """
    layout, offset = first_directory(exif)
    entries, following = read_entries(exif, layout, offset)
    block = bytearray(exif)
    if following + 4 <= len(block):
        block[following : following + 4] = bytes(4)
    _overwrite(block, layout, entries, ORIENTATION, 1)
    return bytes(block)


def on_its_side(exif: bytes) -> bytes:
    """The EXIF of a picture after a quarter turn: its two resolutions change places."""
    layout, offset = first_directory(exif)
    entries, _ = read_entries(exif, layout, offset)
    pair = [entries[tag] for tag in (X_RESOLUTION, Y_RESOLUTION) if tag in entries]
    if [(entry.kind, entry.count) for entry in pair] != [(RATIONAL, 1)] * 2:
        return exif
    at, size = (12, 8) if layout.big else (8, 4)  # of a value, or of the offset where it lies
    across, down = (slice(entry.position + at, entry.position + at + size) for entry in pair)
    block = bytearray(exif)
    block[across], block[down] = exif[down], exif[across]
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
