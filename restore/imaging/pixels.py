"""The types of pixel arrays, and pure functions that turn, narrow or widen their samples.

Arrays are `(H, W)` or `(H, W, C)`, and are never written to. They are uint8 or uint16 over their full range,
or float32, whose white is 1.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Mode = Literal["L", "LA", "RGB", "RGBA", "CMYK", "LAB"]
"""LAB is CIE L*a*b* of white D50: L* from 0 to 100 over the full range, a* and b* offset by half of it."""
Alpha = Literal["straight", "premultiplied", "unspecified"]
"""What the last channel of LA and RGBA is: alpha; alpha that the colours are multiplied by; or anything else,
such as a scanner's infrared channel or a saved selection.
"""
Pixels = npt.NDArray[Any]
"""Samples: `(H, W)` for L, else `(H, W, C)`; uint8 or uint16 over their full range, or float32."""
Mask = npt.NDArray[np.bool_]
"""`(H, W)`; what True means is named by the variable."""
Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

LUMA_WEIGHTS = np.array([0.299, 0.587, 0.114])
"""Shares of red, green and blue in luma (ITU-R BT.601)."""


def white_level(dtype: np.dtype[Any]) -> float:
    """The sample of white: 255 or 65535 of an unsigned dtype, 1 of a floating one."""
    return 1.0 if dtype.kind == "f" else float(256**dtype.itemsize - 1)


def to_depth(values: npt.NDArray[np.floating[Any]], dtype: np.dtype[Any]) -> Pixels:
    """Levels of `dtype`, rounded to the nearest and clipped to its range; of float32 as they are. New."""
    if dtype.kind == "f":
        return values.astype(dtype)
    pixels: Pixels = np.clip(np.rint(values), 0, white_level(dtype)).astype(dtype)
    return pixels


def widened(levels: Pixels, bits: int) -> Pixels:
    """Levels of a number of bits over the full range of uint8 or uint16, to the nearest.

    No two levels become one, so `narrowed` undoes it. Levels of 8 and 16 bits are returned as they are, and
    those that more bits would hold are the highest.

    Args:
        levels: uint8 for 1 to 8 bits, uint16 for 9 to 16.
    """
    if bits in (8, 16):
        return levels
    dtype = np.dtype(np.uint8 if bits < 8 else np.uint16)
    top, white = (1 << bits) - 1, int(white_level(dtype))
    table = (np.minimum(np.arange(white + 1, dtype=np.uint32), top) * white + top // 2) // top
    wide: Pixels = table.astype(dtype)[levels]
    return wide


def narrowed(pixels: Pixels, bits: int) -> Pixels:
    """The nearest levels of a number of bits: undoes `widened`. A new array of the same dtype."""
    white, top = int(white_level(pixels.dtype)), (1 << bits) - 1
    table = (np.arange(white + 1, dtype=np.uint32) * top + white // 2) // white
    levels: Pixels = table.astype(pixels.dtype)[pixels]
    return levels


def with_turned_signs(lab: Pixels) -> Pixels:
    """CIELAB `(H, W, 3)` with a* and b* as two's complement (TIFF 6.0) from an offset, or the other way."""
    half = lab.dtype.type(1 << (8 * lab.dtype.itemsize - 1))
    turned: Pixels = lab ^ np.array([0, half, half], lab.dtype)
    return turned


def upright(pixels: Pixels, orientation: int) -> Pixels:
    """Stored pixels turned upright (Exif 3.0, tag Orientation 1 to 8), C-contiguous."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def without_repeats(pixels: Pixels, mode: Mode) -> tuple[Pixels, Mode]:
    """RGB or RGBA as L or LA where the three colours are equal everywhere; anything else unchanged."""
    if mode not in ("RGB", "RGBA") or not np.array_equal(pixels[..., :2], pixels[..., 1:3]):
        return pixels, mode
    if mode == "RGB":
        return np.ascontiguousarray(pixels[..., 0]), "L"
    return np.ascontiguousarray(pixels[..., [0, 3]]), "LA"


def to_8_bit(pixels: Pixels) -> Pixels:
    """uint16 scaled to uint8, rounded to the nearest."""
    scaled: Pixels = ((pixels.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)
    return scaled


def to_16_bit(pixels: Pixels) -> Pixels:
    """float32 as uint16, 0 to 1 over its full range; what is darker or brighter is clipped. A new array."""
    return to_depth(pixels.astype(np.float32) * np.float32(65535), np.dtype(np.uint16))


def straightened(pixels: Pixels) -> Pixels:
    """LA or RGBA whose colours were multiplied by alpha, divided by it; transparent pixels become black.

    A new array. The division rounds, so what comes of a low alpha is coarse.
    """
    white, alpha = int(white_level(pixels.dtype)), pixels[..., -1:].astype(np.uint64)
    divided = (pixels[..., :-1] * np.uint64(white) + alpha // 2) // np.maximum(alpha, 1)
    colours = np.where(alpha > 0, np.minimum(divided, white), 0)
    straight: Pixels = np.concatenate([colours, alpha], axis=-1).astype(pixels.dtype)
    return straight


def without_last(pixels: Pixels) -> Pixels:
    """LA or RGBA without its last channel: L or RGB. A view."""
    return pixels[..., 0] if pixels.shape[-1] == 2 else pixels[..., :-1]


def on_white(pixels: Pixels) -> Pixels:
    """uint8 LA or RGBA laid over white: L or RGB."""
    alpha = pixels[..., -1:].astype(np.float32) / np.float32(255)
    over = pixels[..., :-1].astype(np.float32) * alpha + 255 * (1 - alpha)
    flat: Pixels = np.rint(over).astype(np.uint8)
    return flat[..., 0] if flat.shape[-1] == 1 else flat


def to_rgb(pixels: Pixels) -> Pixels:
    """L or LA with its gray repeated: RGB or RGBA."""
    if pixels.ndim == 2:
        return np.stack([pixels] * 3, axis=-1)
    return pixels[..., [0, 0, 0, 1]]
