"""Turns painted windows into restored pixels: scales them back, matches colour, lays them over, blends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from restore.imaging import color
from restore.imaging.color import Range
from restore.imaging.picture import Picture
from restore.imaging.pixels import Mask, Pixels, narrowed, widened
from restore.repair import composite
from restore.repair import mask as masks
from restore.repair.outpaint import Margins, outside
from restore.repair.windows import Window, blend_windows, uncrop


@dataclass(frozen=True, slots=True, eq=False)
class WindowPlacement:
    """Where a painted window belongs, and which part of it is used.

    Attributes:
        part: packed bits of the damage that it repairs, source scale.
        tones: how its sRGB, or a floating point crop, was stretched; None for any other crop.
        native: whether it was painted in the photo's own colours.
    """

    window: Window
    part: bytes
    tones: Range | None
    native: bool


@dataclass(frozen=True, slots=True, eq=False)
class Restored:
    """The restored pixels, all dilated damage, and the area outside of which pixels are the source's."""

    pixels: Pixels
    damage: Mask
    editable_area: Mask


def packed(part: Mask) -> bytes:
    """A crop of the damage, bool `(H, W)`, as packed bits."""
    return np.packbits(part).tobytes()


def paste(
    picture: Picture,
    placements: Sequence[WindowPlacement],
    painted: Sequence[Pixels],
    feather: int,
    margins: Margins,
) -> Restored:
    """Lay the painted windows over the picture.

    Args:
        picture: on its canvas, where there are margins.
        painted: each window at paint size.
        feather: px outside the damage over which the paint is blended out. At the edge between a photo and
            its margins nothing is blended, so the photo keeps its pixels to the last row.
    """
    damage = _damage(picture, placements)
    beyond = outside(damage.shape, margins) if any(margins) else None
    inner = damage if beyond is None else damage & ~beyond
    patchwork = picture.pixels
    for native in (True, False):  # thin damage first: where both meet, the large repair has the last word
        mine = [index for index, place in enumerate(placements) if place.native == native]
        if mine:
            chosen = [placements[index] for index in mine]
            patches = [_patch(picture, damage, placements[index], painted[index]) for index in mine]
            near = masks.editable_area(_damage(picture, chosen), feather)
            patchwork = blend_windows(patchwork, near, [place.window for place in chosen], patches)
    pixels = composite.feather(picture.pixels, patchwork, inner, feather, mode=picture.mode)
    editable_area = masks.editable_area(inner, feather)
    if beyond is not None:
        pixels[beyond] = patchwork[beyond]
        editable_area |= beyond
    if (hidden := picture.hidden) is not None:  # what nobody sees stays as it is
        hidden &= editable_area
        pixels[hidden] = picture.pixels[hidden]
        editable_area &= ~hidden
    if picture.bits or picture.alpha == "premultiplied":
        pixels[editable_area] = _storable(pixels[editable_area], picture)
    return Restored(pixels, damage, editable_area)


def _storable(pixels: Pixels, picture: Picture) -> Pixels:
    """Painted pixels `(N[, C])` in levels that the picture's own file can hold; known ones do not change."""
    if picture.alpha == "premultiplied":
        pixels = np.minimum(pixels, pixels[:, -1:])
    if picture.floating and picture.bits:
        return pixels.astype(np.float16).astype(np.float32)
    return widened(narrowed(pixels, picture.bits), picture.bits) if picture.bits else pixels


def _damage(picture: Picture, placements: Sequence[WindowPlacement]) -> Mask:
    """The whole dilated damage from its parts: no damaged pixel lies outside the windows."""
    damage = np.zeros((picture.height, picture.width), bool)
    for place in placements:
        window = place.window
        bits = np.unpackbits(np.frombuffer(place.part, np.uint8), count=window.width * window.height)
        damage[window.slices] |= bits.reshape(window.height, window.width).astype(bool)
    return damage


def _patch(picture: Picture, damage: Mask, place: WindowPlacement, painted: Pixels) -> Pixels:
    """A painted window at source scale, in the source's colours and depth."""
    source, holes = picture.pixels[place.window.slices], damage[place.window.slices]
    hidden = replace(picture, pixels=source).hidden
    if hidden is not None and not (unknown := holes | hidden).all():
        holes = unknown
    patch = uncrop(painted, place.window)
    if place.tones is None:
        return composite.match_colour(patch, source, holes)
    if place.native:  # its known pixels went through uint16
        return np.where(
            holes if source.ndim == 2 else holes[..., None], color.from_levels(patch, place.tones), source
        )
    return _native(patch.astype(np.uint8), source, holes, picture, place.tones)


def _native(patch: color.Rgb, source: Pixels, holes: Mask, picture: Picture, tones: Range) -> Pixels:
    """An sRGB patch `(H, W, 3)` in the source's colours, its drift undone, toned as a toned print is."""
    mode, icc = picture.mode, picture.icc
    if mode == "CMYK":  # one colour has many mixtures of ink, which cannot be matched one by one
        shown = color.to_srgb(source, mode, icc, tones)
        matched = composite.match_colour(patch, shown, holes)
        return color.from_srgb(matched.astype(np.uint8), source, mode, icc, tones)
    matched = composite.match_colour(color.from_srgb(patch, source, mode, icc, tones), source, holes)
    if mode in ("L", "LA", "LAB"):
        return matched
    colours = composite.keep_tone(matched[..., :3], source[..., :3], holes)
    return np.concatenate([colours, matched[..., 3:]], axis=2)
