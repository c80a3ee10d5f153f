"""How far a mask should be grown: strokes of hard and soft edges, their masks cut at half of their strength.

Real damage fades out: a scanner's optics blur a scratch by about a pixel, and JPEG rings round it. What a
mask misses stays in the picture, and colours the paint. What it takes too much is painted from less.
"""

from __future__ import annotations

from collections.abc import Iterator
from statistics import fmean

import cv2
import numpy as np
import numpy.typing as npt
from skimage import data

from restore.engines import Engine, Painted, Sampler, Task, build
from restore.imaging.picture import Picture
from restore.photo.routing import cut_engine_windows
from restore.recipe import Recipe
from restore.repair.mask import dilate
from restore.repair.paste import WindowPlacement, packed, paste
from tests.bench.quality import scratches

Bytes = npt.NDArray[np.uint8]

METHOD = "ns"
KERNELS = (1, 3, 5, 7)  # 1 dilates by nothing
WIDTHS = (2, 5, 9)  # px
EDGES = {"hard": 0.0, "soft, sigma 0.7 px": 0.7, "soft, sigma 1.2 px": 1.2, "soft, sigma 2 px": 2.0}
JPEG_QUALITIES = (None, 90, 75)
MARGIN = 9  # px round a stroke in which the picture is compared with the truth


def main() -> None:
    """Print the mean PSNR near the damage for each kind of edge and each kernel."""
    engine = build([METHOD])[METHOD]
    truths = [data.astronaut(), data.coffee(), data.chelsea(), data.rocket()]
    print(
        f"PSNR within {MARGIN} px of the strokes, dB, by {METHOD}; mean of {len(truths)} photographs and of"
    )
    print(f"strokes of {', '.join(map(str, WIDTHS))} px. dilate_kernel:")
    print(f"{'':32}" + "".join(f"{kernel:8}" for kernel in KERNELS))
    for edge, sigma in EDGES.items():
        for jpeg in JPEG_QUALITIES:
            values = [_row(truth, sigma, jpeg, engine) for truth in truths]
            means = "".join(f"{fmean(column):8.2f}" for column in zip(*values, strict=True))
            print(f"{edge + (f', JPEG {jpeg}' if jpeg else ''):32}{means}", flush=True)


def _row(truth: Bytes, sigma: float, jpeg: int | None, engine: Engine) -> list[float]:
    """PSNR by kernel, the mean of the widths."""
    figures = [list(_figures(truth, width, sigma, jpeg, engine)) for width in WIDTHS]
    return [fmean(column) for column in zip(*figures, strict=True)]


def _figures(truth: Bytes, width: int, sigma: float, jpeg: int | None, engine: Engine) -> Iterator[float]:
    strokes = scratches(truth.shape[:2], np.random.default_rng(width), thickness=width)
    strength = strokes.astype(np.float32) / 255
    if sigma:
        strength = cv2.GaussianBlur(strength, (0, 0), sigma).astype(np.float32)
    spoiled = np.rint(truth + strength[..., None] * (255.0 - truth)).astype(np.uint8)
    spoiled, wanted = (_compressed(pixels, jpeg) for pixels in (spoiled, truth))
    near = cv2.dilate((strength > 0.004).astype(np.uint8), np.ones((2 * MARGIN + 1,) * 2, np.uint8)) > 0
    mask = strength >= strength.max() / 2
    for kernel in KERNELS:
        difference = (_repaired(spoiled, mask, kernel, engine).astype(float) - wanted)[near]
        yield float(10 * np.log10(255**2 / np.mean(difference**2)))


def _compressed(pixels: Bytes, quality: int | None) -> Bytes:
    if quality is None:
        return pixels
    file = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.ascontiguousarray(cv2.imdecode(file, cv2.IMREAD_COLOR)[..., ::-1], np.uint8)


def _repaired(pixels: Bytes, mask: npt.NDArray[np.bool_], kernel: int, engine: Engine) -> Bytes:
    """The product's own windows, paint and composite."""
    picture, recipe = Picture(pixels, "RGB", "png", True), Recipe(engine=METHOD)
    cuts = list(cut_engine_windows(picture, mask, dilate(mask, kernel, 1), recipe, METHOD))
    answers = engine.paint([Task(METHOD, cut.pixels, cut.mask, Sampler.of(recipe), 0) for cut in cuts])
    windows = [answer.window for answer in answers if isinstance(answer, Painted)]
    placements = [WindowPlacement(cut.window, packed(cut.part), cut.tones, True) for cut in cuts]
    return np.asarray(paste(picture, placements, windows, recipe.feather, (0, 0, 0, 0)).pixels, np.uint8)
