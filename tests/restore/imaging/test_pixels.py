"""Pixels: depths, and the way up."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra import numpy as hnp

from restore.imaging.pixels import (
    narrowed,
    straightened,
    to_8_bit,
    to_16_bit,
    to_depth,
    white_level,
    widened,
    with_turned_signs,
)


@settings(deadline=None, max_examples=40)
@given(hnp.arrays(np.uint16, hnp.array_shapes(min_dims=2, max_dims=3, max_side=6)))
def test_16_bits_come_down_to_the_nearest_8(pixels: np.ndarray) -> None:
    assert np.array_equal(to_8_bit(pixels), np.rint(pixels / 257).astype(np.uint8))


def test_levels_are_rounded_and_clipped_to_the_depth() -> None:
    values = np.array([-3.0, 0.4, 0.6, 254.6, 300.0, 65534.4, 70000.0], np.float32)
    assert to_depth(values, np.dtype(np.uint8)).tolist() == [0, 0, 1, 255, 255, 255, 255]
    assert to_depth(values, np.dtype(np.uint16)).tolist() == [0, 0, 1, 255, 300, 65534, 65535]
    assert [white_level(np.dtype(dtype)) for dtype in (np.uint8, np.uint16)] == [255.0, 65535.0]


def test_floating_point_levels_are_kept_beyond_their_range() -> None:
    values = np.array([-3.0, 0.5, 7.0])
    assert to_depth(values, np.dtype(np.float32)).tolist() == [-3.0, 0.5, 7.0]
    assert to_16_bit(values.astype(np.float32)).tolist() == [0, 32768, 65535]
    assert white_level(np.dtype(np.float32)) == 1.0


@pytest.mark.parametrize("bits", [*range(1, 8), *range(9, 16)])
def test_every_level_of_every_depth_comes_back(bits: int) -> None:
    levels = np.arange(1 << bits, dtype=np.uint8 if bits < 8 else np.uint16)
    wide = widened(levels, bits)
    white = int(white_level(levels.dtype))
    assert (wide[0], wide[-1]) == (0, white) and (np.diff(wide.astype(int)) > 0).all()
    assert np.abs(wide - levels * (white / levels[-1])).max() <= 0.5
    assert np.array_equal(narrowed(wide, bits), levels)


def test_colours_are_divided_by_their_alpha() -> None:
    pixels = np.array([[[10, 20, 30, 255], [10, 20, 30, 51], [9, 0, 0, 0], [200, 0, 0, 100]]], np.uint8)
    assert straightened(pixels).tolist() == [
        [[10, 20, 30, 255], [50, 100, 150, 51], [0, 0, 0, 0], [255, 0, 0, 100]]
    ]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_signs_turn_both_ways(dtype: type) -> None:
    half = 128 if dtype is np.uint8 else 32_768
    stored = np.array([[[7, 0, half], [7, 2 * half - 1, half - 1]]], dtype)
    turned = with_turned_signs(stored)
    assert turned.tolist() == [[[7, half, 0], [7, half - 1, 2 * half - 1]]]
    assert np.array_equal(with_turned_signs(turned), stored)
