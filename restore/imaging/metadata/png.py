"""PNG chunks (PNG Specification, Third Edition)."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence

from restore.imaging.metadata import iptc
from restore.imaging.metadata.record import Metadata
from restore.imaging.pixels import Alpha

_XMP_KEYWORD = b"XML:com.adobe.xmp"
_IPTC_KEYWORD = b"Raw profile type iptc"
_MAX_INFLATED_BYTES = 64 << 20  # no profile or packet is larger; a zip bomb is
_MAX_CHUNKS = 10_000  # besides image data; walking millions of empty ones would take minutes
_IMAGE_DATA = (b"IDAT", b"fdAT")
_FOR_PIXELS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")


def read(data: bytes) -> Metadata:
    """The metadata of all chunks, also of those after the image data."""
    values: dict[str, bytes] = {}
    found = list(chunks(data))
    kinds = {kind for kind, _ in found}
    dropped = []
    for kind, payload in found:
        if kind == b"iCCP":
            values["icc"] = _inflate(payload[payload.find(b"\0") + 2 :])
        elif kind == b"eXIf":
            values["exif"] = payload
        elif kind == b"iTXt" and payload.startswith(_XMP_KEYWORD + b"\0"):
            values["xmp"] = _international_text(payload)
        elif kind in (b"tEXt", b"zTXt") and payload.startswith(_IPTC_KEYWORD + b"\0"):
            values["iptc"] = iptc.of_text(_text(kind, payload)) or b""
        elif kind in (b"tEXt", b"zTXt", b"iTXt"):
            dropped.append("text")
        elif kind == b"cICP" or (kind == b"gAMA" and not kinds & {b"sRGB", b"iCCP", b"cICP"}):
            dropped.append("gamma")
    dropped += [name for name, value in values.items() if not value]
    return Metadata(
        **{name: value or None for name, value in values.items()},  # type: ignore[arg-type]
        size=struct.unpack_from(">2L", data, 16),
        dpi=_dpi(found),
        pages=2 if b"acTL" in kinds else 1,
        palette=data[25:26] == b"\x03",
        dropped=tuple(dict.fromkeys(dropped)),
    )


def chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and payload of each chunk; image data is left out, since its decoder checks it."""
    others = 0
    for kind, start, end in _places(data):
        if kind in _IMAGE_DATA:
            continue
        others += 1
        if others > _MAX_CHUNKS:
            raise ValueError(f"more than {_MAX_CHUNKS} chunks besides its image data")
        if zlib.crc32(memoryview(data)[start + 4 : end - 4]) != int.from_bytes(data[end - 4 : end], "big"):
            raise ValueError(f"the checksum of {kind!r} is wrong")
        yield kind, data[start + 8 : end - 4]


def _places(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and end of each chunk up to the one that ends the picture."""
    if data[12:16] != b"IHDR" or data[8:12] != b"\0\0\0\r":
        raise ValueError("no header")
    at, kind = 8, b""
    while kind != b"IEND":
        if at + 12 > len(data):
            raise ValueError("no end")
        size, kind = struct.unpack_from(">L4s", data, at)
        if at + size + 12 > len(data):
            raise ValueError(f"{kind!r} goes beyond the end")
        yield kind, at, at + size + 12
        at += size + 12


def strip(data: bytes) -> bytes:
    """The file with only the chunks that its pixels need; the same object where it has no others."""
    places = list(_places(data))
    if all(kind in _FOR_PIXELS for kind, _, _ in places):
        return data
    whole = memoryview(data)
    return b"".join([whole[:8], *(whole[start:end] for kind, start, end in places if kind in _FOR_PIXELS)])


def unpainted(start: bytes) -> bytes:
    """A file with the chunks before the image data and empty image data.

    Args:
        start: the first bytes of a PNG, up to its image data at least.

    Raises:
        ValueError: the image data does not begin in `start`.
    """
    at = start.find(b"IDAT") - 4
    for kind, begins, _ in _places(start[: max(at, 0)] + _chunk(b"IDAT", b"") + _chunk(b"IEND", b"")):
        if kind == b"IDAT" and begins == at:
            return start[:at] + _chunk(b"IDAT", b"") + _chunk(b"IEND", b"")
    raise ValueError("no image data yet")


def _dpi(found: Sequence[tuple[bytes, bytes]]) -> tuple[float, float] | None:
    for kind, payload in found:
        if kind == b"pHYs" and len(payload) == 9:
            x, y, unit = struct.unpack(">LLB", payload)
            return (x * 0.0254, y * 0.0254) if unit == 1 and x and y else None
    return None


def _inflate(data: bytes) -> bytes:
    """Inflated bytes, or b"" where the stream is malformed or inflates beyond the limit."""
    inflater = zlib.decompressobj()
    try:
        plain = inflater.decompress(data, _MAX_INFLATED_BYTES)
    except zlib.error:
        return b""
    return plain if inflater.eof else b""


def _international_text(payload: bytes) -> bytes:
    _, rest = payload.split(b"\0", 1)
    parts = rest[2:].split(b"\0", 2)
    if len(parts) != 3:
        return b""
    return _inflate(parts[2]) if rest[:1] == b"\1" else parts[2]


def _text(kind: bytes, payload: bytes) -> bytes:
    rest = payload[len(_IPTC_KEYWORD) + 1 :]
    return _inflate(rest[1:]) if kind == b"zTXt" else rest


def embed(data: bytes, meta: Metadata, alpha: Alpha | None) -> tuple[bytes, tuple[str, ...]]:
    """`data` with the metadata in place of what libvips wrote between IHDR and the image data.

    That is a resolution of 25.4 dpi where none was given.
    """
    header, image = 33, data.index(b"IDAT") - 4
    chunks = []
    if meta.icc:
        chunks.append(_chunk(b"iCCP", b"icc\0\0" + zlib.compress(meta.icc)))
    if meta.dpi:
        x, y = (round(value / 0.0254) for value in meta.dpi)
        chunks.append(_chunk(b"pHYs", struct.pack(">LLB", x, y, 1)))
    if meta.exif:
        chunks.append(_chunk(b"eXIf", meta.exif))
    if meta.xmp:
        chunks.append(_chunk(b"iTXt", _XMP_KEYWORD + bytes(5) + meta.xmp))
    if meta.iptc:
        chunks.append(_chunk(b"zTXt", _IPTC_KEYWORD + b"\0\0" + zlib.compress(iptc.as_text(meta.iptc))))
    return b"".join([data[:header], *chunks, memoryview(data)[image:]]), ()


def _chunk(kind: bytes, payload: bytes) -> bytes:
    return struct.pack(">L", len(payload)) + kind + payload + struct.pack(">L", zlib.crc32(kind + payload))
