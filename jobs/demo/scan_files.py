"""Stores the demo's pictures the way that scans come: as JPEG, PNG, TIFF and WebP, deep, turned or broken."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import tifffile
from PIL import ExifTags, Image

from jobs.demo.damage import Field, Pixels

_DPI = (300, 300)


def _deep(picture: Field) -> Pixels:
    return np.rint(picture * 65535).astype(np.uint16)


def _eight_bit(picture: Field) -> Pixels:
    return np.rint(picture * 255).astype(np.uint8)


def _oval(picture: Field) -> Pixels:
    """Eight bits with an alpha channel that leaves an oval."""
    pixels = _eight_bit(picture)
    height, width = pixels.shape[:2]
    y, x = np.mgrid[:height, :width]
    reach = np.hypot((y + 0.5) / height * 2 - 1, (x + 0.5) / width * 2 - 1)
    alpha = np.clip((1 - reach) * min(height, width) / 2, 0, 1)
    return np.dstack([pixels, _eight_bit(alpha)])


def _encoded(image: Image.Image, format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, dpi=_DPI, **options)
    return buffer.getvalue()


def _jpeg(pixels: Pixels, **options: object) -> bytes:
    return _encoded(Image.fromarray(pixels), "JPEG", quality=92, **options)


def _jpeg_turned(pixels: Pixels) -> bytes:
    """Stored lying on its side; its Orientation tag tells the viewer to turn it a quarter clockwise."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    return _jpeg(np.rot90(pixels), exif=exif)


def _jpeg_broken(pixels: Pixels) -> bytes:
    whole = _jpeg(pixels)
    return whole[: len(whole) * 2 // 5]


def png(pixels: Pixels) -> bytes:
    """uint8 pixels, `(H, W)` or `(H, W, C)`, as a PNG."""
    return _encoded(Image.fromarray(pixels), "PNG", compress_level=3)


def _png_palette(pixels: Pixels) -> bytes:
    """Sixty-four grays, each pixel on the nearest one, so that the truth has the same ones."""
    image = Image.fromarray(np.asarray(pixels, np.uint8) >> 2)
    image.putpalette([level for gray in range(64) for level in [round(gray * 255 / 63)] * 3])
    return _encoded(image, "PNG")


def _webp(pixels: Pixels) -> bytes:
    return _encoded(Image.fromarray(pixels), "WEBP", lossless=True, method=0, quality=20)


def _tiff(pixels: Pixels) -> bytes:
    buffer = io.BytesIO()
    # Grain does not compress, so a quick level serves as well as a slow one; no date, for equal bytes.
    options: dict[str, Any] = {"compression": "zlib", "compressionargs": {"level": 1}, "predictor": True}
    tifffile.imwrite(buffer, pixels, resolution=_DPI, software=False, metadata=None, **options)
    return buffer.getvalue()


@dataclass(frozen=True, slots=True)
class Writer:
    """A way to store a photograph.

    Attributes:
        pixels: the print, float32 0..1, in the depth and channels that the file holds.
        image: encodes the damaged photograph.
        reference: encodes the undamaged truth: whole and upright, else as `image` does.
    """

    extension: str
    pixels: Callable[[Field], Pixels]
    image: Callable[[Pixels], bytes]
    reference: Callable[[Pixels], bytes]


WRITERS: Mapping[str, Writer] = {
    "jpeg": Writer("jpg", _eight_bit, _jpeg, _jpeg),
    "jpeg_broken": Writer("jpg", _eight_bit, _jpeg_broken, _jpeg),
    "jpeg_turned": Writer("jpg", _eight_bit, _jpeg_turned, _jpeg),
    "png": Writer("png", _eight_bit, png, png),
    "png_oval": Writer("png", _oval, png, png),
    "png_palette": Writer("png", _eight_bit, _png_palette, _png_palette),
    "tiff": Writer("tif", _eight_bit, _tiff, _tiff),
    "tiff_deep": Writer("tif", _deep, _tiff, _tiff),
    "webp": Writer("webp", _eight_bit, _webp, _webp),
}
