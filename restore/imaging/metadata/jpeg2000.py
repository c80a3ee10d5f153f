"""JPEG 2000 files: boxes of JP2 and JPX (ISO/IEC 15444-1, annex I), and the head of the codestream (annex A).

The decoder receives the codestream alone, so no box reaches it.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from restore.imaging.metadata import iptc, photoshop
from restore.imaging.metadata.fields.boxes import Box, boxes
from restore.imaging.metadata.record import Metadata, Stated
from restore.imaging.pixels import Alpha, Mode
from restore.imaging.resolution import Resolution, stated

_XMP = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
_EXIF = b"JpgTiffExif->JP2"
_IPTC = bytes.fromhex("33c7a4d2b81d4723a0baf1a3e097ad38")
_PHOTOSHOP = bytes.fromhex("2c4c0100850440b9a03e562148d6dfeb")
_ONCE = {_XMP: "xmp", _EXIF: "exif", _PHOTOSHOP: "photoshop"}
# Boxes of the codestream and its description; the others at the top hold metadata, or a part of the picture.
_KNOWN = frozenset(
    [b"jP  ", b"ftyp", b"rreq", b"jp2h", b"jp2c", b"jpch", b"jplh", b"uuid", b"free", b"skip", b"mdat"]
)
_CODESTREAM, _SIZE, _CODING, _TILE = b"\xff\x4f\xff\x51", 0xFF51, 0xFF52, 0xFF90
_CMYK, _SRGB, _GRAY = 12, 16, 17
_MODES: dict[int, Mode] = {_SRGB: "RGB", _GRAY: "L", _CMYK: "CMYK"}
_OTHER_COLOURS = {14: "CIELAB", 18: "sYCC", 20: "e-sRGB", 21: "ROMM-RGB", 24: "e-sYCC"}
_ICC_MODES: dict[bytes, Mode] = {b"RGB ": "RGB", b"GRAY": "L", b"CMYK": "CMYK"}
_COLOURS: dict[Mode, int] = {"L": 1, "RGB": 3, "CMYK": 4}
_ALPHAS: dict[int, Alpha] = {1: "straight", 2: "premultiplied"}
_UNSPECIFIED = 65535
_MOVED = "JPEG 2000 of channels in another order"
_METRE = 0.0254  # of an inch


@dataclass(frozen=True, slots=True)
class _Head:
    """What the main header of a codestream states.

    Attributes:
        depths: of each component, as stored: bits less one, and 128 where signed.
        steps: sampling steps of each component, across and down.
        reversible: whether its wavelet transform keeps every sample.
    """

    size: tuple[int, int]
    depths: bytes
    steps: tuple[tuple[int, int], ...]
    reversible: bool


def read(data: bytes) -> Metadata:
    """The metadata of the file's boxes; of a bare codestream, its size and samples."""
    top = [] if data.startswith(_CODESTREAM) else _top(data)
    inner = [part for box in top if box.kind == b"jp2h" for part in boxes(data, box.start, box.end)]
    head = _head(data, _start_of_codestream(data, top))
    icc, mode, refused = _colours(data, inner, len(head.depths))
    roles, colours = _roles(data, inner), _COLOURS[mode]
    moved = any(roles.get(number, (0, number + 1)) != (0, number + 1) for number in range(colours))
    alpha = _alpha(roles, len(head.depths), colours)
    values = [(data[box.start : box.start + 16], data[box.start + 16 : box.end]) for box in _of(b"uuid", top)]
    first = dict(reversed(values))
    resources = photoshop.read(first.get(_PHOTOSHOP, b""))
    own = [value for uuid, value in values if uuid == _IPTC]
    records, lost = iptc.first_of([*own, *resources.iptc])
    unknown = {box.kind for box in top} - _KNOWN or first.keys() - {_XMP, _EXIF, _IPTC, _PHOTOSHOP}
    bits = (head.depths[0] & 0x7F) + 1
    return Metadata(
        icc=icc,
        exif=first.get(_EXIF),
        xmp=first.get(_XMP),
        iptc=records,
        photoshop=resources.kept,
        resolution=_resolution(data, inner),
        size=head.size,
        pages=max(sum(box.kind in (b"jp2c", b"jpch") for box in top), 1),
        lossless=head.reversible,
        stated=Stated(mode=_with_alpha(mode) if alpha else mode, bits=bits, alpha=alpha or "straight"),
        found=refused or _refused_channels(head, mode, inner) or (_MOVED if moved else None),
        dropped=(
            *(*lost, *resources.dropped, *["boxes"] * bool(unknown)),
            *(f"further {name}" for uuid, name in _ONCE.items() if _differ(values, uuid)),
        ),
    )


def _differ(values: Sequence[tuple[bytes, bytes]], uuid: bytes) -> bool:
    """Whether several boxes of one kind hold different values."""
    return len({value for each, value in values if each == uuid}) > 1


def strip(data: bytes) -> bytes:
    """The codestream."""
    if data.startswith(_CODESTREAM):
        return data
    top = _top(data)
    start = _start_of_codestream(data, top)
    return data[start : next(box.end for box in top if box.start == start)]


def _top(data: bytes) -> list[Box]:
    """The boxes of the file. What follows the codestream and is none is passed over."""
    found: list[Box] = []
    try:
        found.extend(boxes(data))
    except ValueError:
        if not _of(b"jp2c", found):
            raise
    return found


def _of(kind: bytes, among: Sequence[Box]) -> list[Box]:
    return [box for box in among if box.kind == kind]


