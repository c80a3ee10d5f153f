"""JPEG marker segments (ITU-T T.81 annex B, JFIF 1.02, Exif 3.0, ICC.1 annex B.4, XMP part 3)."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Sequence
from itertools import accumulate

from restore.imaging.metadata import exif, iptc, photoshop, xmp
from restore.imaging.metadata.record import Metadata
from restore.imaging.pixels import Alpha
from restore.imaging.resolution import Resolution, Unit, stated

_EXIF, _XMP, _ICC = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0", b"ICC_PROFILE\0"
_PHOTOSHOP = b"Photoshop 3.0\0"
_EXTENDED_XMP = b"http://ns.adobe.com/xmp/extension/\0"
_KNOWN = {
    0xE0: (b"JFIF\0", b"JFXX\0"),
    0xE1: (_EXIF, _XMP, _EXTENDED_XMP),
    0xE2: (_ICC, b"MPF\0"),
    0xEC: (b"Ducky",),  # the level of Photoshop's compression
    0xED: (_PHOTOSHOP,),
    0xEE: (b"Adobe",),
}
_UNITS: Sequence[Unit] = ("none", "inch", "centimetre")  # as JFIF numbers them
_GUID = 32  # bytes that name an extension
_SEGMENT_BYTES = 65533  # payload of a segment
_MAX_SEGMENTS = 10_000  # before the first scan; a profile of 16 MB takes 255
# A marker: no stuffed zero, no restart and no TEM, which has no length either. Filling bytes come before it.
_MARKER = re.compile(rb"\xff[\x02-\xcf\xd8-\xfe]")
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SEQUENTIAL, _ARITHMETIC = (0xC0, 0xC1, 0xC9), (0xC9, 0xCA)
_DECODED = frozenset([0xC2, *_SEQUENTIAL, *_ARITHMETIC])
_LS_FRAME = 0xF7  # ITU-T T.87, C.2.2
_LOSSLESS = frozenset([0xC3, 0xCB])
_SCAN, _END, _LINES = 0xDA, 0xD9, 0xDC
_JFIF = b"\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0"  # of the revision that no decoder warns of
_WHOLE_SCAN = b"\0\x3f\0"  # all 64 coefficients with all their bits
_COEFFICIENTS = 64
_PICTURES, _PICTURE = 0xB001, 0xB002  # of CIPA DC-007's index: their number, and 16 bytes for each


def read(data: bytes) -> Metadata:
    """The metadata of the segments before the first scan."""
    found = list(segments(data))
    icc, packet, blocks = _icc(found), _xmp(found), _payloads(found, 0xE1, _EXIF)
    resources = photoshop.read(
        b"".join(_payloads(found, 0xED, _PHOTOSHOP))
    )  # long ones go on in further ones
    records, lost = iptc.first_of(resources.iptc)
    size, refused_frame = _frame(found, data)
    further, several = _further_pictures(found)
    return Metadata(
        icc=icc[0],
        exif=blocks[0] if blocks else None,
        xmp=packet[0],
        iptc=records,
        photoshop=resources.kept,
        resolution=_jfif_resolution(found),
        size=size,
        lossless=False,
        found=refused_frame or several,
        dropped=(
            *(*icc[1], *packet[1], *resources.dropped, *lost, *further, *_unknown(found)),
            *["further exif"] * (len(set(blocks)) > 1),
        ),
    )


def _payloads(found: Sequence[tuple[int, bytes]], marker: int, mark: bytes) -> list[bytes]:
    """The payloads of all segments of a kind, without the mark that they begin with."""
    return [payload[len(mark) :] for kind, payload in found if kind == marker and payload.startswith(mark)]


def _icc(found: Sequence[tuple[int, bytes]]) -> tuple[bytes | None, list[str]]:
    """The profile of numbered parts, and its name where a part is missing."""
    numbered = [part for part in _payloads(found, 0xE2, _ICC) if len(part) > 2]
    profile = {part[0]: part[2:] for part in numbered}
    if sorted(profile) != list(range(1, numbered[-1][1] + 1 if numbered else 1)):
        return None, ["icc"]
    return b"".join(profile[part] for part in sorted(profile)) or None, []


def _xmp(found: Sequence[tuple[int, bytes]]) -> tuple[bytes | None, list[str]]:
    """The packet with its extension, and the names of what is lost."""
    packets, parts = _payloads(found, 0xE1, _XMP), _payloads(found, 0xE1, _EXTENDED_XMP)
    further = ["further xmp"] if len(set(packets)) > 1 else []
    if not packets or not parts:
        return (packets[0] if packets else None), [*further, *["extended xmp"] * bool(parts)]
    try:
        named = xmp.extension_of(packets[0])
        whole = xmp.joined(packets[0], _extension([part for part in parts if part[:_GUID] == named]))
    except ValueError:
        return packets[0], [*further, "extended xmp"]
    strange = any(part[:_GUID] != named for part in parts)
    return whole, [*further, *["extended xmp"] * strange]


def _extension(parts: Sequence[bytes]) -> bytes:
    """The extension of a packet, whose parts come in any order (XMP part 3, 1.1.3.1).

    Raises:
        ValueError: a part is missing, or they do not fit together.
    """
    if any(len(part) < _GUID + 8 for part in parts):
        raise ValueError("a part of the extension of its XMP is cut")
    placed = {int.from_bytes(part[_GUID + 4 : _GUID + 8], "big"): part[_GUID + 8 :] for part in parts}
    length, at = {part[_GUID : _GUID + 4] for part in parts}, 0
    for offset in sorted(placed):
        if offset != at:
            raise ValueError("parts of the extension of its XMP are missing")
        at += len(placed[offset])
    if length != {at.to_bytes(4, "big")}:
        raise ValueError("parts of the extension of its XMP are missing")
    return b"".join(placed[offset] for offset in sorted(placed))


def _unknown(found: Sequence[tuple[int, bytes]]) -> Iterator[str]:
    """Names of the segments that are neither for the samples nor read."""
    for marker, payload in found:
        if marker == 0xFE:
            yield "comment"
        elif 0xE0 <= marker <= 0xEF and not payload.startswith(_KNOWN.get(marker, ())):
            yield f"APP{marker - 0xE0} segment"


def _frame(found: Sequence[tuple[int, bytes]], data: bytes) -> tuple[tuple[int, int] | None, str | None]:
    """Width and height, and the process that no decoder here reads, in words."""
    if any(marker == _LS_FRAME for marker, _ in found):
        return None, "JPEG-LS"
    frames = [(marker, payload) for marker, payload in found if marker in _FRAMES and len(payload) >= 6]
    if not frames:
        return None, None
    refused = [words for marker, payload in frames if (words := _refused_frame(marker, payload, data))]
    height, width = struct.unpack_from(">2H", frames[-1][1], 1)
    return (width, height), refused[-1] if refused else None


def _further_pictures(found: Sequence[tuple[int, bytes]]) -> tuple[list[str], str | None]:
    """Names of pictures in a multi-picture index (CIPA DC-007) that are dropped, and what to refuse.

    Previews and gain maps are dropped. Other views of a stereo pair or a panorama are pictures too.
    """
    for index in _payloads(found, 0xE2, b"MPF\0"):
        try:
            entries = exif.read_directory(index, *exif.first_directory(index)).entries
        except ValueError:
            return ["further pictures"], None
        kinds = entries[_PICTURE].value[2::16] if _PICTURE in entries else b""
        if b"\2" in kinds:
            return [], "several views in one JPEG (MPO)"
        if exif.number(entries, _PICTURES, 1) > 1:
            return ["further pictures"], None
    return [], None


def _refused_frame(marker: int, frame: bytes, data: bytes) -> str | None:
    """The process of a frame that no decoder here reads with its damage noticed, in words."""
    if marker in _LOSSLESS:
        return "lossless JPEG (process 14)"
    if marker not in _DECODED:
        return "hierarchical JPEG"
    if frame[0] != 8:
        return f"JPEG of {frame[0]} bits a sample"
    if frame[1:3] == b"\0\0" and bytes([0xFF, _LINES]) in data:
        return "JPEG whose height follows its first scan (DNL)"
    return None


def check_end(data: bytes) -> None:
    """Refuses a file that ends between its scans: what is missing there, its decoder does not notice.

    Within a scan it does, so a file that lacks nothing but its end marker is read. In arithmetic coding it
    does not (ITU-T T.81, D.2.6: a decoder supplies zeros beyond the end).
    """
    if data[-2:] == b"\xff\xd9":
        return
    frame, missing_bits = 0, {}
    for marker, start, end in _places(data, all_scans=True):
        payload = data[start + 4 : end]
        if marker == _END:
            return
        if marker in _FRAMES:
            frame, missing_bits = marker, {component: [1] * _COEFFICIENTS for component in payload[6::3]}
        elif marker == _SCAN and payload:
            _note_scan(payload, frame, missing_bits)
    if frame in _ARITHMETIC or any(any(bits) for bits in missing_bits.values()):
        raise ValueError("pixels are missing: it ends before its last scan")


def _note_scan(scan: bytes, frame: int, missing_bits: dict[int, list[int]]) -> None:
    """Note how many low bits of which coefficients are still to come after a scan (T.81, G.1.1)."""
    count = scan[0]
    first, last, bits = (scan[1 + 2 * count :] + _WHOLE_SCAN)[:3]
    if frame in _SEQUENTIAL:
        first, last, bits = _WHOLE_SCAN
    for component in scan[1 : 1 + 2 * count : 2]:
        for coefficient in range(first, min(last + 1, _COEFFICIENTS)):
            missing_bits.setdefault(component, [0] * _COEFFICIENTS)[coefficient] = bits & 0x0F


def segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Marker and payload of each segment before the first scan."""
    for marker, start, end in _places(data):
        if marker not in (_SCAN, _END):
            yield marker, data[start + 4 : end]


