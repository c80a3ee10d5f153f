"""AVIF files: boxes of HEIF (ISO/IEC 23008-12), the head of AV1 (its bitstream specification, 5.5), MIAF.

A HEIF that holds another codec, such as a phone's HEVC, is refused by name.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from restore.imaging.metadata.fields.bits import Bits
from restore.imaging.metadata.fields.boxes import Box, boxes
from restore.imaging.metadata.record import Metadata, Stated
from restore.imaging.pixels import Mode

_ALPHA = b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha"
_XMP = b"application/rdf+xml"
_EXIF = b"Exif"
_HEVC = (b"hvc1", b"hev1")
_AV1, _GRID = b"av01", b"grid"
_MOST = 10_000  # items, properties or references
_HEAD_BYTES = 64  # of AV1 samples; a sequence header has about 12
_SEQUENCE_HEADER = 1
_BLOCK = 128  # px; a frame, or a cell of a grid, may be larger than what is shown of it
# ITU-T H.273: primaries of BT.709 or unspecified; curves of BT.709, sRGB and their like, or unspecified.
_PLAIN_PRIMARIES, _PLAIN_CURVES = (1, 2), (1, 2, 6, 13, 14, 15)
# By quarter turns anticlockwise, then mirrored not at all, top to bottom, left to right: EXIF's Orientation.
_TURNED = {0: (1, 4, 2), 1: (8, 5, 7), 2: (3, 2, 4), 3: (6, 7, 5)}


@dataclass(frozen=True, slots=True)
class _File:
    """The items of a file.

    Attributes:
        kinds: by item, its type, and behind a blank the content type of "mime".
        places: by item, the (start, end) of its parts.
        references: (type, from, to).
        properties: by item, its properties in their order.
    """

    primary: int
    kinds: Mapping[int, bytes]
    places: Mapping[int, Sequence[tuple[int, int]]]
    references: Sequence[tuple[bytes, int, int]]
    properties: Mapping[int, Sequence[Box]]

    def bound(self, kind: bytes, to: int) -> list[int]:
        """The items that refer to item `to`."""
        return [source for name, source, target in self.references if (name, target) == (kind, to)]


def read(data: bytes) -> Metadata:
    """The metadata of the primary item and of the items that describe it."""
    top = list(boxes(data))
    found = next((box for box in top if box.kind == b"meta"), None)
    if found is None:
        raise ValueError("it has no picture's description")
    file = _file(data, found)
    cells = _cells(file, file.primary)
    kind = file.kinds.get(cells[0], b"")
    if kind != _AV1:
        codec = "HEVC (HEIC)" if kind in _HEVC else repr(kind)
        return Metadata(found=f"HEIF of {codec}; save it as TIFF or PNG")
    own = {box.kind: data[box.start : box.end] for box in file.properties[file.primary]}
    size = struct.unpack_from(">2L", own.get(b"ispe", b"")[4:].ljust(8, b"\0"))
    alpha = [item for item in file.bound(b"auxl", file.primary) if _is_alpha(data, file, item)]
    for item in (*cells, *(cell for layer in alpha for cell in _cells(file, layer))):
        _check_frame(data, file, item, size)
    described = {box.kind: data[box.start : box.end] for box in file.properties.get(cells[0], ())}
    multiplied = any(name == b"prem" for name, _, _ in file.references)
    described_by = file.bound(b"cdsc", file.primary)
    texts = {file.kinds.get(item, b""): _content(data, file, item) for item in reversed(described_by)}
    unread = len(described_by) > len(texts.keys() & {_EXIF, b"mime " + _XMP})
    beside = len(file.bound(b"auxl", file.primary)) > len(alpha)
    icc, wide = _colours(data, file.properties[file.primary])
    exif = texts.get(_EXIF, b"")
    return Metadata(
        icc=icc,
        exif=exif[4 + int.from_bytes(exif[:4], "big") :] or None,
        xmp=texts.get(b"mime " + _XMP),
        orientation=_orientation(own),
        size=size,
        pages=2 if any(box.kind == b"moov" for box in top) else 1,
        lossless=False,
        stated=_stated(described.get(b"av1C", b""), bool(alpha), multiplied),
        found=_refused(own, wide),
        dropped=(*["boxes"] * unread, *["further pictures"] * beside),
    )


def strip(data: bytes) -> bytes:
    """The file as it is: libavif reads no metadata unless it is asked to."""
    return data


def _refused(own: Mapping[bytes, bytes], wide: bool) -> str | None:
    if b"clap" in own:
        return "AVIF that shows a part of its picture (clap)"
    return "AVIF of wide or HDR colours without an ICC profile" if wide else None


def _stated(config: bytes, alpha: bool, multiplied: bool) -> Stated:
    """Mode and depth by the configuration of AV1 (av1C)."""
    if len(config) < 4:
        raise ValueError("it has no configuration of AV1")
    bits = 8 + 2 * bool(config[2] & 0x40) + 2 * bool(config[2] & 0x20)
    modes: dict[tuple[bool, bool], Mode] = {
        (False, False): "RGB",
        (False, True): "RGBA",
        (True, False): "L",
        (True, True): "LA",
    }
    mode = modes[bool(config[2] & 0x10), alpha]
    return Stated(mode=mode, bits=bits, alpha="premultiplied" if alpha and multiplied else "straight")


def _colours(data: bytes, properties: Sequence[Box]) -> tuple[bytes | None, bool]:
    """ICC profile, and whether colours other than sRGB's are stated without one."""
    stated = [data[box.start : box.end] for box in properties if box.kind == b"colr"]
    icc = next((value[4:] for value in stated if value[:4] in (b"prof", b"rICC")), None)
    codes = next((value[4:8] for value in stated if value[:4] == b"nclx" and len(value) >= 8), None)
    if icc is not None or codes is None:
        return icc, False
    primaries, curve = struct.unpack(">2H", codes)
    return None, primaries not in _PLAIN_PRIMARIES or curve not in _PLAIN_CURVES


