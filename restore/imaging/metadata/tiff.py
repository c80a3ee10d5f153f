"""TIFF files: which page is the photo, how its samples lie, and the EXIF among its tags."""

from __future__ import annotations

import struct
from collections.abc import Mapping

from restore.imaging.metadata import exif as tags
from restore.imaging.metadata import iptc, photoshop
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

_FIELDS = {
    tags.XMP: "xmp",
    tags.IPTC: "iptc",
    tags.PHOTOSHOP: "photoshop",
    tags.PHOTOSHOP_LAYERS: "photoshop layers",
    tags.ICC_PROFILE: "icc",
    tags.X_RESOLUTION: "dpi",
    tags.Y_RESOLUTION: "dpi",
}
# Tags about samples that say more than how they lie, and that no output keeps.
_SAMPLE_RANGE, _FLOAT_RANGE, _DOT_RANGE, _COEFFICIENTS, _REFERENCE = (280, 281), (340, 341), 336, 529, 532
_LOST = {
    **dict.fromkeys((*_SAMPLE_RANGE, *_FLOAT_RANGE), "sample range"),
    290: "gray response",
    291: "gray response",
    333: "ink names",
    _DOT_RANGE: "dot range",
    342: "transfer range",
    343: "clip path",
    400: "global parameters",
    _COEFFICIENTS: "ycbcr coefficients",
    _REFERENCE: "reference black and white",
}
_BT_601 = [299, 587, 114]  # thousandths
_LAST_TYPE, _LONG8, _UTF8 = 12, 16, 129  # of TIFF 6.0; of BigTIFF; of Exif 3.0


def read(data: bytes) -> Metadata:
    """The metadata of the photo's page; its EXIF is collected from among the other tags."""
    layout, _ = tags.first_directory(data)
    pages = pages_of(data)
    found = tags.read_directory(data, layout, pages.photo.offset)
    _check_samples(data, found)
    samples = samples_of(found.entries)
    first = found if pages.first is pages.photo else tags.read_directory(data, layout, pages.first.offset)
    stated = {**first.entries, **found.entries}
    exif, lost = _exif(data, layout, pages.first, pages.photo, samples.bits)
    resources = photoshop.read(stated[tags.PHOTOSHOP].value if tags.PHOTOSHOP in stated else b"")
    records, without = _iptc(stated, resources)
    lost += [*without, *resources.dropped, *["photoshop layers"] * (tags.PHOTOSHOP_LAYERS in stated)]
    lost += ["dpi"] * tags.lacks_resolution(stated)
    return Metadata(
        icc=stated[tags.ICC_PROFILE].value if tags.ICC_PROFILE in stated else None,
        exif=exif,
        xmp=stated[tags.XMP].value if tags.XMP in stated else None,
        iptc=records,
        photoshop=resources.kept,
        resolution=tags.resolution_of(stated),
        orientation=tags.orientation_of(stated),
        size=(samples.width, samples.height),
        pages=pages.photos,
        lossless=samples.compression not in _LOSSY,
        palette=samples.photometric == PALETTE,
        found=pages.refused or refused(samples),
        samples=samples,
        dropped=(*pages.beside, *lost),
    )


def _iptc(
    entries: Mapping[int, Entry], resources: photoshop.Resources
) -> tuple[bytes | None, tuple[str, ...]]:
    """Records of their own tag, which some writers call four-byte numbers, and of Photoshop's resources."""
    stored = entries[tags.IPTC].value if tags.IPTC in entries else b""
    turned = b"".join(stored[at : at + 4][::-1] for at in range(0, len(stored), 4))
    own = turned if iptc.sound(turned) and not iptc.sound(stored) else stored
    return iptc.first_of([block for block in (own, *resources.iptc) if block])


def _check_samples(data: bytes, found: tags.Found) -> None:
    """Refuses a file that was cut short, before `strip` puts a directory where its samples were."""
    for fault in found.faults:
        if fault.tag in _FOR_PIXELS:
            raise ValueError(f"the value of tag {fault.tag} is of an unknown type or goes beyond the end")
    entries = found.entries
    for where, size in ((tags.STRIP_OFFSETS, tags.STRIP_SIZES), (tags.TILE_OFFSETS, tags.TILE_SIZES)):
        if where in entries and size in entries:
            pairs = zip(entries[where].numbers(), entries[size].numbers(), strict=False)
            if any(offset + length > len(data) for offset, length in pairs):
                raise ValueError("a strip or tile goes beyond the end")


