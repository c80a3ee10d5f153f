"""Doing what fits: micro-batches by free memory, the ladder down from a full card, models that take turns."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from restore.engines import Painted, Task
from restore.errors import ErrorCode, ItemError
from restore.methods import Size

BYTES_PER_PIXEL = 2100
"""Working memory of one window pixel in 16 bit at its peak, in the VAE's decoder: 2.15 GB for each window of
1024 x 1024 on an H200. What else takes memory there the ladder finds out."""
USABLE = 0.9  # of the free memory; the rest is lost between blocks

Answer = Painted | ItemError


@dataclass(frozen=True, slots=True)
class FallbackStep:
    """How windows of one size are painted: the number in one call, and the VAE whole or in tiles."""

    micro_batch: int
    tiled: bool = False
    steps: tuple[str, ...] = ()

    def below(self, tried: int) -> FallbackStep | None:
        """The next rung after `tried` windows did not fit, None below the last."""
        if tried > 1:
            half = tried // 2
            return replace(self, micro_batch=half, steps=(*self.steps, f"micro_batch_{half}"))
        return None if self.tiled else replace(self, tiled=True, steps=(*self.steps, "vae_tiling"))


@dataclass(slots=True)
class MemoryFallback:
    """Steps down as memory runs out, and stays there for that window size as long as the actor lives.

    Attributes:
        first: the micro-batch to begin with, by window size.
    """

    first: Callable[[Size], int]
    rungs: dict[Size, FallbackStep] = field(default_factory=dict)

    def paint(
        self, tasks: Sequence[Task], paint: Callable[[Sequence[Task], FallbackStep], list[Answer]]
    ) -> list[Answer]:
        """All tasks, all of one size, by calls of `paint` with as many as fit.

        A task that does not fit alone with a tiled VAE is an ItemError `out_of_memory`.
        """
        height, width = tasks[0].mask.shape
        rung = self.rungs.get((width, height)) or FallbackStep(self.first((width, height)))
        answers: list[Answer] = []
        while len(answers) < len(tasks):
            micro = tasks[len(answers) :][: rung.micro_batch]
            painted = _attempt(micro, rung, paint)
            if painted is not None:
                answers += painted
            elif (lower := rung.below(len(micro))) is not None:
                rung = self.rungs[width, height] = lower
            else:
                answers.append(_does_not_fit(width, height))
        return answers


def _attempt(
    micro: Sequence[Task], rung: FallbackStep, paint: Callable[[Sequence[Task], FallbackStep], list[Answer]]
) -> list[Answer] | None:
    """None when memory ran out; what the attempt held is free again then."""
    try:
        return paint(micro, rung)
    except torch.OutOfMemoryError:
        pass  # the error's traceback holds the tensors: they go only after this block
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return None


def _does_not_fit(width: int, height: int) -> ItemError:
    return ItemError(
        ErrorCode.OUT_OF_MEMORY,
        f"a window of {width}x{height} px does not fit alone with a tiled VAE; "
        "use offload=model, a smaller dtype or a larger card",
    )


def micro_batch(size: Size, batch: int, device: torch.device, dtype: torch.dtype) -> int:
    """How many windows of a size to begin with: all of a batch, or what the free memory should hold."""
    if device.type != "cuda":
        return batch
    free = int(torch.cuda.mem_get_info(device)[0])
    one = size[0] * size[1] * BYTES_PER_PIXEL * int(dtype.itemsize) // 2
    return max(1, min(batch, int(free * USABLE) // one))


class ModelOffload:
    """Models that share a card too small for all of them, one on it at a time (accelerate's offload hooks).

    Without offload everything stays on the device and this does nothing.
    """

    def __init__(self, models: Sequence[Any], device: torch.device, offload: str) -> None:
        self._hooks = []
        if offload == "none":
            for model in models:
                model.to(device)
            return
        from accelerate import cpu_offload_with_hook

        self._hooks = [cpu_offload_with_hook(model, device)[1] for model in models]

    def end(self) -> None:
        """The present model's turn is over: back to main memory with it."""
        for hook in self._hooks:
            hook.offload()
