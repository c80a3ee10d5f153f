"""Finds the photo that kills its workers, from reports of which worker works on which photo.

Ray restarts the task of a dead worker for ever. So every step reports the photos that it begins. Where
photos begin again that another worker had begun, that worker has died. Each of them then runs alone, and
the photo whose worker dies again is ended. This module is plain Python; `crash_client` makes one Ray actor
of it for each run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from restore.errors import ErrorCode, ItemError

Step = Literal["prepare", "paint", "finish"]

MAX_DEATHS = 2
"""Workers that may die while they work on one photo; after the last one, the photo is ended."""


@dataclass(frozen=True, slots=True)
class Worker:
    """A process and the node that it runs on, by Ray's ids."""

    id: str
    node: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What a worker may do with the photos that it reports.

    Attributes:
        together: begin them now.
        alone: begin each of them alone, one after the other.
        ended: photos that may not begin again, and why.
        unsure: nodes whose workers died, or were lost with their node. The worker begins nothing before it
            has reported again, with the nodes that are lost.
    """

    together: tuple[str, ...] = ()
    alone: tuple[str, ...] = ()
    ended: Mapping[str, ItemError] = field(default_factory=dict)
    unsure: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class _Begun:
    """A photo in work. `died_at` is when its worker was replaced, where that is known."""

    step: Step
    worker: Worker
    at: float
    alone: bool
    died_at: float | None = None


@dataclass(frozen=True, slots=True)
class _Deaths:
    """Deaths of workers during one photo's work.

    Attributes:
        alone: whether one of them happened while the photo ran alone.
    """

    count: int = 0
    alone: bool = False


class CrashTracker:
    """The photos in work, and the deaths of workers during their work.

    Args:
        photo_seconds: time that one photo may take in one step; its worker then ends itself.
    """

    def __init__(self, photo_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._photo_seconds = photo_seconds
        self._clock = clock
        self._begun: dict[str, _Begun] = {}
        self._deaths: dict[tuple[Step, str], _Deaths] = {}
        self._ended: dict[tuple[Step, str], ItemError] = {}
        self._workers: dict[str, Worker] = {}

    def start(self, actor: str, worker: Worker) -> None:
        """An actor starts, or starts again on a new worker: its former worker has just died.

        Its photos may come back much later, since Ray sends the actor other blocks first. The time of this
        call shows what the former worker died of.
        """
        former = self._workers.get(actor)
        self._workers[actor] = worker
        for item, begun in self._begun.items():
            if former is not None and begun.worker.id == former.id != worker.id and begun.died_at is None:
                self._begun[item] = replace(begun, died_at=self._clock())

    def begin(
        self, step: Step, worker: Worker, items: Sequence[str], lost: Collection[str] | None = None
    ) -> Answer:
        """A worker asks to begin these photos.

        Args:
            lost: the lost ones among the nodes that an earlier answer was unsure of. No photo is blamed
                for the loss of a whole node.
        """
        unsure = self.arrive(step, worker, items, lost)
        return Answer(unsure=unsure) if unsure else self._admit(step, worker, items)

    def arrive(
        self, step: Step, worker: Worker, items: Sequence[str], lost: Collection[str] | None = None
    ) -> frozenset[str]:
        """A worker has these photos, and may have to wait before it begins them.

        If another worker had begun them, that worker is dead. The time of this call shows whether it died of
        a crash or of the time limit.

        Returns:
            `Answer.unsure`; where it is not empty, the worker reports again with `lost`.
        """
        left = {item: begun for item in items if (begun := self._left_behind(step, worker, item))}
        unsure = frozenset(begun.worker.node for begun in left.values()) - {worker.node}
        if unsure and lost is None:
            return unsure
        for item, begun in left.items():
            del self._begun[item]
            if begun.worker.node not in (lost or ()):
                self._count_death(item, begun, items)
        return frozenset()

    def end(self, step: Step, worker: Worker, items: Iterable[str]) -> None:
        """The step is over for these photos, with success or without."""
        for item in items:
            begun = self._begun.get(item)
            if begun is not None and (begun.step, begun.worker) == (step, worker):
                del self._begun[item]
                self._deaths.pop((step, item), None)

    def _left_behind(self, step: Step, worker: Worker, item: str) -> _Begun | None:
        """What a dead worker had begun and not ended; Ray has restarted its task on this `worker`."""
        begun = self._begun.get(item)
        return begun if begun and begun.step == step and begun.worker.id != worker.id else None

    def _count_death(self, item: str, begun: _Begun, block: Sequence[str]) -> None:
        before = self._deaths.get((begun.step, item), _Deaths())
        deaths = _Deaths(before.count + 1, before.alone or begun.alone)
        self._deaths[begun.step, item] = deaths
        if begun.alone and deaths.count >= MAX_DEATHS:
            self._ended[begun.step, item] = self._verdict(begun, deaths.count)
            self._clear(begun.step, block)

    def _clear(self, step: Step, block: Sequence[str]) -> None:
        """The killer is found, so its neighbours are not blamed for the deaths that they shared."""
        for item in block:
            deaths = self._deaths.get((step, item))
            if deaths is not None and not deaths.alone:
                del self._deaths[step, item]

    def _verdict(self, begun: _Begun, deaths: int) -> ItemError:
        """A worker ends itself at the time limit, so the time separates a time-out from a crash."""
        died_at = self._clock() if begun.died_at is None else begun.died_at
        if died_at - begun.at >= self._photo_seconds:
            return ItemError(
                ErrorCode.TIMED_OUT,
                f"{begun.step} did not end within {self._photo_seconds:g} s, {deaths} times, the last time "
                f"alone; raise the setting photo_timeout={self._photo_seconds:g} if it only needs longer",
            )
        return ItemError(
            ErrorCode.WORKER_CRASHED,
            f"{begun.step} killed its worker {deaths} times, the last time alone; the node's kernel log and "
            "Ray's worker logs show whether memory ran out or a library crashed",
        )

    def _admit(self, step: Step, worker: Worker, items: Sequence[str]) -> Answer:
        ended = {item: self._ended[step, item] for item in items if (step, item) in self._ended}
        allowed = [item for item in items if item not in ended]
        suspects = [item for item in allowed if (step, item) in self._deaths] if len(allowed) > 1 else []
        together = [item for item in allowed if item not in suspects]
        now, alone = self._clock(), len(together) == 1
        self._begun.update((item, _Begun(step, worker, now, alone)) for item in together)
        return Answer(tuple(together), tuple(suspects), ended)
