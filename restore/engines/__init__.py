"""The boundary to whatever paints.

An engine is given windows, masks and sampler settings and gives new windows back. It knows nothing
of files, stores, Ray or compositing. Nothing heavy is imported until `build` is called, in the actor
that will hold the engine, so the driver needs no CUDA.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from importlib import import_module
from typing import Literal, Protocol

from restore.errors import EngineError, ItemError
from restore.imaging.pixels import Mask, Pixels
from restore.methods import METHODS, Method, Role, Size
from restore.recipe import Compile, Dtype, Offload, Recipe

Device = Literal["cpu", "cuda"]


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
    guidance_cutoff: float = 1.0

    @classmethod
    def of(cls, recipe: Recipe) -> Sampler:
        """The recipe's fields of the same names."""
        return cls(**{setting.name: getattr(recipe, setting.name) for setting in fields(cls)})


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """One window to paint.

    Attributes:
        window: `(H, W)` or `(H, W, C)`, uint8 or uint16, never written to. For an engine with
            `sizes`, always `(H, W, 3)` sRGB uint8 of one of those sizes.
        mask: bool `(H, W)`, True = repaint.
        hidden: bool `(H, W)`, True = transparent: the colour says nothing, and no paint is needed. None where
            there are no such pixels.
        seed: of this window alone, below 2**63.
        filled: whether `window` has been through `restore.engines.prefill`; sized engines see to it else.
    """

    method: Method
    window: Pixels
    mask: Mask
    sampler: Sampler
    seed: int
    filled: bool = False
    hidden: Mask | None = None

    @property
    def unknown(self) -> Mask:
        """The pixels that say nothing of the photo, bool `(H, W)`: what to repaint, and what nobody sees.

        What nobody sees is all there is to paint from where it and the damage cover the window.
        """
        if self.hidden is None or (both := self.mask | self.hidden).all():
            return self.mask
        return both


@dataclass(frozen=True, slots=True, eq=False)
class Painted:
    """A painted window, of the task's shape and dtype, and how the engine got it.

    Attributes:
        steps: what it had to fall back to, in the ladder's own words.
        scheduler: class of the sampler that was used; None for an engine without one.
        device: the accelerator's own name; None where the processor painted.
    """

    window: Pixels
    steps: tuple[str, ...] = ()
    scheduler: str | None = None
    device: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineConfig:
    """What an engine is built with: plain data, so that it travels to the actor.

    Attributes:
        directories: for each role, the local directory of its verified weights.
        batch: windows of one call at most; less where memory says so.
    """

    directories: Mapping[Role, str] = field(default_factory=dict, hash=False)
    device: Device = "cpu"
    dtype: Dtype = "float32"
    offload: Offload = "none"
    compile: Compile = "none"
    batch: int = 8


class Engine(Protocol):
    """Whatever paints."""

    sizes: tuple[Size, ...] | None
    """The window sizes it paints, or None for native crops in the source's depth."""

    def paint(self, tasks: Sequence[Task]) -> list[Painted | ItemError]:
        """Paint every task, in the order given. A task that fails alone is an ItemError in its place.

        Tasks of one call are alike in method, window size and sampler; only prompts, guidance and seeds
        differ.
        """
        ...


def build(methods: Sequence[Method], config: EngineConfig | None = None) -> dict[Method, Engine]:
    """The engines that serve `methods`, loaded. Called once, in the actor that paints.

    Raises:
        EngineError: when one is not known or cannot be built here.
    """
    config = config or EngineConfig()
    return {method: _built(method, config) for method in methods}


def _built(method: Method, config: EngineConfig) -> Engine:
    if method not in METHODS:
        raise EngineError(f"engine={method} is not known; known are {', '.join(METHODS)}")
    module, _, function = METHODS[method].engine.builder.partition(":")
    engine: Engine = getattr(import_module(module), function)(config)
    return engine
