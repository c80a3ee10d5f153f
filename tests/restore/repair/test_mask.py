"""Damage: how far it reaches, how thick it is."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.ndimage import distance_transform_edt

from restore.repair.mask import (
    BLOCK_PX,
    MAX_DISC_PX,
    blocks,
    coverage,
    dilate,
    editable_area,
    thickness,
)

DAMAGES = hnp.arrays(np.bool_, st.tuples(st.integers(1, 40), st.integers(1, 40)))


def frozen(damage: np.ndarray) -> np.ndarray:
    damage.flags.writeable = False
    return damage


@settings(deadline=None, max_examples=40)
@given(DAMAGES, st.sampled_from([1, 3, 5, 9]), st.integers(0, 3))
def test_dilation_grows_by_an_ellipse_and_leaves_its_input(damage, kernel, iterations):
    before = frozen(damage).copy()
    grown = dilate(damage, kernel, iterations)
    assert np.array_equal(damage, before)
    assert not np.shares_memory(grown, damage)
    assert grown.dtype == np.bool_
    assert (grown | damage).sum() == grown.sum()
    if damage.any():
        reach = distance_transform_edt(~damage)[grown].max()
        assert reach <= iterations * (kernel // 2) * math.sqrt(2)
    if kernel == 1 or iterations == 0:
        assert np.array_equal(grown, damage)


def test_one_pixel_dilates_to_the_kernel():
    damage = np.zeros((9, 9), np.bool_)
    damage[4, 4] = True
    assert np.array_equal(
        dilate(damage, 5, 1)[2:7, 2:7], cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
    )


def test_coverage_is_a_fraction():
    damage = np.zeros((10, 20), np.bool_)
    damage[:5, :4] = True
    assert coverage(damage) == 0.1
    assert isinstance(coverage(damage), float)


@pytest.mark.parametrize("width", [1, 3, 5, 9, 17, 41])
def test_a_stripe_is_as_thick_as_it_is_wide(width):
    damage = np.zeros((120, 200), np.bool_)
    damage[50 : 50 + width] = True
    assert thickness(damage) == pytest.approx(width)
    assert thickness(np.ascontiguousarray(damage.T)) == pytest.approx(width)


def test_a_disc_is_as_thick_as_its_diameter_and_the_frames_border_is_not_known():
    y, x = np.mgrid[:101, :101]
    damage = (x - 50) ** 2 + (y - 50) ** 2 <= 30**2
    assert thickness(damage) == pytest.approx(61, rel=0.05)
    border = np.zeros((101, 101), np.bool_)
    border[:, :10] = True
    assert thickness(border) == pytest.approx(19)


def test_thickness_of_nothing_and_of_everything():
    assert thickness(np.zeros((4, 4), np.bool_)) == 0.0
    assert thickness(np.ones((4, 4), np.bool_)) == math.inf


@settings(deadline=None, max_examples=60)
@given(DAMAGES, st.integers(0, 2 * MAX_DISC_PX))
def test_the_zone_is_all_within_the_feather_by_both_ways_of_finding_it(damage, feather):
    near = editable_area(frozen(damage), feather)
    assert near.dtype == np.bool_
    assert np.array_equal(near, distance_transform_edt(~damage) <= feather if damage.any() else damage)


@pytest.mark.parametrize("feather", [0, 4, MAX_DISC_PX, MAX_DISC_PX + 1, 64])
def test_the_zone_knows_no_block_edges(feather):
    damage = np.zeros((2 * BLOCK_PX + 90, 2 * BLOCK_PX + 33), np.bool_)
    for y, x in ((0, 0), (BLOCK_PX, BLOCK_PX), (BLOCK_PX - 1, 3), (-1, -1), (400, 120)):
        damage[y, x] = True
    assert np.array_equal(editable_area(damage, feather), distance_transform_edt(~damage) <= feather)


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 700), st.integers(1, 700), st.integers(0, 40), st.data())
def test_blocks_cover_the_damage_once_and_skip_what_is_far(height, width, margin, draw):
    damage = np.zeros((height, width), np.bool_)
    for _ in range(3):
        damage[draw.draw(st.integers(0, height - 1)), draw.draw(st.integers(0, width - 1))] = True
    times = np.zeros((height, width), np.uint8)
    for block in blocks(damage, margin):
        times[block.core] += 1
        numbered = np.arange(height * width).reshape(height, width)
        assert np.array_equal(numbered[block.halo][block.inner], numbered[block.core])
        assert damage[block.halo].any()
    assert times.max() == 1
    assert times[editable_area(damage, margin)].min() == 1
