"""Pixels of alpha 0: nobody sees them, editors leave anything in them, and no engine may paint from them."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from skimage import data

from restore.engines import Painted, Sampler, Task, build
from restore.engines.prefill import prefill
from restore.imaging.picture import Picture
from restore.methods import UNTRAINED
from restore.photo.routing import cut_engine_windows
from restore.recipe import Recipe
from restore.repair import composite
from restore.repair.mask import dilate
from restore.repair.paste import Restored, WindowPlacement, packed, paste

RGB = np.ascontiguousarray(cv2.resize(data.astronaut(), (400, 300)))


def repaired(picture: Picture, holes: npt.NDArray[np.bool_], method: str) -> Restored:
    recipe = Recipe(engine=method)
    cuts = list(cut_engine_windows(picture, holes, dilate(holes, 5, 1), recipe, method))
    tasks = [Task(method, shot.pixels, shot.mask, Sampler.of(recipe), 0, hidden=shot.hidden) for shot in cuts]
    answers = build([method])[method].paint(tasks)
    windows = [answer.window for answer in answers if isinstance(answer, Painted)]
    placements = [WindowPlacement(shot.window, packed(shot.part), shot.tones, True) for shot in cuts]
    return paste(picture, placements, windows, 4, (0, 0, 0, 0))


def cut_out(gray: bool = False) -> tuple[Picture, npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """A disc cut out of a photo, green where it is transparent; scratches that cross the disc's edge."""
    height, width = RGB.shape[:2]
    rows, columns = np.indices((height, width))
    hidden = (rows - height // 2) ** 2 + (columns - width // 2) ** 2 > (height // 3) ** 2
    scratches = (np.abs(rows - height // 2) < 3) | (np.abs(columns - width // 2) < 3)
    colours = np.where(hidden[..., None], np.array([0, 255, 0], np.uint8), RGB // 4 + 120)
    colours[scratches & ~hidden] = 255
    alpha = np.where(hidden, 0, 255).astype(np.uint8)
    pixels = np.dstack([colours[..., 1] if gray else colours, alpha])
    return Picture(pixels, "LA" if gray else "RGBA", "png", True), scratches, hidden


@pytest.mark.parametrize("gray", [False, True])
@pytest.mark.parametrize("method", UNTRAINED)
def test_a_colour_that_nobody_sees_does_not_bleed(method: str, gray: bool) -> None:
    picture, holes, hidden = cut_out(gray)
    done = repaired(picture, holes, method)
    seen = holes & ~hidden
    reached = dilate(holes, 5, 1) & ~hidden
    around = picture.pixels[~hidden & ~reached][:, 0 if gray else 1]
    painted = done.pixels[seen][:, 0 if gray else 1]
    assert painted.max() <= around.max() + 3, "nothing in the disc is as green as what was cut off"
    assert np.array_equal(done.pixels[hidden], picture.pixels[hidden]), "it keeps its own values"
    assert composite.changed_outside(picture.pixels, done.pixels, done.editable_area) == 0


def test_a_trained_engine_is_not_shown_what_nobody_sees() -> None:
    picture, holes, _ = cut_out()
    recipe = Recipe(engine="sdxl", refine=False)
    (shot, *_) = cut_engine_windows(picture, holes, dilate(holes, 5, 1), recipe, "sdxl")
    task = Task("sdxl", shot.pixels, shot.mask, Sampler.of(recipe), 0, hidden=shot.hidden)
    shown = prefill(task.window, task.unknown).astype(int)
    assert (shot.pixels[..., 1].astype(int) - shot.pixels[..., 0]).max() > 200, "it was there"
    assert (shown[..., 1] - shown[..., 0]).max() < 120


@pytest.mark.parametrize("method", UNTRAINED)
def test_damage_that_nobody_sees_changes_nothing(method: str) -> None:
    picture, _, hidden = cut_out()
    done = repaired(picture, hidden & (np.indices(hidden.shape)[0] < 20), method)
    assert np.array_equal(done.pixels, picture.pixels)
