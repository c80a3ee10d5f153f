"""One step over the photos of a block, with each photo reported to the crash tracker before it begins."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol, TypeVar

from restore.outcome import Outcome
from restore.photo.state import failed
from restore.pipeline.crash_tracker import Answer, Step

T = TypeVar("T")
R = TypeVar("R")


class Tracker(Protocol):
    """What a step needs of the crash tracker."""

    def begin(self, step: Step, items: Sequence[str]) -> Answer:
        """Report photos and learn which of them to begin."""
        ...

    def end(self, step: Step, items: Sequence[str]) -> None:
        """Report that the step is over for these photos."""
        ...


def run_tracked(
    tracker: Tracker,
    step: Step,
    photos: Mapping[str, T],
    work: Callable[[list[T]], Iterable[R]],
    draft: Callable[[T], Outcome],
) -> list[R | Outcome]:
    """The step's results, and a failed outcome for each photo that has killed too many workers.

    Args:
        photos: by item id.
        work: the step over photos that one crash may hit together.
        draft: what is known of a photo's outcome before the step.
    """
    answer = tracker.begin(step, list(photos))
    done: list[R | Outcome] = [failed(draft(photos[item]), error) for item, error in answer.ended.items()]
    if answer.together:
        done += work([photos[item] for item in answer.together])
        tracker.end(step, answer.together)
    for item in answer.alone:
        done += run_tracked(tracker, step, {item: photos[item]}, work, draft)
    return done
