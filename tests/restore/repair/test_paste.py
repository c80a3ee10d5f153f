"""Paste: what a sized engine painted, back in scans of every kind, with known pixels bit for bit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from skimage import data

from restore.engines import Sampler, Task, build
from restore.imaging import codec
from restore.imaging.color import Range, from_srgb, to_srgb
from restore.imaging.picture import Picture
from restore.imaging.pixels import Mode, widened
from restore.photo.routing import EngineWindow, cut_engine_windows
from restore.recipe import Recipe
from restore.repair import composite
from restore.repair.mask import dilate, editable_area
from restore.repair.paste import Restored, WindowPlacement, packed, paste

Pixels = npt.NDArray[np.generic]
RGB = np.ascontiguousarray(cv2.resize(data.astronaut(), (1300, 1100)))
GRAY = np.ascontiguousarray(RGB[..., 1])
ALPHA = np.full(GRAY.shape, 200, np.uint8)
SCANS: dict[str, tuple[Mode, Pixels]] = {
    "gray": ("L", GRAY),
    "gray, 16 bit": ("L", GRAY.astype(np.uint16) * 200 + 1000),
    "gray with alpha": ("LA", np.dstack([GRAY, ALPHA])),
    "colour": ("RGB", RGB),
    "colour with alpha": ("RGBA", np.dstack([RGB, ALPHA])),
    "a dark scan, 16 bit": ("RGB", RGB.astype(np.uint16) * 12 + 300),
    "ink": ("CMYK", np.asarray(Image.fromarray(RGB).convert("CMYK"))),
    "CIELAB": ("LAB", from_srgb(RGB, np.zeros_like(RGB), "LAB", None, Range())),
    "CIELAB, 16 bit": ("LAB", from_srgb(RGB, np.zeros(RGB.shape, np.uint16), "LAB", None, Range())),
    "floating point": ("RGB", RGB.astype(np.float32) / 255),
    "floating point beyond white": ("L", GRAY.astype(np.float32) / 40 - 1),
}
NOWHERE = (0, 0, 0, 0)


def seen(pixels: Pixels, mode: Mode) -> Pixels:
    """Colours as they are seen, in the picture's own depth: the same one has many mixtures of ink."""
    if mode in ("CMYK", "LAB"):
        return to_srgb(pixels, mode, None, Range())
    return pixels[..., :-1] if mode in ("LA", "RGBA") else pixels


