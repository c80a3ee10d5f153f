"""PNG chunks (PNG Specification, Third Edition)."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from restore.containers.surroundings import Surroundings

_XMP_KEYWORD = b"XML:com.adobe.xmp"
_MOST_INFLATED = 64 << 20  # no profile or packet is larger; a zip bomb is


def read(data: bytes) -> Surroundings:
    """What the chunks say, those after the image data too."""
    values: dict[str, bytes] = {}
    kinds = {bytes(kind) for kind, _ in chunks(data)}
    dropped = []
    for kind, payload in chunks(data):
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
        dpi=_dpi(data),
        animated=b"acTL" in kinds,
        palette=data[25:26] == b"\x03",
        dropped=tuple(dict.fromkeys(dropped)),
    )


def chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and payload of each chunk; the payload of image data is left empty."""
    at = 8
    while at + 12 <= len(data):
        size, kind = struct.unpack_from(">L4s", data, at)
        yield kind, b"" if kind in (b"IDAT", b"fdAT") else data[at + 8 : at + 8 + size]
        at += size + 12


def _dpi(data: bytes) -> tuple[float, float] | None:
    for kind, payload in chunks(data):
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


def embed(data: bytes, around: Surroundings) -> bytes:
    """`data` with the metadata in place of what libvips wrote between IHDR and the image data.

    That is a resolution of 25.4 dpi where it was told none.
    """
    header, image = 33, data.index(b"IDAT") - 4
    chunks = []
    if around.icc:
        chunks.append(_chunk(b"iCCP", b"icc\0\0" + zlib.compress(around.icc)))
    if around.dpi:
        x, y = (round(value / 0.0254) for value in around.dpi)
        chunks.append(_chunk(b"pHYs", struct.pack(">LLB", x, y, 1)))
    if around.exif:
        chunks.append(_chunk(b"eXIf", around.exif))
    if around.xmp:
        chunks.append(_chunk(b"iTXt", _XMP_KEYWORD + bytes(5) + around.xmp))
    return b"".join([data[:header], *chunks, memoryview(data)[image:]])


def _chunk(kind: bytes, payload: bytes) -> bytes:
    return struct.pack(">L", len(payload)) + kind + payload + struct.pack(">L", zlib.crc32(kind + payload))
