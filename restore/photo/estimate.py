"""Estimates a run's windows and TFLOP from a sample of its photos."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median

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
        coverage: of each photo of the sample, fraction that its mask marks, 0 to 1, by item_id.
        failed: the photos of the sample that would fail, each with its error.
    """

    photos: int
    sampled: int
    windows: Mapping[Method, int]
    tflop: float
    coverage: Mapping[str, float] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)

    def text(self) -> str:
        """Lines for the console."""
        windows = ", ".join(f"{count:,} by {method}" for method, count in sorted(self.windows.items()))
        work = f"; {self.tflop:,.0f} TFLOP" if self.tflop else ""
        first = f"about, from {self.sampled} of {self.photos:,} photos: windows {windows or 'none'}{work}"
        return "\n".join([first, *self._coverage_text(), *self._failed_text()])

    def _coverage_text(self) -> Iterator[str]:
        if self.coverage:
            middle = median(self.coverage.values())
            most = max(self.coverage, key=lambda item_id: self.coverage[item_id])
            yield (
                f"their masks mark {middle:.2%} of a photo in the median, "
                f"{self.coverage[most]:.2%} at most: {most}"
            )

    def _failed_text(self) -> Iterator[str]:
        if self.failed:
            item_id, error = next(iter(self.failed.items()))
            yield f"{len(self.failed)} of these {self.sampled} would fail, such as {item_id}: {error}"


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
        results = [prepare(item, aside) for item in sampled]
    prepared = [photo for photo in results if isinstance(photo, Prepared)]
    drafts = [photo.draft if isinstance(photo, Prepared) else photo for photo in results]
    share = photos / max(len(sampled), 1)
    painting = [window for photo in prepared for window in work(photo)]
    windows = Counter(method for method, _ in painting)
    return Estimate(
        photos=photos,
        sampled=len(sampled),
        windows={method: round(count * share) for method, count in windows.items()},
        tflop=sum(tflop for _, tflop in painting) * share,
        coverage={row.item_id: row.mask_coverage for row in drafts if row.mask_coverage is not None},
        failed={row.item_id: f"{row.error_code}: {row.error_message}" for row in drafts if row.error_code},
    )


def work(photo: Prepared) -> Iterator[tuple[Method, float]]:
    """For each window of a photo the method that paints it and its TFLOP: 0 for a classical method."""
    for place, task in zip(photo.placements, photo.tasks, strict=True):
        size = (place.window.paint_width, place.window.paint_height)
        sized = sizes_of(task.method) is not None
        yield task.method, window_tflop(size, photo.recipe, task.method) if sized else 0.0
