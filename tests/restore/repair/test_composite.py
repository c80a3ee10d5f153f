"""The composite: known pixels bit-identical, smooth at the seam, in the source's own colour."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.ndimage import distance_transform_edt
from skimage import data

from restore.repair.composite import changed_outside, feather, keep_tone, match_colour
from restore.repair.mask import BLOCK_PX, editable_area

MODES = {"L": (), "LA": (2,), "RGB": (3,), "RGBA": (4,), "CMYK": (4,)}
DTYPES = (np.uint8, np.uint16)


def frozen(array: np.ndarray) -> np.ndarray:
    array = array.copy()
    array.flags.writeable = False
    return array


def hole(shape: tuple[int, int], radius: int = 14) -> np.ndarray:
    y, x = np.mgrid[: shape[0], : shape[1]]
    return (y - shape[0] // 2) ** 2 + (x - shape[1] // 2) ** 2 <= radius**2


def rms(a: np.ndarray, b: np.ndarray, where: np.ndarray) -> float:
    return float(np.sqrt(np.square(a.astype(float) - b)[where].mean()))


@st.composite
def photos(draw):
    """Source, painted, damage and mode: any depth and mode, any damage."""
    mode = draw(st.sampled_from(sorted(MODES)))
    shape = (draw(st.integers(1, 40)), draw(st.integers(1, 40)))
    dtype = draw(st.sampled_from(DTYPES))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    source, painted = rng.integers(0, np.iinfo(dtype).max + 1, (2, *shape, *MODES[mode]), dtype)
    return frozen(source), frozen(painted), frozen(draw(hnp.arrays(np.bool_, shape))), mode


@settings(deadline=None, max_examples=80)
@given(photos(), st.integers(0, 12))
def test_feather_takes_the_paint_inside_and_the_source_outside(photo, feather_px):
    source, painted, damage, mode = photo
    blended = feather(source, painted, damage, feather_px, mode=mode)
    assert blended.dtype == source.dtype
    assert not np.shares_memory(blended, source)
    assert changed_outside(source, blended, editable_area(damage, feather_px)) == 0
    colours = MODES[mode][0] - 1 if mode in ("LA", "RGBA") else None
    content = (slice(None), slice(None), slice(colours)) if source.ndim == 3 else ...
    assert np.array_equal(blended[content][damage], painted[content][damage])
    low, high = np.minimum(source, painted), np.maximum(source, painted)
    assert ((blended >= low) & (blended <= high)).all()
    if mode in ("LA", "RGBA"):
        assert np.array_equal(blended[..., -1], source[..., -1])
    assert np.array_equal(feather(source, source, damage, feather_px, mode=mode), source)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("feather_px", [0, 1, 4, 30])
def test_the_weight_falls_as_a_smoothstep_of_the_distance(dtype, feather_px):
    white = int(np.iinfo(dtype).max)
    damage = np.zeros((BLOCK_PX + 80, BLOCK_PX + 70), np.bool_)
    damage[BLOCK_PX - 3, 20:200] = damage[3, 3] = True
    black, paint = np.zeros(damage.shape, dtype), np.full(damage.shape, white, dtype)
    distance = distance_transform_edt(~damage)
    t = np.minimum(distance / (feather_px + 1), 1)
    weight = np.where(distance <= feather_px, 1 - t**2 * (3 - 2 * t), 0)
    blended = feather(black, paint, damage, feather_px, mode="L")
    assert np.abs(blended - weight * white).max() <= 0.51
    order = np.argsort(distance, axis=None)
    assert (np.diff(blended.ravel()[order].astype(int)) <= 0).all()


def test_feathering_a_frame_without_damage_gives_the_source():
    source = frozen(data.coffee())
    none = np.zeros(source.shape[:2], np.bool_)
    assert np.array_equal(feather(source, 255 - source, none, 4, mode="RGB"), source)


@settings(deadline=None, max_examples=30)
@given(photos(), st.integers(0, 5))
def test_changed_outside_counts_pixels_not_channels(photo, feather_px):
    source, painted, damage, _ = photo
    near = editable_area(damage, feather_px)
    differs = source != painted
    differs = differs if differs.ndim == 2 else differs.any(axis=2)
    assert changed_outside(source, painted, near) == (differs & ~near).sum()


def test_one_changed_level_far_down_a_tall_frame_is_seen():
    source = np.full((1500, 20, 3), 65534, np.uint16)
    restored = source.copy()
    restored[1499, 19, 2] += 1
    assert changed_outside(source, restored, np.zeros((1500, 20), np.bool_)) == 1


@settings(deadline=None, max_examples=40)
@given(photos())
def test_colour_that_agrees_already_stays_bit_for_bit(photo):
    source, painted, damage, _ = photo
    mask = damage if source.ndim == 2 else damage[..., None]
    native = frozen(np.where(mask, painted, source))
    matched = match_colour(native, source, damage)
    assert np.array_equal(matched, native)
    assert not np.shares_memory(matched, native)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("gain", "offset"), [(1.0, 9), (0.9, -6), (1.1, 4)])
def test_a_shift_of_colour_and_contrast_is_undone(dtype, gain, offset):
    scale = 1 if dtype == np.uint8 else 257
    truth = (data.astronaut()[60:188, 150:310] // 2 + 60).astype(dtype) * dtype(scale)
    damage = hole(truth.shape[:2])
    tints = np.array([offset, offset / 2, -offset])
    shifted = (truth.astype(float) * gain + tints * scale).round().astype(dtype)
    source = np.where(damage[..., None], 0, truth).astype(dtype)  # the damage itself must not count
    matched = match_colour(frozen(shifted), frozen(source), frozen(damage))
    assert matched.dtype == dtype
    assert rms(matched, truth, damage) < 0.6 * scale
    assert rms(shifted, truth, damage) > 4 * scale


def test_a_few_wild_pixels_in_the_ring_do_not_shift_the_paint():
    truth = data.camera()[100:228, 100:260]
    damage = hole(truth.shape)
    painted = (truth.astype(int) + 8).clip(0, 255).astype(np.uint8)
    painted[44:50, 60:100] = 255
    source = truth.copy()
    source[78:82, 60:100] = 0
    flat = (truth > 20) & (truth < 240)
    assert rms(match_colour(painted, source, damage), truth, damage & flat) < 1.5


def test_wild_pixels_of_floating_point_do_not_shift_the_paint_either():
    truth = data.camera()[100:228, 100:260].astype(np.float32) / 255
    damage = hole(truth.shape)
    painted, source = truth + np.float32(8 / 255), truth.copy()
    painted[44:50, 60:100] = 1
    source[78:82, 60:100] = 0
    flat = (truth > 20 / 255) & (truth < 240 / 255)
    assert rms(match_colour(painted, source, damage), truth, damage & flat) < 1.5 / 255


def test_paint_of_something_else_is_moved_but_not_stretched():
    rng = np.random.default_rng(5)
    source = rng.normal(90, 20, (100, 100)).clip(0, 255).astype(np.uint8)
    painted = rng.normal(140, 5, (100, 100)).clip(0, 255).astype(np.uint8)
    matched = match_colour(painted, source, hole((100, 100)))
    shift = matched.astype(int) - painted
    assert shift.min() == shift.max() == pytest.approx(-50, abs=2)


def test_a_ring_too_small_to_tell_leaves_the_paint():
    damage = np.ones((30, 30), np.bool_)
    damage[0, :20] = False
    painted = np.full((30, 30), 9, np.uint8)
    assert np.array_equal(match_colour(painted, np.zeros_like(painted), damage), painted)


def toned(gray: np.ndarray, tint: tuple[float, float, float], dtype: type) -> np.ndarray:
    """A print of one tone: no tint in black and white, most in the middle tones."""
    y = gray[..., None] / 255
    rgb = (y + np.array(tint) * 4 * y * (1 - y)).clip(0, 1)
    return (rgb * np.iinfo(dtype).max).round().astype(dtype)


SEPIA, CYANOTYPE, NEUTRAL = (0.08, 0.0, -0.12), (-0.1, 0.0, 0.08), (0.0, 0.0, 0.0)


def jpeg(rgb: np.ndarray) -> np.ndarray:
    return cv2.imdecode(cv2.imencode(".jpg", rgb, [cv2.IMWRITE_JPEG_QUALITY, 85])[1], cv2.IMREAD_COLOR)


@pytest.mark.parametrize("tint", [SEPIA, CYANOTYPE])
@pytest.mark.parametrize("noisy", [False, True])
def test_coloured_paint_comes_out_toned_as_the_print(tint, noisy):
    source = toned(data.camera()[:200, :200], tint, np.uint8)
    source = jpeg(source) if noisy else source
    damage = hole((200, 200), 30)
    paint = np.add(source.astype(int), (14, -9, 6)).clip(0, 255).astype(np.uint8)
    kept = keep_tone(frozen(paint), frozen(source), frozen(damage))
    luma = paint @ np.array([0.299, 0.587, 0.114])
    assert rms(kept @ np.array([0.299, 0.587, 0.114]), luma, damage) < 1
    expected = toned(luma, tint, np.uint8)
    assert rms(kept, expected, damage) < 4
    assert rms(paint, expected, damage) > 9


@pytest.mark.parametrize("dtype", DTYPES)
def test_gray_stored_as_rgb_stays_gray_exactly(dtype):
    source = toned(data.moon()[:150, :170], NEUTRAL, dtype)
    paint = np.random.default_rng(1).integers(0, np.iinfo(dtype).max + 1, source.shape, dtype)
    kept = keep_tone(paint, source, hole(source.shape[:2]))
    assert kept.dtype == dtype
    assert np.array_equal(kept, np.repeat(kept[..., :1], 3, axis=2))


@pytest.mark.parametrize("name", ["astronaut", "coffee", "chelsea", "rocket"])
def test_a_colour_photographs_paint_is_left_alone(name):
    source = getattr(data, name)()[:250, :300]
    paint = np.random.default_rng(2).integers(0, 256, source.shape, np.uint8)
    assert np.array_equal(keep_tone(paint, source, hole(source.shape[:2])), paint)


def test_no_known_pixel_no_tone():
    paint = np.full((20, 20, 3), (200, 10, 10), np.uint8)
    assert np.array_equal(keep_tone(paint, np.zeros_like(paint), np.ones((20, 20), np.bool_)), paint)
