"""TIFF files: the kind of their samples, and the EXIF among their tags."""

from __future__ import annotations

import struct
from collections.abc import Mapping

from restore.imaging.metadata import exif as tags
from restore.imaging.metadata import iptc
from restore.imaging.metadata.exif import Entry
from restore.imaging.metadata.record import Metadata

_LOSSY = frozenset([6, 7, 50001])  # JPEG and WebP
# Plain, CCITT, LZW, Deflate, PackBits. Not JPEG 2000, JPEG XL, LERC, JBIG and other codecs of their own.
_LOSSLESS = frozenset([1, 2, 3, 4, 5, 8, 32771, 32773, 32946])
# Not Orientation: a wrong one is no damage, and pictures are turned after decoding.
_FOR_PIXELS = tags.STRUCTURAL - {
    *(tags.ORIENTATION, tags.XMP, tags.IPTC, tags.ICC_PROFILE, tags.PHOTOSHOP, tags.PHOTOSHOP_LAYERS)
}
_MAX_PAGES_COUNTED = 1000  # pages; more are counted as this many


def read(data: bytes) -> Metadata:
    """The metadata of the first directory; its EXIF is collected from among the other tags."""
    layout, offset = tags.first_directory(data)
    entries, following = tags.read_entries(data, layout, offset)
    _hold_all_samples(data, entries)
    size = tags.number(entries, tags.WIDTH, 0), tags.number(entries, tags.HEIGHT, 0)
    dropped = ["photoshop"] if {tags.PHOTOSHOP, tags.PHOTOSHOP_LAYERS} & entries.keys() else []
    if tags.EXTRA_SAMPLES in entries and entries[tags.EXTRA_SAMPLES].numbers()[:1] == [1]:
        dropped.append("premultiplied alpha")
    try:
        exif = _exif(data, layout, offset)
    except ValueError:
        exif, dropped = None, [*dropped, "exif"]
    return Metadata(
        icc=entries[tags.ICC_PROFILE].value if tags.ICC_PROFILE in entries else None,
        exif=exif,
        xmp=entries[tags.XMP].value if tags.XMP in entries else None,
        iptc=_iptc(entries),
        dpi=tags.dpi_of(entries),
        orientation=tags.orientation_of(entries),
        size=size,
        pages=_pages(data, layout, offset, following),
        lossless=tags.number(entries, tags.COMPRESSION, 1) not in _LOSSY,
        palette=tags.number(entries, tags.PHOTOMETRIC, 1) == 3,
        found=_strange_samples(entries),
        dropped=tuple(dropped),
    )


def _iptc(entries: Mapping[int, Entry]) -> bytes | None:
    """Records of their own tag, which some writers call four-byte numbers, or of Photoshop's resources."""
    if tags.IPTC in entries:
        stored = entries[tags.IPTC].value
        turned = b"".join(stored[at : at + 4][::-1] for at in range(0, len(stored), 4))
        return iptc.sound(stored) or iptc.sound(turned)
    return iptc.of_resources(entries[tags.PHOTOSHOP].value) if tags.PHOTOSHOP in entries else None


def _hold_all_samples(data: bytes, entries: Mapping[int, Entry]) -> None:
    """Refuses a file that was cut short, before `strip` puts a directory where its samples were."""
    for where, size in ((tags.STRIP_OFFSETS, tags.STRIP_SIZES), (tags.TILE_OFFSETS, tags.TILE_SIZES)):
        if where in entries and size in entries:
            pairs = zip(entries[where].numbers(), entries[size].numbers(), strict=False)
            if any(offset + length > len(data) for offset, length in pairs):
                raise ValueError("a strip or tile goes beyond the end")


def _pages(data: bytes, layout: tags.Layout, offset: int, following: int) -> int:
    """Directories from the first on.

    Raises:
        ValueError: they lead in a circle, or out of the file.
    """
    seen = {offset}
    while len(seen) < _MAX_PAGES_COUNTED:
        offset = tags.next_directory(data, layout, following)
        if offset == 0:
            break
        if offset in seen:
            raise ValueError("its directories lead in a circle")
        seen.add(offset)
        _, following = tags.read_entries(data, layout, offset)
    return len(seen)


