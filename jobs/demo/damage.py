"""What time does to a photograph: seeded models of scratches, dust, creases, stains and torn corners.

Every model takes uint8 or uint16 pixels, `(H, W)` gray, `(H, W, 3)` RGB or `(H, W, 4)` RGBA, and a
random generator, and gives new pixels and a mask, bool `(H, W)`, True = damage. Outside the mask the
pixels are the ones given, bit for bit. Lengths follow the picture's size; alpha stays as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from restore.imaging.opencv import cv2
from restore.imaging.pixels import LUMA_WEIGHTS

Pixels = npt.NDArray[np.unsignedinteger[Any]]
Points = npt.NDArray[np.float64]
Field = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Colour = tuple[float, float, float]
Corner = Literal["top_left", "top_right", "bottom_left", "bottom_right"]

_PAPER: Colour = (0.96, 0.94, 0.89)
_BED: Colour = (0.99, 0.99, 0.985)
_INK: Colour = (0.07, 0.06, 0.05)
_TEA: Colour = (0.58, 0.41, 0.22)
_LUMA = LUMA_WEIGHTS.astype(np.float32)
_FAINTEST = 1 / 128
"""Cover below this is none: a soft edge has to end somewhere, so that the mask can hold all of it."""


@dataclass(frozen=True, slots=True, eq=False)
class Damaged:
    """A damaged photograph and where it is damaged: bool `(H, W)`, True = damage."""

    pixels: Pixels
    mask: Mask


class Model(Protocol):
    """One kind of damage, its settings bound."""

    def __call__(self, pixels: Pixels, rng: np.random.Generator) -> Damaged: ...


def damage(pixels: Pixels, rng: np.random.Generator, models: Sequence[Model]) -> Damaged:
    """One kind of damage upon another, in the order given."""
    mask = np.zeros(pixels.shape[:2], bool)
    for model in models:
        damaged = model(pixels, rng)
        pixels, mask = damaged.pixels, mask | damaged.mask
    return Damaged(pixels, mask)


def scratches(pixels: Pixels, rng: np.random.Generator, *, count: int = 4) -> Damaged:
    """Long thin lines, slightly curved, where the emulsion is scraped down to the paper."""
    height, width = pixels.shape[:2]
    cover = np.zeros((height, width), np.uint8)
    for _ in range(count):
        start = rng.uniform((0, 0), (width, height))
        angle = rng.normal(np.pi / 2, 0.5)
        length = rng.uniform(0.3, 0.8) * min(width, height)
        path = _arc(start, angle, length, bend=rng.normal(0, 0.12))
        _stroke(cover, path, rng, thickness=int(rng.integers(1, 3)))
    return _paint(pixels, _fraction(cover), _PAPER)


def dust(pixels: Pixels, rng: np.random.Generator, *, specks: int = 40, hairs: int = 3) -> Damaged:
    """Specks and curled hairs: white where they lay on the negative, dark where they lie on the print."""
    white, dark = (np.zeros(pixels.shape[:2], np.uint8) for _ in range(2))
    for _ in range(specks):
        _speck(white if rng.random() < 0.7 else dark, rng)
    for _ in range(hairs):
        _hair(white if rng.random() < 0.5 else dark, rng)
    below = _paint(pixels, _fraction(white), _PAPER)
    above = _paint(below.pixels, _fraction(dark), _INK)
    return Damaged(above.pixels, below.mask | above.mask)


def crease(pixels: Pixels, rng: np.random.Generator, *, upright: bool = False) -> Damaged:
    """A fold right across the print: lit on one side, shaded on the other, cracked along the ridge.

    Args:
        upright: from top to bottom instead of from side to side.
    """
    if upright:
        turned = crease(np.swapaxes(pixels, 0, 1), rng)
        return Damaged(np.ascontiguousarray(np.swapaxes(turned.pixels, 0, 1)), turned.mask.T.copy())
    across, unit = _across_fold(pixels.shape[:2], rng)
    shape, away = across.shape, np.abs(across)
    strength = 0.25 + 0.25 * _noise(shape, 20 * unit, rng)
    relief = np.asarray(strength * np.clip(1 - away / (6.5 * unit), 0, 1) ** 1.5, np.float32)
    lit = _paint(pixels, np.where(across > 0, relief, 0), _PAPER)
    shaded = _paint(lit.pixels, np.where(across <= 0, relief, 0), _INK)
    # The emulsion holds in places and flakes off in others, so the crack's width comes and goes.
    opening = 3.4 * _noise((1, shape[1]), 45 * unit, rng) + 1.6 * _noise((1, shape[1]), 7 * unit, rng) - 1.5
    flakes = 3.5 * np.clip(_noise(shape, 5 * unit, rng) - 0.62, 0, 1) * (opening > 0.6)
    cracked = _paint(shaded.pixels, np.clip(unit * (0.6 * opening + flakes) - away + 0.5, 0, 1), _PAPER)
    return Damaged(cracked.pixels, lit.mask | shaded.mask | cracked.mask)


def stain(
    pixels: Pixels, rng: np.random.Generator, *, at: tuple[float, float] = (0.5, 0.5), size: float = 0.1
) -> Damaged:
    """A dried drop of tea: a translucent brown blot with a tidemark at its rim.

    Args:
        at: its centre, as x and y, 0..1 of the picture.
        size: the blot's radius over the picture's shorter side.
    """
    height, width = pixels.shape[:2]
    radius = size * min(height, width)
    left, top = int(at[0] * width - 1.5 * radius), int(at[1] * height - 1.5 * radius)
    window = np.s_[max(top, 0) : int(top + 3 * radius) + 1, max(left, 0) : int(left + 3 * radius) + 1]
    cover = np.zeros((height, width), np.float32)
    shape = cover[window].shape
    centre = (at[0] * width - max(left, 0), at[1] * height - max(top, 0))
    inside = 1 - _blot(shape, centre, radius, rng)
    soft = max(1.5, 0.03 * radius) / radius
    edge = np.clip(inside / soft, 0, 1)
    rim = np.exp(-np.maximum(inside - soft, 0) / (1.6 * soft))
    body = 0.3 + 0.3 * _noise(shape, max(2.0, radius / 4), rng)
    cover[window] = edge * (body + 0.4 * rim)
    return _tint(pixels, cover, _TEA)


def torn_corner(
    pixels: Pixels, rng: np.random.Generator, *, corner: Corner = "top_right", size: float = 0.16
) -> Damaged:
    """A corner torn off: bare fibres along a ragged edge, its shadow, then the scanner's white bed.

    Args:
        size: how far up the sides the tear goes, over the picture's shorter side.
    """
    flips = tuple(axis for axis, name in enumerate(("bottom", "right")) if name in corner)
    turned = np.flip(pixels, flips)
    kept, unit = _inside_tear(turned.shape[:2], size, rng)
    fibre = np.clip(unit * (3 + 14 * _noise(kept.shape, 16 * unit, rng)) - kept, 0, 1)
    bared = _paint(turned, fibre, _PAPER)
    rough = _tint(bared.pixels, 0.25 * fibre * _noise(kept.shape, 2 * unit, rng), _TEA)
    torn = _paint(rough.pixels, np.clip(0.5 - kept, 0, 1), _BED)
    shadow = _paint(torn.pixels, 0.35 * np.clip(1 + kept / (9 * unit), 0, 1) * (kept < 0), _INK)
    mask = bared.mask | rough.mask | torn.mask | shadow.mask
    return Damaged(np.ascontiguousarray(np.flip(shadow.pixels, flips)), np.flip(mask, flips).copy())


def _paint(pixels: Pixels, cover: Field, colour: Colour) -> Damaged:
    """`colour` (0..1) laid over the pixels where `cover` (0..1) is above nothing."""
    return _lay(pixels, cover, colour, multiplied=False)


def _tint(pixels: Pixels, cover: Field, colour: Colour) -> Damaged:
    """The pixels multiplied by `colour` (0..1), as much as `cover` (0..1) says."""
    return _lay(pixels, cover, colour, multiplied=True)


def _lay(pixels: Pixels, cover: Field, colour: Colour, *, multiplied: bool) -> Damaged:
    where = cover > _FAINTEST
    at = np.divmod(np.flatnonzero(where), where.shape[1])  # the few pixels there are, not the whole scan
    out = pixels.copy()
    view = out[..., :3] if pixels.ndim == 3 else out[..., None]
    ink = np.array(colour if view.shape[-1] == 3 else [_LUMA @ np.array(colour)], np.float32)
    under = view[at].astype(np.float32)
    over = under * ink if multiplied else ink * np.iinfo(pixels.dtype).max
    view[at] = np.rint(under + (over - under) * cover[at][:, None]).astype(pixels.dtype)
    grown = cv2.dilate(where.view(np.uint8), np.ones((3, 3), np.uint8))
    return Damaged(out, grown.view(bool))


def _fraction(cover: npt.NDArray[np.uint8]) -> Field:
    return np.asarray(cover / np.float32(255), np.float32)


def _noise(shape: tuple[int, ...], grain: float, rng: np.random.Generator) -> Field:
    """Smooth noise, 0..1, whose features are about `grain` px wide."""
    height, width = shape[:2]
    coarse = rng.random((int(height / grain) + 3, int(width / grain) + 3), np.float32)
    fine = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.clip(fine, 0, 1), np.float32)


def _across_fold(shape: tuple[int, ...], rng: np.random.Generator) -> tuple[Field, float]:
    """Signed distance in px from a nearly straight line from side to side, and the fold's unit in px."""
    height, width = shape[:2]
    unit = max(1.0, min(height, width) / 700)
    left = rng.uniform(0.2, 0.8) * height
    right = np.clip(left + rng.normal(0, 0.08) * height, 0.1 * height, 0.9 * height)
    wander = unit * (14 * _noise((1, width), 160 * unit, rng) + 2.4 * _noise((1, width), 14 * unit, rng))
    ridge = np.linspace(left, right, width, dtype=np.float32) + wander[0]
    slant = np.cos(np.arctan2(right - left, width))
    distance = (np.arange(height, dtype=np.float32)[:, None] - ridge[None, :]) * slant
    return np.asarray(distance, np.float32), unit


