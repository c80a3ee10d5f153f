"""What can be measured of a restored photo: is the seam visible, and how near is it to the truth."""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt
from skimage.metrics import structural_similarity

from restore.codec import Picture
from restore.mask import Damage, blocks

Floats = npt.NDArray[np.float64]

RING = 12  # px of known surroundings that the seam is compared with
LEVEL = 1 / 255  # of white; steps below it cannot be seen, so they count as no seam
MAX_PSNR = 100.0  # dB, for identical pixels: a finite number that sorts above all others
SSIM_WINDOW = 7  # px, the side of the windows of Wang et al. 2004
_LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601


def seam(restored: Picture, damage: Damage) -> float | None:
    """How much steeper luma steps across the edge of the damage than in its surroundings; 1 is seamless.

    The mean step between two neighbours of which one is damaged, over the mean step between two known
    neighbours within `RING` px. Paint that goes on as the photo does steps across the edge like the
    photo does nearby; a patch of another tone adds its offset to every step. One grey level is added
    to both, so that a flat sky does not divide by nothing. Smooth paint in a textured place scores
    below 1. None when there is no edge or no known pixel near it.
    """
    edge, ring = [0.0, 0], [0.0, 0]
    for block in blocks(damage, RING + 1):
        luma = _luma(_channels(restored, block.halo))
        inside = damage[block.halo]
        near = cv2.dilate(inside.view(np.uint8), np.ones((2 * RING + 1, 2 * RING + 1), np.uint8)) > 0
        for axis in (0, 1):
            step = np.abs(np.diff(luma, axis=axis))
            first, second = _pairs(inside, axis)
            core = _pairs(_core(inside.shape, block.inner), axis)[0]
            _add(edge, step[core & (first != second)])
            _add(ring, step[core & ~first & ~second & _pairs(near, axis)[0]])
    if not edge[1] or not ring[1]:
        return None
    return (edge[0] / edge[1] + LEVEL) / (ring[0] / ring[1] + LEVEL)


def _pairs(plane: Damage, axis: int) -> tuple[Damage, Damage]:
    """The first and second of every two neighbours along `axis`."""
    return (plane[:-1], plane[1:]) if axis == 0 else (plane[:, :-1], plane[:, 1:])


def _core(shape: tuple[int, ...], inner: tuple[slice, slice]) -> Damage:
    core = np.zeros(shape, np.bool_)
    core[inner] = True
    return core


def _add(total: list[float], values: Floats) -> None:
    total[0] += float(values.sum())
    total[1] += len(values)


def psnr(restored: Picture, reference: Picture, damage: Damage) -> float | None:
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


def ssim(restored: Picture, reference: Picture, damage: Damage) -> float | None:
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


def _comparable(restored: Picture, reference: Picture, damage: Damage) -> bool:
    return restored.pixels.shape[:2] == reference.pixels.shape[:2] and bool(damage.any())


def _alike(a: Picture, b: Picture, crop: tuple[slice, slice]) -> tuple[Floats, Floats]:
    """Both crops in colour when both have it, else in luma."""
    first, second = _channels(a, crop), _channels(b, crop)
    if first.ndim == second.ndim:
        return first, second
    return _luma(first), _luma(second)


def _channels(picture: Picture, crop: tuple[slice, slice]) -> Floats:
    """`(H, W)` gray or `(H, W, 3)` RGB of a crop, 0 to 1; alpha is left out.

    CMYK is turned by the plain formula (1 - ink)(1 - K): both sides of a comparison alike, no profile.
    """
    values: Floats = picture.pixels[crop].astype(np.float64) / (256**picture.pixels.itemsize - 1)
    if picture.mode == "CMYK":
        values = (1 - values[..., :3]) * (1 - values[..., 3:])
    elif picture.mode in ("LA", "RGBA"):
        values = values[..., :-1]
    return values[..., 0] if picture.mode == "LA" else values


def _luma(channels: Floats) -> Floats:
    return (
        channels
        if channels.ndim == 2
        else cv2.transform(channels, _LUMA[None]).astype(np.float64, copy=False)
    )
