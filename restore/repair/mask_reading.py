"""Which pixels a mask file marks as damage: by its values, by its alpha, or by one colour on another.

People paint masks in many ways. A mask is read in the one way in which it can be meant. Where there are
several, or none, it is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from restore.errors import FIT_MASKS, ErrorCode, ItemError
from restore.imaging.picture import Picture
from restore.imaging.pixels import Mask, Pixels, straightened, to_8_bit, to_16_bit, white_level, without_last
from restore.imaging.scaled_copy import same_shape
from restore.recipe import Polarity

BAND_ROWS = 512
"""Rows of a mask read at once, so that a large mask is never held as 32-bit integers."""

OPAQUE = 250
"""Alpha, of 255, from which a pixel is as good as opaque. Some editors write 254 for 255."""

ONE_COLOUR = 40
"""Levels, of 255, by which samples of one colour may differ: soft brushes round, and JPEG blurs."""

COLOURFUL = 48
"""Difference of a pixel's largest and smallest sample, of 255, from which it is no gray."""

MANY_COLOURS = 0.02
"""Fraction of pixels of a third colour from which a mask looks like a photograph."""

MANY_MIXTURES = 0.15
"""Fraction of pixels between both colours from which it does: soft edges of strokes are few."""

FAINT = 31
"""Largest value, of 255, up to which a mask looks as if its values were meant for fewer bits."""

Bytes = npt.NDArray[np.uint8]


def damage_from(
    mask: Picture,
    picture_shape: tuple[int, int],
    picture_orientation: int,
    *,
    polarity: Polarity,
    threshold: int,
) -> Mask:
    """The damage that a mask file shows, before dilation. In this order:

    1. Alpha, where it varies and what is visible has one colour: strokes on a transparent layer. The colour
       of a transparent pixel says nothing.
    2. Luma (ITU-R BT.601, rounded as Pillow's `convert("L")` does) scaled to 8 bit. `white_is_damage`: a
       value of at least `threshold` is damage; `black_is_damage`: one below.
    3. One colour on another, such as red on black, where all luma is on one side of the threshold: the
       strokes are the damage, whatever `polarity` says. Of a colour and a gray, the colour is the stroke; of
       two colours, the rarer.

    Args:
        mask: upright by its own Orientation tag.
        picture_shape: (height, width) of the photo, upright.
        picture_orientation: the photo's Orientation tag as stored, 1 to 8.
        threshold: 1 to 255.

    Returns:
        A new bool array of `picture_shape`. Without damage only where the mask has one value everywhere.

    Raises:
        ItemError: `mask_unreadable` when the mask's values, colours or Orientation tag cannot be trusted,
            `mask_size_mismatch` when it is not the photo's size.
    """
    _check_orientation(mask, picture_orientation)
    _check_size(mask, picture_shape)
    mask = _in_whole_numbers(mask)
    alpha = _alpha(mask)
    if alpha is not None and _is_layer(alpha):
        return _strokes_of_layer(mask, alpha, polarity, threshold)
    if mask.mode in ("LA", "RGBA"):
        mask = replace(mask, pixels=without_last(mask.pixels), mode="L" if mask.mode == "LA" else "RGB")
    if alpha is not None and not alpha.any():
        return np.zeros(picture_shape, np.bool_)  # all transparent: nothing is drawn
    return _by_luma(mask, polarity, threshold)


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
    elif same_shape((width, height), shape[::-1]):
        fix = f"make one at the photo's full size, or enlarge or reduce such masks with {FIT_MASKS}"
    else:
        fix = "make one at the photo's full size"
    raise ItemError(
        ErrorCode.MASK_SIZE_MISMATCH,
        f"the mask is {width}x{height} pixels but the photo is {shape[1]}x{shape[0]}; {fix}",
    )


