"""Whether one picture may be a smaller or larger copy of another."""

from __future__ import annotations

MAX_DISTORTION = 0.02
"""Largest difference of two aspect ratios that rounding a side to whole pixels explains."""


def same_shape(mask: tuple[int, int], photo: tuple[int, int]) -> bool:
    """Whether a mask of one size, (width, height) px, may be of a scaled copy of a photo of the other.

    A scaled copy's sides are rounded, so the smaller of the two may be off by a pixel.
    """
    skew = abs(mask[0] * photo[1] - mask[1] * photo[0])
    return skew <= min(max(*mask, *photo), MAX_DISTORTION * mask[0] * photo[1])
