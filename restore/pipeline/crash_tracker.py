"""Which worker is at which photo: what is needed to find the photo that kills its worker.

Ray starts a task again whose worker died, for ever. So every step tells the roster which photos it
begins. Photos that begin again while another worker was at them tell that it died: each of them is
then run alone, and the one whose worker dies again is ended. Plain Python: `restore.pipeline.flow` makes an
actor of it, one for a run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from restore.errors import ErrorCode, ItemError

Step = Literal["prepare", "paint", "finish"]

MOST_DEATHS = 2
"""A photo at whose work so many workers died is ended."""


@dataclass(frozen=True, slots=True)
class Worker:
    """A process and the node that it runs on, by Ray's ids."""

    id: str
    node: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What a worker may do with the photos that it wants to begin.

    Attributes:
        together: begin them now.
        alone: begin each by itself, one after the other.
        ended: photos that may not begin again, and why.
        unsure: nodes whose workers died or were lost with them. Nothing is begun before the worker has
            asked again and said which of them are gone.
    """

    together: tuple[str, ...] = ()
    alone: tuple[str, ...] = ()
    ended: Mapping[str, ItemError] = field(default_factory=dict)
    unsure: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class _Begun:
    step: Step
    worker: Worker
    at: float
    alone: bool


@dataclass(frozen=True, slots=True)
class _Deaths:
    """At a photo's work, and whether one of them was while it ran alone."""

    count: int = 0
    alone: bool = False


class CrashTracker:
    """The photos in work and the deaths at them.

    Args:
        photo_seconds: what one photo may take in one step; its worker ends itself then.
    """

    def __init__(self, photo_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._photo_seconds = photo_seconds
        self._clock = clock
        self._begun: dict[str, _Begun] = {}
        self._deaths: dict[tuple[Step, str], _Deaths] = {}
        self._ended: dict[tuple[Step, str], ItemError] = {}

    def begin(
        self, step: Step, worker: Worker, items: Sequence[str], gone: Collection[str] | None = None
    ) -> Answer:
        """A worker wants to begin these photos.

        Args:
            gone: nodes that are no more, of those that an earlier answer was unsure of. A photo is not
                blamed for what a whole node died of.
        """
        unsure = self.arrive(step, worker, items, gone)
        return Answer(unsure=unsure) if unsure else self._admit(step, worker, items)

    def arrive(
        self, step: Step, worker: Worker, items: Sequence[str], gone: Collection[str] | None = None
    ) -> frozenset[str]:
        """A worker has these photos and may have to wait before it begins them.

        If another had begun them it is no more, and the time at which that shows tells what it died of.

        Returns:
            `Answer.unsure`, where it has to ask again with `gone`.
        """
        left = {item: begun for item in items if (begun := self._left_behind(step, worker, item))}
        unsure = frozenset(begun.worker.node for begun in left.values()) - {worker.node}
        if unsure and gone is None:
            return unsure
        for item, begun in left.items():
            del self._begun[item]
            if begun.worker.node not in (gone or ()):
                self._count_death(item, begun, items)
        return frozenset()

    def end(self, step: Step, worker: Worker, items: Iterable[str]) -> None:
        """A worker is done with these photos, well or not."""
        for item in items:
            begun = self._begun.get(item)
            if begun is not None and (begun.step, begun.worker) == (step, worker):
                del self._begun[item]
                self._deaths.pop((step, item), None)

    def _left_behind(self, step: Step, worker: Worker, item: str) -> _Begun | None:
        """What a worker that is no more had begun and not ended: Ray has started its task elsewhere."""
        begun = self._begun.get(item)
        return begun if begun and begun.step == step and begun.worker.id != worker.id else None

    def _count_death(self, item: str, begun: _Begun, block: Sequence[str]) -> None:
        before = self._deaths.get((begun.step, item), _Deaths())
        deaths = _Deaths(before.count + 1, before.alone or begun.alone)
        self._deaths[begun.step, item] = deaths
        if begun.alone and deaths.count >= MOST_DEATHS:
            self._ended[begun.step, item] = self._verdict(begun, deaths.count)
            self._clear(begun.step, block)

    def _clear(self, step: Step, block: Sequence[str]) -> None:
        """Who killed is found: the deaths that its neighbours shared are not theirs."""
        for item in block:
            deaths = self._deaths.get((step, item))
            if deaths is not None and not deaths.alone:
                del self._deaths[step, item]

    def _verdict(self, begun: _Begun, deaths: int) -> ItemError:
        """Its worker ends itself when a photo takes too long, so the time tells that from a crash."""
        if self._clock() - begun.at >= self._photo_seconds:
            return ItemError(
                ErrorCode.TIMED_OUT,
                f"{begun.step} did not end within {self._photo_seconds:g} s, {deaths} times, the last time "
                "alone; raise --photo-timeout if it only needs longer",
            )
        return ItemError(
            ErrorCode.WORKER_CRASHED,
            f"{begun.step} killed its worker {deaths} times, the last time alone; the node's kernel log and "
            "Ray's worker logs tell whether memory ran out or a library crashed",
        )

    def _admit(self, step: Step, worker: Worker, items: Sequence[str]) -> Answer:
        ended = {item: self._ended[step, item] for item in items if (step, item) in self._ended}
        allowed = [item for item in items if item not in ended]
        suspects = [item for item in allowed if (step, item) in self._deaths] if len(allowed) > 1 else []
        together = [item for item in allowed if item not in suspects]
        now, alone = self._clock(), len(together) == 1
        self._begun.update((item, _Begun(step, worker, now, alone)) for item in together)
        return Answer(tuple(together), tuple(suspects), ended)
