"""Composites painted windows into the photo: matches colour, feathers, keeps known pixels bit-identical."""

from __future__ import annotations

from functools import reduce

import numpy as np
import numpy.typing as npt

from restore.imaging.opencv import cv2
from restore.imaging.pixels import LUMA_WEIGHTS, Doubles, Floats, Mask, Mode, Pixels, to_depth, white_level
from restore.repair.mask import blocks, distance_to, editable_area

RING_PX = 16  # known pixels within this distance of damage show what colour the paint should have
MIN_RING_PIXELS = 64  # fewer give no reliable colour
MAX_GAIN = 1.25  # a painted ring that needs more contrast than that was painted as something else
MIN_CORRELATION = 0.9  # below it, painted and true ring do not show the same things
MAX_SAMPLES = 20_000  # px; enough for a median or a cubic
LEVEL = 1 / 255  # of white; what floating point colours may stray as one level of integers
TONE_LEVELS = 4096  # of luma, each with its tint; finer than any tint changes
TONE_RESIDUAL = 0.025  # of white: 6 levels in 8 bit, above JPEG's colour noise and below a faded photo
_BAND_ROWS = 256  # rows compared at once


def match_colour(patch: Pixels, source: Pixels, damage: Mask) -> Pixels:
    """Shift each channel of a painted patch so that its known surroundings agree with the source's.

    A diffusion engine's autoencoder moves colour and contrast a little everywhere. What it did to the
    known pixels within `RING_PX` px of the damage can be seen, so it can be undone inside: the paint is
    moved by the mean difference, strays left out, and stretched too where ring and paint correlate.

    Args:
        patch: `(H, W)` or `(H, W, C)`, uint8 or uint16, the painted window at source scale.
        source: the same window of the photo, of the same shape and dtype.
        damage: bool `(H, W)`, True = painted.

    Returns:
        A new array. Equal to `patch` bit for bit when the ring agrees already, as it does for the
        classical engine, or when the ring is smaller than `MIN_RING_PIXELS` px.
    """
    matched = patch.copy()
    if changed_outside(source, patch, damage) == 0:
        return matched
    ring = _sample(editable_area(damage, RING_PX) & ~damage)
    if len(ring[0]) < MIN_RING_PIXELS:
        return matched
    painted, true = patch[ring].astype(np.float32), source[ring].astype(np.float32)
    for channel in np.ndindex(patch.shape[2:]):
        plane = (..., *channel)
        if not np.array_equal(painted[plane], true[plane]):
            matched[plane] = _shift(patch[plane], painted[plane], true[plane])
    return matched