def _places(data: bytes, all_scans: bool = False) -> Iterator[tuple[int, int, int]]:
    """Marker, start and end of each segment up to the header of the first scan, or of all scans, or the end.

    What lies between segments is passed over, as libjpeg does: some cameras and editors leave bytes there.
    """
    at = 2
    for _ in range(_MAX_SEGMENTS):
        found = _MARKER.search(data, at)
        if not found or found.end() + 2 > len(data):
            return
        start, marker = found.start(), data[found.start() + 1]
        at = start + 2 + (0 if marker == _END else int.from_bytes(data[start + 2 : start + 4], "big"))
        yield marker, start, at
        if marker == _END or (marker == _SCAN and not all_scans):
            return
    raise ValueError(f"more than {_MAX_SEGMENTS} segments")


def strip(data: bytes) -> bytes:
    """The file with only the segments that its samples need, and with an end.

    The segments of JFIF and Adobe stay, since they state the samples' colours; numbers in them that libjpeg
    would warn of are put right, as it does itself.
    """
    places = list(_places(data))
    frames = [(marker, data[start + 9 : start + 10]) for marker, start, _ in places if marker in _FRAMES]
    frame, channels = frames[0] if frames else (0, b"")
    kept, end = [data[:2]], 2
    for marker, start, end in places:
        about = data[start:end]
        if marker == 0xE0 and about[4:9] == b"JFIF\0":
            kept.append(_JFIF)
        elif marker == 0xEE and about[4:9] == b"Adobe":
            kept.append(_sound_adobe(about, channels))
        elif marker == _SCAN and frame in _SEQUENTIAL:
            kept.append(about[:-3] + _WHOLE_SCAN)
        elif not (0xE0 <= marker <= 0xEF or marker == 0xFE):
            kept.append(about)
    return b"".join([*kept, memoryview(data)[end:], b"\xff\xd9"])


