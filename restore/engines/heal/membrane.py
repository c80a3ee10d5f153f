"""The smooth fill of damage: a spline in tension through the known pixels.

It minimises the sum of squared differences between neighbours plus `STIFFNESS` times the sum of squared
Laplacians, with natural borders at the window's edges. Across a scratch it bends like a thin plate
(biharmonic) and so continues ramps; in a wide hole it is a membrane (harmonic) and does not overshoot
(Smith and Wessel 1990, "Gridding with continuous curvature splines in tension").
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from restore.engines.heal.compiled import compiled
from restore.imaging.opencv import cv2
from restore.imaging.pixels import Floats, Mask

Places = npt.NDArray[np.intp]
Bytes = npt.NDArray[np.uint8]

STIFFNESS = 2.0  # px squared; PSNR inside damage of 2 to 14 px is flat from 1 to 4, and falls beyond
OVERRELAXATION = 1.7
BORDER = 2  # px round every array, so that no neighbour lies outside


def fill(values: Floats, unknown: Mask, sweeps: int) -> Floats:
    """The values with their unknown pixels filled.

    Coarse to fine: half-size pictures give the start, then successive over-relaxation. The cost grows with
    the unknown pixels.

    Args:
        values: float32 `(H, W, C)`; unknown ones have no influence.
        unknown: bool `(H, W)`, not True everywhere.
        sweeps: passes over the unknown pixels at each size.

    Returns:
        float32 `(H, W, C)`, new; known pixels are those of `values`.
    """
    framed = np.zeros(
        (values.shape[0] + 2 * BORDER, values.shape[1] + 2 * BORDER, values.shape[2]), np.float32
    )
    inner = framed[BORDER:-BORDER, BORDER:-BORDER]
    inner[...] = values
    _solve(framed, unknown, STIFFNESS, sweeps)
    return inner


def _solve(framed: Floats, unknown: Mask, stiffness: float, sweeps: int) -> None:
    """Fill the unknown pixels of an array with its border."""
    rows, columns = (places + BORDER for places in np.nonzero(unknown))
    if len(rows) == 0:
        return
    everywhere, somewhere = _halved(unknown)
    height, width = everywhere.shape
    coarse = np.zeros((height + 2 * BORDER, width + 2 * BORDER, framed.shape[2]), np.float32)
    # 2 px for the stiffness and 1 px for the interpolation: the rest of the coarse picture is not read
    needed = cv2.dilate(somewhere.view(np.uint8), np.ones((7, 7), np.uint8))
    _average(framed, unknown.view(np.uint8), np.asarray(needed, np.uint8), coarse)
    _solve(coarse, everywhere, stiffness / 4, sweeps)
    _interpolate(coarse, framed, rows, columns)
    laplacian = np.zeros_like(framed)
    _laplacian(framed, laplacian, rows, columns)
    _relax(framed, laplacian, rows, columns, np.float32(stiffness), sweeps)


def _halved(unknown: Mask) -> tuple[Mask, Mask]:
    """For each 2x2 block whether all its pixels are unknown, and whether any is. Beyond the edge all are."""
    height, width = unknown.shape
    even = np.ones((height + height % 2, width + width % 2), np.bool_)
    even[:height, :width] = unknown
    first, second = even[0::2] & even[1::2], even[0::2] | even[1::2]
    return first[:, 0::2] & first[:, 1::2], second[:, 0::2] | second[:, 1::2]


@compiled
def _average(fine: Floats, unknown: Bytes, needed: Bytes, coarse: Floats) -> None:
    """Each needed pixel of `coarse` becomes the mean of the known pixels below it."""
    height, width = unknown.shape
    for y in range(needed.shape[0]):
        for x in range(needed.shape[1]):
            if needed[y, x] == 0:
                continue
            count = 0
            for row in range(2 * y, min(2 * y + 2, height)):
                for column in range(2 * x, min(2 * x + 2, width)):
                    if unknown[row, column] == 0:
                        count += 1
                        for c in range(fine.shape[2]):
                            coarse[y + BORDER, x + BORDER, c] += fine[row + BORDER, column + BORDER, c]
            for c in range(fine.shape[2]):
                coarse[y + BORDER, x + BORDER, c] /= max(count, 1)


@compiled
def _interpolate(coarse: Floats, fine: Floats, rows: Places, columns: Places) -> None:
    """The pixels (rows, columns) of `fine` become those of `coarse`, twice as large, bilinearly."""
    bottom, right = coarse.shape[0] - BORDER - 1, coarse.shape[1] - BORDER - 1
    for k in range(len(rows)):
        y, x = rows[k] - BORDER, columns[k] - BORDER
        near_y, near_x = y // 2 + BORDER, x // 2 + BORDER
        far_y = min(max(near_y + (1 if y % 2 else -1), BORDER), bottom)
        far_x = min(max(near_x + (1 if x % 2 else -1), BORDER), right)
        for c in range(fine.shape[2]):
            fine[rows[k], columns[k], c] = np.float32(0.0625) * (
                np.float32(9) * coarse[near_y, near_x, c]
                + np.float32(3) * (coarse[near_y, far_x, c] + coarse[far_y, near_x, c])
                + coarse[far_y, far_x, c]
            )


@compiled
def _laplacian(values: Floats, laplacian: Floats, rows: Places, columns: Places) -> None:
    """Sum of differences to the neighbours that exist, at the pixels (rows, columns) and their neighbours."""
    top, bottom, left, right = BORDER, values.shape[0] - BORDER, BORDER, values.shape[1] - BORDER
    for k in range(len(rows)):
        for down, across in ((0, 0), (-1, 0), (1, 0), (0, -1), (0, 1)):
            y, x = rows[k] + down, columns[k] + across
            if y < top or y >= bottom or x < left or x >= right:
                continue
            for c in range(values.shape[2]):
                total = np.float32(0)
                if y > top:
                    total += values[y, x, c] - values[y - 1, x, c]
                if y < bottom - 1:
                    total += values[y, x, c] - values[y + 1, x, c]
                if x > left:
                    total += values[y, x, c] - values[y, x - 1, c]
                if x < right - 1:
                    total += values[y, x, c] - values[y, x + 1, c]
                laplacian[y, x, c] = total


@compiled
def _relax(
    values: Floats, laplacian: Floats, rows: Places, columns: Places, stiffness: np.float32, sweeps: int
) -> None:
    """Successive over-relaxation of L u + stiffness L L u = 0, forwards and backwards in turn.

    `laplacian` is L u, and is kept up to date.
    """
    top, bottom, left, right = BORDER, values.shape[0] - BORDER - 1, BORDER, values.shape[1] - BORDER - 1
    one, none = np.float32(1), np.float32(0)
    for sweep in range(sweeps):
        for k in range(len(rows)):
            i = k if sweep % 2 == 0 else len(rows) - 1 - k
            y, x = rows[i], columns[i]
            up, down = one if y > top else none, one if y < bottom else none
            back, on = one if x > left else none, one if x < right else none
            degree = up + down + back + on
            factor = np.float32(OVERRELAXATION) / (degree + stiffness * (degree * degree + degree))
            for c in range(values.shape[2]):
                here = laplacian[y, x, c]
                twice = degree * here - (
                    up * laplacian[y - 1, x, c]
                    + down * laplacian[y + 1, x, c]
                    + back * laplacian[y, x - 1, c]
                    + on * laplacian[y, x + 1, c]
                )
                change = -factor * (here + stiffness * twice)
                values[y, x, c] += change
                laplacian[y, x, c] += degree * change
                laplacian[y - 1, x, c] -= change
                laplacian[y + 1, x, c] -= change
                laplacian[y, x - 1, c] -= change
                laplacian[y, x + 1, c] -= change
