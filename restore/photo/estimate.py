"""Estimates a run's windows and TFLOP from a sample of its photos."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from restore.engines.cost import window_tflop
from restore.item import Item
from restore.methods import Method, sizes_of
from restore.photo.prepare import prepare
from restore.photo.state import Job, Prepared
from restore.storage import OutStore

SAMPLE_PHOTOS = 12
"""Photos in a sample: enough to distinguish an hour from a week, and quickly prepared."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """The painting that all photos of a run take, as far as a sample shows.

    Attributes:
        photos, sampled: number of photos in the run and in the sample.
        windows: their number by method.
        tflop: of the diffusion engines; the others need no GPU.
    """

    photos: int
    sampled: int
    windows: Mapping[Method, int]
    tflop: float

    def text(self) -> str:
        """One line for the console."""
        windows = ", ".join(f"{count:,} by {method}" for method, count in sorted(self.windows.items()))
        work = f"; {self.tflop:,.0f} TFLOP" if self.tflop else ""
        return f"about, from {self.sampled} of {self.photos:,} photos: windows {windows or 'none'}{work}"


def sample(photos: int) -> range:
    """Return which of `count` photos to look at, spread evenly."""
    return range(0, photos, max(-(-photos // SAMPLE_PHOTOS), 1))


def estimate(sampled: Sequence[Item], photos: int, job: Job) -> Estimate:
    """Prepare a sample of the photos and count; nothing is painted, and nothing reaches the job's store.

    Args:
        sampled: the photos that `sample` chose.
        photos: how many they stand for.
    """
    with tempfile.TemporaryDirectory() as nowhere:  # for copies of photos with nothing to repair
        aside = replace(job, store=OutStore.open(nowhere))
        prepared = [photo for item in sampled if isinstance(photo := prepare(item, aside), Prepared)]
    share = photos / max(len(sampled), 1)
    painting = [window for photo in prepared for window in work(photo)]
    windows = Counter(method for method, _ in painting)
    return Estimate(
        photos=photos,
        sampled=len(sampled),
        windows={method: round(count * share) for method, count in windows.items()},
        tflop=sum(tflop for _, tflop in painting) * share,
    )


def work(photo: Prepared) -> Iterator[tuple[Method, float]]:
    """For each window of a photo the method that paints it and its TFLOP: 0 for a classical method."""
    for place, task in zip(photo.placements, photo.tasks, strict=True):
        size = (place.window.paint_width, place.window.paint_height)
        sized = sizes_of(task.method) is not None
        yield task.method, window_tflop(size, photo.recipe, task.method) if sized else 0.0
