"""Photos for tests of the steps of one photo, and all steps in one call."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from restore import engines
from restore.item import Item
from restore.outcome import Outcome
from restore.photo.finish import compose, upload
from restore.photo.paint import paint
from restore.photo.prepare import prepare
from restore.photo.state import Job, PaintedPhoto

KEY = "0123456789abcdef"


def scratch(shape: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """A crease across and a speck: 255 = damage."""
    mask = np.zeros(shape, np.uint8)
    cv2.line(mask, (40, 30), (shape[1] - 60, shape[0] // 2), 255, 3)
    cv2.circle(mask, (shape[1] // 3, shape[0] - 60), 6, 255, -1)
    return mask


def save(path: Path, pixels: npt.NDArray[np.generic], **options: object) -> str:
    Image.fromarray(pixels).save(path, **options)
    return str(path)


def finish(photo: PaintedPhoto, job: Job) -> Outcome:
    """Compose and upload, as the pipeline does for each photo."""
    composed = compose(photo, job)
    return composed if isinstance(composed, Outcome) else upload(composed, job)


def restore(item: Item, job: Job) -> Outcome:
    prepared = prepare(item, job)
    painted = paint([prepared], engines.build(["telea", "ns"]), 8)[0]
    return painted if isinstance(painted, Outcome) else finish(painted, job)


def output(outcome: Outcome, job: Job) -> bytes:
    assert outcome.output is not None
    return job.store.read(outcome.output)
