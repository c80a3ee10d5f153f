"""Measures a restored photo: how visible the repair is, and how near it is to the undamaged truth.

`seam`, `colour_step` and `grain` compare the paint with the known pixels around it and need no truth.
Each is a ratio; at 1 the paint continues as the photo does. `suspicion` makes one number of them.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from skimage.metrics import structural_similarity

from restore.imaging.opencv import cv2
from restore.imaging.picture import Picture
from restore.imaging.pixels import LUMA_WEIGHTS, Doubles, Mask, Pixels, white_level
from restore.outcome import Figures
from restore.repair.mask import blocks, editable_area

Places = tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]

RING_PX = 12  # known surroundings that the seam is compared with
LEVEL = 1 / 255  # of white; steps below it cannot be seen, so they count as no seam
GRAIN_LEVEL = LEVEL / math.sqrt(12)  # the noise that rounding to 8 bits leaves; finer grain is none
MIN_SAMPLES = 16  # px on either side; fewer give no reliable mean
MAX_PSNR = 100.0  # dB, for identical pixels: a finite number that sorts above all others
SSIM_WINDOW = 7  # px, the side of the windows of Wang et al. 2004
_SQUARE = np.ones((3, 3), np.uint8)
_IMMERKAER = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float64)


def measured(restored: Picture, reference: Picture | None, damage: Mask, feather: int) -> Figures:
    """All figures of a photo; those against the truth only where a reference is given."""
    own = Figures(
        seam=seam(restored, damage),
        colour_step=colour_step(restored, damage, feather),
        grain=grain(restored, damage, feather),
    )
    if reference is None:
        return own
    return replace(
        own,
        psnr=psnr(restored, reference, damage),
        ssim=ssim(restored, reference, damage),
    )


def suspicion(figures: Figures, coverage: float) -> float:
    """How much a person should want to look at a photo, 0 to 1: for the order in which photos are reviewed.

    Each part is 0 where nothing shows and 1 where a repair surely does:

    - seam: a factor of 2.8, up or down. A smear steps less than its surroundings, and is no better.
    - colour step: a factor of 2.8, up.
    - grain: a quarter of the surroundings' or less, or four times as much.
    - coverage: half of the photo repainted, from a twentieth on.

    Three quarters of it are the largest part, and one quarter the mean, so that of two photos with the same
    worst part the one comes first that is worse in the others too. A part that cannot be measured is 0.

    Args:
        coverage: fraction of the photo that is damaged, 0 to 1.
    """
    parts = [
        _part(abs(_octaves(figures.seam)), 1.5),
        _part(_octaves(figures.colour_step), 1.5),
        _part(abs(_octaves(figures.grain)), 2.0),
        _part(coverage - 0.05, 0.45),
    ]
    return 0.75 * max(parts) + 0.25 * sum(parts) / len(parts)


def _octaves(ratio: float | None) -> float:
    """Doublings from 1 to a ratio; 0 where it could not be measured."""
    return math.log2(ratio) if ratio is not None and 0 < ratio < math.inf else 0.0


def _part(value: float, full: float) -> float:
    return min(1.0, max(0.0, value / full))


def seam(restored: Picture, damage: Mask) -> float | None:
    """How much steeper luma steps across the edge of the damage than in its surroundings; 1 is seamless.

    The mean step between two neighbours of which one is damaged, over the mean step between two known
    neighbours within `RING_PX` px. Paint that goes on as the photo does steps across the edge like the
    photo does nearby; a patch of another tone adds its offset to every step. One grey level is added
    to both, so that a flat sky does not divide by nothing. Smooth paint in a textured place scores
    below 1. None when there is no edge or no known pixel near it.
    """
    edge, ring = [0.0, 0], [0.0, 0]
    for block in blocks(damage, RING_PX + 1):
        luma = _luma(_channels(restored, block.halo))
        inside = damage[block.halo]
        near = cv2.dilate(inside.view(np.uint8), np.ones((2 * RING_PX + 1, 2 * RING_PX + 1), np.uint8)) > 0
        for axis in (0, 1):
            step = np.abs(np.diff(luma, axis=axis))
            first, second = _pairs(inside, axis)
            core = _pairs(_core(inside.shape, block.inner), axis)[0]
            _add(edge, step[core & (first != second)])
            _add(ring, step[core & ~first & ~second & _pairs(near, axis)[0]])
    if not edge[1] or not ring[1]:
        return None
    return (edge[0] / edge[1] + LEVEL) / (ring[0] / ring[1] + LEVEL)


def _pairs(plane: Mask, axis: int) -> tuple[Mask, Mask]:
    """The first and second of every two neighbours along `axis`."""
    return (plane[:-1], plane[1:]) if axis == 0 else (plane[:, :-1], plane[:, 1:])


def _core(shape: tuple[int, ...], inner: tuple[slice, slice]) -> Mask:
    core = np.zeros(shape, np.bool_)
    core[inner] = True
    return core


def _add(total: list[float], values: Doubles) -> None:
    total[0] += float(values.sum())
    total[1] += values.size


def colour_step(restored: Picture, damage: Mask, feather: int = 0) -> float | None:
    """How far colour jumps across the edge of the damage, against how it changes beside it; 1 is no jump.

    Along the outward normal of the edge, three places a same distance apart: just inside the paint, in
    the known photo beyond the feather, and once more further out. The mean absolute difference of colour
    between the first two, over that between the last two, so that a picture's own gradients and edges
    count on both sides. Unlike `seam` it sees a wrong hue of the right brightness, and a wrong tone that
    feathering has made smooth. One grey level is added to both. None when fewer than `MIN_SAMPLES` places of
    the edge have known photo before them.

    Args:
        feather: px outside the damage that the paint was blended over; they are neither paint nor photo.
    """
    reach = feather + 4  # px; the 3x3 means of both places keep clear of the blended zone
    jump, own = [0.0, 0], [0.0, 0]
    for block in blocks(damage, 2 * reach + 2):
        placements = _across(damage[block.halo], block.inner, reach, feather)
        mean: Pixels = cv2.blur(restored.pixels[block.halo], (3, 3))
        paint, near, far = (_channels(replace(restored, pixels=mean), place) for place in placements)
        _add(jump, np.abs(paint - near))
        _add(own, np.abs(near - far))
    if jump[1] < MIN_SAMPLES:
        return None
    return (jump[0] / jump[1] + LEVEL) / (own[0] / own[1] + LEVEL)


def _across(damage: Mask, core: tuple[slice, slice], reach: int, feather: int) -> list[Places]:
    """Places along the edge's normals, as (rows, columns): in the paint, `reach` px out, twice that.

    Only those in the core whose two outer places lie in the frame and clear of all damage's feather.
    """
    whole = cv2.erode(damage.view(np.uint8), _SQUARE)
    edge = (whole - cv2.erode(whole, _SQUARE)).astype(np.bool_) & _core(damage.shape, core)
    smooth = cv2.blur(damage.astype(np.float32), (5, 5))
    rows, columns = np.nonzero(edge)
    down = -cv2.Sobel(smooth, cv2.CV_32F, 0, 1)[rows, columns]
    right = -cv2.Sobel(smooth, cv2.CV_32F, 1, 0)[rows, columns]
    length = np.hypot(down, right) + 1e-9
    out = [
        (np.rint(rows + k * reach * down / length), np.rint(columns + k * reach * right / length))
        for k in (0, 1, 2)
    ]
    placements = [(y.astype(np.intp), x.astype(np.intp)) for y, x in out]
    touched = editable_area(damage, feather + 2)  # a place is the mean of 3x3 px
    good = (length > 1e-6) & _clear(touched, placements[1]) & _clear(touched, placements[2])
    return [(y[good], x[good]) for y, x in placements]


def _clear(touched: Mask, place: Places) -> Mask:
    y, x = place
    height, width = touched.shape
    framed = (y >= 0) & (y < height) & (x >= 0) & (x < width)
    clear: Mask = framed & ~touched[y.clip(0, height - 1), x.clip(0, width - 1)]
    return clear


def grain(restored: Picture, damage: Mask, feather: int = 0) -> float | None:
    """Fine texture of the paint over that of its surroundings; 1 is alike, a flat smear is below 1.

    Both are noise levels as Immerkaer estimates them ("Fast noise variance estimation", 1996): the mean
    absolute response of luma to a mask that is blind to flat areas, ramps and straight edges. Inside,
    of the damage less its border; outside, of known pixels within `RING_PX` px beyond the feather. The
    noise that rounding to 8 bits leaves is added to both. None where either has fewer than `MIN_SAMPLES` px.

    Args:
        feather: px outside the damage that the paint was blended over; they are neither paint nor photo.
    """
    paint, photo = [0.0, 0], [0.0, 0]
    hole = 2 * feather + 3
    for block in blocks(damage, feather + 1 + RING_PX):
        inside = damage[block.halo].view(np.uint8)
        core = _core(inside.shape, block.inner)
        near = cv2.dilate(inside, np.ones((hole + 2 * RING_PX, hole + 2 * RING_PX), np.uint8))
        ring = (near - cv2.dilate(inside, np.ones((hole, hole), np.uint8))).astype(np.bool_)
        response = np.abs(cv2.filter2D(_luma(_channels(restored, block.halo)), -1, _IMMERKAER))
        _add(paint, response[core & cv2.erode(inside, _SQUARE).astype(np.bool_)])
        _add(photo, response[core & ring])
    if min(paint[1], photo[1]) < MIN_SAMPLES:
        return None
    return (_noise(paint) + GRAIN_LEVEL) / (_noise(photo) + GRAIN_LEVEL)


def _noise(total: list[float]) -> float:
    """Immerkaer's standard deviation of the noise, 0 to 1, from summed responses and their count."""
    return math.sqrt(math.pi / 2) / 6 * total[0] / total[1]


