"""The metadata of one file, as its format's reader returns it."""

from __future__ import annotations

from dataclasses import dataclass

from restore.imaging.pixels import Alpha, Mode
from restore.imaging.resolution import Resolution
from restore.imaging.tiff.samples import Samples


@dataclass(frozen=True, slots=True, kw_only=True)
class Stated:
    """The samples of a format that libvips does not read, as its own header states them.

    Attributes:
        bits: of one sample.
        alpha: what the last channel of LA and RGBA is.
    """

    mode: Mode
    bits: int
    alpha: Alpha = "straight"


@dataclass(frozen=True, slots=True)
class Metadata:
    """All that a file states besides its pixels.

    Attributes:
        exif: a TIFF structure, without the "Exif" marker that JPEG puts before it.
        iptc: IPTC-IIM records, without their container.
        photoshop: Photoshop's image resources besides IPTC.
        orientation: EXIF's number, 1 to 8; 0 where a format's reader found none.
        lossless: whether the file's compression kept every sample.
        size: stored width and height; None where the header does not say.
        pages: pictures in the file, at least; 2 stands for several.
        palette: whether samples are indices of colours.
        samples: how a TIFF's samples lie.
        stated: the samples of a format that libvips does not read.
        found: the kind of samples that is not accepted, in words; None where they are accepted.
        dropped: names of what a Picture has no field for, or what is malformed.
    """

    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    iptc: bytes | None = None
    photoshop: bytes | None = None
    resolution: Resolution | None = None
    orientation: int = 0
    size: tuple[int, int] | None = None
    pages: int = 1
    lossless: bool = True
    palette: bool = False
    samples: Samples | None = None
    stated: Stated | None = None
    found: str | None = None
    dropped: tuple[str, ...] = ()
