"""A mask of another size than its photo, made from a smaller or larger copy of it."""

from __future__ import annotations

import numpy as np

from restore.imaging.pixels import Mask


def fitted(damage: Mask, shape: tuple[int, int]) -> Mask:
    """The damage at another size. No mark is lost, however thin.

    Args:
        damage: bool `(H, W)`.
        shape: (height, width) of the photo.

    Returns:
        A bool array of `shape`; the same one where that is its shape already.
    """
    if damage.shape == shape:
        return damage
    return _along(1, _along(0, damage, shape[0]), shape[1])


def _along(axis: int, damage: Mask, length: int) -> Mask:
    """One axis at a new length: a pixel is repeated, or those that fall into one are joined."""
    old = damage.shape[axis]
    places = np.arange(length) * old // length
    if length < old:
        joined: Mask = np.logical_or.reduceat(damage, places, axis=axis)
        return joined
    repeated: Mask = damage.take(places, axis=axis)
    return repeated
