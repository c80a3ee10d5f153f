"""The engine `heal` on native crops; 16 bit stays 16 bit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from restore.engines import EngineConfig, Painted, Task
from restore.engines.heal.texture import heal
from restore.errors import ErrorCode, ItemError
from restore.imaging.pixels import to_depth, white_level
from restore.methods import Size

LEVELS = 255.0  # what the gains and limits of `restore.engines.heal` were measured in
MEMBRANE = "heal:membrane"
"""The step of a window in which a stretch has no source, and so no texture."""


class HealEngine:
    """A healing brush over every damage of a window. Every channel is painted from the same sources."""

    sizes: tuple[Size, ...] | None = None

    def paint(self, tasks: Sequence[Task]) -> list[Painted | ItemError]:
        """Paint every task on its own: the same task gives the same bytes whatever its neighbours."""
        return [_paint(task) for task in tasks]


def heal_engine(config: EngineConfig) -> HealEngine:
    """The engine of one actor; it needs no settings."""
    return HealEngine()


def _paint(task: Task) -> Painted | ItemError:
    unknown, (height, width) = task.unknown, task.mask.shape
    if unknown.all():
        return ItemError(
            ErrorCode.MASK_FULL,
            f"engine={task.method} has no known pixel to paint from in a window of {width}x{height} px; "
            "mask less of the photo, or let a diffusion engine paint it",
        )
    window = task.window.copy()
    if not task.mask.any():
        return Painted(window)
    scale = np.float32(LEVELS / white_level(window.dtype))
    planes, where = window.reshape(height, width, -1), np.nonzero(task.mask)
    colours = planes.astype(np.float32)
    healed = heal(colours if scale == 1 else colours * scale, task.mask, unknown)
    planes[where] = to_depth(healed.colours[where] / scale, window.dtype)
    return Painted(window, steps=(MEMBRANE,) if healed.without_source else ())
