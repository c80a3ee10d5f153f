"""What a run's painting would take, from a sample of its photos: windows and TFLOP."""

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

SAMPLE = 12
"""Photos looked at: enough to tell an hour from a week, and soon done."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """Of all photos of a run, as far as a sample tells.

    Attributes:
        photos, sampled: how many there are, and how many of them were looked at.
        windows: by the engine that paints them.
        tflop: of the diffusion engines alone; the others need no GPU.
    """

    photos: int
    sampled: int
    windows: Mapping[Method, int]
    tflop: float

    def text(self) -> str:
        """For people."""
        windows = ", ".join(f"{count:,} by {method}" for method, count in sorted(self.windows.items()))
        work = f"; {self.tflop:,.0f} TFLOP" if self.tflop else ""
        return f"about, from {self.sampled} of {self.photos:,} photos: windows {windows or 'none'}{work}"


def sample(photos: int) -> range:
    """Return which of `count` photos to look at, spread evenly."""
    return range(0, photos, max(-(-photos // SAMPLE), 1))


def estimate(some: Sequence[Item], photos: int, job: Job) -> Estimate:
    """Prepare a sample of the photos and count; nothing is painted, and nothing reaches the job's store.

    Args:
        some: the photos that `sample` chose.
        photos: how many they stand for.
    """
    with tempfile.TemporaryDirectory() as nowhere:  # for copies of photos with nothing to repair
        aside = replace(job, store=OutStore.open(nowhere))
        prepared = [photo for item in some if isinstance(photo := prepare(item, aside), Prepared)]
    share = photos / max(len(some), 1)
    painting = [window for photo in prepared for window in work(photo)]
    windows = Counter(method for method, _ in painting)
    return Estimate(
        photos=photos,
        sampled=len(some),
        windows={method: round(count * share) for method, count in windows.items()},
        tflop=sum(tflop for _, tflop in painting) * share,
    )


def work(photo: Prepared) -> Iterator[tuple[Method, float]]:
    """Of each of a photo's windows the engine that paints it, and the TFLOP that takes: 0 without a GPU."""
    for place, task in zip(photo.placements, photo.tasks, strict=True):
        size = (place.window.paint_width, place.window.paint_height)
        sized = sizes_of(task.method) is not None
        yield task.method, window_tflop(size, photo.recipe, task.method) if sized else 0.0