def psnr(restored: Picture, reference: Picture, damage: Mask) -> float | None:
    """Peak signal-to-noise ratio inside the damage, dB, at most `MAX_PSNR`.

    Both are taken relative to their own white, so depths may differ; colour is compared when both have
    it, luma otherwise. None when there is no damage or the sizes differ.
    """
    if not _comparable(restored, reference, damage):
        return None
    error, count = 0.0, 0
    for block in blocks(damage, 0):
        a, b = _alike(restored, reference, block.core)
        difference = (a - b)[damage[block.core]]
        error += float(np.square(difference).sum())
        count += difference.size
    return MAX_PSNR if error == 0 else min(MAX_PSNR, 10 * math.log10(count / error))


def ssim(restored: Picture, reference: Picture, damage: Mask) -> float | None:
    """Mean structural similarity of luma inside the damage, -1 to 1 (Wang et al. 2004, 7x7 windows).

    None when there is no damage, the sizes differ or the frame is smaller than a window.
    """
    if not _comparable(restored, reference, damage) or min(damage.shape) < SSIM_WINDOW:
        return None
    total, count = 0.0, 0
    for block in blocks(damage, SSIM_WINDOW):
        inside = damage[block.core]
        a, b = (_luma(_channels(picture, block.halo)) for picture in (restored, reference))
        _, similar = structural_similarity(a, b, win_size=SSIM_WINDOW, data_range=1.0, full=True)
        total += float(similar[block.inner][inside].sum())
        count += int(np.count_nonzero(inside))
    return total / count


