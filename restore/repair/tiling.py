"""Chooses the boxes to paint: few rectangles that hold all damage at low cost.

The damage is coarsened to a grid of cells, cut in two again and again where that saves most (the idea of
Berger and Rigoutsos, "An algorithm for point clustering and grid generation", IEEE Trans. SMC 21(5), 1991,
with the painted area as the measure), and boxes that are cheaper together are then joined.

A box is a row `x0, y0, x1, y1` of an int64 array `(n, 4)`, half open, in pixels unless said otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from restore.imaging.opencv import cv2
from restore.imaging.pixels import Doubles, Mask

Boxes = npt.NDArray[np.int64]

CELL_PX = 8
"""Side of a grid cell, px. Finer cells save little beside the context and cost time."""
MAX_SIDE = 1024
"""Longest side of the damage in one native crop, px: it bounds the memory and the time of one task."""
MAX_DOWNSCALE = 1.5
"""A window of a sized engine may hold this much more than its size. Only the hole loses detail, since known
pixels are never taken from the paint, and one whole window has no seam and costs less than tiles."""
OVERHEAD_PIXELS = 64 * 64
"""Cost of one more window beside its pixels, in painted pixels; at most the area of its context."""
GOOD_ENOUGH_RATIO = 1.25
"""A box is not cut further where it costs at most this many times what its damage needs at least."""
EVENNESS = 0.02
"""Price of the difference between a cut's halves: it keeps the tree shallow and tiles of one size."""
DOWNSCALE_PRICE = 3
"""Power of the shrinkage in a window's price: 2 would be the source area that the window stands for."""


@dataclass(frozen=True, slots=True)
class PaintCost:
    """What a box costs to paint in a frame of `width` x `height`, with `margin` px of context round it.

    `sizes` are the (width, height) that the engine paints, or None for native crops.
    """

    width: int
    height: int
    margin: int
    sizes: tuple[tuple[int, int], ...] | None

    def padded(self, boxes: Boxes) -> Boxes:
        """The boxes with their context, clipped to the frame."""
        grown: Boxes = boxes + self.margin * np.array([-1, -1, 1, 1])
        return np.clip(grown, 0, np.array([self.width, self.height] * 2))

    def price(self, boxes: Boxes) -> tuple[Doubles, Mask]:
        """Cost of each box in painted pixels, and whether one window can hold it.

        A window painted below native scale is charged more than the source area that it stands for, so that
        it is chosen only where tiles would cover much more. A box too large for one window is priced by
        about what its tiles would cost.
        """
        padded = self.padded(boxes)
        extent = (padded[:, 2:] - padded[:, :2]).astype(np.float64)
        if self.sizes is None:
            seams = (boxes[:, 2:] - boxes[:, :2] - 1) // MAX_SIDE
            return (extent + seams * 2 * self.margin).prod(axis=1), (seams == 0).all(axis=1)
        sizes = np.array(self.sizes, np.float64)
        shrink = np.maximum(1.0, (extent[:, None] / sizes).max(axis=2))
        return (sizes.prod(axis=1) * shrink**DOWNSCALE_PRICE).min(axis=1), shrink.min(axis=1) <= MAX_DOWNSCALE

    @property
    def overhead(self) -> int:
        """Price of a window beside its pixels."""
        return min(OVERHEAD_PIXELS, (2 * self.margin) ** 2)

    @property
    def span(self) -> int:
        """Damage farther apart than this, px, never shares a window."""
        return MAX_SIDE if self.sizes is None else int(MAX_DOWNSCALE * max(map(max, self.sizes)))

    @property
    def floor(self) -> int:
        """The least that any window costs."""
        return 1 if self.sizes is None else min(width * height for width, height in self.sizes)


def cover(damage: Mask, canvas: PaintCost) -> Boxes:
    """Boxes, without context, that together hold every damaged pixel.

    Args:
        damage: bool `(H, W)`, True = damage, at least one pixel of it.
    """
    cells = _occupied(damage)
    boxes = _Cutter(cells, _wanted(cells, canvas), canvas).cut(_extent(cells))
    return _joined(np.array([_tight(damage, box * CELL_PX) for box in boxes], np.int64), canvas)


def _occupied(damage: Mask) -> Mask:
    rows, columns = (np.arange(0, side, CELL_PX) for side in damage.shape)
    return np.logical_or.reduceat(np.logical_or.reduceat(damage, rows, axis=0), columns, axis=1)


def _wanted(cells: Mask, canvas: PaintCost) -> npt.NDArray[np.int32]:
    """Integral image of the cells that any cover must paint: damage and its context."""
    side = 2 * -(-canvas.margin // CELL_PX) + 1
    needed = cv2.dilate(cells.astype(np.uint8), np.ones((side, side), np.uint8))
    return cv2.integral(needed).astype(np.int32, copy=False)


def _extent(cells: Mask) -> Boxes:
    rows, columns = np.flatnonzero(cells.any(axis=1)), np.flatnonzero(cells.any(axis=0))
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], np.int64)


