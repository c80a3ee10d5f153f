"""Outpainting: an engine fills margins around a photo, and the photo keeps its pixels at their offset."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from restore.errors import ErrorCode, ItemError
from restore.imaging.metadata import photoshop
from restore.imaging.picture import Picture
from restore.imaging.pixels import Mask

Margins = tuple[int, int, int, int]
"""(left, top, right, bottom), px."""


def extended(picture: Picture, margins: Margins, max_megapixels: float) -> Picture:
    """The picture on its larger canvas, its edge pixels repeated into the margins.

    Raises:
        ItemError: `image_too_large`, when the canvas is.
    """
    if not any(margins):
        return picture
    left, top, right, bottom = margins
    width, height = picture.width + left + right, picture.height + top + bottom
    if width * height > max_megapixels * 1e6:
        raise ItemError(
            ErrorCode.IMAGE_TOO_LARGE,
            f"expand makes {width} x {height}, {width * height / 1e6:.1f} megapixels of the "
            f"{max_megapixels:g} allowed; lower expand or raise max_megapixels",
        )
    beside = ((top, bottom), (left, right), (0, 0))[: picture.pixels.ndim]
    pixels = np.pad(picture.pixels, beside, mode="edge")
    resources, lost = photoshop.without_places(picture.photoshop or b"")
    return replace(picture, pixels=pixels, photoshop=resources, dropped=(*picture.dropped, *lost))


def growth(size: tuple[int, int], margins: Margins) -> float:
    """How many times as large as a photo of `size` (width, height) its canvas is."""
    left, top, right, bottom = margins
    return (1 + (left + right) / size[0]) * (1 + (top + bottom) / size[1])


def on_canvas(damage: Mask, margins: Margins) -> Mask:
    """Damage of the photo as damage of the canvas: the margins are damaged too."""
    left, top, right, bottom = margins
    if not any(margins):
        return damage
    return np.pad(damage, ((top, bottom), (left, right)), constant_values=True)


def outside(shape: tuple[int, ...], margins: Margins) -> Mask:
    """Where a canvas of `shape` (height, width) is margin."""
    left, top, right, bottom = margins
    inner = np.zeros((shape[0] - top - bottom, shape[1] - left - right), bool)
    return on_canvas(inner, margins)