def _sound_adobe(segment: bytes, channels: bytes) -> bytes:
    """The segment of Adobe with a colour transform that there is, or the one that stands for others."""
    inks = channels == b"\4"
    if segment[15:16] in ((b"", b"\0", b"\2") if inks else (b"", b"\0", b"\1")):
        return segment
    return segment[:15] + (b"\2" if inks else b"\1") + segment[16:]


def _jfif_resolution(found: Sequence[tuple[int, bytes]]) -> Resolution | None:
    headers = [header for header in _payloads(found, 0xE0, b"JFIF\0") if len(header) >= 7]
    if not headers:
        return None
    unit, x, y = struct.unpack_from(">BHH", headers[0], 2)
    return stated(x, y, _UNITS[unit]) if unit < len(_UNITS) else None


def _jfif(resolution: Resolution | None) -> bytes | None:
    """The segment of JFIF, or None where its whole numbers cannot hold the resolution."""
    unit, x, y = 0, 1, 1
    if resolution is not None:
        other: Unit = "inch" if resolution.unit == "centimetre" else "centimetre"
        choices = [resolution] if resolution.unit == "none" else [resolution, resolution.per(other)]
        fitting = min(choices, key=_rounded_off)
        unit, (x, y) = _UNITS.index(fitting.unit), fitting.whole()
    if not 1 <= min(x, y) <= max(x, y) <= 65535:
        return None
    return _segment(0xE0, struct.pack(">5s2BB2H2B", b"JFIF", 1, 2, unit, x, y, 0, 0))


