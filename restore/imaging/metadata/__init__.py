"""Reads and writes the metadata of PNG, JPEG, WebP and TIFF files: ICC, EXIF, XMP, IPTC, resolution.

It works on the formats' own chunks. libvips passes EXIF through libexif, which loses private tags and invents
others, and writes no EXIF into TIFF. Malformed structure raises ValueError.
A single broken item is dropped and named.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from importlib import import_module
from typing import Protocol

from restore.formats import FORMATS, Format
from restore.imaging.metadata import exif, jpeg, photoshop, xmp
from restore.imaging.metadata.record import Metadata
from restore.imaging.pixels import Alpha
from restore.imaging.resolution import preferred

_MOST_NAMES = 24  # of what is dropped


class _Parser(Protocol):
    """The module of one format, named like it."""

    def read(self, data: bytes) -> Metadata: ...

    def strip(self, data: bytes) -> bytes: ...

    def embed(self, data: bytes, meta: Metadata, alpha: Alpha | None) -> tuple[bytes, tuple[str, ...]]: ...


def _parser(form: Format) -> _Parser:
    """The module, imported when it is first used: some import from this package themselves."""
    parser: _Parser = import_module(f"{__name__}.{form}")
    return parser


def read(data: bytes, form: Format) -> Metadata:
    """Read all metadata of a file; EXIF and XMP are those of the upright picture.

    Raises:
        ValueError: the file's structure cannot be followed.
    """
    meta = _parser(form).read(data)
    if form != "tiff":  # whose EXIF is made upright where it is gathered from the file's own tags
        meta = _settle_exif(meta, FORMATS[form].turned_by_itself)
    meta = _settle_resolution(_settle_photoshop(_settle_xmp(meta)))
    if meta.exif and meta.orientation >= 5:
        meta = replace(meta, exif=exif.on_its_side(meta.exif))
    return replace(meta, dropped=_few(meta.dropped))


def _few(names: Iterable[str]) -> tuple[str, ...]:
    """Each name once; of a hostile file's thousands, the first."""
    each = tuple(dict.fromkeys(names))
    return each if len(each) <= _MOST_NAMES else (*each[: _MOST_NAMES - 1], "others")


def strip(data: bytes, form: Format) -> bytes:
    """The file with only what its pixels need, so that the decoder parses nothing else.

    Raises:
        ValueError: the file's structure cannot be followed.
    """
    return _parser(form).strip(data)


def check_end(data: bytes, form: Format) -> None:
    """Refuse a file that ends where its decoder would not notice it.

    Raises:
        ValueError: samples are missing.
    """
    if form == "jpeg":
        jpeg.check_end(data)


def _settle_exif(meta: Metadata, turned: bool) -> Metadata:
    if meta.exif is None:
        return meta
    try:
        block, lost = exif.sound(meta.exif.removeprefix(b"Exif\0\0"))
        entries, _ = exif.read_entries(block, *exif.first_directory(block))
    except ValueError:
        return replace(meta, exif=None, dropped=(*meta.dropped, "exif"))
    return replace(
        meta,
        exif=exif.upright(block),
        resolution=preferred(meta.resolution, exif.resolution_of(entries)),
        orientation=meta.orientation if turned else exif.orientation_of(entries),
        dropped=(*meta.dropped, *lost),
    )


def _settle_xmp(meta: Metadata) -> Metadata:
    """XMP of the upright picture; its orientation counts where the file states no other."""
    if meta.xmp is None:
        return replace(meta, orientation=meta.orientation or 1)
    orientation = meta.orientation or xmp.orientation_of(meta.xmp) or 1
    return replace(meta, xmp=xmp.upright(meta.xmp), orientation=orientation)


def _settle_photoshop(meta: Metadata) -> Metadata:
    """Places in a picture, such as clipping paths, are not those of the upright one."""
    if meta.photoshop is None:
        return meta
    resolution = preferred(meta.resolution, photoshop.resolution_of(meta.photoshop))
    if meta.orientation == 1:
        return replace(meta, resolution=resolution)
    resources, lost = photoshop.without_places(meta.photoshop)
    return replace(meta, photoshop=resources, resolution=resolution, dropped=(*meta.dropped, *lost))


def _settle_resolution(meta: Metadata) -> Metadata:
    if meta.resolution is None or meta.resolution.usable:
        return meta
    return replace(meta, resolution=None, dropped=(*meta.dropped, "dpi"))


def embed(data: bytes, form: Format, meta: Metadata, alpha: Alpha | None) -> tuple[bytes, tuple[str, ...]]:
    """Add metadata to an encoded picture that has none.

    Args:
        alpha: what the picture's channel beside its colours is; None where it has none.

    Returns:
        The file, and the names of metadata that the format cannot hold.
    """
    return _parser(form).embed(data, meta, alpha)
