"""How good each method's paint is: damage of six kinds made on whole photographs, so that the truth is known.

The photographs are the demo's, as scikit-image ships them. `--photos DIR` adds others, `--out DIR` writes
the pictures: before, each method and the truth side by side, at twice the size around one damage.
A row is painted by the product's own steps, with a recipe's defaults.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import fmean, median
from zlib import crc32

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image
from skimage import data

from jobs.demo.archive import PHOTOS
from restore import engines
from restore.item import Item
from restore.methods import UNTRAINED, Method
from restore.outcome import Figures
from restore.photo.finish import compose
from restore.photo.paint import paint
from restore.photo.prepare import prepare
from restore.photo.state import FinishedPhoto, Job, PaintedPhoto, Prepared
from restore.recipe import Recipe
from restore.storage import AccessPolicy, OutStore
from tests.support import photos

Bytes = npt.NDArray[np.uint8]
Shape = tuple[int, int]
Rng = np.random.Generator

BASELINE: Method = "ns"
REPEATS = 3  # the least CPU time of these counts
CROP_PX = 160  # side of the crops that are written


def scratches(shape: Shape, rng: Rng, *, thickness: int, count: int = 6) -> Bytes:
    """Straight scratches, a third to all of the picture long."""
    mask, size = np.zeros(shape, np.uint8), np.array(shape[::-1])
    for _ in range(count):
        start, angle = rng.uniform(0.1, 0.9, 2) * size, rng.uniform(0, np.pi)
        step = rng.uniform(0.3, 1.0) * min(shape) * np.array([np.cos(angle), np.sin(angle)]) / 2
        first, last = (np.rint(start + sign * step).astype(int).tolist() for sign in (-1, 1))
        cv2.line(mask, first, last, 255, thickness)
    return mask


def tear(shape: Shape, rng: Rng) -> Bytes:
    """A ragged line from side to side, 6 to 14 px wide."""
    mask, count = np.zeros(shape, np.uint8), 24
    x = np.linspace(0, shape[1] - 1, count)
    y = np.linspace(*rng.uniform(0.2, 0.8, 2) * shape[0], count) + rng.normal(0, 0.012 * shape[0], count)
    points = np.rint(np.stack([x, y], axis=1)).astype(int).tolist()
    for first, last in pairwise(points):
        cv2.line(mask, first, last, 255, int(rng.integers(6, 15)))
    return mask


def stain(shape: Shape, rng: Rng) -> Bytes:
    """One round blot of about a sixth of the shorter side."""
    mask = np.zeros(shape, np.uint8)
    angles = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    rim = 1 + sum(rng.normal(0, 0.15 / k) * np.cos(k * angles + rng.uniform(0, 6)) for k in range(2, 7))
    centre = rng.uniform(0.2, 0.8, 2) * shape[::-1]
    outline = centre + (rim * min(shape) / 12)[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    cv2.fillPoly(mask, [np.rint(outline).astype(np.int32)], 255)
    return mask


def dust(shape: Shape, rng: Rng) -> Bytes:
    """Specks of 1 to 4 px radius."""
    mask = np.zeros(shape, np.uint8)
    for _ in range(70):
        centre = np.rint(rng.uniform(0, 1, 2) * shape[::-1]).astype(int).tolist()
        cv2.circle(mask, centre, int(rng.integers(1, 5)), 255, -1)
    return mask


def missing_corners(shape: Shape, rng: Rng) -> Bytes:
    """Two opposite corners torn off."""
    mask, (height, width) = np.zeros(shape, np.uint8), shape
    for x, y, right, down in ((0, 0, 1, 1), (width, height, -1, -1)):
        reach = rng.uniform(0.1, 0.2, 2) * min(shape)
        corner = [(x, y), (x + right * reach[0], y), (x, y + down * reach[1])]
        cv2.fillPoly(mask, [np.rint(corner).astype(np.int32)], 255)
    return mask


KINDS: Mapping[str, Callable[[Shape, Rng], Bytes]] = {
    "2 px scratches": lambda shape, rng: scratches(shape, rng, thickness=2),
    "5 px scratches": lambda shape, rng: scratches(shape, rng, thickness=5),
    "tear": tear,
    "stain": stain,
    "dust": dust,
    "missing corners": missing_corners,
}


@dataclass(frozen=True)
class Repair:
    """One photo painted by one method.

    Attributes:
        seconds: CPU time of the painting alone.
        pixels: the restored picture, 8 bit.
        steps: what the engine had to fall back to.
    """

    figures: Figures
    seconds: float
    pixels: npt.NDArray[np.generic]
    steps: tuple[str, ...]


class Workshop:
    """Restores photos of one folder, which it writes the inputs to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.engines = engines.build(UNTRAINED)
        self.store = OutStore.open(str(self.folder / "out"))

    def repairs(self, truth: Bytes, mask: Bytes) -> dict[Method, Repair]:
        """The photo as each method restores it."""
        spoiled = truth.copy()
        spoiled[mask > 0] = 255
        for name, pixels in (("truth", truth), ("image", spoiled), ("mask", mask)):
            photos.save(self.folder / f"{name}.png", pixels, compress_level=1)
        return {method: self._repair(method) for method in UNTRAINED}

    def _repair(self, method: Method) -> Repair:
        job = Job(
            run_id="run",
            recipe=Recipe(engine=method),
            auto=method,
            engine_hashes={method: method},
            store=self.store,
            access=AccessPolicy((str(self.folder),)),
            software_version="0",
        )
        item = Item(
            item_id="photo",
            overrides="{}",
            work_key=photos.KEY,
            **{name: str(self.folder / f"{name}.png") for name in ("image", "mask")},
            reference=str(self.folder / "truth.png"),
        )
        prepared = prepare(item, job)
        assert isinstance(prepared, Prepared), prepared.error_message
        painted, seconds = self._painted(prepared)
        finished = compose(painted, job)
        assert isinstance(finished, FinishedPhoto), finished.error_message
        assert finished.made.figures is not None
        pixels = cv2.imdecode(np.frombuffer(finished.data, np.uint8), cv2.IMREAD_COLOR_RGB)
        return Repair(finished.made.figures, seconds, pixels, finished.made.engine_steps or ())

    def _painted(self, prepared: Prepared) -> tuple[PaintedPhoto, float]:
        spent = []
        for _ in range(REPEATS):
            began = time.process_time()
            painted = paint([prepared], self.engines, 8)[0]
            spent.append(time.process_time() - began)
        assert isinstance(painted, PaintedPhoto), painted.error_message
        return painted, min(spent)


