"""One step over the photos of a block, each reported to the roster before it is touched."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol, TypeVar

from restore.outcome import Outcome
from restore.photo.state import failed
from restore.pipeline.crash_tracker import Answer, Step

T = TypeVar("T")
R = TypeVar("R")


class CrashTrackerClient(Protocol):
    """The roster as one worker sees it."""

    def begin(self, step: Step, items: Sequence[str]) -> Answer:
        """Report photos and hear which of them to begin."""
        ...

    def end(self, step: Step, items: Sequence[str]) -> None:
        """Report that their work is done."""
        ...


def run_tracked(
    tracker: CrashTrackerClient,
    step: Step,
    photos: Mapping[str, T],
    work: Callable[[list[T]], Iterable[R]],
    draft: Callable[[T], Outcome],
) -> list[R | Outcome]:
    """The step's results, and a failed outcome for each photo that has killed too many workers.

    Args:
        photos: by item id.
        work: the step over photos that may share a worker's fate.
        facts: what is known of a photo's outcome.
    """
    answer = tracker.begin(step, list(photos))
    done: list[R | Outcome] = [failed(draft(photos[item]), error) for item, error in answer.ended.items()]
    if answer.together:
        done += work([photos[item] for item in answer.together])
        tracker.end(step, answer.together)
    for item in answer.alone:
        done += run_tracked(tracker, step, {item: photos[item]}, work, draft)
    return done