def _start_of_codestream(data: bytes, top: Sequence[Box]) -> int:
    if not top:
        return 0
    found = _of(b"jp2c", top)
    if not found:
        raise ValueError("it has no codestream")
    return found[0].start


def _head(data: bytes, start: int) -> _Head:
    """Read the segments SIZ and COD of the main header."""
    if data[start : start + 4] != _CODESTREAM:
        raise ValueError("its codestream does not begin as one")
    at, reversible, size = start + 2, False, None
    for _ in range(1000):
        if at + 4 > len(data):
            raise ValueError("its codestream ends in the header")
        marker, length = struct.unpack_from(">2H", data, at)
        body = data[at + 4 : at + 2 + length]
        if marker == _TILE:
            break
        if marker == _SIZE:
            size = body
        elif marker == _CODING:
            reversible = body[9:10] == b"\1"
        at += 2 + length
    if size is None or len(size) < 36:
        raise ValueError("its codestream states no size")
    right, bottom, left, top = struct.unpack_from(">4L", size, 2)
    tile_width, tile_height, tiles_left, tiles_top = struct.unpack_from(">4L", size, 18)
    parts = size[36 : 36 + 3 * int.from_bytes(size[34:36], "big")]
    depths, across, down = parts[::3], parts[1::3], parts[2::3]
    sound = depths and len(down) == len(depths) and right > left and bottom > top
    if not sound or min(tile_width, tile_height) < 1:
        raise ValueError("its codestream states no sound size")
    tiles = -(-(right - tiles_left) // tile_width) * -(-(bottom - tiles_top) // tile_height)
    _check_tiles(data, at, tiles)
    return _Head((right - left, bottom - top), depths, tuple(zip(across, down, strict=True)), reversible)


def _check_tiles(data: bytes, at: int, wanted: int) -> None:
    """Refuses a codestream that lacks a tile, which the decoder leaves black without a word.

    Args:
        at: where the first tile-part begins.
        wanted: how many tiles the picture has.
    """
    seen: set[int] = set()
    while at + 12 <= len(data) and struct.unpack_from(">H", data, at)[0] == _TILE:
        number, length = struct.unpack_from(">HL", data, at + 4)
        seen.add(number)
        if length < 14:  # 0: the last one, to the end
            break
        at += length
    if len(seen) < wanted:
        raise ValueError(f"{len(seen)} of its {wanted} tiles are there")


def _colours(data: bytes, inner: Sequence[Box], channels: int) -> tuple[bytes | None, Mode, str | None]:
    """ICC profile, mode without alpha, and what is refused of the colour specification."""
    plain: Mode = "L" if channels < 3 else "RGB"
    for box in _of(b"colr", inner):
        method, stated = data[box.start : box.start + 1], data[box.start + 3 : box.end]
        if method == b"\1":
            number = int.from_bytes(stated[:4], "big")
            name = _OTHER_COLOURS.get(number, f"colour space {number}")
            return None, _MODES.get(number, plain), None if number in _MODES else f"JPEG 2000 of {name}"
        if method in (b"\2", b"\3"):
            space = stated[16:20]
            refused = None if space in _ICC_MODES else f"JPEG 2000 with a profile of {space!r}"
            return stated, _ICC_MODES.get(space, plain), refused
    return None, plain, None


def _refused_channels(head: _Head, mode: Mode, inner: Sequence[Box]) -> str | None:
    """The feature of the channels that is not accepted, in words."""
    bits, beside = (head.depths[0] & 0x7F) + 1, len(head.depths) - _COLOURS[mode]
    features = {
        "a palette": bool(_of(b"pclr", inner)),
        "channels of different depths": len(set(head.depths)) > 1,
        "signed samples": bool(head.depths[0] & 0x80),
        f"{bits}-bit samples": bits > 16,
        "subsampled channels": any(step != (1, 1) for step in head.steps),
        f"{mode} in {len(head.depths)} channels": not 0 <= beside <= (mode != "CMYK"),
    }
    return next((f"JPEG 2000 of {name}" for name, found in features.items() if found), None)


def _roles(data: bytes, inner: Sequence[Box]) -> dict[int, tuple[int, int]]:
    """By channel: its type, and the colour that it is or that it belongs to, from 1."""
    stated: dict[int, tuple[int, int]] = {}
    for box in _of(b"cdef", inner):
        entries = data[box.start + 2 : box.end]
        for number, kind, colour in struct.iter_unpack(">3H", entries[: len(entries) // 6 * 6]):
            stated[number] = (kind, colour)
    return stated


def _alpha(roles: Mapping[int, tuple[int, int]], channels: int, colours: int) -> Alpha | None:
    """What the channel beside the colours is; None where there is none."""
    if channels <= colours:
        return None
    return _ALPHAS.get(roles.get(colours, (_UNSPECIFIED, 0))[0], "unspecified")


def _with_alpha(mode: Mode) -> Mode:
    return "LA" if mode == "L" else "RGBA"


def _resolution(data: bytes, inner: Sequence[Box]) -> Resolution | None:
    """The capture resolution, or else the one for display."""
    found = {
        part.kind: data[part.start : part.end]
        for box in _of(b"res ", inner)
        for part in boxes(data, box.start, box.end)
    }
    fields = found.get(b"resc") or found.get(b"resd") or b""
    if len(fields) < 10:
        return None
    down, down_by, across, across_by, down_ten, across_ten = struct.unpack_from(">4H2b", fields)
    if not (down and down_by and across and across_by):
        return None
    x, y = across / across_by * 10.0**across_ten, down / down_by * 10.0**down_ten
    return stated(x * _METRE, y * _METRE, "inch")
