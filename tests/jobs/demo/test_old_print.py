"""Old prints keep the photograph, change its tones as age does, and are the same for the same seed."""

from __future__ import annotations

import numpy as np
import pytest
from skimage import data

from jobs.demo.old_print import Tone, enlarged, printed


def picture(size: int = 400) -> np.ndarray:
    return enlarged(data.astronaut(), size)


@pytest.mark.parametrize("pixels", [data.coffee(), data.camera()], ids=["larger", "gray"])
@pytest.mark.parametrize("long_side", [300, 900])
def test_enlarging_keeps_the_proportions_and_the_range(pixels: np.ndarray, long_side: int) -> None:
    result = enlarged(pixels, long_side)
    assert max(result.shape[:2]) == long_side and result.dtype == np.float32
    assert result.shape[0] / result.shape[1] == pytest.approx(pixels.shape[0] / pixels.shape[1], rel=0.01)
    assert result.min() >= 0 and result.max() <= 1
    assert result.mean() == pytest.approx(pixels.mean() / 255, abs=0.01)


@pytest.mark.parametrize("tone", ["gray", "sepia", "faded"])
@pytest.mark.parametrize("source", [data.astronaut(), data.camera()], ids=["colour", "gray"])
def test_a_print_is_the_photograph_still(tone: Tone, source: np.ndarray) -> None:
    original = enlarged(source, 400)
    original.setflags(write=False)
    old = printed(original, np.random.default_rng(0), tone=tone, border=0.05)
    assert old.dtype == np.float32 and old.min() >= 0 and old.max() <= 1
    assert old.ndim == (2 if tone == "gray" else 3)
    inside = np.s_[30:-30, 30:-30]
    luma = [p if p.ndim == 2 else p.mean(axis=2) for p in (original[inside], old[inside])]
    assert np.corrcoef(luma[0].ravel(), luma[1].ravel())[0, 1] > 0.97


def test_age_fades_contrast_and_sepia_is_brown() -> None:
    old = printed(picture(), np.random.default_rng(0), tone="sepia", grain=0.0001)
    red, green, blue = old.reshape(-1, 3).mean(axis=0)
    assert red > green > blue
    assert old.max() - old.min() < 0.95 and old.min() > 0.02


def test_the_margin_is_pale_paper_of_the_width_asked_for() -> None:
    black = np.zeros((400, 600), np.float32)
    old = printed(black, np.random.default_rng(0), tone="gray", border=0.05)
    assert old[:18].min() > 0.8 and old[:, -18:].min() > 0.8
    assert old[24:-24, 24:-24].max() < 0.3


def test_the_corners_are_darker_than_the_middle() -> None:
    white = np.ones((400, 400), np.float32)
    old = printed(white, np.random.default_rng(0), tone="gray")
    assert old[:20, :20].mean() < 0.9 * old[190:210, 190:210].mean()


def test_grain_is_as_strong_as_asked_and_follows_the_seed() -> None:
    flat = np.full((300, 300), 0.5, np.float32)
    one, again, other = (printed(flat, np.random.default_rng(s), tone="gray", grain=0.02) for s in (1, 1, 2))
    assert np.array_equal(one, again) and not np.array_equal(one, other)
    assert one[140:160, 140:160].std() == pytest.approx(0.02, rel=0.25)
