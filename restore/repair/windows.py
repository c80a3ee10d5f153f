"""Plans the windows to paint around damage, crops, scales and pads them, and undoes it."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from restore.imaging.opencv import cv2
from restore.imaging.pixels import Doubles, Mask, Pixels, to_depth
from restore.repair.tiling import DOWNSCALE_PRICE, MAX_SIDE, PaintCost, cover

MAX_UPSCALE = 2.0
"""A frame smaller than the engine's size is enlarged at most this much; the rest is padded by reflection."""
MIN_UPSCALE = 1.25
"""Below this a small frame is padded, not enlarged: resampling would soften it for next to nothing."""
RIM_PX = 8
"""Context beyond the feather, px, so that a blended pixel never lies on the very edge of its window."""
MAX_AREA_RATIO = 4
"""See `plan_windows`."""
SIMILAR_COST_RATIO = 1.1
"""Among sizes that cost at most this many times the cheapest, the one with the best scale is chosen."""
MIN_KNOWN_SHARE = 0.1
"""Share of known pixels that a window for the middle of a large hole must see."""
OVERLAP_POWER = 4
"""Power of the overlap weights: from 10% to 90% in about a quarter of the overlap, since averaging two
different paintings over a long way would blur both."""


@dataclass(frozen=True, slots=True)
class Window:
    """A rectangle of the frame, wholly inside it, and the size it is painted at. All in pixels."""

    x: int
    y: int
    width: int
    height: int
    paint_width: int
    paint_height: int

    @property
    def scale(self) -> float:
        """Painted pixels per source pixel, the same both ways."""
        fit = min(self.paint_width / self.width, self.paint_height / self.height, MAX_UPSCALE)
        return 1.0 if 1 <= fit < MIN_UPSCALE else fit

    @property
    def content(self) -> tuple[int, int]:
        """(width, height) of the source's part of the painted window; the rest is padding."""
        scale = self.scale
        return (
            min(max(round(self.width * scale), 1), self.paint_width),
            min(max(round(self.height * scale), 1), self.paint_height),
        )

    @property
    def slices(self) -> tuple[slice, slice]:
        """The window's rows and columns of the frame."""
        return slice(self.y, self.y + self.height), slice(self.x, self.x + self.width)


def plan_windows(
    mask: Mask, *, context: int, reach: int, sizes: tuple[tuple[int, int], ...] | None
) -> tuple[Window, ...]:
    """The windows that repair `mask`, in the order of (y, x); the same for the same arguments.

    Every damaged pixel lies in a window with `context` px round it, as far as the frame goes, and so does
    every pixel within `reach` of it. For sized engines the context is at most a quarter of the largest size.
    The painted area is at most MAX_AREA_RATIO times the sum over the connected components of the damage of
    (box + 2 x context each way), for sized engines at least one whole size each; a test holds it to that.

    Native crops are painted at their own size, but for one: tiles inside a hole so large that they see no
    known pixel give way to one window round them all, painted as coarsely as it must be.

    Args:
        mask: bool `(H, W)`, True = damage, already dilated. No damage, no windows.
        context: known pixels wanted round the damage, px; at least `reach` + RIM_PX are taken.
        reach: how far outside the damage painted pixels are blended in (the feather), px.
        sizes: (width, height) that the engine paints; None for native crops, whose damage is at most
            MAX_SIDE long each way.

    Raises:
        ValueError: if no size has room for the reach.
    """
    if not mask.any():
        return ()
    height, width = mask.shape
    canvas = PaintCost(width, height, _margin(context, reach, sizes), sizes)
    windows = [_window(box, canvas) for box in canvas.padded(cover(mask, canvas)).tolist()]
    blind = {window for window in windows if mask[window.slices].all()}
    if blind:
        windows = [window for window in windows if window not in blind] + [_coarse(mask, blind, canvas)]
    return tuple(sorted(windows, key=lambda window: (window.y, window.x)))


def _margin(context: int, reach: int, sizes: tuple[tuple[int, int], ...] | None) -> int:
    margin = max(context, reach + RIM_PX)
    if sizes is None:
        return margin
    room = max(min(size) for size in sizes) // 4
    if room <= reach:
        raise ValueError(f"sizes {sizes} are too small for a feather of {reach} px; lower it below {room}")
    return min(margin, room)


def _window(box: list[int], canvas: PaintCost) -> Window:
    x0, y0, x1, y1 = box
    if canvas.sizes is None:
        return Window(x0, y0, x1 - x0, y1 - y0, x1 - x0, y1 - y0)
    windows = [_sized(box, size, canvas) for size in canvas.sizes]
    spare = [min(window.width - (x1 - x0), window.height - (y1 - y0)) for window in windows]
    costs = [_cost(window) for window in windows]
    best = min(
        (index for index, cost in enumerate(costs) if cost <= SIMILAR_COST_RATIO * min(costs)),
        key=lambda index: (abs(math.log(windows[index].scale)), -spare[index], costs[index]),
    )
    return windows[best]


