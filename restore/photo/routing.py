"""Decides which engine repairs which damage, and cuts the windows for it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from restore.imaging import color
from restore.imaging.color import Range
from restore.imaging.opencv import cv2
from restore.imaging.picture import Picture
from restore.imaging.pixels import Mask, Pixels
from restore.methods import THIN, Method, any_trained, sizes_of
from restore.recipe import Recipe
from restore.repair.windows import (
    Window,
    crop_hidden_to_window,
    crop_mask_to_window,
    crop_to_window,
    plan_windows,
)


@dataclass(frozen=True, slots=True, eq=False)
class EngineWindow:
    """One window as its engine receives it.

    Attributes:
        pixels, mask: at paint size, as `restore.engines.Task` wants them.
        hidden: at paint size; None where no pixel is transparent.
        part: bool, source scale: the damage in this window that this engine repairs.
        tones: how a sized engine's sRGB, or a floating point crop, was stretched; None for any other crop.
    """

    method: Method
    window: Window
    pixels: Pixels
    mask: Mask
    hidden: Mask | None
    part: Mask
    tones: Range | None


def cut_engine_windows(
    picture: Picture, damage: Mask, dilated: Mask, recipe: Recipe, auto: Method
) -> Iterator[EngineWindow]:
    """Every window that the photo's repair takes, in an order that depends on the arguments alone.

    Args:
        damage, dilated: bool `(H, W)`, before and after dilation.
        auto: what engine=auto means.
    """
    hidden = picture.hidden
    for method, part in assign_engines(damage, dilated, recipe, auto):
        sizes = sizes_of(method)
        for window in plan_windows(part, context=recipe.window_context, reach=recipe.feather, sizes=sizes):
            pixels, mask = crop_to_window(picture.pixels, window), crop_mask_to_window(dilated, window)
            tones = None
            if sizes is not None:
                tones = color.range_of(pixels, ~mask, picture.mode, picture.icc)
                pixels = color.to_srgb(pixels, picture.mode, picture.icc, tones)
            elif picture.floating:
                tones = color.range_of_levels(pixels)
                pixels = color.to_levels(pixels, tones)
            yield EngineWindow(
                method=method,
                window=window,
                pixels=pixels,
                mask=mask,
                hidden=None if hidden is None else crop_hidden_to_window(hidden, window),
                part=part[window.slices],
                tones=tones,
            )


def assign_engines(damage: Mask, dilated: Mask, recipe: Recipe, auto: Method) -> list[tuple[Method, Mask]]:
    """The dilated damage by method: engine=auto gives thin damage to a classical engine."""
    if recipe.engine != "auto":
        return [(recipe.engine, dilated)]
    if not any_trained([auto]):
        return [(auto, dilated)]
    thin = thin_damage(damage, dilated, recipe.thin_radius)
    return [(method, part) for method, part in ((THIN, thin), (auto, dilated & ~thin)) if part.any()]


def thin_damage(damage: Mask, dilated: Mask, radius: float) -> Mask:
    """The connected parts of the dilated damage in which no circle of the radius fits the damage itself.

    Args:
        radius: px at 1 megapixel; it grows with the frame's side, as a scratch does with the resolution.

    Returns:
        A new bool array, part of `dilated`.
    """
    limit = radius * math.sqrt(damage.size / 1e6)
    count, labels = cv2.connectedComponents(dilated.view(np.uint8), connectivity=8)
    inscribed = np.zeros(count, np.float32)
    distance = cv2.distanceTransform(damage.view(np.uint8), cv2.DIST_L2, 5)
    np.maximum.at(inscribed, labels[damage].astype(np.intp), distance[damage])
    thin = inscribed - 0.5 < limit  # a stripe of width w has its innermost pixel (w + 1) / 2 from its edge
    thin[0] = False  # the background's label
    return np.asarray(thin[labels])