def _sample(where: Mask) -> tuple[npt.NDArray[np.intp], ...]:
    """(rows, columns) of at most about `MAX_SAMPLES` True pixels, evenly spread."""
    found = np.flatnonzero(where)
    return np.unravel_index(found[:: len(found) // MAX_SAMPLES + 1], where.shape)


def _shift(plane: Pixels, painted: Floats, true: Floats) -> Pixels:
    """One channel, moved and stretched as the ring `painted` must be to become the ring `true`."""
    difference = true - painted
    stray = np.abs(difference - np.median(difference))
    level = 1.0 if plane.dtype.kind == "u" else LEVEL
    keep = stray <= 3.0 * np.median(stray) + level  # the rest shows something else
    centre, goal = float(painted[keep].mean()), float(true[keep].mean())
    gain = _gain(painted[keep] - centre, true[keep] - goal)
    return to_depth((plane.astype(np.float32) - centre) * gain + goal, plane.dtype)


def _gain(painted: Floats, true: Floats) -> float:
    """Least-squares contrast between two centred samples, or 1 where that would be guessing."""
    power, cross = float(np.dot(painted, painted)), float(np.dot(painted, true))
    norm = (power * float(np.dot(true, true))) ** 0.5
    if norm == 0.0 or cross < MIN_CORRELATION * norm:
        return 1.0
    gain = cross / power
    return gain if 1.0 / MAX_GAIN <= gain <= MAX_GAIN else 1.0


def keep_tone(patch: Pixels, source: Pixels, damage: Mask) -> Pixels:
    """Tone a painted patch as the print is toned: gray stays gray, sepia sepia, cyanotype blue.

    The known pixels of a toned print lie on one curve from luma to colour. When those of the window do
    (a cubic per channel leaves 95% of them within `TONE_RESIDUAL` of white), the patch keeps its luma
    and takes its colour from the curve. A colour photo's pixels do not, and its patch is left alone.
    For engines that paint in colour whatever they are given, after `match_colour`; a native engine
    keeps the tone already.

    Args:
        patch: `(H, W, 3)` RGB, uint8 or uint16, painted.
        source: the same window of the photo, of the same shape and dtype.
        damage: bool `(H, W)`, True = painted.

    Returns:
        A new array.
    """
    white = white_level(source.dtype)
    known = source[_sample(~damage)].astype(np.float64) / white
    if len(known) < MIN_RING_PIXELS:
        return patch.copy()
    luma = known @ LUMA_WEIGHTS
    curve = _tone_curve(luma, known - luma[:, None])
    if curve is None:
        return patch.copy()
    # beyond the tones that were seen a cubic runs away; the last one seen goes on instead
    levels = np.clip(np.linspace(0, 1, TONE_LEVELS), luma.min(), luma.max())
    tints = (_cubic(levels) @ curve * white).astype(np.float32)
    painted = cv2.transform(patch.astype(np.float32), LUMA_WEIGHTS[None])[..., None]
    level = np.rint(painted[..., 0] * ((TONE_LEVELS - 1) / white)).astype(np.intp)
    return to_depth(painted + tints[level], patch.dtype)


def _tone_curve(luma: Doubles, tint: Doubles) -> Doubles | None:
    """Coefficients `(4, 3)` of tint as a cubic in luma, or None when tint does not follow luma."""
    curve = np.linalg.lstsq(_cubic(luma), tint, rcond=None)[0].astype(np.float64)
    residual = np.abs(_cubic(luma) @ curve - tint).max(axis=1)
    return curve if float(np.quantile(residual, 0.95)) <= TONE_RESIDUAL else None


def _cubic(luma: Doubles) -> Doubles:
    return np.stack([np.ones_like(luma), luma, luma**2, luma**3], axis=-1)


def feather(source: Pixels, painted: Pixels, damage: Mask, feather_px: int, *, mode: Mode) -> Pixels:
    """Blend the painted picture into the source over the damage and `feather_px` px around it.

    The paint weighs 1 on damage and falls as a smoothstep of the Euclidean distance to damage, to 0 at
    `feather_px + 1`. Pixels further away than `feather_px` are the source's, bit for bit. Alpha is the
    source's everywhere: transparency is not photographic content.

    Args:
        source, painted: `(H, W)` or `(H, W, C)`, uint8 or uint16, of the same shape and dtype.
        damage: bool `(H, W)`, True = damaged.

    Returns:
        A new array of the source's shape and dtype.
    """
    blended = source.copy()
    content = slice(None, -1) if mode in ("LA", "RGBA") else slice(None)
    for block in blocks(damage, feather_px):
        distance = distance_to(damage[block.halo])[block.inner]
        near = distance <= feather_px
        weight = _weight(distance[near], feather_px)
        if source.ndim == 3:
            weight = weight[:, None]
        old = source[block.core][near].astype(np.float32)
        new = painted[block.core][near].astype(np.float32)
        mixed = to_depth(old + weight * (new - old), source.dtype)
        target = blended[block.core]
        if source.ndim == 3:
            mixed, target = mixed[:, content], target[..., content]
        target[near] = mixed
    return blended


def _weight(distance: Floats, feather_px: int) -> Floats:
    """The paint's share: 1 at distance 0, falling smoothly to 0 at `feather_px + 1`."""
    t = distance / np.float32(feather_px + 1)
    weight: Floats = 1 - t * t * (3 - 2 * t)
    return weight


def changed_outside(source: Pixels, restored: Pixels, editable_area: Mask) -> int:
    """How many pixels outside `editable_area` differ in any channel; 0 proves that no known pixel changed."""
    changed = 0
    for top in range(0, len(editable_area), _BAND_ROWS):
        rows = slice(top, top + _BAND_ROWS)
        differs = source[rows] != restored[rows]
        if differs.ndim == 3:  # `any(axis=2)` takes twenty times as long over so short an axis
            differs = reduce(np.logical_or, np.moveaxis(differs, 2, 0))
        changed += int(np.count_nonzero(differs & ~editable_area[rows]))
    return changed