def _in_whole_numbers(mask: Picture) -> Picture:
    """The mask as L, LA, RGB or RGBA of unsigned samples, its colours not multiplied by alpha."""
    if mask.mode == "CMYK":
        raise ItemError(
            ErrorCode.MASK_UNREADABLE, "the mask is CMYK, whose black has no one value; save it as grayscale"
        )
    if mask.floating:
        mask = replace(mask, pixels=to_16_bit(mask.pixels))
    if mask.mode == "LAB":
        return replace(mask, pixels=mask.pixels[..., 0], mode="L")
    if mask.mode in ("LA", "RGBA") and mask.alpha == "premultiplied":
        return replace(mask, pixels=straightened(mask.pixels), alpha="straight")
    return mask


def _alpha(mask: Picture) -> Bytes | None:
    """Alpha in 8 bit; None where the mask has none."""
    if mask.mode not in ("LA", "RGBA") or mask.alpha == "unspecified":
        return None
    return _narrow(mask.pixels[..., -1])


def _is_layer(alpha: Bytes) -> bool:
    """Whether alpha varies. One that is opaque but for rounding does not."""
    lowest, highest = int(alpha.min()), int(alpha.max())
    return lowest < highest and lowest < OPAQUE


def _strokes_of_layer(mask: Picture, alpha: Bytes, polarity: Polarity, threshold: int) -> Mask:
    """Damage by alpha, where what is clearly visible has one colour."""
    if not _has_one_colour(mask.pixels, alpha >= max(1, int(alpha.max()) // 2)):
        raise ItemError(
            ErrorCode.MASK_UNREADABLE,
            "both the mask's colours and its transparency vary, so it is not clear which of them marks the "
            "damage; paint with one colour on a transparent layer, or save black and white without alpha",
        )
    damage = _marked(alpha, polarity, threshold)
    if damage.any() == damage.all():
        raise _undecided("alpha", alpha, alpha, polarity, threshold)
    return damage


def _has_one_colour(pixels: Pixels, seen: Mask) -> bool:
    """Whether the pixels where `seen` is True differ by no more than `ONE_COLOUR` levels in each sample."""
    lowest, highest = [np.inf] * pixels.shape[-1], [-np.inf] * pixels.shape[-1]
    for rows in _bands(pixels):
        for channel in range(pixels.shape[-1] - 1):
            values = pixels[rows][..., channel][seen[rows]]
            if len(values):
                lowest[channel] = min(lowest[channel], int(values.min()))
                highest[channel] = max(highest[channel], int(values.max()))
    limit = ONE_COLOUR * white_level(pixels.dtype) / 255
    return all(high - low <= limit for low, high in zip(lowest[:-1], highest[:-1], strict=True))


def _by_luma(mask: Picture, polarity: Polarity, threshold: int) -> Mask:
    luma = _luma(mask)
    values = _narrow(luma)
    damage = _marked(values, polarity, threshold)
    separates = bool(damage.any()) and not damage.all()
    strokes = _strokes(_narrow(mask.pixels)) if mask.mode == "RGB" and _has_colour(mask.pixels) else None
    if separates and int(values.max()) > 1:
        return damage
    if strokes is not None:
        return strokes
    if luma.min() == luma.max() or (damage.all() and int(values.max()) > 1):
        return damage  # one value everywhere, or all of it damage, which is refused by name later
    raise _undecided("value", luma, values, polarity, threshold)


def _marked(values: Bytes, polarity: Polarity, threshold: int) -> Mask:
    return values >= threshold if polarity == "white_is_damage" else values < threshold


def _undecided(what: str, stored: Pixels, values: Bytes, polarity: Polarity, threshold: int) -> ItemError:
    """The error of a mask that says something which reaches no threshold."""
    white, largest = int(white_level(stored.dtype)), int(stored.max())
    highest, lowest = int(values.max()), int(values.min())
    if highest <= 1 or (polarity == "white_is_damage" and highest <= FAINT):
        said = (
            f"largest {what} is {largest} of {white}, so it looks like a 0/{largest} mask; multiply it by "
            f"{white // largest} so that damage and rest are 0 and {white}"
        )
    elif polarity == "white_is_damage":
        said = (
            f"largest {what} is {highest} of 255, and none reaches mask_threshold {threshold}; lower "
            "mask_threshold, or paint the damage white"
        )
    else:
        said = (
            f"smallest {what} is {lowest} of 255, and none is below mask_threshold {threshold}; raise "
            "mask_threshold, or paint the damage black"
        )
    return ItemError(ErrorCode.MASK_UNREADABLE, f"the mask's {said}")


def _luma(mask: Picture) -> Pixels:
    """`(H, W)` in the mask's own depth, by Pillow's fixed-point BT.601 weights."""
    if mask.mode == "L":
        return mask.pixels
    luma = np.empty(mask.pixels.shape[:2], mask.pixels.dtype)
    for rows in _bands(mask.pixels):
        red, green, blue = np.moveaxis(mask.pixels[rows].astype(np.uint32), 2, 0)
        # the weights' sum is 65536, so that 16-bit white still fits in 32 bits
        luma[rows] = (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16
    return luma


def _narrow(values: Pixels) -> Bytes:
    """Samples in 8 bit, to the nearest."""
    if values.dtype == np.uint8:
        return values
    narrow = np.empty(values.shape, np.uint8)
    for rows in _bands(values):
        narrow[rows] = to_8_bit(values[rows])
    return narrow


def _bands(pixels: npt.NDArray[Any]) -> Iterator[slice]:
    for top in range(0, len(pixels), BAND_ROWS):
        yield slice(top, top + BAND_ROWS)


def _has_colour(pixels: Pixels) -> bool:
    """Whether any of RGB pixels is no gray."""
    limit = COLOURFUL * white_level(pixels.dtype) / 255
    return any(
        bool((np.ptp(pixels[rows].astype(np.int32), axis=2) >= limit).any()) for rows in _bands(pixels)
    )


def _strokes(pixels: Bytes) -> Mask | None:
    """The pixels nearer to the strokes' colour than to the ground's. None where all is one colour.

    A mixture of both, as at soft edges, counts as the nearer one.

    Raises:
        ItemError: `mask_unreadable` where there are more colours.
    """
    found = _two_colours(pixels)
    if found is None:
        return None
    ground, stroke = found
    across = stroke - ground
    strokes, others, mixed = np.empty(pixels.shape[:2], np.bool_), 0, 0
    for rows in _bands(pixels):
        offset = pixels[rows].astype(np.float32) - ground
        share = np.clip(offset @ across / (across @ across), 0, 1)
        beside = np.abs(offset - share[..., None] * across).max(axis=2)
        others += int(np.count_nonzero(beside > ONE_COLOUR))
        mixed += int(np.count_nonzero(np.abs(share - 0.5) < 0.35))
        strokes[rows] = share >= 0.5
    if others > MANY_COLOURS * strokes.size or mixed > MANY_MIXTURES * strokes.size:
        raise ItemError(
            ErrorCode.MASK_UNREADABLE,
            "the mask has many colours, as a photograph has; paint the damage white on black",
        )
    return strokes


def _two_colours(pixels: Bytes) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]] | None:
    """The colours of the ground and of the strokes, float32 `(3,)`; None where there is one colour alone."""
    counts = np.zeros(1 << 15, np.int64)
    for rows in _bands(pixels):
        red, green, blue = np.moveaxis(pixels[rows].astype(np.uint16) >> 3, 2, 0)
        counts += np.bincount((red << 10 | green << 5 | blue).ravel(), minlength=counts.size)
    bins = np.flatnonzero(counts)
    colours = np.stack([bins >> 10, bins >> 5 & 31, bins & 31], axis=1).astype(np.float32) * (255 / 31)
    first = colours[counts[bins].argmax()]
    distance = np.abs(colours - first).max(axis=1)
    apart = distance > COLOURFUL
    if not apart.any():
        return None
    # Soft edges give many mixtures, each of them rare: what counts is how often, and how far away.
    second = colours[np.where(apart, counts[bins] * distance, 0).argmax()]
    grays = [float(np.ptp(colour)) < COLOURFUL for colour in (first, second)]
    return (second, first) if grays[1] and not grays[0] else (first, second)
