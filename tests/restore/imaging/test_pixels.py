"""Pixels: depths, and the way up."""

import numpy as np
from hypothesis import given, settings
from hypothesis.extra import numpy as hnp

from restore.imaging.pixels import to_8_bit, to_depth, white_level


@settings(deadline=None, max_examples=40)
@given(hnp.arrays(np.uint16, hnp.array_shapes(min_dims=2, max_dims=3, max_side=6)))
def test_16_bits_come_down_to_the_nearest_8(pixels: np.ndarray) -> None:
    assert np.array_equal(to_8_bit(pixels), np.rint(pixels / 257).astype(np.uint8))


def test_levels_are_rounded_and_clipped_to_the_depth() -> None:
    values = np.array([-3.0, 0.4, 0.6, 254.6, 300.0, 65534.4, 70000.0], np.float32)
    assert to_depth(values, np.dtype(np.uint8)).tolist() == [0, 0, 1, 255, 255, 255, 255]
    assert to_depth(values, np.dtype(np.uint16)).tolist() == [0, 0, 1, 255, 300, 65534, 65535]
    assert [white_level(np.dtype(dtype)) for dtype in (np.uint8, np.uint16)] == [255.0, 65535.0]
