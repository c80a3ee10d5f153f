"""Damage is where its mask says, nowhere else, and the same for the same seed."""

from __future__ import annotations

import time
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import data

from jobs.demo.damage import (
    Corner,
    Damaged,
    Model,
    crease,
    damage,
    dust,
    scratched_photograph,
    scratches,
    stain,
    torn_corner,
)

MODELS: dict[str, Model] = {
    "scratches": scratches,
    "dust": dust,
    "crease": crease,
    "upright crease": partial(crease, upright=True),
    "stain": stain,
    "stain at the border": partial(stain, at=(0.0, 1.0)),
    "torn corner": torn_corner,
    "torn bottom left corner": partial(torn_corner, corner="bottom_left"),
}
every_model = pytest.mark.parametrize("model", MODELS.values(), ids=MODELS.keys())


def gray_card(height: int, width: int, channels: int, dtype: type) -> np.ndarray:
    """Mid gray, so that paper and ink both show on it; alpha, where there is one, half through."""
    shape = (height, width) if channels == 1 else (height, width, channels)
    return np.full(shape, np.iinfo(dtype).max // 2, dtype)


def changed(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    differs = before != after
    return differs if differs.ndim == 2 else differs.any(axis=2)


@every_model
@settings(deadline=None, max_examples=15)
@given(
    height=st.integers(24, 120),
    width=st.integers(24, 120),
    channels=st.sampled_from([1, 3, 4]),
    dtype=st.sampled_from([np.uint8, np.uint16]),
    seed=st.integers(0, 2**32),
)
def test_nothing_changes_outside_the_mask(
    model: Model, height: int, width: int, channels: int, dtype: type, seed: int
) -> None:
    pixels = gray_card(height, width, channels, dtype)
    before = pixels.copy()
    pixels.setflags(write=False)
    damaged = model(pixels, np.random.default_rng(seed))
    assert damaged.pixels.shape == pixels.shape and damaged.pixels.dtype == dtype
    assert damaged.mask.shape == (height, width) and damaged.mask.dtype == bool
    assert not (changed(before, damaged.pixels) & ~damaged.mask).any()
    assert np.array_equal(pixels, before)
    if channels == 4:
        assert np.array_equal(damaged.pixels[..., 3], before[..., 3])


@every_model
def test_the_mask_is_generous_by_a_pixel_and_honest(model: Model) -> None:
    pixels = gray_card(500, 640, 3, np.uint8)
    damaged = model(pixels, np.random.default_rng(5))
    touched = changed(pixels, damaged.pixels)
    neighbours = np.zeros_like(touched)
    neighbours[1:] |= touched[:-1]
    neighbours[:-1] |= touched[1:]
    assert not (neighbours & ~damaged.mask).any()
    assert 0.0005 < damaged.mask.mean() < 0.1
    assert touched.sum() > 0.3 * damaged.mask.sum()


@every_model
def test_the_same_seed_does_the_same_damage_and_another_does_other(model: Model) -> None:
    pixels = data.coffee()
    one, again, other = (model(pixels, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(one.pixels, again.pixels) and np.array_equal(one.mask, again.mask)
    assert not np.array_equal(one.pixels, other.pixels)


@every_model
def test_sixteen_bits_show_the_damage_that_eight_do(model: Model) -> None:
    pixels = data.camera()
    shallow = model(pixels, np.random.default_rng(3))
    deep = model(pixels.astype(np.uint16) * 257, np.random.default_rng(3))
    assert np.array_equal(deep.mask, shallow.mask)
    assert np.abs(deep.pixels / 257 - shallow.pixels).max() <= 2  # one level for each layer's rounding
    assert (deep.pixels[deep.mask] % 257 != 0).any()


@pytest.mark.parametrize(
    ("corner", "place"),
    [
        ("top_left", (0, 0)),
        ("top_right", (0, -1)),
        ("bottom_left", (-1, 0)),
        ("bottom_right", (-1, -1)),
    ],
)
def test_the_corner_that_was_named_is_the_one_torn(corner: Corner, place: tuple[int, int]) -> None:
    damaged = torn_corner(gray_card(400, 500, 1, np.uint8), np.random.default_rng(0), corner=corner)
    assert damaged.mask[place] and damaged.pixels[place] > 240
    assert damaged.mask[[0, 0, -1, -1], [0, -1, 0, -1]].sum() == 1


def test_a_crease_runs_right_across() -> None:
    card = gray_card(300, 400, 1, np.uint8)
    assert crease(card, np.random.default_rng(2)).mask.any(axis=0).all()
    assert crease(card, np.random.default_rng(2), upright=True).mask.any(axis=1).all()


def test_a_crease_is_lit_on_one_side_and_shaded_on_the_other() -> None:
    card = gray_card(600, 600, 1, np.uint8)
    damaged = crease(card, np.random.default_rng(4)).pixels
    assert damaged.min() < 110 and damaged.max() > 200


def test_a_stain_is_brown_translucent_and_darkest_at_its_rim() -> None:
    card = gray_card(600, 600, 3, np.uint8)
    damaged = stain(card, np.random.default_rng(0), size=0.2)
    red, green, blue = (damaged.pixels[damaged.mask][:, channel].mean() for channel in range(3))
    assert red > green > blue > 40
    row = damaged.pixels[300, :300, 2]
    assert row.min() < row[270:].min()


def test_a_picture_with_no_damage_asked_for_is_the_picture() -> None:
    pixels = data.camera()
    damaged = damage(pixels, np.random.default_rng(0), ())
    assert np.array_equal(damaged.pixels, pixels) and not damaged.mask.any()


def test_the_mask_of_several_damages_holds_them_all() -> None:
    card = gray_card(300, 300, 3, np.uint8)
    damaged = damage(card, np.random.default_rng(1), (scratches, stain, torn_corner))
    assert isinstance(damaged, Damaged)
    assert not (changed(card, damaged.pixels) & ~damaged.mask).any()
    assert damaged.mask[0, -1] and damaged.mask[150, 150]


@pytest.mark.parametrize("size", [(1632, 1224), (600, 900)])
def test_a_scratched_photograph_is_cheap_and_locally_damaged(size: tuple[int, int]) -> None:
    width, height = size
    first = scratched_photograph(width, height, 7)
    started = time.process_time()
    pixels, mask = scratched_photograph(width, height, 7)
    assert time.process_time() - started < 1
    assert pixels.shape == (height, width, 3) and pixels.dtype == np.uint8
    assert mask.shape == (height, width) and 0.004 < mask.mean() < 0.03
    assert np.array_equal(first[0], pixels) and np.array_equal(first[1], mask)
    assert not np.array_equal(scratched_photograph(width, height, 8)[0], pixels)
