"""JPEG marker segments (ITU-T T.81 annex B, JFIF 1.02, Exif 3.0, ICC.1 annex B.4, XMP part 3)."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

from restore.imaging.metadata import exif, iptc
from restore.imaging.metadata.record import Metadata
from restore.imaging.pixels import Alpha

_EXIF, _XMP, _ICC = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0", b"ICC_PROFILE\0"
_PHOTOSHOP = b"Photoshop 3.0\0"
_EXTENDED_XMP = b"http://ns.adobe.com/xmp/extension/\0"
_SEGMENT_BYTES = 65533  # payload of a segment
_MAX_SEGMENTS = 10_000  # before the first scan; a profile of 16 MB takes 255
_FILL = re.compile(rb"\xff+")
_PICTURES, _PICTURE = 0xB001, 0xB002  # of CIPA DC-007's index: their number, and 16 bytes for each


def read(data: bytes) -> Metadata:
    """The metadata of the segments before the first scan."""
    exif = xmp = dpi = found = size = None
    profile: dict[int, bytes] = {}
    dropped, parts, resources = [], 0, b""
    for marker, payload in segments(data):
        if marker == 0xE0 and payload.startswith(b"JFIF\0") and len(payload) >= 12:
            dpi = _jfif_dpi(payload)
        elif marker == 0xE1 and payload.startswith(_EXIF) and exif is None:
            exif = payload[len(_EXIF) :]
        elif marker == 0xE1 and payload.startswith(_XMP):
            xmp = payload[len(_XMP) :]
        elif marker == 0xE1 and payload.startswith(_EXTENDED_XMP):
            dropped.append("extended xmp")
        elif marker == 0xE2 and payload.startswith(_ICC) and len(payload) > len(_ICC) + 2:
            parts, profile[payload[12]] = payload[13], payload[14:]
        elif marker == 0xE2 and payload.startswith(b"MPF\0"):
            further, found = _further_pictures(payload[4:])
            dropped += further
        elif marker == 0xED and payload.startswith(_PHOTOSHOP):
            resources += payload[len(_PHOTOSHOP) :]  # long ones go on in further segments
        elif marker == 0xFE:
            dropped.append("comment")
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC) and len(payload) >= 6:
            size = struct.unpack_from(">2H", payload, 1)[::-1]
            found = f"JPEG of {payload[0]} bits a sample" if payload[0] != 8 else found
    if sorted(profile) != list(range(1, parts + 1)):
        dropped, profile = [*dropped, "icc"], {}
    icc = b"".join(profile[part] for part in sorted(profile)) or None
    records = iptc.of_resources(resources)
    if records is None and b"8BIM\x04\x04" in resources:
        dropped.append("iptc")
    return Metadata(
        icc=icc,
        exif=exif,
        xmp=xmp,
        iptc=records,
        dpi=dpi,
        size=size,
        lossless=False,
        found=found,
        dropped=tuple(dict.fromkeys(dropped)),
    )


def _further_pictures(index: bytes) -> tuple[list[str], str | None]:
    """Names of pictures in a multi-picture index (CIPA DC-007) that are dropped, and what to refuse.

    Previews and gain maps are dropped. Other views of a stereo pair or a panorama are pictures too.
    """
    try:
        entries, _ = exif.read_entries(index, *exif.first_directory(index))
    except ValueError:
        return ["further pictures"], None
    kinds = entries[_PICTURE].value[2::16] if _PICTURE in entries else b""
    if b"\2" in kinds:
        return [], "several views in one JPEG (MPO)"
    return (["further pictures"] if exif.number(entries, _PICTURES, 1) > 1 else []), None


def segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Marker and payload of each segment before the first scan."""
    for marker, start, end in _places(data):
        yield marker, data[start + 4 : end]


def _places(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker, start and end of each segment before the first scan."""
    at = 2
    for _ in range(_MAX_SEGMENTS):
        fill = _FILL.match(data, at)
        at = fill.end() - 1 if fill else at
        if not fill or at + 4 > len(data) or data[at + 1] in (0xD9, 0xDA):
            return
        (size,) = struct.unpack_from(">H", data, at + 2)
        yield data[at + 1], at, at + 2 + size
        at += 2 + size
    raise ValueError(f"more than {_MAX_SEGMENTS} segments")


def strip(data: bytes) -> bytes:
    """The file without the segments that its samples do not need.

    The segments of JFIF and Adobe stay, since they state the samples' colours.
    """
    whole, kept, end = memoryview(data), [memoryview(data)[:2]], 2
    for marker, start, end in _places(data):
        about = whole[start:end]
        colours = (marker, bytes(about[4:9])) in ((0xE0, b"JFIF\0"), (0xEE, b"Adobe"))
        if colours or not (0xE0 <= marker <= 0xEF or marker == 0xFE):
            kept.append(about)
    return b"".join([*kept, whole[end:]])


def _jfif_dpi(payload: bytes) -> tuple[float, float] | None:
    unit, x, y = struct.unpack_from(">BHH", payload, 7)
    scale = {1: 1.0, 2: 2.54}.get(unit)
    return (x * scale, y * scale) if scale and x and y else None


def embed(data: bytes, meta: Metadata, alpha: Alpha | None) -> tuple[bytes, tuple[str, ...]]:
    """The file with the metadata before its first segment, and the names of what is too large for one."""
    dropped = []
    x, y = (round(value) for value in meta.dpi or (1, 1))
    unit = bool(meta.dpi)
    if not 1 <= min(x, y) <= max(x, y) <= 65535:
        x, y, unit = 1, 1, False
        dropped.append("dpi")
    before = [_segment(0xE0, struct.pack(">5s2BB2H2B", b"JFIF", 1, 2, unit, x, y, 0, 0))]
    for name, mark, value in (("exif", _EXIF, meta.exif), ("xmp", _XMP, meta.xmp)):
        if value and len(mark) + len(value) > _SEGMENT_BYTES:
            dropped.append(name)
        elif value:
            before.append(_segment(0xE1, mark + value))
    resources, room = iptc.as_resources(meta.iptc) if meta.iptc else b"", _SEGMENT_BYTES - len(_PHOTOSHOP)
    before += [
        _segment(0xED, _PHOTOSHOP + resources[at : at + room]) for at in range(0, len(resources), room)
    ]
    icc, room = meta.icc or b"", _SEGMENT_BYTES - len(_ICC) - 2
    parts = [icc[at : at + room] for at in range(0, len(icc), room)]
    if len(parts) > 255:
        dropped.append("icc")
    else:
        numbered = enumerate(parts, 1)
        before += [_segment(0xE2, _ICC + bytes([part, len(parts)]) + value) for part, value in numbered]
    return b"".join([data[:2], *before, _without_jfif(data)]), tuple(dropped)


def _segment(marker: int, payload: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload


def _without_jfif(data: bytes) -> memoryview:
    start = 2
    if data[2:4] == b"\xff\xe0":
        start = 4 + int.from_bytes(data[4:6], "big")
    return memoryview(data)[start:]
