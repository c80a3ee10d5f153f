"""Divides the damage into stretches, so that a long scratch takes each part of its texture from nearby."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from restore.engines.heal.compiled import compiled
from restore.imaging.opencv import cv2
from restore.imaging.pixels import Floats, Mask

Numbers = npt.NDArray[np.intp]

SIDE_PX = 40
"""Side of a stretch. 24 px win 0.1 to 0.3 dB, cost up to 1.4 times as much, and lose 0.05 of grain."""
REACH_PX = 20
"""A stretch's sources lie at most this far beyond its own length and one and a half times its depth."""


@dataclass(frozen=True, slots=True, eq=False)
class Stretches:
    """Parts of the damage, those near known pixels first.

    Attributes:
        boxes: int `(n, 4)`: top, bottom, left, right in px, ends excluded.
        labels: int `(n,)`, of the component that each belongs to.
        reach: int `(n,)`, how far away its sources may lie, px.
    """

    boxes: Numbers
    labels: Numbers
    reach: Numbers


def divide(damage: Mask, labels: npt.NDArray[np.int32]) -> Stretches:
    """Cut each component of the damage by a grid over its bounding box.

    Args:
        damage: bool `(H, W)`, True = damage.
        labels: int32 `(H, W)`, above 0 on damage.
    """
    rows, columns = np.nonzero(damage)
    depth = cv2.distanceTransform(damage.view(np.uint8), cv2.DIST_L2, 3)[rows, columns]
    component = labels[rows, columns].astype(np.intp)
    whole = _boxes(component, rows, columns, int(component.max(initial=0)) + 1)
    counts = np.maximum(1, np.rint((whole[:, 1::2] - whole[:, ::2]) / SIDE_PX).astype(np.intp))
    first = np.concatenate([[0], np.cumsum(counts[:, 0] * counts[:, 1])]).astype(np.intp)
    part = _parts(rows, columns, component, whole, counts, first)
    sizes = np.bincount(part, minlength=int(first[-1]))
    boxes, deepest = _boxes(part, rows, columns, len(sizes)), np.zeros(len(sizes), np.float32)
    _raise(deepest, part, depth.astype(np.float32, copy=False))
    mean = np.bincount(part, depth, len(sizes)) / np.maximum(sizes, 1)
    length = np.maximum(boxes[:, 1] - boxes[:, 0], boxes[:, 3] - boxes[:, 2])
    reach = (REACH_PX + length + 1.5 * deepest).astype(np.intp)
    label = np.repeat(np.arange(len(counts), dtype=np.intp), np.diff(first))
    order = np.lexsort((np.arange(len(sizes)), np.rint(4 * mean)))
    order = order[sizes[order] > 0]
    return Stretches(boxes[order], label[order], reach[order])


@compiled
def _boxes(keys: Numbers, rows: Numbers, columns: Numbers, count: int) -> Numbers:
    """For each key below `count` the bounding box of its pixels; a key without any has an empty one."""
    boxes = np.zeros((count, 4), np.intp)
    for i in range(len(keys)):
        box, y, x = boxes[keys[i]], rows[i], columns[i]
        if box[1] == 0:
            box[0], box[1], box[2], box[3] = y, y + 1, x, x + 1
        box[0], box[1] = min(box[0], y), max(box[1], y + 1)
        box[2], box[3] = min(box[2], x), max(box[3], x + 1)
    return boxes


@compiled
def _parts(
    rows: Numbers, columns: Numbers, component: Numbers, boxes: Numbers, counts: Numbers, first: Numbers
) -> Numbers:
    """For each pixel the number of the equal part of its component's box that it lies in."""
    parts = np.empty(len(rows), np.intp)
    for i in range(len(rows)):
        k = component[i]
        down = (rows[i] - boxes[k, 0]) * counts[k, 0] // (boxes[k, 1] - boxes[k, 0])
        across = (columns[i] - boxes[k, 2]) * counts[k, 1] // (boxes[k, 3] - boxes[k, 2])
        parts[i] = first[k] + down * counts[k, 1] + across
    return parts


@compiled
def _raise(highest: Floats, keys: Numbers, values: Floats) -> None:
    """Raise each key's element to the largest of its values."""
    for i in range(len(keys)):
        highest[keys[i]] = max(highest[keys[i]], values[i])
