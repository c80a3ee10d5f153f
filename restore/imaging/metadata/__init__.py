"""What surrounds the pixels in a PNG, JPEG, WebP or TIFF file: ICC, EXIF, XMP, IPTC, resolution.

Reading and writing go by the formats' own chunks, because libvips passes EXIF through libexif, which
loses private tags and invents others, and writes none into TIFF at all. Malformed structure raises
ValueError; a single broken item is dropped and named.
"""

from __future__ import annotations

import re
from dataclasses import replace

from restore.imaging.metadata import exif, jpeg, png, tiff, webp
from restore.imaging.metadata.record import Format, Metadata


def read(data: bytes, form: Format) -> Metadata:
    """Everything around the pixels of `data`; EXIF and XMP as for the upright picture.

    Raises:
        ValueError: the file's structure cannot be followed.
    """
    if form == "tiff":
        return _settle_dpi(_settle_xmp(tiff.read(data)))
    readers = {"png": png.read, "jpeg": jpeg.read, "webp": webp.read}
    return _settle_dpi(_settle_xmp(_settle_exif(readers[form](data))))


def bare(data: bytes, form: Format) -> bytes:
    """`data` as the codec library is shown it: what pixels need, and nothing else to be parsed.

    Raises:
        ValueError: the file's structure cannot be followed.
    """
    bares = {"png": png.bare, "jpeg": jpeg.bare, "webp": webp.bare, "tiff": tiff.bare}
    return bares[form](data)


def _settle_exif(around: Metadata) -> Metadata:
    if around.exif is None:
        return around
    try:
        upright = exif.upright(around.exif)
        entries, _ = exif.read_entries(around.exif, *exif.first_directory(around.exif))
        dpi = around.dpi or exif.dpi_of(entries)
        return replace(around, exif=upright, dpi=dpi, orientation=exif.orientation_of(entries))
    except ValueError:
        return replace(around, exif=None, dropped=(*around.dropped, "exif"))


def _settle_xmp(around: Metadata) -> Metadata:
    if around.xmp is None:
        return around
    upright = re.sub(rb"(tiff:Orientation\s*(?:=\s*[\"']|>)\s*)[2-8]", rb"\g<1>1", around.xmp)
    return replace(around, xmp=upright)


def _settle_dpi(around: Metadata) -> Metadata:
    if around.dpi is None or all(0.1 <= value <= 100_000 for value in around.dpi):
        return around
    return replace(around, dpi=None, dropped=(*around.dropped, "dpi"))  # more than the formats' fields hold


def embed(data: bytes, form: Format, around: Metadata, alpha: bool) -> tuple[bytes, tuple[str, ...]]:
    """`data`, an encoded picture without metadata, with that of `around`; and what found no room."""
    if form == "jpeg":
        return jpeg.embed(data, around)
    if form == "webp":
        return webp.embed(data, around, alpha), ("iptc",) if around.iptc else ()
    return (png.embed if form == "png" else tiff.embed)(data, around), ()