def _comparable(restored: Picture, reference: Picture, damage: Mask) -> bool:
    return restored.pixels.shape[:2] == reference.pixels.shape[:2] and bool(damage.any())


def _alike(a: Picture, b: Picture, crop: tuple[slice, slice]) -> tuple[Doubles, Doubles]:
    """Both crops in colour when both have it, else in luma."""
    first, second = _channels(a, crop), _channels(b, crop)
    if first.ndim == second.ndim:
        return first, second
    return _luma(first), _luma(second)


def _channels(picture: Picture, crop: tuple[slice, slice] | Places) -> Doubles:
    """Gray or, with a last axis of 3, RGB of a crop or of single places, 0 to 1; alpha is left out.

    Of CIELAB it is L* alone. CMYK is turned by the plain formula (1 - ink)(1 - K): both sides of a comparison
    alike, no profile.
    """
    values: Doubles = picture.pixels[crop].astype(np.float64) / white_level(picture.pixels.dtype)
    if picture.mode == "LAB":
        return values[..., 0]
    if picture.mode == "CMYK":
        values = (1 - values[..., :3]) * (1 - values[..., 3:])
    elif picture.mode in ("LA", "RGBA"):
        values = values[..., :-1]
    return values[..., 0] if picture.mode == "LA" else values


def _luma(channels: Doubles) -> Doubles:
    return (
        channels
        if channels.ndim == 2
        else cv2.transform(channels, LUMA_WEIGHTS[None]).astype(np.float64, copy=False)
    )
