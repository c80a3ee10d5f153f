"""Small archives for tests: real photographs, cut and mirrored so that each is its own, with masks."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image
from skimage import data

PHOTOGRAPHS = (data.astronaut, data.coffee, data.cat, data.rocket, data.retina)


def photograph(number: int, width: int = 640, height: int = 480) -> npt.NDArray[np.uint8]:
    """One of the photographs, moved and scaled by `number`. `(height, width, 3)` RGB."""
    rng = np.random.default_rng(number)
    picture = PHOTOGRAPHS[number % len(PHOTOGRAPHS)]()
    edge = int(rng.integers(0, min(picture.shape[:2]) // 4))
    part = picture[edge:, edge:]
    return np.asarray(cv2.resize(part, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def damage(number: int, width: int = 640, height: int = 480) -> npt.NDArray[np.uint8]:
    """A scratch and a few specks, 255 = damage. `(height, width)`."""
    rng = np.random.default_rng(1000 + number)
    mask = np.zeros((height, width), np.uint8)
    start = (int(rng.integers(20, width // 2)), int(rng.integers(20, height // 2)))
    end = (start[0] + int(rng.integers(60, width // 3)), start[1] + int(rng.integers(60, height // 3)))
    cv2.line(mask, start, end, 255, 3)
    for _ in range(3):
        cv2.circle(mask, (int(rng.integers(20, width - 20)), int(rng.integers(20, height - 20))), 4, 255, -1)
    return mask


def damaged(number: int, width: int = 640, height: int = 480) -> npt.NDArray[np.uint8]:
    """The photograph with white paint over its damage."""
    mask = damage(number, width, height)
    return np.where(mask[..., None] > 0, np.uint8(250), photograph(number, width, height))


def make_archive(folder: Path, count: int, width: int = 640, height: int = 480) -> Path:
    """`count` JPEG photographs with PNG masks and a CSV manifest. Returns the manifest's path."""
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    rows = []
    for number in range(count):
        item = f"box-{number % 3}/photo {number:03d}"
        image, mask = f"images/{number:03d}.jpg", f"masks/{number:03d}.png"
        Image.fromarray(damaged(number, width, height)).save(folder / image, quality=92)
        Image.fromarray(damage(number, width, height)).save(folder / mask)
        rows.append({"item_id": item, "image": image, "mask": mask})
    return write_manifest(folder / "manifest.csv", rows)


def write_manifest(path: Path, rows: Iterable[Mapping[str, object]]) -> Path:
    """Rows as CSV, all columns that any row has."""
    rows = list(rows)
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
    return path


def read_manifest_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV manifest, to be changed and written again."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
