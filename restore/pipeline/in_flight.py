"""How many blocks of photos may be between the first step and the driver.

Ray Data bounds the bytes that wait, and ten thousand small photos are few bytes. Where prepare and finish
share the cores, prepare took them all: at a commit up to 1,500 photos were begun and not committed, and the
run after a kill had to begin them again.
"""

from __future__ import annotations

from typing import Any

from ray.data._internal.execution.backpressure_policy import (
    ENABLED_BACKPRESSURE_POLICIES,
    ENABLED_BACKPRESSURE_POLICIES_CONFIG_KEY,
    BackpressurePolicy,
)
from ray.data._internal.execution.operators.map_operator import MapOperator

BLOCKS_PER_CPU = 2
"""One that a task works on, and one that waits."""
BLOCKS_PER_ACTOR = 4
"""Two that an actor works on, and two that wait for it."""


class InFlightLimit(BackpressurePolicy):  # type: ignore[misc]
    """Begins no block while a few for each CPU and each actor are under way.

    Ray Data has no public setting for this. It asks its policies before each task that it starts.
    """

    def __init__(self, data_context: Any, topology: Any, resource_manager: Any) -> None:
        super().__init__(data_context, topology, resource_manager)
        steps = [op for op in topology if isinstance(op, MapOperator)]
        self._prepare, self._paint, self._finish = steps[-3:]

    def can_add_input(self, op: Any) -> bool:
        """Whether a task of this operator may start."""
        return bool(op is not self._prepare or self.blocks < self.limit)

    @property
    def blocks(self) -> int:
        """Blocks that were begun and have not reached the driver."""
        waiting = sum(self._topology[op].total_enqueued_input_blocks() for op in (self._paint, self._finish))
        running = sum(op.num_active_tasks() for op in (self._prepare, self._paint, self._finish))
        return int(waiting + running)

    @property
    def limit(self) -> int:
        """Blocks that keep every CPU and every actor busy. It grows with the cluster."""
        cpus = self._resource_manager.get_global_limits().cpu or 1
        actors = self._paint.get_actor_info().running
        return int(BLOCKS_PER_CPU * cpus + BLOCKS_PER_ACTOR * max(1, actors))


def limit_blocks_in_flight(context: Any) -> None:
    """Add the limit to Ray Data's own policies."""
    policies = [*ENABLED_BACKPRESSURE_POLICIES, InFlightLimit]
    context.set_config(ENABLED_BACKPRESSURE_POLICIES_CONFIG_KEY, policies)
