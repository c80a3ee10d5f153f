"""WebP chunks (RFC 9649)."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping, Set

from restore.imaging.metadata import exif
from restore.imaging.metadata.record import Metadata
from restore.imaging.pixels import Alpha

_MAX_CHUNKS = 10_000
_FOR_PIXELS = (b"VP8X", b"ALPH", b"VP8 ", b"VP8L", b"ANIM", b"ANMF")
_FIELDS = {b"ICCP": "icc", b"EXIF": "exif", b"XMP ": "xmp"}
_ALPHA, _FRAMES = 0x10, 0x02  # of VP8X's flags


def read(data: bytes) -> Metadata:
    """The metadata of the chunks."""
    every = list(chunks(data))
    found = dict(reversed(every))
    twice = [_FIELDS[kind] for kind in _FIELDS if len({value for each, value in every if each == kind}) > 1]
    if not found.keys() & {b"VP8 ", b"VP8L", b"ANMF"}:
        raise ValueError("no picture in it")
    return Metadata(
        icc=found.get(b"ICCP"),
        exif=found.get(b"EXIF"),
        xmp=found.get(b"XMP "),
        size=_canvas(found),
        lossless=b"VP8L" in found,
        pages=2 if found.keys() & {b"ANIM", b"ANMF"} else 1,
        dropped=(*(f"further {field}" for field in twice), *_unknown(found.keys())),
    )


def _unknown(kinds: Set[bytes]) -> Iterator[str]:
    """Names of the chunks that are neither for the pixels nor read."""
    for kind in sorted(kinds - {*_FOR_PIXELS, *_FIELDS}):
        yield f"{kind.decode().strip()} chunk" if kind.isalnum() and kind.isascii() else "unknown chunk"


def chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and payload of each chunk of a RIFF file; bytes after the RIFF file are ignored."""
    at, end = 12, 8 + int.from_bytes(data[4:8], "little")
    if end > len(data):
        raise ValueError(f"the header announces {end} bytes and the file has {len(data)}")
    for _ in range(_MAX_CHUNKS):
        if at + 8 > end:
            return
        kind, size = struct.unpack_from("<4sL", data, at)
        if at + 8 + size > end:
            raise ValueError(f"{kind!r} goes beyond the end")
        yield kind, data[at + 8 : at + 8 + size]
        at += 8 + size + size % 2
    raise ValueError(f"more than {_MAX_CHUNKS} chunks")


def strip(data: bytes) -> bytes:
    """The file with only the chunks that its pixels need; the same object where it has no others."""
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


def embed(data: bytes, meta: Metadata, alpha: Alpha | None) -> tuple[bytes, tuple[str, ...]]:
    """The file in the extended format, its metadata before and after the image chunks; it holds no IPTC."""
    exif = _with_resolution(meta)
    image = [(kind, payload) for kind, payload in chunks(data) if kind in (b"ALPH", b"VP8 ", b"VP8L")]
    width, height = _size(dict(image))
    flags = 0x20 * bool(meta.icc) | _ALPHA * bool(alpha) | 0x08 * bool(exif) | 0x04 * bool(meta.xmp)
    header = struct.pack("<L", flags) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    before = [(b"VP8X", header), (b"ICCP", meta.icc)]
    after = [(b"EXIF", exif), (b"XMP ", meta.xmp)]
    file = _riff(_chunk(kind, payload) for kind, payload in [*before, *image, *after] if payload)
    homeless = {"iptc": meta.iptc, "photoshop": meta.photoshop}
    return file, tuple(name for name, value in homeless.items() if value)


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


def _with_resolution(meta: Metadata) -> bytes | None:
    """EXIF that states the resolution: WebP has no other place for it."""
    if meta.resolution is None:
        return meta.exif
    own = exif.resolution_entries(meta.resolution)
    if meta.exif is None:
        return exif.write_exif(own)
    place = exif.first_directory(meta.exif)
    if exif.resolution_of(exif.read_entries(meta.exif, *place)[0]) == meta.resolution:
        return meta.exif
    return exif.write_exif({**exif.read_tree(meta.exif, *place).items, **own})
