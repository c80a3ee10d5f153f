"""What surrounds the pixels in a PNG, JPEG, WebP or TIFF file: ICC, EXIF, XMP, resolution.

Reading and writing go by the formats' own chunks, because libvips passes EXIF through libexif, which
loses private tags and invents others, and writes none into TIFF at all. Malformed structure raises
ValueError; a single broken item is dropped and named.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from restore import exif as tiff
from restore.exif import Entry

Format = Literal["jpeg", "png", "tiff", "webp"]

_EXIF, _XMP, _ICC = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0", b"ICC_PROFILE\0"
_XMP_KEYWORD = b"XML:com.adobe.xmp"
_MOST_INFLATED = 64 << 20  # no profile or packet is larger; a zip bomb is
_SEGMENT = 65533  # payload of a JPEG segment
_LOSSY_TIFF = frozenset([6, 7, 33003, 33005, 34712, 34892, 50001, 50002])  # JPEG, JPEG 2000, WebP, JPEG XL


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a file says about its pixels besides the pixels.

    Attributes:
        exif: a TIFF structure, without the "Exif" marker that JPEG puts before it.
        lossless: whether the file's compression kept every sample.
        animated: whether it holds several frames.
        palette: whether samples are indices of colours.
        found: a sample kind that is not accepted, in words; None when there is nothing against it.
        dropped: what a Picture has no place for, or what was broken.
    """

    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    dpi: tuple[float, float] | None = None
    orientation: int = 1
    lossless: bool = True
    animated: bool = False
    palette: bool = False
    found: str | None = None
    dropped: tuple[str, ...] = field(default=())


def read(data: bytes, form: Format) -> Surroundings:
    """Everything around the pixels of `data`; EXIF and XMP as for the upright picture.

    Raises:
        ValueError: the file's structure cannot be followed.
    """
    around = _READERS[form](data)
    return _settle_xmp(_settle_exif(around) if form != "tiff" else around)


def _settle_exif(around: Surroundings) -> Surroundings:
    if around.exif is None:
        return around
    try:
        upright = tiff.upright(around.exif)
        entries, _ = tiff.read_entries(around.exif, *tiff.first_directory(around.exif))
        dpi = around.dpi or tiff.dpi_of(entries)
        return replace(around, exif=upright, dpi=dpi, orientation=tiff.orientation_of(entries))
    except ValueError:
        return replace(around, exif=None, dropped=(*around.dropped, "exif"))


def _settle_xmp(around: Surroundings) -> Surroundings:
    if around.xmp is None:
        return around
    upright = re.sub(rb"(tiff:Orientation\s*(?:=\s*[\"']|>)\s*)[2-8]", rb"\g<1>1", around.xmp)
    return replace(around, xmp=upright)


def _read_png(data: bytes) -> Surroundings:
    values: dict[str, bytes] = {}
    kinds = {bytes(kind) for kind, _ in png_chunks(data)}
    dropped = []
    for kind, payload in png_chunks(data):
        if kind == b"iCCP":
            values["icc"] = _inflate(payload[payload.find(b"\0") + 2 :])
        elif kind == b"eXIf":
            values["exif"] = payload
        elif kind == b"iTXt" and payload.startswith(_XMP_KEYWORD + b"\0"):
            values["xmp"] = _international_text(payload)
        elif kind in (b"tEXt", b"zTXt", b"iTXt"):
            dropped.append("text")
        elif kind == b"cICP" or (kind == b"gAMA" and not kinds & {b"sRGB", b"iCCP", b"cICP"}):
            dropped.append("gamma")
    dropped += [name for name, value in values.items() if not value]
    return Surroundings(
        **{name: value or None for name, value in values.items()},  # type: ignore[arg-type]
        dpi=_png_dpi(data),
        animated=b"acTL" in kinds,
        palette=data[25:26] == b"\x03",
        dropped=tuple(dict.fromkeys(dropped)),
    )