def _tight(damage: Mask, box: Boxes) -> Boxes:
    x0, y0, x1, y1 = box
    return np.add(_extent(damage[y0:y1, x0:x1]), (x0, y0, x0, y0))


@dataclass(frozen=True, slots=True)
class _Cutter:
    """Cuts boxes of cells in two for as long as that makes them cheaper to paint."""

    cells: Mask
    wanted: npt.NDArray[np.int32]
    canvas: PaintCost

    def cut(self, box: Boxes) -> Boxes:
        """The cheapest boxes found that hold the damage of `box`, a tight box `(4,)`; all in cells."""
        cost, fits = self._price(box[None])
        if fits[0] and cost[0] <= max(GOOD_ENOUGH_RATIO * self._needed(box), self.canvas.floor):
            return box[None]
        halves = self._halves(box)
        if halves is None:
            return box[None]
        parts = np.concatenate([self.cut(half) for half in halves])
        apart = self._price(parts)[0].sum() + (len(parts) - 1) * self.canvas.overhead
        return box[None] if fits[0] and cost[0] <= apart else parts

    def _price(self, boxes: Boxes) -> tuple[Doubles, Mask]:
        return self.canvas.price(boxes * CELL_PX)

    def _needed(self, box: Boxes) -> int:
        x0, y0, x1, y1 = -(-self.canvas.padded(box[None] * CELL_PX)[0] // CELL_PX)
        sums = self.wanted
        return int(sums[y1, x1] - sums[y0, x1] - sums[y1, x0] + sums[y0, x0]) * CELL_PX**2

    def _halves(self, box: Boxes) -> Boxes | None:
        """The best two halves `(2, 4)`, or None for a single cell."""
        x0, y0, x1, y1 = box
        cells = self.cells[y0:y1, x0:x1]
        ways = np.concatenate([_cuts(cells), _cuts(cells.T)[..., [1, 0, 3, 2]]])
        if len(ways) == 0:
            return None
        ways += (x0, y0, x0, y0)
        costs = self._price(ways.reshape(-1, 4))[0].reshape(-1, 2).sum(axis=1)
        areas = (ways[..., 2:] - ways[..., :2]).prod(axis=2) * CELL_PX**2
        best: Boxes = ways[(costs + EVENNESS * np.abs(areas[:, 0] - areas[:, 1])).argmin()]
        return best


def _cuts(cells: Mask) -> Boxes:
    """All ways to cut a tight box of cells by a vertical line: tight halves `(n, 2, 4)`."""
    columns = np.flatnonzero(cells.any(axis=0))
    top = cells.argmax(axis=0)[columns]
    bottom = len(cells) - cells[::-1].argmax(axis=0)[columns]
    least, most = np.minimum.accumulate, np.maximum.accumulate
    first, last = np.full_like(columns, columns[0]), np.full_like(columns, columns[-1] + 1)
    left = np.stack([first, least(top), columns + 1, most(bottom)], axis=1)
    right = np.stack([columns, least(top[::-1])[::-1], last, most(bottom[::-1])[::-1]], axis=1)
    return np.stack([left[:-1], right[1:]], axis=1)


def _joined(boxes: Boxes, canvas: PaintCost) -> Boxes:
    """Greedily, each box takes in others for as long as one window is no dearer than two."""
    costs = canvas.price(boxes)[0]
    index = 0
    while index < len(boxes):
        mate = _mate(index, boxes, costs, canvas)
        if mate is None:
            index += 1
            continue
        union = _union(boxes[index], boxes[mate : mate + 1])
        boxes[index], costs[index] = union[0], canvas.price(union)[0][0]
        boxes, costs = np.delete(boxes, mate, axis=0), np.delete(costs, mate)
        index -= mate < index
    return boxes


def _mate(index: int, boxes: Boxes, costs: Doubles, canvas: PaintCost) -> int | None:
    """The box that best shares a window with box `index`: the most saved, then the smallest together."""
    (left, top), (right, bottom) = boxes[index, :2] - canvas.span, boxes[index, 2:] + canvas.span
    x0, y0, x1, y1 = boxes.T
    near = np.flatnonzero((x1 > left) & (y1 > top) & (x0 < right) & (y0 < bottom))
    near = near[near != index]
    union = _union(boxes[index], boxes[near])
    cost, fits = canvas.price(union)
    gain = costs[index] + costs[near] + canvas.overhead - cost
    good = np.flatnonzero(fits & (gain >= 0))
    if len(good) == 0:
        return None
    area = (union[good, 2:] - union[good, :2]).prod(axis=1)
    return int(near[good[np.lexsort((area, -gain[good]))[0]]])


def _union(box: Boxes, others: Boxes) -> Boxes:
    low, high = np.minimum(box[:2], others[:, :2]), np.maximum(box[2:], others[:, 2:])
    return np.concatenate([low, high], axis=1)