def _rounded_off(resolution: Resolution) -> float:
    """The share of a resolution that whole numbers lose, in steps of 1/10,000."""
    return max(round(abs(round(value) / value - 1), 4) for value in (resolution.x, resolution.y))


def embed(data: bytes, meta: Metadata, alpha: Alpha | None) -> tuple[bytes, tuple[str, ...]]:
    """The file with the metadata before its first segment, and the names of what is too large for one."""
    dropped = []
    header = _jfif(meta.resolution)
    if header is None:
        dropped.append("dpi")
    before = [header or _JFIF]
    block, room = meta.exif, _SEGMENT_BYTES - len(_EXIF)
    if block and len(block) > room:
        block, lost = exif.shortened(block, room)
        dropped += lost
    if block:
        before.append(_segment(0xE1, _EXIF + block))
    try:
        before += _xmp_segments(meta.xmp or b"")
    except ValueError:
        dropped.append("xmp")
    resources = (photoshop.of_iptc(meta.iptc) if meta.iptc else b"") + (meta.photoshop or b"")
    before += [_segment(0xED, _PHOTOSHOP + part) for part in _parts(resources, len(_PHOTOSHOP))]
    icc = _parts(meta.icc or b"", len(_ICC) + 2)
    if len(icc) > 255:
        dropped.append("icc")
    else:
        numbered = enumerate(icc, 1)
        before += [_segment(0xE2, _ICC + bytes([number, len(icc)]) + part) for number, part in numbered]
    return b"".join([data[:2], *before, _without_jfif(data)]), tuple(dropped)


def _xmp_segments(packet: bytes) -> list[bytes]:
    """The segment of a packet and those of its extension, where it needs one.

    Raises:
        ValueError: the packet is too long and cannot be split.
    """
    room = _SEGMENT_BYTES - len(_XMP)
    if len(packet) <= room:
        return [_segment(0xE1, _XMP + packet)] if packet else []
    main, name, extension = xmp.split(packet, room)
    head = _EXTENDED_XMP + name + struct.pack(">L", len(extension))
    parts = _parts(extension, len(head) + 4)
    starts = accumulate(map(len, parts), initial=0)
    further = [
        _segment(0xE1, head + struct.pack(">L", at) + part) for at, part in zip(starts, parts, strict=False)
    ]
    return [_segment(0xE1, _XMP + main), *further]


def _parts(value: bytes, head: int) -> list[bytes]:
    """A value cut so that each part fits into a segment behind `head` bytes."""
    room = _SEGMENT_BYTES - head
    return [value[at : at + room] for at in range(0, len(value), room)]


def _segment(marker: int, payload: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload


def _without_jfif(data: bytes) -> memoryview:
    start = 2
    if data[2:4] == b"\xff\xe0":
        start = 4 + int.from_bytes(data[4:6], "big")
    return memoryview(data)[start:]