def png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and payload of each chunk; the payload of image data is left empty."""
    at = 8
    while at + 12 <= len(data):
        size, kind = struct.unpack_from(">L4s", data, at)
        yield kind, b"" if kind in (b"IDAT", b"fdAT") else data[at + 8 : at + 8 + size]
        at += size + 12


def _png_dpi(data: bytes) -> tuple[float, float] | None:
    for kind, payload in png_chunks(data):
        if kind == b"pHYs" and len(payload) == 9:
            x, y, unit = struct.unpack(">LLB", payload)
            return (x * 0.0254, y * 0.0254) if unit == 1 and x and y else None
    return None


def _inflate(data: bytes) -> bytes:
    """Inflated bytes, or none where the stream is broken or a bomb."""
    inflater = zlib.decompressobj()
    try:
        plain = inflater.decompress(data, _MOST_INFLATED)
    except zlib.error:
        return b""
    return plain if inflater.eof else b""


def _international_text(payload: bytes) -> bytes:
    _, rest = payload.split(b"\0", 1)
    parts = rest[2:].split(b"\0", 2)
    if len(parts) != 3:
        return b""
    return _inflate(parts[2]) if rest[:1] == b"\1" else parts[2]


def _read_jpeg(data: bytes) -> Surroundings:
    exif = xmp = dpi = found = None
    profile: dict[int, bytes] = {}
    dropped, parts = [], 0
    for marker, payload in jpeg_segments(data):
        if marker == 0xE0 and payload.startswith(b"JFIF\0") and len(payload) >= 12:
            dpi = _jfif_dpi(payload)
        elif marker == 0xE1 and payload.startswith(_EXIF) and exif is None:
            exif = payload[len(_EXIF) :]
        elif marker == 0xE1 and payload.startswith(_XMP):
            xmp = payload[len(_XMP) :]
        elif marker == 0xE2 and payload.startswith(_ICC) and len(payload) > len(_ICC) + 2:
            parts, profile[payload[12]] = payload[13], payload[14:]
        elif marker == 0xED and b"8BIM\x04\x04" in payload:
            dropped.append("iptc")
        elif marker == 0xFE:
            dropped.append("comment")
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC) and payload[:1] != b"\x08":
            found = f"JPEG of {payload[0]} bits a sample" if payload else None
    if sorted(profile) != list(range(1, parts + 1)):
        dropped, profile = [*dropped, "icc"], {}
    icc = b"".join(profile[part] for part in sorted(profile)) or None
    names = tuple(dict.fromkeys(dropped))
    return Surroundings(icc, exif, xmp, dpi, lossless=False, found=found, dropped=names)


def jpeg_segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Marker and payload of each segment before the first scan."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        if marker in (0xD9, 0xDA):
            return
        (size,) = struct.unpack_from(">H", data, at + 2)
        yield marker, data[at + 4 : at + 2 + size]
        at += 2 + size


def _jfif_dpi(payload: bytes) -> tuple[float, float] | None:
    unit, x, y = struct.unpack_from(">BHH", payload, 7)
    scale = {1: 1.0, 2: 2.54}.get(unit)
    return (x * scale, y * scale) if scale and x and y else None


def _read_webp(data: bytes) -> Surroundings:
    chunks = dict(riff_chunks(data))
    exif = chunks.get(b"EXIF")
    return Surroundings(
        icc=chunks.get(b"ICCP"),
        exif=exif.removeprefix(_EXIF) if exif else None,
        xmp=chunks.get(b"XMP "),
        lossless=b"VP8L" in chunks,
        animated=b"ANIM" in chunks or b"ANMF" in chunks,
    )


def riff_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and payload of each chunk of a RIFF file."""
    at = 12
    while at + 8 <= len(data):
        kind, size = struct.unpack_from("<4sL", data, at)
        yield kind, data[at + 8 : at + 8 + size]
        at += 8 + size + size % 2


def _read_tiff(data: bytes) -> Surroundings:
    layout, offset = tiff.first_directory(data)
    entries, _ = tiff.read_entries(data, layout, offset)
    dropped = ["photoshop"] if {tiff.PHOTOSHOP, tiff.PHOTOSHOP_LAYERS} & entries.keys() else []
    if tiff.EXTRA_SAMPLES in entries and entries[tiff.EXTRA_SAMPLES].numbers()[:1] == [1]:
        dropped.append("premultiplied alpha")
    try:
        exif = _tiff_exif(data, layout, offset)
    except ValueError:
        exif, dropped = None, [*dropped, "exif"]
    return Surroundings(
        icc=entries[tiff.ICC_PROFILE].value if tiff.ICC_PROFILE in entries else None,
        exif=exif,
        xmp=entries[tiff.XMP].value if tiff.XMP in entries else None,
        dpi=tiff.dpi_of(entries),
        orientation=tiff.orientation_of(entries),
        lossless=tiff.number(entries, tiff.COMPRESSION, 1) not in _LOSSY_TIFF,
        palette=tiff.number(entries, tiff.PHOTOMETRIC, 1) == 3,
        found=_strange_samples(entries),
        dropped=tuple(dropped),
    )