def _orientation(own: Mapping[bytes, bytes]) -> int:
    """EXIF's number for a rotation and, after it, a mirroring (MIAF, 7.3.6.7)."""
    turns = own.get(b"irot", b"\0")[:1] or b"\0"
    mirrored = own.get(b"imir")
    axis = 0 if not mirrored else 1 + (mirrored[0] & 1)
    return _TURNED[turns[0] & 3][axis]


def _is_alpha(data: bytes, file: _File, item: int) -> bool:
    kinds = [data[box.start + 4 : box.end] for box in file.properties.get(item, ()) if box.kind == b"auxC"]
    return any(kind.startswith(_ALPHA) for kind in kinds)


def _cells(file: _File, item: int) -> list[int]:
    """The items that hold the samples of an item: those of a grid, or itself."""
    if file.kinds.get(item) != _GRID:
        return [item]
    parts = [target for name, source, target in file.references if (name, source) == (b"dimg", item)]
    if not parts or any(file.kinds.get(part) == _GRID for part in parts):
        raise ValueError("its grid has no cells")
    return parts


def _content(data: bytes, file: _File, item: int) -> bytes:
    parts = file.places.get(item, ())
    if sum(end - start for start, end in parts) > len(data):
        raise ValueError("the parts of an item lie on top of one another")
    return b"".join(data[start:end] for start, end in parts)


def _check_frame(data: bytes, file: _File, item: int, size: tuple[int, int]) -> None:
    """Refuses samples whose own frame is larger than the picture: its decoder would allocate it."""
    place, end = next(iter(file.places.get(item, ())), (0, 0))
    start = data[place : min(end, place + _HEAD_BYTES)]
    while len(start) > 2:
        kind, extended, sized = start[0] >> 3 & 15, start[0] & 4, start[0] & 2
        body, length = start[1 + bool(extended) :], 0
        if sized:
            length, body = _leb128(body)
        if kind == _SEQUENCE_HEADER:
            width, height = _frame(Bits(body, "highest"))
            if width > 2 * size[0] + _BLOCK or height > 2 * size[1] + _BLOCK:
                raise ValueError(f"a frame of {width} x {height} px in a picture of {size[0]} x {size[1]}")
            return
        start = body[length:] if sized else b""
    raise ValueError("its samples do not begin as AV1 does")


def _leb128(data: bytes) -> tuple[int, bytes]:
    value = 0
    for number, byte in enumerate(data[:8]):
        value |= (byte & 0x7F) << (7 * number)
        if not byte & 0x80:
            return value, data[number + 1 :]
    raise ValueError("its samples do not begin as AV1 does")


def _frame(head: Bits) -> tuple[int, int]:
    """Largest width and height that a sequence header states (AV1, 5.5.1)."""
    head.number(4)  # profile, still_picture
    if head.flag():  # reduced_still_picture_header
        head.number(5)
    else:
        if head.flag():  # timing_info_present_flag
            raise ValueError("a clock in the head of a still picture")
        delays = head.flag()
        for _ in range(head.number(5) + 1):  # operating points
            head.number(12)
            if head.number(5) > 7:
                head.number(1)
            if delays and head.flag():
                head.number(4)
    width_bits, height_bits = head.number(4) + 1, head.number(4) + 1
    return head.number(width_bits) + 1, head.number(height_bits) + 1


# The description of items (ISO/IEC 14496-12, 8.11) --------------------------------------------------


