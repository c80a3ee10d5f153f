"""WebP chunks (RFC 9649)."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping

from restore.imaging.metadata import exif
from restore.imaging.metadata.record import Metadata

_MOST_CHUNKS = 10_000
_FOR_PIXELS = (b"VP8X", b"ALPH", b"VP8 ", b"VP8L", b"ANIM", b"ANMF")
_ALPHA, _FRAMES = 0x10, 0x02  # of VP8X's flags


def read(data: bytes) -> Metadata:
    """What the chunks say."""
    found = dict(chunks(data))
    if not found.keys() & {b"VP8 ", b"VP8L", b"ANMF"}:
        raise ValueError("no picture in it")
    exif = found.get(b"EXIF")
    return Metadata(
        icc=found.get(b"ICCP"),
        exif=exif.removeprefix(b"Exif\0\0") if exif else None,
        xmp=found.get(b"XMP "),
        size=_canvas(found),
        lossless=b"VP8L" in found,
        pages=2 if found.keys() & {b"ANIM", b"ANMF"} else 1,
    )


def chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and payload of each chunk of a RIFF file; what follows the file's own end is not looked at."""
    at, end = 12, 8 + int.from_bytes(data[4:8], "little")
    if end > len(data):
        raise ValueError(f"{end} bytes are announced and {len(data)} are there")
    for _ in range(_MOST_CHUNKS):
        if at + 8 > end:
            return
        kind, size = struct.unpack_from("<4sL", data, at)
        if at + 8 + size > end:
            raise ValueError(f"{kind!r} goes beyond the end")
        yield kind, data[at + 8 : at + 8 + size]
        at += 8 + size + size % 2
    raise ValueError(f"more than {_MOST_CHUNKS} chunks")


def bare(data: bytes) -> bytes:
    """`data` with only those chunks that pixels need; `data` itself where there are no others."""
    found = list(chunks(data))
    if all(kind in (b"ALPH", b"VP8 ", b"VP8L") for kind, _ in found):
        return data
    kept = [(kind, _flagged(payload) if kind == b"VP8X" else payload) for kind, payload in found]
    return _riff([_chunk(kind, payload) for kind, payload in kept if kind in _FOR_PIXELS])


def _flagged(header: bytes) -> bytes:
    """An extended header that announces no metadata."""
    return bytes([header[0] & (_ALPHA | _FRAMES)]) + header[1:] if header else header


def _riff(chunked: Iterable[bytes]) -> bytes:
    body = b"".join(chunked)
    return struct.pack("<4sL4s", b"RIFF", len(body) + 4, b"WEBP") + body


def embed(data: bytes, around: Metadata, alpha: bool) -> bytes:
    """`data` in the extended format, the metadata round its image chunks."""
    exif = _with_dpi(around)
    image = [(kind, payload) for kind, payload in chunks(data) if kind in (b"ALPH", b"VP8 ", b"VP8L")]
    width, height = _size(dict(image))
    flags = 0x20 * bool(around.icc) | _ALPHA * alpha | 0x08 * bool(exif) | 0x04 * bool(around.xmp)
    header = struct.pack("<L", flags) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    before = [(b"VP8X", header), (b"ICCP", around.icc)]
    after = [(b"EXIF", exif), (b"XMP ", around.xmp)]
    return _riff(_chunk(kind, payload) for kind, payload in [*before, *image, *after] if payload)


def _chunk(kind: bytes, payload: bytes) -> bytes:
    return struct.pack("<4sL", kind, len(payload)) + payload + bytes(len(payload) % 2)


def _canvas(found: Mapping[bytes, bytes]) -> tuple[int, int] | None:
    """The whole picture's size; None where its header is too short to say."""
    extended = found.get(b"VP8X", b"")
    if len(extended) >= 10:
        return int.from_bytes(extended[4:7], "little") + 1, int.from_bytes(extended[7:10], "little") + 1
    try:
        return _size(found)
    except (KeyError, struct.error):
        return None


def _size(image: Mapping[bytes, bytes]) -> tuple[int, int]:
    if b"VP8L" in image:
        (bits,) = struct.unpack_from("<L", image[b"VP8L"], 1)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    width, height = struct.unpack_from("<2H", image[b"VP8 "], 6)
    return width & 0x3FFF, height & 0x3FFF


def _with_dpi(around: Metadata) -> bytes | None:
    """EXIF that states the resolution: WebP has no other place for it."""
    if around.dpi is None:
        return around.exif
    if around.exif is None:
        return exif.write_exif(exif.dpi_entries(around.dpi))
    place = exif.first_directory(around.exif)
    if exif.dpi_of(exif.read_entries(around.exif, *place)[0]) == around.dpi:
        return around.exif
    return exif.write_exif({**exif.read_tree(around.exif, *place), **exif.dpi_entries(around.dpi)})
