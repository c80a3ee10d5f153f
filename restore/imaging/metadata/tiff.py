"""TIFF files: which page is the photo, how its samples lie, and the EXIF among its tags."""

from __future__ import annotations

import struct
from collections.abc import Mapping

from restore.imaging.metadata import exif as tags
from restore.imaging.metadata import iptc
from restore.imaging.metadata.exif import Entry
from restore.imaging.metadata.record import Metadata
from restore.imaging.pixels import Alpha
from restore.imaging.tiff.pages import Page, pages_of
from restore.imaging.tiff.samples import ALPHA_CODES, PALETTE, refused, samples_of

_LOSSY = frozenset([6, 7, 50001])  # JPEG and WebP
# Not Orientation: a wrong one is no damage, and pictures are turned after decoding.
_FOR_PIXELS = frozenset(
    (
        *(tags.WIDTH, tags.HEIGHT, tags.BITS, tags.SAMPLES, tags.COMPRESSION, tags.PHOTOMETRIC),
        *(tags.STRIP_OFFSETS, tags.STRIP_ROWS, tags.STRIP_SIZES, tags.PLANAR, tags.FILL_ORDER),
        *(tags.PREDICTOR, tags.COLOUR_MAP, tags.TILE_WIDTH, tags.TILE_HEIGHT, tags.TILE_OFFSETS),
        *(tags.TILE_SIZES, tags.INK_SET, tags.EXTRA_SAMPLES, tags.SAMPLE_FORMAT, tags.JPEG_TABLES),
        *(*tags.CCITT_OPTIONS, *tags.YCBCR),
    )
)


def read(data: bytes) -> Metadata:
    """The metadata of the photo's page; its EXIF is collected from among the other tags."""
    layout, _ = tags.first_directory(data)
    pages = pages_of(data)
    entries = tags.read_entries(data, layout, pages.photo.offset)[0]
    _hold_all_samples(data, entries)
    samples = samples_of(entries)
    stated = {**_first_entries(data, layout, pages.first, pages.photo), **entries}
    dropped = [*pages.beside]
    if {tags.PHOTOSHOP, tags.PHOTOSHOP_LAYERS} & stated.keys():
        dropped.append("photoshop")
    try:
        exif = _exif(data, layout, pages.first, pages.photo)
    except ValueError:
        exif, dropped = None, [*dropped, "exif"]
    return Metadata(
        icc=stated[tags.ICC_PROFILE].value if tags.ICC_PROFILE in stated else None,
        exif=exif,
        xmp=stated[tags.XMP].value if tags.XMP in stated else None,
        iptc=_iptc(stated),
        dpi=tags.dpi_of(stated),
        orientation=tags.orientation_of(stated),
        size=(samples.width, samples.height),
        pages=pages.photos,
        lossless=samples.compression not in _LOSSY,
        palette=samples.photometric == PALETTE,
        found=pages.refused or refused(samples),
        samples=samples,
        dropped=tuple(dropped),
    )


def _first_entries(data: bytes, layout: tags.Layout, first: Page, photo: Page) -> dict[int, Entry]:
    """The first page's tags, where the photo is another page: they may be the ones that describe it."""
    return {} if first is photo else tags.read_entries(data, layout, first.offset)[0]


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


def _exif(data: bytes, layout: tags.Layout, first: Page, photo: Page) -> bytes | None:
    offsets = dict.fromkeys((first.offset, photo.offset))
    trees = [tags.read_tree(data, layout, offset) for offset in offsets]
    kept = {
        tag: item
        for tree in trees
        for tag, item in tree.items()
        if tag not in tags.STRUCTURAL and _classic(item)
    }
    return tags.write_exif(kept) if kept else None


def _classic(item: Entry | tags.Directory) -> bool:
    return not isinstance(item, Entry) or item.kind <= 12  # BigTIFF's own types have no place in EXIF


def embed(data: bytes, meta: Metadata, alpha: Alpha | None) -> tuple[bytes, tuple[str, ...]]:
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
    if alpha is not None:
        tree[tags.EXTRA_SAMPLES] = Entry(tags.SHORT, 1, struct.pack("<H", ALPHA_CODES[alpha]))
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
    """The file with one directory that holds only the tags about how the photo's samples lie."""
    layout, _ = tags.first_directory(data)
    entries, _ = tags.read_entries(data, layout, pages_of(data).photo.offset)
    form, size, last = ("Q", 20, 8) if layout.big else ("H", 12, 4)
    records = [
        _plain_alpha(layout) if tag == tags.EXTRA_SAMPLES else data[entry.position : entry.position + size]
        for tag, entry in sorted(entries.items())
        if tag in _FOR_PIXELS
    ]
    head = struct.pack(layout.order + form, len(records))
    return _with_directory(data, layout, b"".join([head, *records, bytes(last)]))


def _plain_alpha(layout: tags.Layout) -> bytes:
    """ExtraSamples that name plain alpha: libvips would divide the colours by any other kind."""
    form = "HHQH6x" if layout.big else "HHLH2x"
    return struct.pack(layout.order + form, tags.EXTRA_SAMPLES, tags.SHORT, 1, ALPHA_CODES["straight"])


def _with_directory(data: bytes, layout: tags.Layout, directory: bytes) -> bytes:
    """The file with another first directory, at its end."""
    form, at = ("Q", 8) if layout.big else ("L", 4)
    pointer = struct.pack(layout.order + form, _end(data))
    after = memoryview(data)[at + len(pointer) :]
    return b"".join([data[:at], pointer, after, bytes(len(data) % 2), directory])


def _end(data: bytes) -> int:
    return len(data) + len(data) % 2  # TIFF 6.0: directories begin on a word boundary