class _Fields:
    """Unsigned numbers of a box, one after another.

    Attributes:
        version, flags: of a box that begins with them.
    """

    def __init__(self, data: bytes, box: Box, versioned: bool = True) -> None:
        self._data, self._at, self._end = data, box.start, box.end
        self.version = self.number(1) if versioned else 0
        self.flags = self.number(3) if versioned else 0

    def number(self, size: int) -> int:
        """The next number of `size` bytes."""
        if self._at + size > self._end:
            raise ValueError("a box ends within a number")
        self._at += size
        return int.from_bytes(self._data[self._at - size : self._at], "big")

    def rest(self) -> tuple[int, int]:
        """Where the fields that were not read begin and end."""
        return self._at, self._end

    def count(self, size: int) -> int:
        """The next number, of things that a box lists: some of them take no bytes."""
        number = self.number(size)
        if number > _MOST:
            raise ValueError(f"a list of {number}")
        return number


def _file(data: bytes, meta: Box) -> _File:
    inner = {box.kind: box for box in boxes(data, *_Fields(data, meta).rest())}
    if not inner.keys() >= {b"pitm", b"iinf", b"iloc", b"iprp"}:
        raise ValueError("its description lacks a part")
    primary = _Fields(data, inner[b"pitm"])
    file = _File(
        primary=primary.number(4 if primary.version else 2),
        kinds=_kinds(data, inner[b"iinf"]),
        places=_places(data, inner[b"iloc"], inner.get(b"idat")),
        references=_references(data, inner[b"iref"]) if b"iref" in inner else (),
        properties=_properties(data, inner[b"iprp"]),
    )
    if file.primary not in file.kinds or file.primary not in file.properties:
        raise ValueError("its primary picture is not described")
    return file


def _kinds(data: bytes, iinf: Box) -> dict[int, bytes]:
    """By item, its type, and behind a blank the content type of "mime"."""
    found = {}
    list_of = _Fields(data, iinf)
    list_of.number(4 if list_of.version else 2)
    for box in boxes(data, *list_of.rest()):
        fields = _Fields(data, box)
        if box.kind != b"infe" or fields.version not in (2, 3):
            continue
        item = fields.number(2 if fields.version == 2 else 4)
        fields.number(2)
        kind = fields.number(4).to_bytes(4, "big")
        start, end = fields.rest()
        texts = data[start:end].split(b"\0")  # name, content type
        found[item] = kind + b" " + texts[1] if kind == b"mime" and len(texts) > 1 else kind
    return found


def _places(data: bytes, iloc: Box, idat: Box | None) -> dict[int, list[tuple[int, int]]]:
    """By item, the (start, end) of its parts in the file."""
    fields, room = _Fields(data, iloc), _MOST
    sizes, more = fields.number(1), fields.number(1)
    index_size = more & 15 if fields.version else 0
    wide = 4 if fields.version == 2 else 2
    found: dict[int, list[tuple[int, int]]] = {}
    for _ in range(fields.count(wide)):
        item = fields.number(wide)
        method = fields.number(2) & 15 if fields.version else 0
        fields.number(2)  # the file itself
        base = fields.number(more >> 4) + (idat.start if method == 1 and idat else 0)
        parts = found.setdefault(item, [])
        for _ in range(fields.count(2)):
            fields.number(index_size)
            start = base + fields.number(sizes >> 4)
            parts.append((start, start + fields.number(sizes & 15)))
            room -= 1
            if parts[-1][1] > len(data) or room < 0:
                raise ValueError("an item goes beyond the end, or lies in too many parts")
    return found


def _references(data: bytes, iref: Box) -> list[tuple[bytes, int, int]]:
    list_of, found = _Fields(data, iref), []
    size = 4 if list_of.version else 2
    for box in boxes(data, *list_of.rest()):
        fields = _Fields(data, box, versioned=False)
        source = fields.number(size)
        found += [(box.kind, source, fields.number(size)) for _ in range(fields.count(2))]
    return found


def _properties(data: bytes, iprp: Box) -> dict[int, list[Box]]:
    inner = list(boxes(data, iprp.start, iprp.end))
    every = [box for part in inner if part.kind == b"ipco" for box in boxes(data, part.start, part.end)]
    found: dict[int, list[Box]] = {}
    for fields in (_Fields(data, part) for part in inner if part.kind == b"ipma"):
        size, mask = (2, 0x7FFF) if fields.flags & 1 else (1, 0x7F)
        for _ in range(fields.count(4)):
            own = found.setdefault(fields.number(4 if fields.version else 2), [])
            numbers = [fields.number(size) & mask for _ in range(fields.number(1))]
            own.extend(every[number - 1] for number in numbers if 0 < number <= len(every))
    return found
