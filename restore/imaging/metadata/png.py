"""PNG chunks (PNG Specification, Third Edition)."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass

from restore.imaging.metadata import iptc, photoshop
from restore.imaging.metadata.fields import text_profile
from restore.imaging.metadata.record import Metadata
from restore.imaging.pixels import Alpha
from restore.imaging.resolution import Resolution, stated

_XMP_KEYWORD, _XMP_MARK = b"XML:com.adobe.xmp", b"http://ns.adobe.com/xap/1.0/\0"
_EXIF_MARK = b"Exif\0\0"
# What ImageMagick's profiles hold, by their name. APP1 is a segment of a JPEG.
_PROFILES = {
    **{b"exif": "exif", b"app1": "app1", b"xmp": "xmp", b"icc": "icc", b"icm": "icc"},
    **{b"iptc": "photoshop", b"8bim": "photoshop"},
}
_MAX_INFLATED_BYTES = 64 << 20  # all profiles and packets of an honest file are smaller; a zip bomb is not
_METRE = 0.0254  # of an inch
_INFLATED_AT_ONCE = 1 << 20
_MAX_CHUNKS = 10_000  # besides image data; walking millions of empty ones would take minutes
_IMAGE_DATA = (b"IDAT", b"fdAT")
_FOR_PIXELS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")

# Those, what is read, and what is so anyway or no longer true of a repaired picture.
_KNOWN = frozenset(
    (
        *(*_FOR_PIXELS, *_IMAGE_DATA, b"iCCP", b"eXIf", b"tEXt", b"zTXt", b"iTXt", b"pHYs", b"gAMA", b"cHRM"),
        *(b"cICP", b"sRGB", b"tIME", b"hIST", b"acTL", b"fcTL"),
    )
)


@dataclass(frozen=True, slots=True)
class _Item:
    """The metadata in a chunk.

    Attributes:
        field: of Metadata that it is for; "app1", or "text" that is not read.
        profile: whether it is one of ImageMagick's.
    """

    field: str
    content: bytes = b""
    deflated: bool = False
    profile: bool = False


def read(data: bytes) -> Metadata:
    """The metadata of all chunks, also of those after the image data."""
    found = list(chunks(data))
    kinds = {kind for kind, _ in found}
    values, lost = _values(found)
    records, without = iptc.first_of(values.pop("iptc"))
    firsts = {field: next(iter(each), None) for field, each in values.items()}
    further = [f"further {field}" for field, each in values.items() if len(set(each)) > 1]
    return Metadata(
        **firsts,  # type: ignore[arg-type]
        iptc=records,
        size=struct.unpack_from(">2L", data, 16),
        resolution=_resolution(found),
        pages=2 if b"acTL" in kinds else 1,
        palette=data[25:26] == b"\x03",
        dropped=(*lost, *without, *further, *_unknown(kinds)),
    )


def _values(found: Sequence[tuple[bytes, bytes]]) -> tuple[dict[str, list[bytes]], list[str]]:
    """All values of each field, those in chunks of PNG's own first; and the names of what is lost."""
    values: dict[str, list[bytes]] = {field: [] for field in ("icc", "exif", "xmp", "iptc", "photoshop")}
    items = [item for item in (_item(kind, payload) for kind, payload in found) if item]
    inflater = _Inflater()
    lost: list[str] = []
    for item in sorted(items, key=lambda item: item.profile):
        content = inflater.inflated(item.content) if item.deflated else item.content
        content = text_profile.parsed(content) if item.profile else content
        if item.field == "photoshop" and content.startswith(b"8BIM"):
            resources = photoshop.read(content)
            values["iptc"] += resources.iptc
            values["photoshop"] += [resources.kept] if resources.kept else []
            lost += resources.dropped
        elif not content:
            lost.append(item.field)
        elif item.field == "app1" and content.startswith(_XMP_MARK):
            values["xmp"].append(content.removeprefix(_XMP_MARK))
        else:
            field = {"photoshop": "iptc", "app1": "exif"}.get(item.field, item.field)
            values[field].append(content.removeprefix(_EXIF_MARK))
    return values, lost