def _inside_tear(shape: tuple[int, ...], size: float, rng: np.random.Generator) -> tuple[Field, float]:
    """Signed distance in px from a ragged line across the top left corner, and the tear's unit in px."""
    height, width = shape
    unit = min(height, width) / 800
    reach_x, reach_y = size * min(height, width) * rng.uniform(0.75, 1.25, 2)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    straight = (x / reach_x + y / reach_y - 1) / np.hypot(1 / reach_x, 1 / reach_y)
    ragged = 14 * (_noise(shape, 40 * unit, rng) - 0.5) + 6 * (_noise(shape, 5 * unit, rng) - 0.5)
    return np.asarray(straight + unit * ragged, np.float32), unit


def _blot(
    shape: tuple[int, ...], centre: tuple[float, float], radius: float, rng: np.random.Generator
) -> Field:
    """Distance from the centre over the blot's radius in that direction: 1 on its wavering rim."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    dy, dx = y - centre[1], x - centre[0]
    angle = np.arctan2(dy, dx)
    rim = np.ones(shape, np.float32)
    for order in range(2, 9):
        rim += rng.normal(0, 0.2 / order) * np.cos(order * angle + rng.uniform(0, 2 * np.pi))
    return np.asarray(np.hypot(dy, dx) / (radius * np.clip(rim, 0.6, 1.45)), np.float32)


def _arc(start: Points, angle: float, length: float, bend: float) -> Points:
    """Points `(N, 2)`, as x and y in px, of an arc that turns by `bend` radians."""
    steps = max(2, int(length / 14))
    step = _towards(angle + np.linspace(0, bend, steps)) * (length / steps)
    return np.asarray(start + np.cumsum(step, axis=0))


def _towards(angles: Points) -> Points:
    """Unit vectors `(N, 2)`, as x and y, for `(N,)` angles in radians."""
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _stroke(cover: npt.NDArray[np.uint8], path: Points, rng: np.random.Generator, thickness: int) -> None:
    """A line of uneven strength onto `cover`, fading out at both ends."""
    along = np.linspace(0, 1, len(path))
    knots = np.clip(rng.normal(0.8, 0.3, 9), 0.25, 1)
    strength = 255 * np.minimum(1, 4 * np.sin(np.pi * along)) * np.interp(along, np.linspace(0, 1, 9), knots)
    points = _sixteenths(path).tolist()
    for begin, end, value in zip(points, points[1:], strength, strict=False):
        cv2.line(cover, begin, end, float(value), thickness, cv2.LINE_AA, shift=4)


def _speck(cover: npt.NDArray[np.uint8], rng: np.random.Generator) -> None:
    """A crumb of a few pixels, with corners, as a grain of dust has."""
    height, width = cover.shape
    radius = 0.8 + min(rng.exponential(1.0), 4) * min(height, width) / 800
    angles = np.linspace(0, 2 * np.pi, 9, endpoint=False) + rng.uniform(0, 0.5, 9)
    reach = radius * rng.uniform(0.55, 1.3, 9)
    corners = rng.uniform((0, 0), (width, height)) + _towards(angles) * reach[:, None]
    value = float(rng.uniform(150, 255))
    cv2.fillPoly(cover, [_sixteenths(corners)], value, cv2.LINE_AA, shift=4)


def _hair(cover: npt.NDArray[np.uint8], rng: np.random.Generator) -> None:
    """A thin curl, its bend wandering as it goes."""
    height, width = cover.shape
    steps = int(rng.integers(14, 34))
    heading = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, 0.06) + rng.normal(0, 0.14, steps))
    step = _towards(heading) * (min(height, width) / 260)
    path = rng.uniform((0, 0), (width, height)) + np.cumsum(step, axis=0)
    cv2.polylines(cover, [_sixteenths(path)], False, 215, 1, cv2.LINE_AA, shift=4)


def _sixteenths(points: Points) -> npt.NDArray[np.int32]:
    """Points in px as OpenCV draws them with `shift=4`."""
    return np.rint(points * 16).astype(np.int32)


def scratched_photograph(width: int, height: int, seed: int) -> tuple[npt.NDArray[np.uint8], Mask]:
    """A photograph with a few scratches, specks and one small stain, for benchmarks.

    Returns:
        RGB uint8 `(height, width, 3)` and its mask, bool `(height, width)`, True = damage.
    """
    from skimage import data

    rng = np.random.default_rng(seed)
    scale = rng.uniform(0.6, 1) * 512 / max(width, height)
    cut_height, cut_width = max(1, int(height * scale)), max(1, int(width * scale))
    top, left = rng.integers(0, (513 - cut_height, 513 - cut_width))
    sharp = data.astronaut()[top : top + cut_height, left : left + cut_width]
    smooth = cv2.resize(sharp, (width, height), interpolation=cv2.INTER_CUBIC)
    grain = rng.integers(0, 5, (height, width), np.uint8)  # without it the files would be half a scan's size
    photograph = np.asarray(cv2.add(smooth, cv2.merge([grain] * 3)), np.uint8)
    spilt = partial(stain, at=tuple(rng.uniform(0.15, 0.85, 2)), size=0.04)
    damaged = damage(photograph, rng, (partial(scratches, count=4), partial(dust, specks=25, hairs=2), spilt))
    return damaged.pixels.astype(np.uint8, copy=False), damaged.mask
