"""The repair of one window: the membrane, and what is laid on it.

What a source shows over its own membrane is laid on the damage's (Georgiev 2004, "Photoshop healing brush: a
tool for seamless cloning"). Its structure is the mean of the best sources, which is nearest to the truth
(Buades et al. 2005), and as strong as the ring says that they are right. Its texture is what the best source
has beyond that: fine grain nearly whole, coarser texture in part, slow changes of tone not at all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from restore.engines.heal.compiled import compiled
from restore.engines.heal.membrane import fill
from restore.engines.heal.patches import RING_PX, Bytes, Numbers, Paint, Scene, lay
from restore.engines.heal.stretches import divide
from restore.imaging.opencv import cv2
from restore.imaging.pixels import Floats, Mask

GRAIN_GAIN = 0.92
"""Of texture finer than a Gaussian of `GRAIN_PX`. All of it would cost PSNR, and look the same."""
TEXTURE_GAIN = 0.6
"""Of coarser texture up to `TONE_PX`. At 1 the mean PSNR of stains falls by 0.3 dB, of scratches by 0.5."""
GRAIN_PX = 1.0  # standard deviation
TONE_PX = 8  # side of the blocks whose means are tone
ZONE_PX = 2  # round the damage what is laid is compared with what is there; the membrane takes the difference
MEMBRANE_SWEEPS = 32
CORRECTION_SWEEPS = 16


@dataclass(frozen=True, slots=True, eq=False)
class Healed:
    """A repaired window, float32 `(H, W, C)`, and how many of its stretches have nothing but the membrane."""

    colours: Floats
    stretches: int
    without_source: int


def heal(colours: Floats, damage: Mask, unknown: Mask) -> Healed:
    """The window with its damage repaired. The same arguments give the same bytes.

    Args:
        colours: float32 `(H, W, C)`, 0 to 255; unknown pixels have no influence.
        damage: bool `(H, W)`, what to repair.
        unknown: bool `(H, W)`, what must not be a source; holds all damage, and is not True everywhere.
    """
    smooth = fill(colours, unknown, MEMBRANE_SWEEPS)
    scene = _scene(smooth, damage, unknown)
    stretches = divide(damage, scene.labels)
    paint = Paint(np.zeros_like(smooth), np.zeros_like(smooth), np.zeros(damage.shape, np.float32))
    without = lay(scene, paint, stretches.boxes, stretches.labels, stretches.reach)
    detail, outside = np.zeros_like(smooth), np.zeros_like(smooth)
    rows, columns = np.nonzero(scene.zone)
    laid = paint.weights[rows, columns] > 0
    _blend(paint, rows[laid], columns[laid], detail)
    known = ~unknown[rows, columns]
    edge, holes = (rows[known], columns[known]), np.nonzero(unknown)
    outside[edge] = -detail[edge]
    smooth[holes] += detail[holes] + fill(outside, unknown, CORRECTION_SWEEPS)[holes]
    return Healed(smooth, len(stretches.labels), without)


def _scene(smooth: Floats, damage: Mask, unknown: Mask) -> Scene:
    holes = damage.view(np.uint8)
    _, labels = cv2.connectedComponents(_grown(holes, RING_PX), connectivity=8)
    channels = np.moveaxis(smooth, 2, 0)
    luma = sum(channels[1:], channels[0]) / np.float32(len(channels))  # a matrix product differs between CPUs
    return Scene(
        colours=smooth,
        luma=luma,
        unknown=unknown.view(np.uint8),
        zone=_grown(holes, ZONE_PX),
        labels=labels.astype(np.int32, copy=False),
    )


def _grown(holes: Bytes, by: int) -> Bytes:
    return np.asarray(cv2.dilate(holes, np.ones((2 * by + 1, 2 * by + 1), np.uint8)), np.uint8)


def _blend(paint: Paint, rows: Numbers, columns: Numbers, detail: Floats) -> None:
    """What is laid in the end, into `detail` at the pixels (rows, columns)."""
    excess = np.zeros_like(detail)
    excess[rows, columns] = paint.texture[rows, columns] - paint.structure[rows, columns]
    height, width = paint.weights.shape
    blocks = np.zeros((height // TONE_PX + 1, width // TONE_PX + 1, detail.shape[2] + 1), np.float32)
    _add_blocks(excess, rows, columns, blocks)
    reach = np.arange(-round(2 * GRAIN_PX), round(2 * GRAIN_PX) + 1)
    kernel = np.exp(-0.5 * (reach / GRAIN_PX) ** 2).astype(np.float32)
    _add_bands(paint, excess, blocks, kernel, rows, columns, detail)


@compiled
def _add_blocks(excess: Floats, rows: Numbers, columns: Numbers, blocks: Floats) -> None:
    """Sum the excess by blocks of `TONE_PX`; the last channel counts pixels."""
    channels = excess.shape[2]
    for k in range(len(rows)):
        block = blocks[rows[k] // TONE_PX, columns[k] // TONE_PX]
        for c in range(channels):
            block[c] += excess[rows[k], columns[k], c]
        block[channels] += 1


@compiled
def _add_bands(
    paint: Paint,
    excess: Floats,
    blocks: Floats,
    kernel: Floats,
    rows: Numbers,
    columns: Numbers,
    detail: Floats,
) -> None:
    """Structure, and the bands of the excess by their gains."""
    fine, coarse = np.float32(GRAIN_GAIN), np.float32(TEXTURE_GAIN)
    for k in range(len(rows)):
        y, x = rows[k], columns[k]
        blurred, tone = _blurred(paint.weights, excess, kernel, y, x), _tone(blocks, y, x)
        for c in range(excess.shape[2]):
            grain, texture = excess[y, x, c] - blurred[c], blurred[c] - tone[c]
            detail[y, x, c] = paint.structure[y, x, c] + fine * grain + coarse * texture


@compiled
def _blurred(weights: Floats, excess: Floats, kernel: Floats, y: int, x: int) -> Floats:
    """The Gaussian mean of the excess round one pixel, over what is laid: `(C,)`."""
    radius, channels = len(kernel) // 2, excess.shape[2]
    mean, total = np.zeros(channels, np.float32), np.float32(0)
    for row in range(max(0, y - radius), min(weights.shape[0], y + radius + 1)):
        for column in range(max(0, x - radius), min(weights.shape[1], x + radius + 1)):
            if weights[row, column] > 0:
                weight = kernel[row - y + radius] * kernel[column - x + radius]
                total += weight
                for c in range(channels):
                    mean[c] += weight * excess[row, column, c]
    for c in range(channels):
        mean[c] /= total
    return mean


@compiled
def _tone(blocks: Floats, y: int, x: int) -> Floats:
    """The mean of the excess over the four blocks nearest to one pixel, by bilinear weights: `(C,)`."""
    channels = blocks.shape[2] - 1
    down, across = (y + 0.5) / TONE_PX - 0.5, (x + 0.5) / TONE_PX - 0.5
    top, left = int(np.floor(down)), int(np.floor(across))
    mean, total = np.zeros(channels, np.float32), np.float32(0)
    for row in range(max(0, top), min(blocks.shape[0], top + 2)):
        for column in range(max(0, left), min(blocks.shape[1], left + 2)):
            weight = np.float32((1 - abs(down - row)) * (1 - abs(across - column)))
            total += weight * blocks[row, column, channels]
            for c in range(channels):
                mean[c] += weight * blocks[row, column, c]
    for c in range(channels):
        mean[c] /= total
    return mean
