"""The workers' side of the crash tracker, which is a Ray actor beside the driver."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from restore.pipeline.crash_tracker import Answer, CrashTracker, Step, Worker

NODE_SECONDS = 30.0
"""A node that starts no task within this time counts as lost; Ray itself reports a loss within 15 s."""


@dataclass(frozen=True, slots=True)
class CrashTrackerClient:
    """The crash tracker as a worker reaches it.

    Attributes:
        actor: handle of the `CrashTracker` actor.
        photo_seconds: time that one photo may take in one step.
    """

    actor: Any
    photo_seconds: float

    def start(self) -> None:
        """Report that the actor of this process starts."""
        actor = ray.get_runtime_context().get_actor_id()
        if actor is not None:
            ray.get(self.actor.start.remote(actor, _this_worker()))

    def arrive(self, step: Step, items: Sequence[str]) -> None:
        """Report photos that wait for their turn."""
        me = _this_worker()
        if unsure := ray.get(self.actor.arrive.remote(step, me, items)):
            ray.get(self.actor.arrive.remote(step, me, items, _lost(unsure)))

    def begin(self, step: Step, items: Sequence[str]) -> Answer:
        """Report photos and learn which of them to begin.

        Where workers on other nodes have died, a second call says which of those nodes are lost.
        """
        me = _this_worker()
        answer: Answer = ray.get(self.actor.begin.remote(step, me, items))
        if answer.unsure:
            answer = ray.get(self.actor.begin.remote(step, me, items, _lost(answer.unsure)))
        return answer

    def end(self, step: Step, items: Sequence[str]) -> None:
        """Report that the step is over for these photos; does not wait for an answer."""
        self.actor.end.remote(step, _this_worker(), items)


def open_crash_tracker(photo_seconds: float) -> CrashTrackerClient:
    """Start a crash tracker on the driver's node, where the loss of any other node leaves it untouched."""
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    actor = ray.remote(CrashTracker).options(
        num_cpus=0, max_restarts=-1, max_task_retries=-1, scheduling_strategy=here
    )
    return CrashTrackerClient(actor.remote(photo_seconds), photo_seconds)


def _this_worker() -> Worker:
    context = ray.get_runtime_context()
    return Worker(context.get_worker_id(), context.get_node_id())


def _lost(nodes: Collection[str]) -> list[str]:
    return [node for node in nodes if not _starts_tasks(node)]


def _starts_tasks(node: str) -> bool:
    there = NodeAffinitySchedulingStrategy(node, soft=False)
    probe = ray.remote(_do_nothing).options(num_cpus=0, max_retries=0, scheduling_strategy=there).remote()
    try:
        ray.get(probe, timeout=NODE_SECONDS)
    except ray.exceptions.RayError:
        return False
    return True


def _do_nothing() -> None:
    """The task by which `_starts_tasks` probes a node."""
