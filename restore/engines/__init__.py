"""The boundary to whatever paints.

An engine is given windows, masks and sampler settings and gives new windows back. It knows nothing
of files, stores, Ray or compositing. Nothing heavy is imported until `build` is called, in the actor
that will hold the engine, so the driver needs no CUDA.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from restore.errors import EngineError, ItemError

Method = Literal["telea", "ns", "sdxl", "sd2"]
Size = tuple[int, int]
"""(width, height) in pixels."""


@dataclass(frozen=True, slots=True)
class Sampler:
    """What a diffusion engine needs to know besides the pixels; the classical engine ignores it."""

    prompt: str
    negative_prompt: str
    num_inference_steps: int
    guidance_scale: float
    strength: float
    high_noise_frac: float
    refine: bool
    scheduler: str


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """One window to paint.

    Attributes:
        window: `(H, W)` or `(H, W, C)`, uint8 or uint16, never written to. For an engine with
            `sizes`, always `(H, W, 3)` sRGB uint8 of one of those sizes.
        mask: bool `(H, W)`, True = repaint.
        seed: of this window alone, below 2**63.
    """

    method: Method
    window: npt.NDArray[np.generic]
    mask: npt.NDArray[np.bool_]
    sampler: Sampler
    seed: int


@dataclass(frozen=True, slots=True, eq=False)
class Painted:
    """A painted window, of the task's shape and dtype, and what the engine had to do to get it."""

    window: npt.NDArray[np.generic]
    steps: tuple[str, ...] = ()


class Engine(Protocol):
    """Whatever paints."""

    sizes: tuple[Size, ...] | None
    """The window sizes it paints, or None for native crops in the source's depth."""

    def paint(self, tasks: Sequence[Task]) -> list[Painted | ItemError]:
        """Paint every task, in the order given. A task that fails alone is an ItemError in its place."""
        ...


def sizes_of(method: Method) -> tuple[Size, ...] | None:
    """The window sizes that `method` paints, without building its engine."""
    if method in ("telea", "ns"):
        return None
    raise EngineError(f"engine={method} is not built into this version; use engine=telea, ns or auto")


def build(methods: Sequence[Method]) -> dict[Method, Engine]:
    """The engines that serve `methods`, loaded. Called once, in the actor that paints.

    Raises:
        EngineError: when one cannot be built here.
    """
    from restore.engines.classical import ClassicalEngine

    engines: dict[Method, Engine] = {}
    for method in methods:
        sizes_of(method)
        engines[method] = ClassicalEngine()
    return engines
