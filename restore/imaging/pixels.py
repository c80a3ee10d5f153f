"""The types of pixel arrays, and pure functions that turn, narrow or widen their samples.

Arrays are `(H, W)` or `(H, W, C)`, uint8 or uint16 over their full range, and are never written to.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Mode = Literal["L", "LA", "RGB", "RGBA", "CMYK"]
Pixels = npt.NDArray[Any]
"""Samples: `(H, W)` for L, else `(H, W, C)`; uint8 or uint16 over their full range."""
Mask = npt.NDArray[np.bool_]
"""`(H, W)`; what True means is named by the variable."""
Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

LUMA_WEIGHTS = np.array([0.299, 0.587, 0.114])
"""Shares of red, green and blue in luma (ITU-R BT.601)."""


def white_level(dtype: np.dtype[Any]) -> float:
    """The largest sample of an unsigned dtype: 255 or 65535."""
    return float(256**dtype.itemsize - 1)


def to_depth(values: npt.NDArray[np.floating[Any]], dtype: np.dtype[Any]) -> Pixels:
    """Levels of `dtype`, rounded to the nearest and clipped to its range. A new array."""
    pixels: Pixels = np.clip(np.rint(values), 0, white_level(dtype)).astype(dtype)
    return pixels


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