def _item(kind: bytes, payload: bytes) -> _Item | None:
    """What a chunk holds; None where it is no metadata that is read or named as text."""
    if kind == b"iCCP":
        return _Item("icc", payload[payload.find(b"\0") + 2 :], deflated=True)
    if kind == b"eXIf":
        return _Item("exif", payload)
    if kind not in (b"tEXt", b"zTXt", b"iTXt"):
        return None
    keyword, _, text = payload.partition(b"\0")
    deflated = kind == b"zTXt"
    if kind == b"iTXt":
        deflated = text[:1] == b"\1"
        text = b"".join(text[2:].split(b"\0", 2)[2:])
    elif deflated:
        text = text[1:]
    if kind == b"iTXt" and keyword == _XMP_KEYWORD:
        return _Item("xmp", text, deflated)
    field = _PROFILES.get(keyword.removeprefix(text_profile.KEYWORD).lower())
    if field and keyword.startswith(text_profile.KEYWORD):
        return _Item(field, text, deflated, profile=True)
    return _Item("text")


def _unknown(kinds: Set[bytes]) -> Iterator[str]:
    """Names of the chunks that are not read and whose content is lost."""
    if b"cICP" in kinds or (b"gAMA" in kinds and not kinds & {b"sRGB", b"iCCP"}):
        yield "gamma"
    if b"cHRM" in kinds and not kinds & {b"sRGB", b"iCCP", b"cICP"}:
        yield "primaries"
    for kind in sorted(kinds - _KNOWN):
        yield f"{kind.decode()} chunk" if kind.isalpha() and kind.isascii() else "unknown chunk"


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


def _resolution(found: Sequence[tuple[bytes, bytes]]) -> Resolution | None:
    for kind, payload in found:
        if kind == b"pHYs" and len(payload) == 9:
            x, y, unit = struct.unpack(">LLB", payload)
            return stated(x, y, "none") if unit == 0 else stated(x * _METRE, y * _METRE, "inch")
    return None


class _Inflater:
    """Inflates streams until all together are longer than the limit."""

    def __init__(self) -> None:
        self._room = _MAX_INFLATED_BYTES

    def inflated(self, data: bytes) -> bytes:
        """Inflated bytes, or b"" where the stream is malformed or goes beyond the limit."""
        stream, parts = zlib.decompressobj(), []
        while self._room and not stream.eof:
            try:
                part = stream.decompress(data, min(self._room, _INFLATED_AT_ONCE))
            except zlib.error:
                return b""
            if not part and not stream.eof:
                return b""
            data = stream.unconsumed_tail
            self._room -= len(part)
            parts.append(part)
        return b"".join(parts) if stream.eof else b""


def embed(data: bytes, meta: Metadata, alpha: Alpha | None) -> tuple[bytes, tuple[str, ...]]:
    """`data` with the metadata in place of what libvips wrote between IHDR and the image data.

    That is a resolution of 25.4 dpi where none was given.
    """
    header, image = 33, data.index(b"IDAT") - 4
    chunks = []
    if meta.icc:
        chunks.append(_chunk(b"iCCP", b"icc\0\0" + zlib.compress(meta.icc)))
    if meta.resolution:
        known = meta.resolution.unit != "none"
        x, y = (round(each / _METRE) for each in meta.resolution.dpi) if known else meta.resolution.whole()
        chunks.append(_chunk(b"pHYs", struct.pack(">LLB", x, y, known)))
    if meta.exif:
        chunks.append(_chunk(b"eXIf", meta.exif))
    if meta.xmp:
        chunks.append(_chunk(b"iTXt", _XMP_KEYWORD + bytes(5) + meta.xmp))
    if meta.iptc:
        chunks.append(_profile("iptc", photoshop.of_iptc(meta.iptc)))
    if meta.photoshop:
        chunks.append(_profile("8bim", meta.photoshop))
    return b"".join([data[:header], *chunks, memoryview(data)[image:]]), ()


def _profile(name: str, value: bytes) -> bytes:
    text = zlib.compress(text_profile.written(name, value))
    return _chunk(b"zTXt", text_profile.KEYWORD + name.encode() + b"\0\0" + text)


def _chunk(kind: bytes, payload: bytes) -> bytes:
    return struct.pack(">L", len(payload)) + kind + payload + struct.pack(">L", zlib.crc32(kind + payload))
