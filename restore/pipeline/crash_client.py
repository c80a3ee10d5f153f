"""The workers' side of the crash tracker."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from restore.pipeline.crash_tracker import Answer, CrashTracker, Step, Worker

NODE_SECONDS = 30.0
"""A node that starts no task within that time is taken to be gone; Ray itself tells after up to 15 s."""


@dataclass(frozen=True, slots=True)
class CrashTrackerClient:
    """The roster as a worker reaches it, and the seconds that one photo may take in one step."""

    roster: Any
    photo_seconds: float

    def arrive(self, step: Step, items: Sequence[str]) -> None:
        """Told before the photos wait for their turn."""
        me = _this_worker()
        if unsure := ray.get(self.roster.arrive.remote(step, me, items)):
            ray.get(self.roster.arrive.remote(step, me, items, _gone(unsure)))

    def begin(self, step: Step, items: Sequence[str]) -> Answer:
        """One call to the roster, and another where it tells of lost workers on other nodes."""
        me = _this_worker()
        answer: Answer = ray.get(self.roster.begin.remote(step, me, items))
        if answer.unsure:
            answer = ray.get(self.roster.begin.remote(step, me, items, _gone(answer.unsure)))
        return answer

    def end(self, step: Step, items: Sequence[str]) -> None:
        """Told, and no answer waited for."""
        self.roster.end.remote(step, _this_worker(), items)


def open_crash_tracker(photo_seconds: float) -> CrashTrackerClient:
    """A desk with a roster of its own, on the driver's node: the loss of any other leaves it as it is."""
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    actor = ray.remote(CrashTracker).options(
        num_cpus=0, max_restarts=-1, max_task_retries=-1, scheduling_strategy=here
    )
    return CrashTrackerClient(actor.remote(photo_seconds), photo_seconds)


def _this_worker() -> Worker:
    context = ray.get_runtime_context()
    return Worker(context.get_worker_id(), context.get_node_id())


def _gone(nodes: Collection[str]) -> list[str]:
    return [node for node in nodes if not _lives(node)]


def _lives(node: str) -> bool:
    """Whether a node still starts a task."""
    there = NodeAffinitySchedulingStrategy(node, soft=False)
    sign = ray.remote(_sign_of_life).options(num_cpus=0, max_retries=0, scheduling_strategy=there).remote()
    try:
        ray.get(sign, timeout=NODE_SECONDS)
    except ray.exceptions.RayError:
        return False
    return True


def _sign_of_life() -> None:
    """What `_lives` has a node do."""