def _exif(data: bytes, layout: tags.Layout, offset: int) -> bytes | None:
    tree = tags.read_tree(data, layout, offset)
    kept = {tag: item for tag, item in tree.items() if tag not in tags.STRUCTURAL and _classic(item)}
    return tags.write_exif(kept) if kept else None


def _classic(item: Entry | tags.Directory) -> bool:
    return not isinstance(item, Entry) or item.kind <= 12  # BigTIFF's own types have no place in EXIF


def _strange_samples(entries: Mapping[int, Entry]) -> str | None:
    """What is wrong with a TIFF's samples, in words; None when they are of an accepted kind."""
    compression = tags.number(entries, tags.COMPRESSION, 1)
    if compression not in _LOSSY | _LOSSLESS:
        return f"TIFF of compression {compression}"
    photometric = tags.number(entries, tags.PHOTOMETRIC, 1)
    if photometric not in (0, 1, 2, 3, 5, 6):
        kinds = {
            4: "a transparency mask",
            8: "CIELAB",
            9: "ICC Lab",
            10: "ITU Lab",
            32803: "a camera's raw mosaic",
        }
        return f"TIFF of {kinds.get(photometric, f'photometric interpretation {photometric}')}"
    if photometric == 5 and tags.number(entries, tags.INK_SET, 1) != 1:
        return "TIFF of inks other than CMYK"
    bits = set(entries[tags.BITS].numbers()) if tags.BITS in entries else {1}
    sample_format = tags.number(entries, tags.SAMPLE_FORMAT, 1)
    if sample_format not in (1, 4):
        names = {2: "signed", 3: "floating point"}
        return f"TIFF of {max(bits)}-bit {names.get(sample_format, 'complex')} samples"
    if len(bits) != 1 or not bits <= {1, 2, 4, 8, 16}:
        return f"TIFF of {'/'.join(map(str, sorted(bits)))}-bit samples"
    return None


def embed(data: bytes, meta: Metadata, alpha: bool) -> tuple[bytes, tuple[str, ...]]:
    """The file with a new first directory at its end: the tags of libvips and the metadata."""
    layout, offset = tags.first_directory(data)
    own = dict(tags.read_entries(data, layout, offset)[0])
    for tag in (tags.X_RESOLUTION, tags.Y_RESOLUTION, tags.RESOLUTION_UNIT):
        own.pop(tag, None)
    tree: tags.Directory = {}
    if meta.exif:
        tree |= tags.read_tree(meta.exif, *tags.first_directory(meta.exif))
        tree = {tag: item for tag, item in tree.items() if tag not in tags.STRUCTURAL}
    tree |= own
    if meta.dpi:
        tree |= tags.dpi_entries(meta.dpi)
    if meta.icc:
        tree[tags.ICC_PROFILE] = Entry(tags.UNDEFINED, len(meta.icc), meta.icc)
    if meta.xmp:
        tree[tags.XMP] = Entry(tags.BYTE, len(meta.xmp), meta.xmp)
    if meta.iptc:
        tree[tags.IPTC] = Entry(tags.UNDEFINED, len(meta.iptc), meta.iptc)
    return _with_directory(data, layout, tags.write_tree(tree, _end(data), layout.big)), ()


def strip(data: bytes) -> bytes:
    """The file with one directory that holds only the tags about how the samples lie."""
    layout, offset = tags.first_directory(data)
    entries, _ = tags.read_entries(data, layout, offset)
    starts = [entry.position for tag, entry in sorted(entries.items()) if tag in _FOR_PIXELS]
    form, size, last = ("Q", 20, 8) if layout.big else ("H", 12, 4)
    records = [data[start : start + size] for start in starts]
    head = struct.pack(layout.order + form, len(records))
    return _with_directory(data, layout, b"".join([head, *records, bytes(last)]))


def _with_directory(data: bytes, layout: tags.Layout, directory: bytes) -> bytes:
    """The file with another first directory, at its end."""
    form, at = ("Q", 8) if layout.big else ("L", 4)
    pointer = struct.pack(layout.order + form, _end(data))
    after = memoryview(data)[at + len(pointer) :]
    return b"".join([data[:at], pointer, after, bytes(len(data) % 2), directory])


def _end(data: bytes) -> int:
    return len(data) + len(data) % 2  # TIFF 6.0: directories begin on a word boundary