def damage(shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    mask = np.zeros(shape[:2], np.uint8)
    cv2.circle(mask, (400, 500), 50, 1, -1)
    cv2.line(mask, (700, 200), (1100, 900), 1, 2)
    return mask.astype(bool)


def painted(cuts: Sequence[EngineWindow], colour: tuple[int, int, int] | None = None) -> list[Pixels]:
    """What an engine might give back: Telea, or one colour inside; and colours a little off everywhere."""
    windows = []
    for shot in cuts:
        if colour is None:
            window = cv2.inpaint(
                np.ascontiguousarray(shot.pixels), shot.mask.view(np.uint8), 3, cv2.INPAINT_TELEA
            )  # type: ignore[arg-type]
        else:
            window = np.where(shot.mask[..., None], np.uint8(colour), shot.pixels)
        windows.append(np.clip(window.astype(int) * 0.97 + 4, 0, 255).astype(np.uint8))
    return windows


def repaired(picture: Picture, holes: npt.NDArray[np.bool_], **more: object) -> Restored:
    cuts = list(cut_engine_windows(picture, holes, dilate(holes, 5, 1), Recipe(engine="sdxl"), "sdxl"))
    placements = [
        WindowPlacement(shot.window, packed(shot.part), shot.tones, shot.tones is None) for shot in cuts
    ]
    return paste(picture, placements, painted(cuts, **more), 4, NOWHERE)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", SCANS)
def test_known_pixels_stay_bit_for_bit_and_the_repair_fits(kind: str) -> None:
    mode, truth = SCANS[kind]
    holes = damage(truth.shape)
    spoilt = truth.copy()
    spoilt[holes] = truth.max() if truth.dtype.kind == "f" else np.iinfo(truth.dtype).max  # type: ignore[type-var]
    picture = Picture(spoilt, mode, "tiff", True)
    done = repaired(picture, holes)
    assert done.pixels.shape == truth.shape and done.pixels.dtype == truth.dtype
    assert np.array_equal(done.editable_area, editable_area(dilate(holes, 5, 1), 4))
    assert composite.changed_outside(spoilt, done.pixels, done.editable_area) == 0
    shown, wanted = (seen(pixels, mode).astype(float) for pixels in (done.pixels, truth))
    near = done.editable_area & (
        np.indices(holes.shape)[1] > 600
    )  # of the scratch, which follows from its surroundings
    assert np.abs(shown - wanted)[near].mean() < 0.03 * np.ptp(wanted)
    if mode in ("LA", "RGBA"):
        assert np.array_equal(done.pixels[..., -1], spoilt[..., -1])


NATIVE: dict[str, tuple[Picture, float]] = {
    "8 bit": (Picture(RGB, "RGB", "tiff", True), 255),
    "12 bit": (Picture(widened(RGB.astype(np.uint16) * 16 + 3, 12), "RGB", "tiff", True, bits=12), 65535),
    "CIELAB": (Picture(SCANS["CIELAB, 16 bit"][1], "LAB", "tiff", True), 65535),
    "floating point": (Picture(RGB.astype(np.float32) / 255, "RGB", "tiff", True), 1),
    "16-bit floating point": (
        Picture((GRAY / 255).astype(np.float16).astype(np.float32), "L", "tiff", True, bits=16), 1
    ),
    "floating point beyond white": (Picture(GRAY.astype(np.float32) / 40 - 1, "L", "tiff", True), 255 / 40),
    "premultiplied": (
        Picture(np.dstack([RGB // 3, ALPHA // 2]), "RGBA", "tiff", True, alpha="premultiplied"), 255
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", NATIVE)
def test_native_crops_of_every_kind_are_repaired_in_their_own_levels(kind: str) -> None:
    truth, white = NATIVE[kind]
    holes = damage(truth.pixels.shape)
    spoilt = truth.pixels.copy()
    colours = spoilt[..., :-1] if truth.mode == "RGBA" else spoilt
    colours[holes] = colours.max()
    picture = replace(truth, pixels=spoilt)
    cuts = list(cut_engine_windows(picture, holes, dilate(holes, 5, 1), Recipe(engine="telea"), "telea"))
    assert all(shot.pixels.dtype in (np.uint8, np.uint16) for shot in cuts), "all that an engine is given"
    engine = build(["telea"])["telea"]
    tasks = [Task("telea", shot.pixels, shot.mask, Sampler.of(Recipe()), 0) for shot in cuts]
    windows = [each.window for each in engine.paint(tasks)]  # type: ignore[union-attr]
    placements = [WindowPlacement(shot.window, packed(shot.part), shot.tones, True) for shot in cuts]
    done = paste(picture, placements, windows, 4, NOWHERE)
    assert composite.changed_outside(spoilt, done.pixels, done.editable_area) == 0
    line = holes & (np.indices(holes.shape)[1] > 600)
    assert np.abs(done.pixels.astype(float) - truth.pixels)[line].mean() < 0.02 * white
    stored = codec.decode(codec.encode(replace(picture, pixels=done.pixels), "source", 95).data)
    assert np.array_equal(stored.pixels, done.pixels), "the file holds the very levels"
    if truth.alpha == "premultiplied":
        assert (done.pixels[..., :3] <= done.pixels[..., 3:]).all(), "no colour is brighter than its alpha"


def test_paint_is_no_brighter_than_the_alpha_that_it_is_multiplied_by() -> None:
    """Where damage is more transparent than its surroundings, their colours are too bright for it."""
    holes = damage(RGB.shape)
    alpha = np.where(holes, 60, 255).astype(np.uint8)
    colours = np.where(holes[..., None], 0, RGB)
    picture = Picture(np.dstack([colours, alpha]), "RGBA", "tiff", True, alpha="premultiplied")
    done = repaired(picture, holes)
    assert (RGB[holes] > 60).any()
    assert (done.pixels[..., :3] <= done.pixels[..., 3:]).all()
    assert np.array_equal(done.pixels[..., 3], alpha)


def test_a_gray_print_stored_as_colour_gets_no_colour() -> None:
    holes = damage(RGB.shape)
    picture = Picture(np.dstack([GRAY] * 3), "RGB", "png", True)
    done = repaired(picture, holes, colour=(200, 60, 60))
    assert np.array_equal(done.pixels[..., 0], done.pixels[..., 1])
    assert np.array_equal(done.pixels[..., 1], done.pixels[..., 2])
    coloured = repaired(Picture(RGB, "RGB", "png", True), holes, colour=(200, 60, 60))
    middle = coloured.pixels[500, 400].astype(int)
    assert middle[0] > middle[1] + 80, "a colour photo keeps the paint's"


def test_thin_and_thick_damage_each_come_from_their_own_engine() -> None:
    holes = damage(RGB.shape)
    grown = dilate(holes, 5, 1)
    picture = Picture(RGB, "RGB", "png", True)
    cuts = list(cut_engine_windows(picture, holes, grown, Recipe(), "sdxl"))
    colours = {"ns": np.uint8([0, 0, 255]), "sdxl": np.uint8([255, 0, 0])}
    windows = [np.where(shot.mask[..., None], colours[shot.method], shot.pixels) for shot in cuts]
    placements = [
        WindowPlacement(shot.window, packed(shot.part), shot.tones, shot.tones is None) for shot in cuts
    ]
    done = paste(picture, placements, windows, 4, NOWHERE)
    red, _, blue = np.moveaxis(done.pixels.astype(int), 2, 0)
    thick = holes & (np.indices(holes.shape)[1] < 500)
    assert (red[thick] > 200).all() and (blue[thick] < 60).all()
    assert (blue[holes & ~thick] > 200).all() and (red[holes & ~thick] < 60).all()
    assert np.array_equal(done.damage, grown)


def test_a_photo_with_margins_is_kept_to_its_last_row() -> None:
    margins = (100, 50, 60, 40)
    canvas = np.pad(RGB, ((50, 40), (100, 60), (0, 0)), mode="edge")
    holes = np.ones(canvas.shape[:2], bool)
    holes[50:-40, 100:-60] = damage(RGB.shape)
    picture = Picture(canvas, "RGB", "png", True)
    cuts = list(cut_engine_windows(picture, holes, holes, Recipe(engine="sdxl"), "sdxl"))
    placements = [
        WindowPlacement(shot.window, packed(shot.part), shot.tones, shot.tones is None) for shot in cuts
    ]
    done = paste(picture, placements, painted(cuts, (10, 200, 10)), 4, margins)
    inside = done.pixels[50:-40, 100:-60]
    near = editable_area(damage(RGB.shape), 4)
    assert composite.changed_outside(RGB, inside, near) == 0
    assert np.array_equal(done.editable_area[50:-40, 100:-60], near)
    assert done.pixels[10, 300, 1] > done.pixels[10, 300, 0] + 60, "the margin is painted"
