"""The classical engine: OpenCV's Telea and Navier-Stokes on native crops; 16 bit stays 16 bit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from restore.engines import EngineConfig, Painted, Task
from restore.errors import ErrorCode, ItemError
from restore.imaging.opencv import cv2
from restore.imaging.pixels import Mask
from restore.methods import Method, Size
from restore.repair.mask import thickness

Plane = npt.NDArray[np.integer[Any] | np.floating[Any]]

MAX_RADIUS = 3  # px; 5 wins at most 0.15 dB and takes twice the time and more
_FLAGS: dict[Method, int] = {"telea": cv2.INPAINT_TELEA, "ns": cv2.INPAINT_NS}


class ClassicalEngine:
    """Telea 2004 (fast marching) and Bertalmio et al. 2001 (Navier-Stokes), as OpenCV has them.

    Every channel is painted alike, from the same neighbours in the same order, so gray stays gray.
    Alpha too, since a window does not say which of its channels that is; the composite keeps the
    source's. What lies under the damage has no influence. Navier-Stokes keeps a flat area flat;
    OpenCV's Telea wanders by a few levels there.
    """

    sizes: tuple[Size, ...] | None = None

    def paint(self, tasks: Sequence[Task]) -> list[Painted | ItemError]:
        """Paint every task on its own: the same task gives the same bytes whatever its neighbours."""
        return [_paint(task) for task in tasks]


def classical_engine(config: EngineConfig) -> ClassicalEngine:
    """The engine of one actor; it needs no settings."""
    return ClassicalEngine()


def _paint(task: Task) -> Painted | ItemError:
    unknown = task.unknown
    if unknown.all():
        height, width = task.mask.shape
        return ItemError(
            ErrorCode.MASK_FULL,
            f"engine={task.method} has no known pixel to paint from in a window of {width}x{height} px; "
            "mask less of the photo, or let a diffusion engine paint it",
        )
    flags, radius = _FLAGS[task.method], radius_for(thickness(task.mask))
    window, mask = cast(Plane, task.window), unknown.view(np.uint8)
    if not _near_edge(unknown):
        return Painted(_inpaint(window, mask, radius, flags))
    # Within two pixels of any edge cv2.inpaint reads the damage itself (opencv#25389): a white scratch there
    # left up to 34 levels of white in its repair. It finds known colours instead.
    window = _covered(window, unknown)
    if not (mask[0].any() or mask[:, 0].any()):
        return Painted(_inpaint(window, mask, radius, flags))
    # At the first row and column it reads one pixel too far in: one more before them takes that upon itself.
    framed = cv2.copyMakeBorder(window, 1, 0, 1, 0, cv2.BORDER_REPLICATE)
    mask = cv2.copyMakeBorder(mask, 1, 0, 1, 0, cv2.BORDER_CONSTANT, value=1).astype(np.uint8, copy=False)
    return Painted(np.ascontiguousarray(_inpaint(framed, mask, radius, flags)[1:, 1:]))


def _near_edge(mask: Mask) -> bool:
    return any(bool(rows[:2].any() or rows[-2:].any()) for rows in (mask, mask.T))


def _covered(window: Plane, mask: Mask) -> Plane:
    """The window with each damaged pixel of the colour of the nearest known one."""
    damage = mask.view(np.uint8)
    _, labels = cv2.distanceTransformWithLabels(damage, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    known = np.flatnonzero(~mask)
    nearest = np.zeros(int(labels.max()) + 1, np.intp)
    nearest[labels.ravel()[known]] = known
    covered = window.copy()
    covered[mask] = window.reshape(mask.size, -1)[nearest[labels[mask]]].reshape(covered[mask].shape)
    return covered


def radius_for(thickness: float) -> int:
    """The neighbourhood, px, that suits damage of a thickness (px): 1 for a hair, 3 for a hole.

    Real photographs with synthetic damage, PSNR inside it, Navier-Stokes at radius 1 / 2 / 3 / 5 / 8:
    scratches of 2 px 27.1 / 26.5 / 26.3 / 26.2 / 26.1 dB, 5 px 23.7 / 24.0 / 24.1 / 24.1 / 24.1, 17 px
    21.2 / 21.4 / 21.5 / 21.6 / 21.7, 41 px 19.1 / 19.2 / 19.3 / 19.4 / 19.4.
    """
    return min(MAX_RADIUS, max(1, math.ceil(thickness / 3)))


def _inpaint(window: Plane, mask: npt.NDArray[np.uint8], radius: int, flags: int) -> Plane:
    """`cv2.inpaint`, plane by plane what it refuses at once: 16-bit colour, other than three channels."""
    if window.ndim == 2 or (window.dtype == np.uint8 and window.shape[2] == 3):
        return cv2.inpaint(window, mask, radius, flags)
    planes = [np.ascontiguousarray(plane) for plane in np.moveaxis(window, 2, 0)]
    return np.stack([cv2.inpaint(plane, mask, radius, flags) for plane in planes], axis=2)
