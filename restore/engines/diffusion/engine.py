"""What the latent diffusion engines share: from tasks to batches, down the memory ladder, back to pixels."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from restore.engines import EngineConfig, Painted, Sampler, Task
from restore.engines.diffusion.denoising import DenoisingSchedule, sampler_for, trajectory
from restore.engines.diffusion.latents import Batch, Window, decoded, encoded
from restore.engines.diffusion.loading import torch_dtype
from restore.engines.diffusion.memory import Answer, FallbackStep, MemoryFallback, micro_batch
from restore.errors import DeviceLost, ErrorCode, ItemError
from restore.methods import Size

log = logging.getLogger(__name__)


class Model(Protocol):
    """A latent inpainting model, loaded."""

    vae: Any
    scheduler: Any
    """The checkpoint's own, never stepped: each batch gets a fresh one made from it."""

    has_refiner: bool

    def refines(self, sampler: Sampler) -> bool:
        """Whether a second expert takes the low noise levels."""
        ...

    def text_length(self, sampler: Sampler) -> int:
        """Positions that the encoded prompts take. Windows of one batch have one length."""
        ...

    def denoised(self, batch: Batch, path: DenoisingSchedule) -> Tensor:
        """Latents `(B, 4, h, w)` of the repainted windows."""
        ...


class DiffusionEngine:
    """Paints windows with a latent inpainting model, whatever memory there is."""

    def __init__(self, model: Model, sizes: tuple[Size, ...], config: EngineConfig) -> None:
        self.sizes: tuple[Size, ...] | None = sizes
        self._model = model
        self._device = torch.device(config.device)
        self._card = torch.cuda.get_device_name(self._device) if config.device == "cuda" else None
        self._ladder = MemoryFallback(
            lambda size: micro_batch(size, config.batch, self._device, torch_dtype(config.dtype))
        )
        if config.compile != "none":
            self._warm_up(sizes, config.batch)

    def paint(self, tasks: Sequence[Task]) -> list[Painted | ItemError]:
        """See the protocol. The same task gives the same pixels whatever its neighbours, up to rounding.

        Raises:
            DeviceLost: when the accelerator can do nothing more in this process.
        """
        with torch.inference_mode():
            try:
                return self._by_text_length(tasks)
            except torch.AcceleratorError as error:
                raise DeviceLost(f"{self._device}: {error}") from error

    def _by_text_length(self, tasks: Sequence[Task]) -> list[Answer]:
        """One call of the ladder for each length: a longer neighbour must not pad a window's prompt."""
        groups: dict[int, list[int]] = {}
        for place, task in enumerate(tasks):
            groups.setdefault(self._model.text_length(task.sampler), []).append(place)
        painted: dict[int, Answer] = {}
        for places in groups.values():
            answers = self._ladder.paint([tasks[place] for place in places], self._painted)
            painted.update(zip(places, answers, strict=True))
        return [painted[place] for place in range(len(tasks))]

    def _painted(self, tasks: Sequence[Task], rung: FallbackStep) -> list[Answer]:
        """One micro-batch; items that did not come out finite once more, each alone."""
        vae = self._model.vae
        (vae.enable_tiling if rung.tiled else vae.disable_tiling)()
        try:
            windows, name = self._windows(tasks)
        except ItemError as error:
            return [error for _ in tasks]
        return [
            self._rescued(task, rung) if window is None else Painted(window, rung.steps, name, self._card)
            for task, window in zip(tasks, windows, strict=True)
        ]

    def _windows(self, tasks: Sequence[Task]) -> tuple[list[Window | None], str]:
        sampler = tasks[0].sampler
        scheduler = sampler_for(sampler.scheduler, self._model.scheduler)
        path = trajectory(
            scheduler,
            sampler,
            [task.seed for task in tasks],
            self._device,
            refine=self._model.refines(sampler),
        )
        batch = encoded(tasks, self._model.vae, self._device)
        return decoded(self._model.denoised(batch, path), self._model.vae), type(scheduler).__name__

    def _rescued(self, task: Task, rung: FallbackStep) -> Answer:
        """A task whose VAE overflowed in 16 bit, again with one of 32 bits."""
        vae = self._model.vae
        kept = vae.dtype
        vae.to(torch.float32)
        try:
            windows, name = self._windows([task])
        finally:
            vae.to(kept)
        if windows[0] is None:
            return ItemError(
                ErrorCode.NON_FINITE_OUTPUT,
                "the model's output is not finite, even with an fp32 VAE; try dtype=bfloat16 or float32",
            )
        return Painted(windows[0], (*rung.steps, "vae_float32"), name, self._card)

    def _warm_up(self, sizes: Sequence[Size], batch: int) -> None:
        """Compile now, so that no photo waits for it: every size, and the batch of one, which torch compiles
        apart, guided and not.
        """
        for size in sizes:
            log.info("compiling for %dx%d", *size)
            self.paint([self._blank(size, guidance_cutoff=1.0)] * batch)
        self.paint([self._blank(sizes[0], guidance_cutoff=0.5)])

    def _blank(self, size: Size, guidance_cutoff: float) -> Task:
        """A window to warm up with."""
        width, height = size
        mask = np.zeros((height, width), bool)
        mask[: height // 2] = True
        sampler = Sampler("", "", 10, 7.5, 1.0, 0.8, self._model.has_refiner, "checkpoint", guidance_cutoff)
        return Task("sdxl", np.zeros((height, width, 3), np.uint8), mask, sampler, 0, filled=True)
