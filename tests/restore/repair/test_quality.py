"""The figures: seams show, truth scores best, modes and depths may differ."""

from __future__ import annotations

import math
import time

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import data
from skimage.metrics import structural_similarity

from restore.imaging.picture import Picture
from restore.outcome import Figures
from restore.repair.composite import feather
from restore.repair.mask import BLOCK_PX
from restore.repair.quality import MAX_PSNR, colour_step, grain, psnr, seam, ssim, suspicion

MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
PHOTOGRAPHS = ("astronaut", "camera", "chelsea", "coffee", "coins", "rocket", "moon")


def picture(pixels: np.ndarray, mode: str | None = None) -> Picture:
    pixels = pixels.copy()
    pixels.flags.writeable = False
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    return Picture(pixels, mode or MODES[channels], "png", True)


def damage_on(shape: tuple[int, int], seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    lines = np.zeros(shape, np.uint8)
    for _ in range(3):
        ends = rng.integers(10, min(shape) - 10, (2, 2)).tolist()
        cv2.line(lines, ends[0], ends[1], 1, 9)
        cv2.circle(lines, rng.integers(20, min(shape) - 20, 2).tolist(), 16, 1, -1)
    return lines.astype(np.bool_)


def pasted(truth: np.ndarray, damage: np.ndarray, offset: int) -> np.ndarray:
    moved = (truth.astype(int) + offset).clip(0, 255).astype(np.uint8)
    return np.where(damage if truth.ndim == 2 else damage[..., None], moved, truth)


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_a_seam_shows_and_the_truth_has_none(name):
    truth = getattr(data, name)()
    damage = damage_on(truth.shape[:2])
    scores = [seam(picture(pasted(truth, damage, offset)), damage) for offset in (0, 20, 60)]
    assert 0.6 < scores[0] < 1.5
    assert scores[1] > scores[0] + 0.4
    assert scores[2] > scores[1]


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_feathering_an_offset_paste_lowers_its_seam(name):
    truth = getattr(data, name)()
    damage = damage_on(truth.shape[:2], 1)
    hard = pasted(truth, damage, 20)
    paint = (truth.astype(int) + 20).clip(0, 255).astype(np.uint8)
    soft = feather(truth, paint, damage, 6, mode="L" if truth.ndim == 2 else "RGB")
    assert seam(picture(soft), damage) < seam(picture(hard), damage) - 0.3


def test_classical_repair_scores_better_than_a_bad_paste():
    truth = data.astronaut()
    damage = damage_on(truth.shape[:2], 2)
    repaired = cv2.inpaint(truth, damage.view(np.uint8), 3, cv2.INPAINT_NS)
    assert seam(picture(repaired), damage) < 1.2 < seam(picture(pasted(truth, damage, 20)), damage)


def test_a_flat_photo_is_seamless_and_its_seam_is_counted_in_levels():
    flat = np.full((80, 90), 100, np.uint8)
    damage = np.zeros(flat.shape, np.bool_)
    damage[30:40, 30:60] = True
    assert seam(picture(flat), damage) == pytest.approx(1)
    assert seam(picture(pasted(flat, damage, 5)), damage) == pytest.approx(6)


def test_no_edge_or_no_known_pixel_no_seam():
    gray = picture(data.camera())
    assert seam(gray, np.zeros((512, 512), np.bool_)) is None
    assert seam(gray, np.ones((512, 512), np.bool_)) is None


def whole_frame_seam(pixels: np.ndarray, damage: np.ndarray) -> float:
    """The definition, without blocks."""
    luma = pixels / 255
    near = cv2.dilate(damage.view(np.uint8), np.ones((25, 25), np.uint8)) > 0
    edge, ring = [], []
    for axis in (0, 1):
        step = np.abs(np.diff(luma, axis=axis))
        first, second = np.delete(damage, -1, axis), np.delete(damage, 0, axis)
        edge.append(step[first != second])
        ring.append(step[~first & ~second & np.delete(near, -1, axis)])
    return (np.concatenate(edge).mean() + 1 / 255) / (np.concatenate(ring).mean() + 1 / 255)


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 1000), st.sampled_from([(40, 700), (BLOCK_PX, BLOCK_PX + 1), (300, 530)]))
def test_figures_know_no_block_edges(seed, shape):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 256, shape, np.uint8)
    other = rng.integers(0, 256, shape, np.uint8)
    damage = cv2.dilate((rng.random(shape) < 0.0005).astype(np.uint8), np.ones((7, 7))) > 0
    damage[BLOCK_PX - 60 if shape[0] > BLOCK_PX else 5, BLOCK_PX - 1 : BLOCK_PX + 1] = True
    assert seam(picture(truth), damage) == pytest.approx(whole_frame_seam(truth, damage))
    error = np.square(truth / 255 - other / 255)[damage].mean()
    assert psnr(picture(truth), picture(other), damage) == pytest.approx(-10 * math.log10(error))
    similar = structural_similarity(truth / 255, other / 255, win_size=7, data_range=1.0, full=True)[1]
    assert ssim(picture(truth), picture(other), damage) == pytest.approx(similar[damage].mean())


