"""Masks: which pixels are damage, how far it reaches, how thick it is."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from scipy.ndimage import distance_transform_edt
from skimage import data

from restore.errors import ErrorCode, ItemError
from restore.imaging.picture import Picture
from restore.repair.mask import (
    BLOCK_PX,
    MAX_DISC_PX,
    blocks,
    coverage,
    damage_from,
    dilate,
    editable_area,
    thickness,
)

MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
DAMAGES = hnp.arrays(np.bool_, st.tuples(st.integers(1, 40), st.integers(1, 40)))


def picture(pixels: np.ndarray, *, mode: str | None = None, orientation: int = 1) -> Picture:
    pixels = pixels.copy()
    pixels.flags.writeable = False
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    return Picture(pixels, mode or MODES[channels], "png", True, orientation)


def read(mask: Picture, *, polarity: str = "white_is_damage", threshold: int = 128, orientation: int = 1):
    return damage_from(mask, mask.pixels.shape[:2], orientation, polarity=polarity, threshold=threshold)


def frozen(damage: np.ndarray) -> np.ndarray:
    damage.flags.writeable = False
    return damage


@pytest.mark.parametrize("threshold", [1, 127, 128, 255])
def test_a_value_at_the_threshold_is_white(threshold):
    values = np.arange(256, dtype=np.uint8).reshape(16, 16)
    white = read(picture(values), threshold=threshold)
    black = read(picture(values), threshold=threshold, polarity="black_is_damage")
    assert white.dtype == np.bool_
    assert np.array_equal(white, values >= threshold)
    assert np.array_equal(black, values < threshold)


def test_luma_is_pillows():
    rgb = np.ascontiguousarray(data.astronaut()[100:250, 100:250])
    assert np.array_equal(read_values(rgb), np.asarray(Image.fromarray(rgb).convert("L")))


def read_values(rgb: np.ndarray) -> np.ndarray:
    """The luma that `damage_from` judges, found by asking at every threshold."""
    crop = picture(rgb)
    return sum(read(crop, threshold=t).astype(np.int32) for t in range(1, 256))


def test_sixteen_bit_is_scaled_and_white_is_white():
    values = np.array([[0, 257 * 127, 257 * 128, 65535]], np.uint16)
    assert read(picture(values)).tolist() == [[False, False, True, True]]
    colour = np.repeat(values[..., None], 3, axis=2)
    assert read(picture(colour), threshold=255).tolist() == [[False, False, False, True]]


def test_alpha_counts_only_where_luma_tells_nothing():
    luma = np.array([[0, 255]], np.uint8)
    alpha = np.array([[255, 0]], np.uint8)
    flat = np.full_like(luma, 255)
    assert read(picture(np.dstack([luma, alpha]))).tolist() == [[False, True]]
    assert read(picture(np.dstack([flat, alpha]))).tolist() == [[True, False]]
    assert read(picture(np.dstack([flat, flat, flat, alpha]))).tolist() == [[True, False]]
    assert read(picture(np.dstack([flat, flat]))).tolist() == [[True, True]]


@pytest.mark.parametrize("polarity", ["white_is_damage", "black_is_damage"])
@pytest.mark.parametrize(
    ("largest", "dtype", "factor"), [(1, np.uint8, 255), (1, np.uint16, 65535), (255, np.uint16, 257)]
)
def test_a_mask_too_dark_to_be_meant_is_refused_with_the_fix(largest, dtype, factor, polarity):
    values = np.zeros((8, 8), dtype)
    values[2:4] = largest
    with pytest.raises(ItemError, match=f"multiply it by {factor}") as caught:
        read(picture(values), polarity=polarity)
    assert caught.value.code == ErrorCode.MASK_UNREADABLE


def test_an_all_zero_mask_is_no_damage_and_an_all_white_one_is_all():
    assert not read(picture(np.zeros((5, 7), np.uint8))).any()
    assert read(picture(np.full((5, 7), 255, np.uint8))).all()


def test_a_cmyk_mask_is_refused():
    with pytest.raises(ItemError, match="save it as grayscale"):
        read(picture(np.zeros((4, 4, 4), np.uint8), mode="CMYK"))


def test_another_size_is_refused_naming_both():
    mask = picture(np.zeros((30, 20), np.uint8))
    with pytest.raises(ItemError, match="20x30 pixels but the photo is 40x30") as caught:
        damage_from(mask, (30, 40), 1, polarity="white_is_damage", threshold=128)
    assert caught.value.code == ErrorCode.MASK_SIZE_MISMATCH
    assert "side" not in caught.value.message
    with pytest.raises(ItemError, match="lies on its side"):
        damage_from(mask, (20, 30), 6, polarity="white_is_damage", threshold=128)


@pytest.mark.parametrize(
    ("mask_tag", "photo_tag", "accepted"), [(1, 6, True), (6, 6, True), (6, 1, False), (3, 8, False)]
)
def test_only_an_upright_mask_or_one_with_the_photos_tag_is_accepted(mask_tag, photo_tag, accepted):
    mask = picture(np.zeros((4, 4), np.uint8), orientation=mask_tag)
    if accepted:
        assert not read(mask, orientation=photo_tag).any()
        return
    with pytest.raises(
        ItemError, match=f"Orientation {mask_tag} but the photo carries {photo_tag}"
    ) as caught:
        read(mask, orientation=photo_tag)
    assert caught.value.code == ErrorCode.MASK_UNREADABLE


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
