"""WebP chunks (RFC 9649)."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping

from restore.containers import exif as tags
from restore.containers.surroundings import Surroundings


def read(data: bytes) -> Surroundings:
    """What the chunks say."""
    found = dict(chunks(data))
    exif = found.get(b"EXIF")
    return Surroundings(
        icc=found.get(b"ICCP"),
        exif=exif.removeprefix(b"Exif\0\0") if exif else None,
        xmp=found.get(b"XMP "),
        lossless=b"VP8L" in found,
        animated=b"ANIM" in found or b"ANMF" in found,
    )


def chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and payload of each chunk of a RIFF file."""
    at = 12
    while at + 8 <= len(data):
        kind, size = struct.unpack_from("<4sL", data, at)
        yield kind, data[at + 8 : at + 8 + size]
        at += 8 + size + size % 2


def embed(data: bytes, around: Surroundings, alpha: bool) -> bytes:
    """`data` in the extended format, the metadata round its image chunks."""
    exif = _with_dpi(around)
    image = [(kind, payload) for kind, payload in chunks(data) if kind in (b"ALPH", b"VP8 ", b"VP8L")]
    width, height = _size(dict(image))
    flags = 0x20 * bool(around.icc) | 0x10 * alpha | 0x08 * bool(exif) | 0x04 * bool(around.xmp)
    header = struct.pack("<L", flags) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    before = [(b"VP8X", header), (b"ICCP", around.icc)]
    after = [(b"EXIF", exif), (b"XMP ", around.xmp)]
    body = b"".join(_chunk(kind, payload) for kind, payload in [*before, *image, *after] if payload)
    return struct.pack("<4sL4s", b"RIFF", len(body) + 4, b"WEBP") + body


def _chunk(kind: bytes, payload: bytes) -> bytes:
    return struct.pack("<4sL", kind, len(payload)) + payload + bytes(len(payload) % 2)


def _size(image: Mapping[bytes, bytes]) -> tuple[int, int]:
    if b"VP8L" in image:
        (bits,) = struct.unpack_from("<L", image[b"VP8L"], 1)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    width, height = struct.unpack_from("<2H", image[b"VP8 "], 6)
    return width & 0x3FFF, height & 0x3FFF


def _with_dpi(around: Surroundings) -> bytes | None:
    """EXIF that states the resolution: WebP has no other place for it."""
    if around.dpi is None:
        return around.exif
    if around.exif is None:
        return tags.write_exif(tags.dpi_entries(around.dpi))
    place = tags.first_directory(around.exif)
    if tags.dpi_of(tags.read_entries(around.exif, *place)[0]) == around.dpi:
        return around.exif
    return tags.write_exif({**tags.read_tree(around.exif, *place), **tags.dpi_entries(around.dpi)})
