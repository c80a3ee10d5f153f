"""Route: which damage goes to which engine, and what that engine is shown."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from skimage import data

from restore.imaging.picture import Picture
from restore.methods import SDXL_SIZES
from restore.photo.routing import assign_engines, cut_engine_windows, thin_damage
from restore.recipe import Recipe
from restore.repair.mask import dilate

Mask = npt.NDArray[np.bool_]


def blank(width: int = 1000, height: int = 1000) -> npt.NDArray[np.uint8]:
    return np.zeros((height, width), np.uint8)


def stripe(width: int, frame: int = 1000) -> Mask:
    mask = blank(frame, frame)
    mask[100 : frame - 100, 500 : 500 + width] = 1
    return mask.astype(bool)


def is_thin(mask: Mask, radius: float) -> bool:
    grown = dilate(mask, 5, 1)
    thin = thin_damage(mask, grown, radius)
    assert np.array_equal(thin, grown) or not thin.any()
    return bool(thin.any())


@pytest.mark.parametrize(("width", "thin"), [(1, True), (3, True), (5, True), (7, False), (9, False)])
def test_a_scratch_is_thin_below_the_radius(width: int, thin: bool) -> None:
    assert is_thin(stripe(width), 3.0) == thin


def test_the_radius_grows_with_the_frames_side() -> None:
    assert not is_thin(stripe(9), 3.0)
    assert is_thin(stripe(9, 2000), 3.0), "four megapixels: twice the radius"
    assert not is_thin(stripe(1), 0.0)


def test_a_scratch_that_ends_in_a_hole_is_part_of_it() -> None:
    mask = blank()
    cv2.line(mask, (50, 50), (500, 500), 1, 2)
    cv2.line(mask, (600, 100), (900, 100), 1, 2)
    cv2.circle(mask, (500, 500), 40, 1, -1)
    grown = dilate(mask.astype(bool), 5, 1)
    thin = thin_damage(mask.astype(bool), grown, 3.0)
    assert thin[100, 700] and not thin[50:60, 50:60].any() and not thin[500, 500]
    assert np.array_equal(thin, grown & thin)


def test_only_auto_is_shared_out() -> None:
    mask = blank()
    cv2.line(mask, (50, 50), (50, 900), 1, 2)
    cv2.circle(mask, (700, 500), 40, 1, -1)
    damage = mask.astype(bool)
    grown = dilate(damage, 5, 1)
    for engine, auto, methods in (
        ("auto", "sdxl", ["ns", "sdxl"]),
        ("auto", "ns", ["ns"]),
        ("sdxl", "sdxl", ["sdxl"]),
        ("telea", "sdxl", ["telea"]),
    ):
        parts = assign_engines(damage, grown, Recipe(engine=engine), auto)  # type: ignore[arg-type]
        assert [method for method, _ in parts] == methods
        assert np.array_equal(np.logical_or.reduce([part for _, part in parts]), grown)
        assert sum(int(part.sum()) for _, part in parts) == int(grown.sum())


def test_what_an_engine_is_shown() -> None:
    pixels = np.ascontiguousarray(cv2.resize(data.astronaut(), (1600, 1200))).astype(np.uint16) * 100
    mask = blank(1600, 1200)
    cv2.line(mask, (100, 100), (100, 600), 1, 2)
    cv2.circle(mask, (900, 600), 60, 1, -1)
    cv2.line(mask, (1000, 500), (1000, 700), 1, 2)  # thin, and in the window of the hole
    damage = mask.astype(bool)
    grown = dilate(damage, 5, 1)
    picture = Picture(pixels, "RGB", "tiff", True)
    cuts = list(cut_engine_windows(picture, damage, grown, Recipe(), "sdxl"))
    assert {shot.method for shot in cuts} == {"ns", "sdxl"}
    whole = np.zeros_like(grown)
    for shot in cuts:
        whole[shot.window.slices] |= shot.part
        height, width = shot.mask.shape
        if shot.method == "ns":
            assert shot.tones is None and shot.pixels.dtype == np.uint16
            assert np.array_equal(shot.pixels, pixels[shot.window.slices])
        else:
            assert (width, height) in SDXL_SIZES and shot.pixels.shape == (height, width, 3)
            assert shot.pixels.dtype == np.uint8 and shot.tones is not None
            assert np.count_nonzero(shot.mask) > np.count_nonzero(shot.part), "no damage passes for known"
    assert np.array_equal(whole, grown)
    again = list(cut_engine_windows(picture, damage, grown, Recipe(), "sdxl"))
    assert [shot.window for shot in again] == [shot.window for shot in cuts]
