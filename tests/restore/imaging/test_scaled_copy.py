"""Sizes of one picture and of its copies."""

from __future__ import annotations

import pytest

from restore.imaging.scaled_copy import same_shape


@pytest.mark.parametrize(
    "mask", [(4000, 3000), (400, 300), (1600, 1200), (150, 113), (8000, 6000), (375, 281)]
)
def test_scaled_copies_have_the_photos_shape(mask: tuple[int, int]) -> None:
    assert same_shape(mask, (4000, 3000))


@pytest.mark.parametrize("mask", [(3000, 4000), (4000, 3002), (400, 310), (1600, 1210), (4, 4), (4000, 2250)])
def test_other_shapes_are_not(mask: tuple[int, int]) -> None:
    assert not same_shape(mask, (4000, 3000))
