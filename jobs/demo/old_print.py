"""Prints a photograph anew as an old one: enlarged, toned, faded, with grain, vignette and margin."""

from __future__ import annotations

from typing import Literal

import numpy as np

from jobs.demo.damage import Field, Pixels
from restore.imaging.opencv import cv2
from restore.imaging.pixels import LUMA_WEIGHTS

Tone = Literal["gray", "sepia", "faded"]

_LUMA = LUMA_WEIGHTS.astype(np.float32)
_SEPIA_SHADOW = np.array([0.17, 0.115, 0.08], np.float32)
_SEPIA_LIGHT = np.array([0.95, 0.885, 0.76], np.float32)


def enlarged(pixels: Pixels, long_side: int) -> Field:
    """uint8 pixels, `(H, W)` or `(H, W, 3)`, as float32 0..1 with the longer side `long_side` px."""
    height, width = pixels.shape[:2]
    scale = long_side / max(height, width)
    size = (round(width * scale), round(height * scale))
    method = cv2.INTER_LANCZOS4 if scale > 1 else cv2.INTER_AREA
    return np.clip(cv2.resize(pixels.astype(np.float32) / 255, size, interpolation=method), 0, 1)


def printed(
    picture: Field, rng: np.random.Generator, *, tone: Tone, border: float = 0.0, grain: float = 0.016
) -> Field:
    """An old print of `picture`, float32 0..1.

    Args:
        border: white margin over the shorter side.
        grain: standard deviation of the grain, in parts of full scale.

    Returns:
        `(H, W)` for gray, else `(H, W, 3)`.
    """
    old = _vignetted(_grainy(_toned(picture, tone), rng, grain))
    return np.clip(_margined(old, rng, border) if border else old, 0, 1)


def _toned(picture: Field, tone: Tone) -> Field:
    if tone == "faded":
        return _faded(picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=2))
    gray = picture @ _LUMA if picture.ndim == 3 else picture
    if tone == "gray":
        return np.asarray(0.07 + 0.85 * gray, np.float32)
    return np.asarray(_SEPIA_SHADOW + (_SEPIA_LIGHT - _SEPIA_SHADOW) * gray[..., None], np.float32)


def _faded(picture: Field) -> Field:
    """The cyan dye goes first: colours weaken, shadows lift and turn red, whites turn yellow."""
    gray = (picture @ _LUMA)[..., None]
    weaker = gray + 0.72 * (picture - gray)
    lift = np.array([0.13, 0.075, 0.06], np.float32)
    top = np.array([0.97, 0.93, 0.82], np.float32)
    return np.asarray(lift + (top - lift) * weaker, np.float32)


def _grainy(picture: Field, rng: np.random.Generator, grain: float) -> Field:
    """Clumps of silver: noise about 1.5 px wide, the same in all channels."""
    noise = cv2.GaussianBlur(rng.standard_normal(picture.shape[:2], np.float32), (0, 0), 0.7)
    noise *= grain / noise.std()
    return picture + (noise if picture.ndim == 2 else noise[..., None])


def _vignetted(picture: Field) -> Field:
    height, width = picture.shape[:2]
    y, x = np.linspace(-1, 1, height, dtype=np.float32), np.linspace(-1, 1, width, dtype=np.float32)
    fall = 1 - 0.11 * (y[:, None] ** 2 + x[None, :] ** 2) ** 1.5
    return np.asarray(picture * (fall if picture.ndim == 2 else fall[..., None]), np.float32)


def _margined(picture: Field, rng: np.random.Generator, border: float) -> Field:
    """The print within its paper's white margin, the edge between them slightly soft."""
    height, width = picture.shape[:2]
    edge = round(border * min(height, width))
    gray = picture.ndim == 2
    inside = np.zeros((height, width), np.float32)
    inside[edge : height - edge, edge : width - edge] = 1
    inside = np.asarray(cv2.GaussianBlur(inside, (0, 0), 0.8), np.float32)
    share = inside if gray else inside[..., None]
    paper = np.full(picture.shape, 0.9 if gray else (0.93, 0.9, 0.82), np.float32)
    return np.asarray(picture * share + _grainy(paper, rng, 0.008) * (1 - share), np.float32)