SAME_LUMA = np.array([24.0, -14.0, 9.0])  # redder and no brighter


@pytest.mark.parametrize("name", ("astronaut", "chelsea", "coffee", "rocket"))
def test_a_wrong_hue_of_the_right_brightness_is_a_colour_step(name):
    truth = getattr(data, name)()
    damage = damage_on(truth.shape[:2])
    reddened = np.rint(truth + SAME_LUMA).clip(0, 255).astype(np.uint8)
    wrong = np.where(damage[..., None], reddened, truth)
    assert 0.7 < colour_step(picture(truth), damage) < 1.4
    assert colour_step(picture(wrong), damage) > colour_step(picture(truth), damage) + 0.4
    assert seam(picture(wrong), damage) < seam(picture(truth), damage) + 0.3


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_a_tone_that_feathering_hides_from_the_seam_is_a_colour_step(name):
    truth = getattr(data, name)()
    damage = damage_on(truth.shape[:2], 3)
    paint = (truth.astype(int) + 20).clip(0, 255).astype(np.uint8)
    soft = feather(truth, paint, damage, 4, mode="L" if truth.ndim == 2 else "RGB")
    assert colour_step(picture(soft), damage, 4) > colour_step(picture(truth), damage, 4) + 0.25
    hard = pasted(truth, damage, 20)
    assert colour_step(picture(hard), damage) > colour_step(picture(truth), damage) + 0.4


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_a_smear_lacks_the_grain_of_its_surroundings(name):
    truth = getattr(data, name)()
    damage = damage_on(truth.shape[:2])
    smooth = cv2.GaussianBlur(truth, (0, 0), 4)
    smear = np.where(damage if truth.ndim == 2 else damage[..., None], smooth, truth)
    assert 0.7 < grain(picture(truth), damage) < 1.4
    assert grain(picture(smear), damage) < 0.6
    assert grain(picture(pasted(truth, damage, 20)), damage) > 0.7, "an offset has its grain"


def test_paint_that_is_too_noisy_has_more_grain_than_its_surroundings():
    truth = data.camera()
    damage = damage_on(truth.shape)
    noise = np.random.default_rng(0).normal(0, 30, truth.shape)
    noisy = np.where(damage, (truth + noise).clip(0, 255).astype(np.uint8), truth)
    assert grain(picture(noisy), damage) > 2


def test_a_flat_photo_has_neither_step_nor_missing_grain():
    flat = np.full((90, 90), 100, np.uint8)
    damage = np.zeros(flat.shape, np.bool_)
    damage[30:50, 30:60] = True
    assert colour_step(picture(flat), damage) == pytest.approx(1)
    assert grain(picture(flat), damage) == pytest.approx(1)
    assert colour_step(picture(pasted(flat, damage, 5)), damage) == pytest.approx(6)


@pytest.mark.parametrize("feather_px", [0, 4, 12])
def test_modes_and_depths_of_one_photo_have_the_same_figures(feather_px):
    gray = data.camera()
    damage = damage_on(gray.shape)
    alpha = np.random.default_rng(0).integers(0, 256, gray.shape, np.uint8)
    others = [
        picture(gray.astype(np.uint16) * 257),
        picture(np.repeat(gray[..., None], 3, axis=2)),
        picture(np.dstack([gray, alpha])),
        picture(np.dstack([gray, gray, gray, alpha])),
        picture((gray / 255).astype(np.float32)),
        picture(np.dstack([gray, alpha, alpha]), "LAB"),
    ]
    for figure in (colour_step, grain):
        expected = figure(picture(gray), damage, feather_px)
        assert [figure(other, damage, feather_px) for other in others] == pytest.approx(
            [expected] * 6, rel=0.02
        )


def test_no_surroundings_no_colour_step_and_no_grain():
    gray = picture(data.camera())
    for figure in (colour_step, grain):
        assert figure(gray, np.zeros((512, 512), np.bool_)) is None
        assert figure(gray, np.ones((512, 512), np.bool_)) is None


def test_a_known_error_gives_its_decibels():
    reference = np.full((50, 60, 3), 100, np.uint8)
    restored = reference + np.uint8(10)
    damage = damage_on((50, 60))
    assert psnr(picture(restored), picture(reference), damage) == pytest.approx(20 * math.log10(25.5))


