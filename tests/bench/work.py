"""TFLOP per photo at the real configurations: windows round the damage, against tiles and the whole image."""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from restore.engines.cost import RATES, window_tflop
from restore.methods import SDXL_SIZES
from restore.recipe import Recipe
from restore.repair.mask import dilate
from restore.repair.windows import plan_windows

SCANS, WIDTH, HEIGHT = 12, 3000, 4000
TILE, OVERLAP = 1024, 64


def damage(number: int) -> npt.NDArray[np.bool_]:
    """3 to 6 separate damages: holes, stains and creases too wide to be thin."""
    rng = np.random.default_rng(number)
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    for _ in range(3 + number % 4):
        x, y = int(rng.integers(200, WIDTH - 200)), int(rng.integers(200, HEIGHT - 200))
        if rng.random() < 0.5:
            cv2.ellipse(
                mask, (x, y), rng.integers(40, 200, 2).tolist(), int(rng.integers(180)), 0, 360, 1, -1
            )
        else:
            end = (x + int(rng.integers(-400, 400)), y + int(rng.integers(-400, 400)))
            cv2.line(mask, (x, y), end, 1, int(rng.integers(15, 40)))
    return mask.astype(bool)


def main() -> None:
    recipe = Recipe()
    tile = window_tflop((TILE, TILE), recipe, "sdxl")
    tiles = math.prod(math.ceil((side - OVERLAP) / (TILE - OVERLAP)) for side in (WIDTH, HEIGHT))
    ours = []
    for number in range(SCANS):
        grown = dilate(damage(number), recipe.dilate_kernel, recipe.dilate_iterations)
        windows = plan_windows(grown, context=recipe.window_context, reach=recipe.feather, sizes=SDXL_SIZES)
        ours.append(sum(window_tflop((w.paint_width, w.paint_height), recipe, "sdxl") for w in windows))
        print(f"scan {number:2d}: {len(windows)} windows, {ours[-1]:6.0f} TFLOP")
    mean = float(np.mean(ours))
    print(f"ours {mean:.0f} TFLOP a photo, {mean / RATES['H200']:.1f} s of an H200 at the table's rate")
    print(f"all {tiles} tiles of {TILE} px: {tiles * tile:.0f}; ours is {mean / tiles / tile:.2f} of that")
    print(f"the whole image at {TILE} x {TILE}, 1/{WIDTH * HEIGHT / TILE**2:.0f} of its pixels: {tile:.0f}")