def _tiff_exif(data: bytes, layout: tiff.Layout, offset: int) -> bytes | None:
    tree = tiff.read_tree(data, layout, offset)
    kept = {tag: item for tag, item in tree.items() if tag not in tiff.STRUCTURAL and _classic(item)}
    return tiff.write_exif(kept) if kept else None


def _classic(item: Entry | tiff.Directory) -> bool:
    return not isinstance(item, Entry) or item.kind <= 12  # BigTIFF's own types have no place in EXIF


def _strange_samples(entries: Mapping[int, Entry]) -> str | None:
    """What is wrong with a TIFF's samples, in words; None when they are of an accepted kind."""
    photometric = tiff.number(entries, tiff.PHOTOMETRIC, 1)
    if photometric not in (0, 1, 2, 3, 5, 6):
        kinds = {
            4: "a transparency mask",
            8: "CIELAB",
            9: "ICC Lab",
            10: "ITU Lab",
            32803: "a camera's raw mosaic",
        }
        return f"TIFF of {kinds.get(photometric, f'photometric interpretation {photometric}')}"
    if photometric == 5 and tiff.number(entries, tiff.INK_SET, 1) != 1:
        return "TIFF of inks other than CMYK"
    bits = set(entries[tiff.BITS].numbers()) if tiff.BITS in entries else {1}
    sample_format = tiff.number(entries, tiff.SAMPLE_FORMAT, 1)
    if sample_format not in (1, 4):
        names = {2: "signed", 3: "floating point"}
        return f"TIFF of {max(bits)}-bit {names.get(sample_format, 'complex')} samples"
    if len(bits) != 1 or not bits <= {1, 2, 4, 8, 16}:
        return f"TIFF of {'/'.join(map(str, sorted(bits)))}-bit samples"
    return None


_READERS = {"png": _read_png, "jpeg": _read_jpeg, "webp": _read_webp, "tiff": _read_tiff}


def embed(data: bytes, form: Format, around: Surroundings, alpha: bool) -> tuple[bytes, tuple[str, ...]]:
    """`data`, an encoded picture without metadata, with that of `around`; and what found no room."""
    if form == "jpeg":
        return _embed_jpeg(data, around)
    if form == "webp":
        return _embed_webp(data, around, alpha), ()
    return (_embed_png if form == "png" else _embed_tiff)(data, around), ()


def _embed_png(data: bytes, around: Surroundings) -> bytes:
    header = 33  # signature and IHDR
    chunks = []
    if around.icc:
        chunks.append(_png_chunk(b"iCCP", b"icc\0\0" + zlib.compress(around.icc)))
    if around.dpi:
        x, y = (round(value / 0.0254) for value in around.dpi)
        chunks.append(_png_chunk(b"pHYs", struct.pack(">LLB", x, y, 1)))
    if around.exif:
        chunks.append(_png_chunk(b"eXIf", around.exif))
    if around.xmp:
        chunks.append(_png_chunk(b"iTXt", _XMP_KEYWORD + bytes(5) + around.xmp))
    return b"".join([data[:header], *chunks, data[header:]])


def _png_chunk(kind: bytes, payload: bytes) -> bytes:
    return struct.pack(">L", len(payload)) + kind + payload + struct.pack(">L", zlib.crc32(kind + payload))


