"""PNG, JPEG and WebP files of every kind of samples, and what a second decoder makes of each."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import imagecodecs
import numpy as np
import numpy.typing as npt
from PIL import Image

from tests.support.corpus import by_pillow, chunk, pil
from tests.support.second_decoder import second as second_tiff
from tests.support.tiffs import Mix, truth

Array = npt.NDArray[Any]

GRAY, RGB, PALETTE, GRAY_ALPHA, RGB_ALPHA = 0, 2, 3, 4, 6
NAMES = {
    GRAY: "gray",
    RGB: "RGB",
    PALETTE: "palette",
    GRAY_ALPHA: "gray and alpha",
    RGB_ALPHA: "RGB and alpha",
}
DEPTHS = {
    GRAY: (1, 2, 4, 8, 16),
    PALETTE: (1, 2, 4, 8),
    RGB: (8, 16),
    GRAY_ALPHA: (8, 16),
    RGB_ALPHA: (8, 16),
}
ADAM7 = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))


@dataclass(frozen=True, eq=False)
class Raster:
    """One file.

    Attributes:
        group: its row of the table.
        shown: the pixels `(H, W, C)` that a restored file has to hold.
        extension: of that file.
    """

    group: str
    name: str
    data: bytes
    shown: Array
    extension: str = "png"


def rasters() -> Iterator[Raster]:
    yield from pngs()
    yield from jpegs()
    yield from webps()
    yield from jpegs_2000()
    yield from avifs_and_jpegs_xl()


# PNG, written chunk by chunk (PNG Specification, Third Edition) --------------------------------------


def pngs() -> Iterator[Raster]:
    for colours, depths in DEPTHS.items():
        for bits, interlaced, keyed in product(depths, (False, True), (False, True)):
            if keyed and colours in (GRAY_ALPHA, RGB_ALPHA):
                continue
            samples = png_samples(colours, bits)
            name = f"{bits}-bit{' interlaced' * interlaced}{' with tRNS' * keyed}"
            data = png(samples, colours, bits, interlaced, keyed)
            yield Raster(f"PNG, {NAMES[colours]}", name, data, png_shown(samples, colours, bits, keyed))


def png_samples(colours: int, bits: int) -> Array:
    mix = Mix("RGB" if colours in (RGB, RGB_ALPHA) else "gray", bits=bits)
    alpha = Mix(mix.photometric, bits=bits, alpha="alpha")
    return truth(alpha if colours in (GRAY_ALPHA, RGB_ALPHA) else mix)


def png(samples: Array, colours: int, bits: int, interlaced: bool, keyed: bool) -> bytes:
    height, width = samples.shape[:2]
    passes = [samples[y::down, x::right] for y, x, down, right in ADAM7] if interlaced else [samples]
    rows = b"".join(filtered(part, bits) for part in passes if part.size)
    chunks = [chunk(b"IHDR", struct.pack(">2L5B", width, height, bits, colours, 0, 0, interlaced))]
    if colours == PALETTE:
        chunks.append(chunk(b"PLTE", palette(bits).tobytes()))
    if keyed:
        single = palette_alpha(bits).tobytes() if colours == PALETTE else key(samples).astype(">u2").tobytes()
        chunks.append(chunk(b"tRNS", single))
    body = [*chunks, chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(body)


def filtered(part: Array, bits: int) -> bytes:
    """Rows with the five filters in turn."""
    single = 1 if bits < 8 else part.shape[2] * bits // 8
    flat = part.reshape(part.shape[0], -1)
    if bits < 8:
        places = np.arange(bits - 1, -1, -1)
        packed = np.packbits(
            ((flat[..., None] >> places) & 1).astype(np.uint8).reshape(len(flat), -1), axis=1
        )
    else:
        packed = np.frombuffer(flat.astype(f">u{bits // 8}").tobytes(), np.uint8).reshape(len(flat), -1)
    above, lines = np.zeros_like(packed[0], np.int64), []
    for number, row in enumerate(packed.astype(np.int64)):
        left, corner = (np.concatenate([np.zeros(single, np.int64), line[:-single]]) for line in (row, above))
        guess = (0, left, above, (left + above) // 2, paeth(left, above, corner))[number % 5]
        lines.append(bytes([number % 5]) + ((row - guess) & 255).astype(np.uint8).tobytes())
        above = row
    return b"".join(lines)


def paeth(left: Array, above: Array, corner: Array) -> Array:
    near = np.stack([above - corner, left - corner, left + above - 2 * corner])
    return np.choose(np.abs(near).argmin(axis=0), [left, above, corner])


def palette(bits: int) -> Array:
    steps = np.linspace(0, 255, 2**bits).astype(np.uint8)
    return np.stack([steps, steps[::-1], steps * 7], axis=1)


def palette_alpha(bits: int) -> Array:
    return np.linspace(255, 0, 2**bits).astype(np.uint8)


def key(samples: Array) -> Array:
    """The colour that tRNS makes transparent: that of the first pixel."""
    return samples[0, 0]


def png_shown(samples: Array, colours: int, bits: int, keyed: bool) -> Array:
    if colours == PALETTE:
        alpha = [palette_alpha(bits)[samples[..., 0]]] if keyed else []
        return np.dstack([palette(bits)[samples[..., 0]], *alpha])
    wide = np.rint(samples * (255 / (2**bits - 1))).astype(np.uint8) if bits < 8 else samples
    if not keyed:
        return wide
    hidden = (samples == key(samples)).all(axis=2)
    return np.dstack([wide, np.where(hidden, 0, np.iinfo(wide.dtype).max).astype(wide.dtype)])


# JPEG and WebP, which other libraries write ----------------------------------------------------------


def jpegs() -> Iterator[Raster]:
    """By libjpeg-turbo in imagecodecs and Pillow; imagecodecs is the second decoder."""
    photo, gray = truth(Mix()), truth(Mix("gray"))[..., 0]
    cmyk = truth(Mix("CMYK"))
    made = {
        **{
            f"YCbCr {factors}": imagecodecs.jpeg8_encode(photo, level=90, subsampling=factors)
            for factors in ("444", "422", "420", "411", "440")
        },
        "RGB": imagecodecs.jpeg8_encode(photo, level=90, outcolorspace="RGB"),
        "gray": imagecodecs.jpeg8_encode(gray, level=90),
        "optimised": imagecodecs.jpeg8_encode(photo, level=90, optimize=True),
        "progressive": pil(photo, "JPEG", progressive=True),
        "progressive gray": pil(gray, "JPEG", progressive=True),
        "restarts": pil(photo, "JPEG", restart_marker_blocks=2),
        "level 100": pil(photo, "JPEG", quality=100),
        "level 1": pil(photo, "JPEG", quality=1),
    }
    for name, data in made.items():
        shown = imagecodecs.jpeg8_decode(data)
        yield Raster("JPEG, gray and RGB", name, data, shown.reshape(*shown.shape[:2], -1))
    for name, space in (("CMYK", "CMYK"), ("YCCK", "YCCK")):
        data = imagecodecs.jpeg8_encode(cmyk, level=90, colorspace="CMYK", outcolorspace=space)
        yield Raster("JPEG, CMYK", name, data, 255 - imagecodecs.jpeg8_decode(data), "tif")


def jpegs_2000() -> Iterator[Raster]:
    """By OpenJPEG in imagecodecs and Pillow. Of those without loss the samples themselves are the truth."""
    for photometric, alpha, bits in (
        *product(("gray", "RGB"), ("", "alpha"), (8, 16)),
        *product(("gray", "RGB"), ("",), (1, 4, 10, 12, 14)),
    ):
        mix = Mix(photometric, alpha=alpha, bits=bits)
        samples = truth(mix)
        shown = np.rint(samples * (255 / (2**bits - 1))).astype(np.uint8) if bits < 8 else samples
        for form in ("JP2", "J2K"):
            data = imagecodecs.jpeg2k_encode(
                samples.squeeze(), level=0, reversible=True, codecformat=form, bitspersample=bits
            )
            name = f"{photometric}{' with alpha' * bool(alpha)} {bits}-bit {form}"
            yield Raster("JPEG 2000, lossless", name, data, shown, "tif")
    photo = truth(Mix())
    for name, options in {"tiles": {"tile_size": (16, 16)}, "layers": {"quality_layers": [20, 5, 0]}}.items():
        yield Raster("JPEG 2000, lossless", name, pil(photo, "JPEG2000", **options), photo, "tif")
    high = imagecodecs.htj2k_encode(photo, reversible=True)
    yield Raster("JPEG 2000, lossless", "high throughput", high, photo, "tif")
    for level in (30, 40):
        data = imagecodecs.jpeg2k_encode(photo, level=level)
        shown = imagecodecs.jpeg2k_decode(data)
        yield Raster("JPEG 2000, lossy", f"{level} dB", data, shown, "tif")


def avifs_and_jpegs_xl() -> Iterator[Raster]:
    """By libavif and libjxl. Of those without loss the samples themselves are the truth."""
    for photometric, alpha, bits in product(("gray", "RGB"), ("", "alpha"), (8, 10, 12)):
        samples = truth(Mix(photometric, alpha=alpha, bits=bits))
        shown = np.rint(samples * (65535 / (2**bits - 1))).astype(np.uint16) if bits > 8 else samples
        depth = {} if bits == 8 else {"bitspersample": bits}
        name = f"{photometric}{' with alpha' * bool(alpha)} {bits}-bit"
        still = imagecodecs.avif_encode(samples.squeeze(), level=100, **depth)
        yield Raster("AVIF, lossless", name, still, shown)
        if bits == 8:  # imagecodecs calls deeper samples linear light
            large = imagecodecs.jpegxl_encode(samples.squeeze(), lossless=True)
            yield Raster("JPEG XL, lossless", name, large, shown)
    photo = truth(Mix())
    boxed = imagecodecs.jpegxl_encode(photo, lossless=True, usecontainer=True)
    yield Raster("JPEG XL, lossless", "RGB 8-bit in boxes", boxed, photo)
    for level in (40, 90):
        still = imagecodecs.avif_encode(photo, level=level)
        yield Raster("AVIF, lossy", f"level {level}", still, by_pillow(still))
        large = imagecodecs.jpegxl_encode(photo, level=level)
        yield Raster("JPEG XL, lossy", f"level {level}", large, imagecodecs.jpegxl_decode(large))


def webps() -> Iterator[Raster]:
    for alpha in ("", "alpha"):
        photo = truth(Mix(alpha=alpha))
        for lossless, level in ((True, 100), (False, 80), (False, 5)):
            data = imagecodecs.webp_encode(photo, level=level, lossless=lossless)
            name = f"{'lossless' if lossless else f'level {level}'}{' with alpha' * bool(alpha)}"
            shown = imagecodecs.webp_decode(data, hasalpha=bool(alpha))
            extension = "webp" if lossless else "png"
            yield Raster(f"WebP, {'lossless' if lossless else 'lossy'}", name, data, shown, extension)


def second(encoded: bytes) -> Array:
    """A restored file `(H, W, C)` by the second decoder."""
    if encoded[:4] == b"RIFF":
        return imagecodecs.webp_decode(encoded, hasalpha=Image.open(io.BytesIO(encoded)).mode == "RGBA")
    if encoded[:4] != b"\x89PNG":
        return second_tiff(encoded).samples
    pixels = imagecodecs.png_decode(encoded)
    return pixels.reshape(*pixels.shape[:2], -1)