def _exif(
    data: bytes, layout: tags.Layout, first: Page, photo: Page, bits: int
) -> tuple[bytes | None, list[str]]:
    """The EXIF of the first page and of the photo's, and the names of what is lost."""
    kept: tags.Directory = {}
    lost: list[str] = []
    for offset in dict.fromkeys((first.offset, photo.offset)):
        tree = tags.read_tree(data, layout, offset)
        described, without = _descriptive(tree.items, bits)
        kept |= described
        lost += [*without, *(_FIELDS.get(fault.tag, fault.name) for fault in tree.faults)]
    return tags.write_exif(kept) if kept else None, lost


def _descriptive(items: tags.Directory, bits: int) -> tuple[tags.Directory, list[str]]:
    """Those tags of a first directory that do not describe samples, and the names of what is lost of it."""
    lost = [
        name
        for tag, name in _LOST.items()
        if isinstance(entry := items.get(tag), Entry) and not _usual(tag, entry, bits)
    ]
    kept, pointers = _classic(
        {tag: item for tag, item in items.items() if tag not in tags.STRUCTURAL}, "exif"
    )
    return kept, lost + pointers


def _classic(items: tags.Directory, name: str) -> tuple[tags.Directory, list[str]]:
    """Tags of the types of EXIF; and the names of pointers and of BigTIFF's long numbers, which it lacks."""
    kept: tags.Directory = {}
    lost = []
    for tag, item in items.items():
        if not isinstance(item, Entry):
            kept[tag], more = _classic(item, tags.SUBDIRECTORIES[tag])
            lost += more
        elif item.kind <= _LAST_TYPE or item.kind == _UTF8:
            kept[tag] = item
        elif item.kind == _LONG8 and max(item.numbers(), default=0) < 1 << 32:
            kept[tag] = Entry(tags.LONG, item.count, struct.pack(f"<{item.count}L", *item.numbers()))
        else:
            lost.append(f"{name} tag {tag}")
    return kept, lost


def _usual(tag: int, entry: Entry, bits: int) -> bool:
    """Whether a tag states what is so without it."""
    try:
        values = entry.numbers()
    except ValueError:
        return False
    if entry.kind == tags.RATIONAL:
        values = [round(1000 * one / per) for one, per in zip(values[::2], values[1::2], strict=False) if per]
    else:
        values = [1000 * value for value in values]
    white = 1000 * ((1 << bits) - 1)
    if tag in _SAMPLE_RANGE:
        return set(values) <= {(0, white)[tag == max(_SAMPLE_RANGE)]}
    if tag == _DOT_RANGE:
        return values == [0, white] * (len(values) // 2)
    if tag == _COEFFICIENTS:
        return values == _BT_601
    return tag == _REFERENCE and values in ([0, white] * 3, [0, white, 128_000, white, 128_000, white])


def embed(data: bytes, meta: Metadata, alpha: Alpha | None) -> tuple[bytes, tuple[str, ...]]:
    """The file with a new first directory at its end: the tags of libvips and the metadata."""
    layout, offset = tags.first_directory(data)
    own = dict(tags.read_entries(data, layout, offset)[0])
    for tag in (tags.X_RESOLUTION, tags.Y_RESOLUTION, tags.RESOLUTION_UNIT):
        own.pop(tag, None)
    tree: tags.Directory = {}
    lost: list[str] = []
    if meta.exif:
        bits = tags.number(own, tags.BITS, 1)
        whole = tags.read_tree(meta.exif, *tags.first_directory(meta.exif)).items
        tree, lost = _descriptive(whole, bits)
        curve = tree.get(tags.TRANSFER_FUNCTION)
        if isinstance(curve, Entry) and curve.count not in (1 << bits, 3 << bits):  # readers would stumble
            del tree[tags.TRANSFER_FUNCTION]
            lost.append(tags.COLOURS[tags.TRANSFER_FUNCTION])
    tree |= own
    if alpha is not None:
        tree[tags.EXTRA_SAMPLES] = Entry(tags.SHORT, 1, struct.pack("<H", ALPHA_CODES[alpha]))
    if meta.resolution:
        tree |= tags.resolution_entries(meta.resolution)
    if meta.icc:
        tree[tags.ICC_PROFILE] = Entry(tags.UNDEFINED, len(meta.icc), meta.icc)
    if meta.xmp:
        tree[tags.XMP] = Entry(tags.BYTE, len(meta.xmp), meta.xmp)
    if meta.iptc:
        tree[tags.IPTC] = Entry(tags.UNDEFINED, len(meta.iptc), meta.iptc)
    if meta.photoshop:
        tree[tags.PHOTOSHOP] = Entry(tags.BYTE, len(meta.photoshop), meta.photoshop)
    return _with_directory(data, layout, tags.write_tree(tree, _end(data), layout.big)), tuple(lost)


def strip(data: bytes) -> bytes:
    """The file with one directory that holds only the tags about how the photo's samples lie."""
    layout, _ = tags.first_directory(data)
    entries = tags.read_directory(data, layout, pages_of(data).photo.offset).entries
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
