"""The values of the codec: a decoded picture, a header, and an encoded picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from restore.formats import Format
from restore.imaging.pixels import Alpha, Mask, Mode, Pixels
from restore.imaging.resolution import Resolution

CHANNELS: Mapping[Mode, int] = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4, "CMYK": 4, "LAB": 3}


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A decoded photo.

    Attributes:
        pixels: `(H, W)` for L, else `(H, W, C)`; uint8 or uint16 over their full range, or float32, whose
            white is 1; upright, C-contiguous, read-only. CMYK: 0 is no ink.
        format: of the file it came from.
        lossless: whether that file's compression kept every sample.
        orientation: EXIF orientation as stored, 1 to 8; `pixels` and the metadata are upright already.
        icc: ICC profile.
        exif: TIFF structure without JPEG's "Exif" marker; Orientation 1, no thumbnail.
        xmp: XMP packet, its tiff:Orientation 1.
        iptc: IPTC-IIM records.
        photoshop: Photoshop's image resources besides IPTC, upright: a turned picture has no places in them.
        resolution: of the upright picture.
        dropped: names of what decoding lost.
        bits: of a sample as stored, where the type of `pixels` has more: 9 to 15, whose levels lie over the
            full range of uint16; 16 of floating point, held as float32. Else None.
        alpha: what the last channel of LA and RGBA is.
    """

    pixels: Pixels
    mode: Mode
    format: Format
    lossless: bool
    orientation: int = 1
    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    iptc: bytes | None = None
    photoshop: bytes | None = None
    resolution: Resolution | None = None
    dropped: tuple[str, ...] = ()
    bits: int | None = None
    alpha: Alpha = "straight"

    @property
    def bit_depth(self) -> int:
        """Bits of one stored sample: 8 to 16, or 32."""
        return self.bits or 8 * self.pixels.dtype.itemsize

    @property
    def hidden(self) -> Mask | None:
        """The pixels that nobody sees, bool `(H, W)`, True = alpha 0; None where there are none.

        Their colour says nothing: editors leave there whatever was cut off.
        """
        if self.mode not in ("LA", "RGBA") or self.alpha == "unspecified":
            return None
        found: Mask = self.pixels[..., -1] == 0
        return found if found.any() else None

    @property
    def floating(self) -> bool:
        """Whether samples are floating point numbers."""
        return self.pixels.dtype.kind == "f"

    @property
    def width(self) -> int:
        """Pixels across, upright."""
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        """Pixels down, upright."""
        return int(self.pixels.shape[0])


@dataclass(frozen=True, slots=True)
class Header:
    """The facts of a picture that its file states before any pixel is decoded.

    Attributes:
        width, height: px, upright.
        mode: of the stored colours; a palette of grays decodes to L and is RGB here.
        floating: whether samples are floating point numbers.
        decoder_bytes: memory that the decoder takes beside the samples, as for a progressive JPEG.
    """

    format: Format
    width: int
    height: int
    bit_depth: int
    mode: Mode
    orientation: int
    pages: int
    floating: bool = False
    decoder_bytes: int = 0

    @property
    def bytes(self) -> int:
        """Memory that the decoded samples take."""
        sample = 4 if self.floating else -(-self.bit_depth // 8)
        return self.width * self.height * CHANNELS[self.mode] * sample


@dataclass(frozen=True, slots=True)
class Encoded:
    """An encoded picture.

    Attributes:
        extension: without the dot.
        proof: "exact" where `data` decodes to the same pixels that were encoded, else "lossy".
        dropped: names of all that is lost besides pixels: the picture's own `dropped`, then what
            this format cannot hold.
    """

    data: bytes
    extension: str
    proof: Literal["exact", "lossy"]
    dropped: tuple[str, ...]