def _embed_jpeg(data: bytes, around: Surroundings) -> tuple[bytes, tuple[str, ...]]:
    dropped, segments = [], []
    x, y = (round(value) for value in around.dpi or (1, 1))
    if max(x, y) > 65535 or min(x, y) < 1:
        x, y = 1, 1
        dropped.append("dpi")
    segments.append(_segment(0xE0, struct.pack(">5s2BB2H2B", b"JFIF", 1, 2, bool(around.dpi), x, y, 0, 0)))
    for name, mark, value in (("exif", _EXIF, around.exif), ("xmp", _XMP, around.xmp)):
        if value and len(mark) + len(value) > _SEGMENT:
            dropped.append(name)
        elif value:
            segments.append(_segment(0xE1, mark + value))
    icc, room = around.icc or b"", _SEGMENT - len(_ICC) - 2
    parts = [icc[at : at + room] for at in range(0, len(icc), room)]
    if len(parts) > 255:
        dropped.append("icc")
    else:
        numbered = enumerate(parts, 1)
        segments += [_segment(0xE2, _ICC + bytes([part, len(parts)]) + value) for part, value in numbered]
    return b"".join([data[:2], *segments, _without_jfif(data)]), tuple(dropped)


def _segment(marker: int, payload: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload


def _without_jfif(data: bytes) -> memoryview:
    start = 2
    if data[2:4] == b"\xff\xe0":
        start = 4 + int.from_bytes(data[4:6], "big")
    return memoryview(data)[start:]


def _embed_webp(data: bytes, around: Surroundings, alpha: bool) -> bytes:
    exif = _with_dpi(around)
    chunks = [(kind, payload) for kind, payload in riff_chunks(data) if kind in (b"ALPH", b"VP8 ", b"VP8L")]
    width, height = _webp_size(dict(riff_chunks(data)))
    flags = 0x20 * bool(around.icc) | 0x10 * alpha | 0x08 * bool(exif) | 0x04 * bool(around.xmp)
    header = struct.pack("<L", flags) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    before = [(b"VP8X", header), (b"ICCP", around.icc)]
    after = [(b"EXIF", exif), (b"XMP ", around.xmp)]
    body = b"".join(_riff_chunk(kind, payload) for kind, payload in [*before, *chunks, *after] if payload)
    return struct.pack("<4sL4s", b"RIFF", len(body) + 4, b"WEBP") + body


def _riff_chunk(kind: bytes, payload: bytes) -> bytes:
    return struct.pack("<4sL", kind, len(payload)) + payload + bytes(len(payload) % 2)


def _webp_size(chunks: Mapping[bytes, bytes]) -> tuple[int, int]:
    if b"VP8L" in chunks:
        (bits,) = struct.unpack_from("<L", chunks[b"VP8L"], 1)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    width, height = struct.unpack_from("<2H", chunks[b"VP8 "], 6)
    return width & 0x3FFF, height & 0x3FFF


def _with_dpi(around: Surroundings) -> bytes | None:
    """EXIF that states the resolution: WebP has no other place for it."""
    if around.dpi is None:
        return around.exif
    if around.exif is None:
        return tiff.write_exif(tiff.dpi_entries(around.dpi))
    place = tiff.first_directory(around.exif)
    if tiff.dpi_of(tiff.read_entries(around.exif, *place)[0]) == around.dpi:
        return around.exif
    return tiff.write_exif({**tiff.read_tree(around.exif, *place), **tiff.dpi_entries(around.dpi)})


def _embed_tiff(data: bytes, around: Surroundings) -> bytes:
    """A second first directory at the end of the file: libvips' own tags, then ours."""
    layout, offset = tiff.first_directory(data)
    own = dict(tiff.read_entries(data, layout, offset)[0])
    for tag in (tiff.X_RESOLUTION, tiff.Y_RESOLUTION, tiff.RESOLUTION_UNIT):
        own.pop(tag, None)
    tree: tiff.Directory = {}
    if around.exif:
        tree |= tiff.read_tree(around.exif, *tiff.first_directory(around.exif))
        tree = {tag: item for tag, item in tree.items() if tag not in tiff.STRUCTURAL}
    tree |= own
    if around.dpi:
        tree |= tiff.dpi_entries(around.dpi)
    if around.icc:
        tree[tiff.ICC_PROFILE] = Entry(tiff.UNDEFINED, len(around.icc), around.icc)
    if around.xmp:
        tree[tiff.XMP] = Entry(tiff.BYTE, len(around.xmp), around.xmp)
    start = len(data) + len(data) % 2
    pointer = struct.pack("<Q", start) if layout.big else struct.pack("<L", start)
    at = 8 if layout.big else 4
    head = data[:at] + pointer + data[at + len(pointer) :]
    return head.ljust(start, b"\0") + tiff.write_tree(tree, start, layout.big)
