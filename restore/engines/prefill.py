"""What a diffusion engine is shown in the place of the damage."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from restore.imaging.opencv import cv2
from restore.imaging.pixels import Mask, Pixels

RADIUS = 3  # px


def prefill(window: Pixels, mask: Mask) -> npt.NDArray[np.uint8]:
    """The window with its damage filled from around it (Telea 2004), `(H, W, 3)` sRGB uint8, new.

    At strength below 1 the model starts from what lies under the mask, and a white scratch would leak.

    Args:
        window: `(H, W, 3)` sRGB uint8.
        mask: bool `(H, W)`, True = damage.
    """
    filled = window.astype(np.uint8, copy=True)
    if not mask.any() or mask.all():
        return filled
    return np.asarray(cv2.inpaint(filled, mask.view(np.uint8), RADIUS, cv2.INPAINT_TELEA), np.uint8)