def photographs(folder: Path | None) -> Iterator[tuple[str, Bytes]]:
    """Name and pixels, `(H, W)` or `(H, W, 3)`, of each photograph once."""
    for source in dict.fromkeys(photo.source for photo in PHOTOS):
        yield source, getattr(data, source)()
    for path in sorted(folder.iterdir()) if folder else ():
        yield path.stem, np.asarray(Image.open(path).convert("RGB"))


def side_by_side(truth: Bytes, mask: Bytes, repairs: Mapping[Method, Repair]) -> Bytes:
    """A crop around one damage, twice as large: the damage, each method, the truth."""
    rows, columns = np.nonzero(mask)
    middle = len(rows) // 2
    y, x = (
        int(np.clip(at[middle] - CROP_PX // 2, 0, max(0, side - CROP_PX)))
        for at, side in zip((rows, columns), mask.shape, strict=True)
    )
    crop = np.s_[y : y + CROP_PX, x : x + CROP_PX]
    colour = truth if truth.ndim == 3 else np.repeat(truth[..., None], 3, axis=2)
    spoiled = np.where(mask[..., None] > 0, np.uint8(255), colour)
    shown = [spoiled, *(repair.pixels for repair in repairs.values()), colour]
    strip = np.concatenate([np.asarray(pixels[crop], np.uint8) for pixels in shown], axis=1)
    return np.asarray(cv2.resize(strip, None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST), np.uint8)


def table(found: Mapping[tuple[str, Method], Sequence[Repair]]) -> str:
    """Markdown: a row for each kind of damage and method."""
    head = "| damage | method | PSNR, dB | SSIM | grain | seam | CPU, times ns |"
    return "\n".join(
        [head, "|---|---|---|---|---|---|---|", *(_row(kind, method, found) for kind, method in found)]
    )


def _row(kind: str, method: Method, found: Mapping[tuple[str, Method], Sequence[Repair]]) -> str:
    mine = found[kind, method]
    ratio = sum(repair.seconds for repair in mine) / sum(repair.seconds for repair in found[kind, BASELINE])
    psnr, ssim, grain, seam = (
        [value for repair in mine if (value := getattr(repair.figures, name)) is not None]
        for name in ("psnr", "ssim", "grain", "seam")
    )
    return (
        f"| {kind} | {method} | {fmean(psnr):.2f} | {fmean(ssim):.3f} | {median(grain):.2f} "
        f"| {median(seam):.2f} | {ratio:.1f} |"
    )


def measure(folder: Path | None, out: Path | None, seed: int) -> dict[tuple[str, Method], list[Repair]]:
    """Every photograph with every kind of damage, by every method. The seed gives the damage."""
    found: dict[tuple[str, Method], list[Repair]] = {
        (kind, method): [] for kind in KINDS for method in UNTRAINED
    }
    with tempfile.TemporaryDirectory() as temporary:
        workshop = Workshop(Path(temporary))
        for name, truth in photographs(folder):
            for kind, make in KINDS.items():
                mask = make(truth.shape[:2], np.random.default_rng([seed, crc32(f"{name} {kind}".encode())]))
                repairs = workshop.repairs(truth, mask)
                for method, repair in repairs.items():
                    found[kind, method].append(repair)
                if out is not None:
                    out.mkdir(parents=True, exist_ok=True)
                    strip = side_by_side(truth, mask, repairs)
                    photos.save(out / f"{name} {kind}.png".replace(" ", "-"), strip)
    return found


def main() -> None:
    parser = argparse.ArgumentParser("python -m tests.bench quality")
    parser.add_argument("--photos", type=Path, help="a folder of further photographs, undamaged")
    parser.add_argument("--out", type=Path, help="where pictures to look at are written")
    parser.add_argument("--seed", type=int, default=1)
    options = sys.argv[1:]
    first = next((index for index, option in enumerate(options) if option.startswith("-")), len(options))
    settings = parser.parse_args(options[first:])
    found = measure(settings.photos, settings.out, settings.seed)
    print(f"{len(next(iter(found.values())))} photographs, seed {settings.seed}")
    print(table(found))