def test_only_the_damage_counts_and_identity_is_the_best_score():
    reference = data.coffee()
    damage = damage_on(reference.shape[:2])
    restored = np.where(damage[..., None], reference, 0).astype(np.uint8)
    assert psnr(picture(restored), picture(reference), damage) == MAX_PSNR
    assert ssim(picture(reference), picture(reference), damage) == pytest.approx(1)
    worse = [psnr(picture(pasted(reference, damage, n)), picture(reference), damage) for n in (1, 5, 20)]
    assert MAX_PSNR > worse[0] > worse[1] > worse[2] > 0


def test_better_repairs_have_the_higher_ssim():
    truth = data.camera()
    damage = damage_on(truth.shape)
    repaired = cv2.inpaint(truth, damage.view(np.uint8), 3, cv2.INPAINT_NS)
    noise = np.where(damage, np.random.default_rng(0).integers(0, 256, truth.shape, np.uint8), truth)
    assert (
        ssim(picture(repaired), picture(truth), damage) > ssim(picture(noise), picture(truth), damage) + 0.2
    )


def test_the_reference_may_have_another_mode_or_depth():
    gray = data.camera()
    damage = damage_on(gray.shape)
    rgb = np.repeat(gray[..., None], 3, axis=2)
    alpha = np.random.default_rng(0).integers(0, 256, gray.shape, np.uint8)
    ink = np.dstack([np.zeros_like(rgb), 255 - gray])
    others = [
        picture(rgb),
        picture(gray.astype(np.uint16) * 257),
        picture(np.dstack([gray, alpha])),
        picture(np.dstack([rgb, alpha])),
        picture(ink, "CMYK"),
    ]
    for other in others:
        assert psnr(picture(gray), other, damage) == pytest.approx(MAX_PSNR)
        assert ssim(other, picture(gray), damage) == pytest.approx(1)


def test_what_cannot_be_compared_gives_none():
    gray = picture(data.camera())
    small = picture(data.camera()[:-1])
    damage = damage_on((512, 512))
    nothing = np.zeros((512, 512), np.bool_)
    assert psnr(gray, small, damage) is None
    assert ssim(gray, small, damage) is None
    assert psnr(gray, gray, nothing) is None
    assert ssim(gray, gray, nothing) is None
    thin = picture(data.camera()[:6])
    assert ssim(thin, thin, damage[20:26] | True) is None


def test_figures_of_a_few_local_damages_are_cheap_on_two_megapixels():
    large = picture(cv2.resize(data.astronaut(), (1280, 1664)))
    damage = np.zeros((1664, 1280), np.bool_)
    for y, x in ((200, 300), (900, 1000), (1400, 150)):
        damage[y : y + 60, x : x + 40] = True

    def measure() -> None:
        seam(large, damage)
        colour_step(large, damage, 4)
        grain(large, damage, 4)

    measure()
    best = min(_timed(measure) for _ in range(5))
    assert best < 0.06  # 6 ms of one core as measured


def _timed(call) -> float:
    began = time.process_time()
    call()
    return time.process_time() - began


SEAMLESS = Figures(seam=1.0, colour_step=1.0, grain=1.0)


def test_a_smear_a_patch_and_noise_are_suspicious_and_a_good_repair_is_not():
    good = suspicion(Figures(0.97, 1.05, 0.9), 0.02)
    smear = suspicion(Figures(0.63, 1.1, 0.16), 0.02)
    noise = suspicion(Figures(0.71, 2.99, 6.0), 0.02)
    patch = suspicion(Figures(2.5, 2.0, 1.0), 0.02)
    assert good < 0.15 and min(smear, noise, patch) > 0.6
    assert suspicion(SEAMLESS, 0.0) == 0 and suspicion(SEAMLESS, 0.9) > 0.75
    assert suspicion(Figures(0.1, 9.0, 0.01), 1.0) == 1
    assert suspicion(Figures(), 0.0) == 0 == suspicion(Figures(math.inf, math.nan, 0.0), 0.0)


@given(st.floats(0.01, 100), st.floats(0.01, 100), st.floats(0.01, 100), st.floats(0, 1), st.floats(1, 10))
def test_suspicion_grows_with_each_of_its_parts(edge, step, texture, covered, more):
    """Away from 1 in either direction, but for a colour step, which can only be too large."""
    before = suspicion(Figures(edge, step, texture), covered)
    assert 0 <= before <= 1
    away = [value * more if value >= 1 else value / more for value in (edge, texture)]
    assert suspicion(Figures(away[0], step, texture), covered) >= before
    assert suspicion(Figures(edge, step * more, texture), covered) >= before
    assert suspicion(Figures(edge, step, away[1]), covered) >= before
    assert suspicion(Figures(edge, step, texture), min(1.0, covered * more)) >= before