def _sized(box: list[int], size: tuple[int, int], canvas: PaintCost) -> Window:
    """The window of one size that holds `box`, centred on it."""
    x0, y0, x1, y1 = box
    fit = min(size[0] / (x1 - x0), size[1] / (y1 - y0))
    enlarge = min(max(size[0] / canvas.width, size[1] / canvas.height), MAX_UPSCALE)
    scale = min(fit, enlarge if min(fit, enlarge) >= MIN_UPSCALE else 1.0)
    x, width = _place(x0, x1, size[0] / scale, canvas.width)
    y, height = _place(y0, y1, size[1] / scale, canvas.height)
    return Window(x, y, width, height, *size)


def _place(low: int, high: int, length: float, frame: int) -> tuple[int, int]:
    """Start and length of a stretch of `length` centred on [low, high) and shifted into the frame."""
    whole = max(min(int(length), frame), high - low)
    return min(max((low + high - whole) // 2, 0), frame - whole), whole


def _cost(window: Window) -> float:
    return window.paint_width * window.paint_height / min(window.scale, 1.0) ** DOWNSCALE_PRICE


def _coarse(mask: Mask, blind: Collection[Window], canvas: PaintCost) -> Window:
    """One window in place of those that hold no known pixel, grown until it holds `MIN_KNOWN_SHARE`.

    An engine needs known pixels to paint from: cv2.inpaint, for one, returns such a window unchanged.
    """
    x0, x1 = min(w.x for w in blind), max(w.x + w.width for w in blind)
    y0, y1 = min(w.y for w in blind), max(w.y + w.height for w in blind)
    while mask[y0:y1, x0:x1].mean() > 1 - MIN_KNOWN_SHARE and (x1 - x0, y1 - y0) != (
        canvas.width,
        canvas.height,
    ):
        step = max(x1 - x0, y1 - y0) // 8 + 1
        x0, y0 = max(x0 - step, 0), max(y0 - step, 0)
        x1, y1 = min(x1 + step, canvas.width), min(y1 + step, canvas.height)
    window = _window([x0, y0, x1, y1], canvas)
    shrink = max(1.0, max(window.width, window.height) / MAX_SIDE)
    if canvas.sizes is not None or shrink == 1:
        return window
    width, height = (math.ceil(side / shrink) for side in (window.width, window.height))
    return replace(window, paint_width=width, paint_height=height)


def crop_to_window(pixels: Pixels, window: Window) -> Pixels:
    """The window as the engine wants it: cropped, scaled, padded by reflection at the right and bottom.

    Args:
        pixels: `(H, W)` or `(H, W, C)`, uint8 or uint16.

    Returns:
        A new array `(paint_height, paint_width[, C])` of the same dtype; an exact copy of the crop where
        the window is neither scaled nor padded.
    """
    crop = _resized(pixels[window.slices], window.content)
    right, bottom = window.paint_width - crop.shape[1], window.paint_height - crop.shape[0]
    if right == 0 and bottom == 0:
        return crop
    padded = cv2.copyMakeBorder(crop, 0, bottom, 0, right, cv2.BORDER_REFLECT)
    return padded.reshape(*padded.shape[:2], *pixels.shape[2:])


def _resized(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """A copy of (width, height) `size`: by area when it shrinks, bicubic when it grows."""
    height, width = pixels.shape[:2]
    if size == (width, height):
        return pixels.copy()
    how = cv2.INTER_AREA if size[0] * size[1] < width * height else cv2.INTER_CUBIC
    return cv2.resize(pixels, size, interpolation=how).reshape(size[1], size[0], *pixels.shape[2:])


def crop_mask_to_window(mask: Mask, window: Window) -> Mask:
    """The damage as the engine sees it: max-pooled, so that none is lost when the window shrinks.

    Args:
        mask: bool `(H, W)`.

    Returns:
        bool `(paint_height, paint_width)`, new: True where any source pixel under it is; padding is False.
    """
    width, height = window.content
    painted = np.zeros((window.paint_height, window.paint_width), bool)
    painted[:height, :width] = _shrunk(mask, window)
    return painted


def crop_hidden_to_window(hidden: Mask, window: Window) -> Mask:
    """The pixels that nobody sees, as `crop_to_window` crops their colours: the padding reflects them.

    Args:
        hidden: bool `(H, W)`.

    Returns:
        bool `(paint_height, paint_width)`, new: True where any source pixel under it is.
    """
    crop = _shrunk(hidden, window).view(np.uint8)
    right, bottom = window.paint_width - crop.shape[1], window.paint_height - crop.shape[0]
    return cv2.copyMakeBorder(crop, 0, bottom, 0, right, cv2.BORDER_REFLECT) > 0


def _shrunk(mask: Mask, window: Window) -> Mask:
    """The window's crop at its content's size: True where any source pixel under it is."""
    width, height = window.content
    return _pooled(_pooled(mask[window.slices], height).T, width).T


def _pooled(mask: Mask, length: int) -> Mask:
    """`mask` with its first axis brought to `length`, True where any row under the new one is."""
    rows = len(mask)
    if rows == length:
        return mask
    counts = np.zeros((rows + 1, mask.shape[1]), np.int32)
    np.cumsum(mask, axis=0, out=counts[1:])
    index = np.arange(length)
    pooled: Mask = counts[-(-(index + 1) * rows // length)] > counts[index * rows // length]
    return pooled


def uncrop(painted: Pixels, window: Window) -> Pixels:
    """Undo `crop_to_window`: `(paint_height, paint_width[, C])` -> new `(height, width[, C])`, same dtype."""
    width, height = window.content
    return _resized(painted[:height, :width], (window.width, window.height))


def blend_windows(
    pixels: Pixels, editable_area: Mask, windows: Sequence[Window], patches: Sequence[Pixels]
) -> Pixels:
    """Lay the painted patches over the picture wherever `editable_area` is True.

    Where one window covers a pixel, its patch is taken as it is. Where several do, the result is their mean,
    weighted to fall to nothing towards each window's edges inside the frame. Only one copy of the frame in
    its own dtype is made; all arithmetic is on the pixels that windows share.

    Args:
        pixels: `(H, W)` or `(H, W, C)`, uint8 or uint16.
        editable_area: bool `(H, W)`, where painted content is used: the damage and its feather.
        patches: for each window `(height, width[, C])` in the dtype of `pixels`, from `uncrop`.

    Returns:
        A new array like `pixels`, equal to it outside `editable_area` bit for bit.
    """
    result = pixels.copy()
    boxes = np.array([(w.x, w.y, w.x + w.width, w.y + w.height) for w in windows]).reshape(-1, 4)
    for index, window in enumerate(windows):
        rivals = _rivals(index, boxes)
        todo = editable_area[window.slices].copy()
        shared = np.zeros_like(todo)
        for rival in rivals:
            overlap = _overlap(windows[rival], window)
            todo[overlap] &= rival > index  # else done with the earlier window
            shared[overlap] = True
        result[window.slices][todo] = patches[index][todo]
        rows, columns = np.nonzero(todo & shared)
        later = [index, *(rival for rival in rivals if rival > index)]
        y, x = rows + window.y, columns + window.x
        result[y, x] = _mean(y, x, [(windows[i], patches[i]) for i in later], pixels.shape)
    return result


def _rivals(index: int, boxes: npt.NDArray[np.int64]) -> list[int]:
    """The other boxes `(x0, y0, x1, y1)` that share pixels with box `index`."""
    x0, y0, x1, y1 = boxes.T
    crossing = (x1 > x0[index]) & (x0 < x1[index]) & (y1 > y0[index]) & (y0 < y1[index])
    return [int(other) for other in np.flatnonzero(crossing) if other != index]


def _overlap(one: Window, other: Window) -> tuple[slice, slice]:
    """Rows and columns of `other` that `one` covers too."""
    x0, x1 = max(one.x, other.x), min(one.x + one.width, other.x + other.width)
    y0, y1 = max(one.y, other.y), min(one.y + one.height, other.y + other.height)
    return slice(y0 - other.y, y1 - other.y), slice(x0 - other.x, x1 - other.x)


def _mean(
    y: npt.NDArray[np.intp],
    x: npt.NDArray[np.intp],
    painted: Sequence[tuple[Window, Pixels]],
    shape: tuple[int, ...],
) -> Pixels:
    """Weighted mean `(n[, C])` of the patches at the frame's pixels (y, x), rounded to their dtype."""
    total = np.zeros((len(y), *shape[2:]))
    weights = np.zeros(len(y))
    for window, patch in painted:
        rows, columns = y - window.y, x - window.x
        inside = np.flatnonzero(
            (rows >= 0) & (rows < window.height) & (columns >= 0) & (columns < window.width)
        )
        rows, columns = rows[inside], columns[inside]
        weight = (
            _ramp(window.y, window.height, shape[0])[rows] * _ramp(window.x, window.width, shape[1])[columns]
        )
        weights[inside] += weight
        total[inside] += weight.reshape(-1, *[1] * len(shape[2:])) * patch[rows, columns]
    mean = total / weights.reshape(-1, *[1] * len(shape[2:]))
    return to_depth(mean, painted[0][1].dtype)


def _ramp(start: int, length: int, frame: int) -> Doubles:
    """Weights `(length,)` in (0, 1] along one side, by the distance to the nearer end inside the frame."""
    distance = np.arange(length) + 0.5
    low = distance if start > 0 else np.full(length, float(length))
    high = distance[::-1] if start + length < frame else np.full(length, float(length))
    ramp: Doubles = (np.minimum(low, high) / length) ** OVERLAP_POWER
    return ramp
