"""Finds the damaged pixels: reads a mask, grows it, measures it.

Damage is a bool array `(H, W)` in the photo's upright frame, True = damaged, in every module.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from restore.errors import ErrorCode, ItemError
from restore.imaging.opencv import cv2
from restore.imaging.picture import Picture
from restore.imaging.pixels import Floats, Mask, Pixels, to_16_bit
from restore.recipe import Polarity

BLOCK_PX = 256  # large enough that a block costs more than its call, small enough to skip most of a photo
MAX_DISC_PX = (
    8  # px; up to here dilating by a disc is faster than measuring distances (2 megapixels: 5 ms, 36 ms)
)
_BAND_ROWS = 512  # rows of a mask read at once, so that a large mask is never held as 32-bit integers


class Block(NamedTuple):
    """A part of the frame and its surroundings, as (rows, columns) into the frame.

    `inner` is the part within `halo`, as (rows, columns) into the halo's crop.
    """

    core: tuple[slice, slice]
    halo: tuple[slice, slice]
    inner: tuple[slice, slice]


def damage_from(
    mask: Picture,
    picture_shape: tuple[int, int],
    picture_orientation: int,
    *,
    polarity: Polarity,
    threshold: int,
) -> Mask:
    """The damage that a mask file shows, before dilation.

    A mask pixel's value is its luma (ITU-R BT.601, rounded as Pillow's `convert("L")` does) scaled to
    8 bit. Alpha is the value instead when it varies and luma does not: a mask drawn on a transparent
    layer. `white_is_damage`: a value of at least `threshold` is damage; `black_is_damage`: one below.

    Args:
        mask: upright by its own Orientation tag.
        picture_shape: (height, width) of the photo, upright.
        picture_orientation: the photo's Orientation tag as stored, 1 to 8.
        threshold: 1 to 255.

    Returns:
        A new bool array of `picture_shape`.

    Raises:
        ItemError: `mask_unreadable` when the mask's values or Orientation tag cannot be trusted,
            `mask_size_mismatch` when it is not the photo's size.
    """
    _check_orientation(mask, picture_orientation)
    _check_size(mask, picture_shape)
    values = _values(mask)
    return values >= threshold if polarity == "white_is_damage" else values < threshold


def _check_orientation(mask: Picture, picture_orientation: int) -> None:
    if mask.orientation not in (1, picture_orientation):
        raise ItemError(
            ErrorCode.MASK_UNREADABLE,
            f"the mask carries Orientation {mask.orientation} but the photo carries {picture_orientation}; "
            "save the mask upright without an Orientation tag, or give it the photo's",
        )


def _check_size(mask: Picture, shape: tuple[int, int]) -> None:
    height, width = mask.pixels.shape[:2]
    if (height, width) == shape:
        return
    if (width, height) == shape:
        fix = "it lies on its side: rotate it, or give it the photo's Orientation tag"
    else:
        fix = "make one at the photo's full size"
    raise ItemError(
        ErrorCode.MASK_SIZE_MISMATCH,
        f"the mask is {width}x{height} pixels but the photo is {shape[1]}x{shape[0]}; {fix}",
    )


def _values(mask: Picture) -> npt.NDArray[np.uint8]:
    """`(H, W)` uint8: luma, or alpha where only alpha varies."""
    if mask.mode == "CMYK":
        raise ItemError(
            ErrorCode.MASK_UNREADABLE, "the mask is CMYK, whose black has no one value; save it as grayscale"
        )
    if mask.floating:
        mask = replace(mask, pixels=to_16_bit(mask.pixels))
    luma = mask.pixels[..., 0] if mask.mode == "LAB" else _luma(mask)
    if mask.mode in ("LA", "RGBA") and luma.min() == luma.max():
        alpha = mask.pixels[..., -1]
        if alpha.min() != alpha.max():
            luma = alpha
    return _to_8_bit(luma)


def _luma(mask: Picture) -> Pixels:
    """`(H, W)` in the mask's own depth, by Pillow's fixed-point BT.601 weights."""
    if mask.mode in ("L", "LA"):
        return mask.pixels if mask.mode == "L" else mask.pixels[..., 0]
    luma = np.empty(mask.pixels.shape[:2], mask.pixels.dtype)
    for top in range(0, len(luma), _BAND_ROWS):
        red, green, blue = np.moveaxis(mask.pixels[top : top + _BAND_ROWS, :, :3].astype(np.uint32), 2, 0)
        # the weights' sum is 65536, so that 16-bit white still fits in 32 bits
        luma[top : top + _BAND_ROWS] = (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16
    return luma


def _to_8_bit(values: Pixels) -> npt.NDArray[np.uint8]:
    """Scale to 8 bit, refusing a mask whose damage lies below every sensible threshold."""
    largest = int(values.max())
    scaled = _narrow(values) if values.dtype == np.uint16 else values.astype(np.uint8)
    if largest > 0 and int(scaled.max()) <= 1:
        white = 65535 if values.dtype == np.uint16 else 255
        raise ItemError(
            ErrorCode.MASK_UNREADABLE,
            f"the mask's largest value is {largest} of {white}, so it looks like a 0/{largest} mask; "
            f"multiply it by {white // largest} so that damage and rest are 0 and {white}",
        )
    return scaled


def _narrow(values: Pixels) -> npt.NDArray[np.uint8]:
    """uint16 -> uint8, to the nearest."""
    narrow = np.empty(values.shape, np.uint8)
    for top in range(0, len(values), _BAND_ROWS):
        narrow[top : top + _BAND_ROWS] = (values[top : top + _BAND_ROWS].astype(np.uint32) + 128) // 257
    return narrow


def dilate(damage: Mask, kernel: int, iterations: int) -> Mask:
    """Grow the damage by an elliptic kernel of `kernel` px (odd), `iterations` times. A new array."""
    element = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (kernel, kernel))
    return cv2.dilate(damage.view(np.uint8), element, iterations=iterations).view(np.bool_)


def coverage(damage: Mask) -> float:
    """The fraction of the frame that is damaged, 0 to 1."""
    return int(np.count_nonzero(damage)) / damage.size


def thickness(damage: Mask) -> float:
    """Diameter, in px, of the largest circle inscribed in the damage; 0.0 without damage.

    A stripe of odd width w measures w, one of even width w - 1. Nothing is known beyond the frame, so
    a stripe along its border counts twice: it can be painted from one side only. Infinite when no
    pixel is known. Within 5%, by OpenCV's 5x5 distance (Borgefors 1986), five times as fast as the exact.
    """
    if not damage.any():
        return 0.0
    if damage.all():
        return math.inf
    return 2.0 * float(cv2.distanceTransform(damage.view(np.uint8), cv2.DIST_L2, 5).max()) - 1.0


def editable_area(damage: Mask, feather: int) -> Mask:
    """The pixels that may change: the damage and all within `feather` px (Euclidean) of it."""
    if feather <= MAX_DISC_PX:
        return cv2.dilate(damage.view(np.uint8), _disc(feather)).view(np.bool_)
    near = np.zeros_like(damage)
    for block in blocks(damage, feather):
        near[block.core] = distance_to(damage[block.halo])[block.inner] <= feather
    return near


def _disc(radius: int) -> npt.NDArray[np.uint8]:
    offsets = np.arange(-radius, radius + 1)
    return (offsets**2 + offsets[:, None] ** 2 <= radius**2).astype(np.uint8)


def distance_to(target: Mask) -> Floats:
    """Euclidean distance of every pixel's centre to that of the nearest True pixel, px, float32.

    Exact (Felzenszwalb & Huttenlocher 2012, by OpenCV). Very large where no pixel is True.
    """
    return cv2.distanceTransform((~target).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)  # type: ignore[return-value]


def blocks(damage: Mask, margin: int) -> Iterator[Block]:
    """Yield the parts of the frame that lie within `margin` px of damage, in blocks, row by row.

    A core is the part of a block that the damage's bounding box there, grown by `margin`, covers. What is
    computed in its halo, which reaches `margin` px further, is what would be computed on the whole frame
    as far as it depends on pixels at most `margin` px away. Most photos are damaged in few places, so
    this saves most of the work, and no temporary is ever larger than a block.
    """
    height, width = damage.shape
    for top in range(0, height, BLOCK_PX):
        band = damage[max(0, top - margin) : top + BLOCK_PX + margin]
        if not band.any():
            continue
        for left in range(0, width, BLOCK_PX):
            y, x = max(0, top - margin), max(0, left - margin)
            near = damage[y : top + BLOCK_PX + margin, x : left + BLOCK_PX + margin]
            if near.any():
                rows = _extent(near, 0, y, margin, slice(top, min(height, top + BLOCK_PX)))
                columns = _extent(near, 1, x, margin, slice(left, min(width, left + BLOCK_PX)))
                yield _block(rows, columns, damage.shape, margin)


def _extent(near: Mask, axis: int, start: int, margin: int, within: slice) -> slice:
    """Of a block's rows (axis 0) or columns (1), those at most `margin` px from the damage's box."""
    found = np.flatnonzero(np.any(near, axis=1 - axis)) + start
    first, end = int(found[0]) - margin, int(found[-1]) + 1 + margin
    return slice(max(within.start, first), min(within.stop, end))


def _block(rows: slice, columns: slice, shape: tuple[int, ...], margin: int) -> Block:
    y, x = max(0, rows.start - margin), max(0, columns.start - margin)
    return Block(
        (rows, columns),
        (
            slice(y, min(shape[0], rows.stop + margin)),
            slice(x, min(shape[1], columns.stop + margin)),
        ),
        (slice(rows.start - y, rows.stop - y), slice(columns.start - x, columns.stop - x)),
    )
