"""Denoising: one trajectory of noise levels, walked by one or two experts.

SDXL's refiner was trained on the last fifth of the noise levels alone (Podell et al. 2023), so base and
refiner share one trajectory and are swapped at `high_noise_frac`: the ensemble of expert denoisers of Balaji
et al. 2022 (eDiff-I). The latents pass from one to the other as they are: no decode, no second sampler.

diffusers' own chain of two inpaint pipelines destroys the known region there: its refiner takes the base's
noisy latents for the clean picture. Here the known region is put back from the clean latents before every
step of a model that does not see the mask, and at the end.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    UniPCMultistepScheduler,
)
from torch import Tensor

from restore.engines import Sampler
from restore.engines.diffusion.latents import Batch
from restore.errors import EngineError, ErrorCode, ItemError

Predict = Callable[[Tensor, Tensor, bool], Tensor]
"""(scaled latents, timestep, guided) -> predicted noise, float32."""

_SAMPLERS: Mapping[str, tuple[Any, Mapping[str, Any]]] = {
    "euler": (EulerDiscreteScheduler, {}),
    "dpmpp_2m_karras": (
        DPMSolverMultistepScheduler,
        {"algorithm_type": "dpmsolver++", "use_karras_sigmas": True},
    ),
    "ddim": (DDIMScheduler, {"clip_sample": False, "set_alpha_to_one": False}),
    "unipc": (UniPCMultistepScheduler, {}),
}


def sampler_for(name: str, checkpoint: Any) -> Any:
    """A fresh scheduler with the checkpoint's noise schedule: its own kind, or the one that is named.

    Raises:
        EngineError: for a checkpoint whose sampler takes several model calls a step.
    """
    kind, settings = _SAMPLERS.get(name, (type(checkpoint), {}))
    scheduler = kind.from_config(checkpoint.config, **settings)
    if scheduler.order != 1:
        raise EngineError(f"scheduler={name} is a {kind.__name__}, which is not supported; use euler")
    return scheduler


@dataclass(frozen=True, slots=True, eq=False)
class DenoisingSchedule:
    """The timesteps of one run and who takes which.

    Attributes:
        base, refiner: timesteps, falling; the refiner's are empty without one.
        guided: how many of all these steps are guided.
        pure_noise: whether it starts from noise alone, strength 1.
        random: each item's own generator, for samplers that add noise as they go.
    """

    scheduler: Any
    base: Tensor
    refiner: Tensor
    guided: int
    pure_noise: bool
    random: Mapping[str, Any]


def trajectory(
    scheduler: Any, sampler: Sampler, seeds: Sequence[int], device: torch.device, *, refine: bool
) -> DenoisingSchedule:
    """Set `scheduler` up for one run of one batch.

    As diffusers counts: `strength` drops steps from the start, the refiner takes the timesteps below
    `1 - high_noise_frac` of the training range, and guidance stops after `guidance_cutoff` of all steps.

    Raises:
        ItemError: `invalid_row`, when that leaves the base no step.
    """
    steps = sampler.num_inference_steps
    scheduler.set_timesteps(steps, device=device)
    first = steps - min(int(steps * sampler.strength), steps)
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(first)
    kept = scheduler.timesteps[first:]
    span = scheduler.config.num_train_timesteps
    low = kept < round(span - sampler.high_noise_frac * span) if refine else kept < 0
    if low.all():
        raise ItemError(
            ErrorCode.INVALID_ROW,
            f"strength={sampler.strength} with high_noise_frac={sampler.high_noise_frac} leaves the base no "
            f"step of {steps}; raise one of them, or set refine=false",
        )
    guided = max(round(steps * sampler.guidance_cutoff) - first, 0)
    random = {}
    if "generator" in inspect.signature(scheduler.step).parameters:
        random["generator"] = [torch.Generator("cpu").manual_seed(seed) for seed in seeds]
    return DenoisingSchedule(scheduler, kept[~low], kept[low], guided, sampler.strength == 1.0, random)


def started(batch: Batch, path: DenoisingSchedule) -> Tensor:
    """The latents that the base begins with."""
    if path.pure_noise:
        return batch.noise * path.scheduler.init_noise_sigma
    return _noised(batch, path, path.base[0])


def _noised(batch: Batch, path: DenoisingSchedule, timestep: Tensor) -> Tensor:
    noised: Tensor = path.scheduler.add_noise(batch.clean, batch.noise, timestep.reshape(1))
    return noised


def denoise_base(latents: Tensor, path: DenoisingSchedule, predict: Predict) -> Tensor:
    """All steps of the base, which sees the mask and keeps to it by itself."""
    for index, timestep in enumerate(path.base):
        latents = _step(latents, timestep, path, predict, guided=index < path.guided)
    return latents


def walk_refiner(latents: Tensor, batch: Batch, path: DenoisingSchedule, predict: Predict) -> Tensor:
    """All steps of the refiner; the known region is the clean latents' at every noise level."""
    for index, timestep in enumerate(path.refiner, len(path.base)):
        latents = _held(latents, _noised(batch, path, timestep), batch.mask)
        latents = _step(latents, timestep, path, predict, guided=index < path.guided)
    return _held(latents, batch.clean, batch.mask)


def _held(latents: Tensor, known: Tensor, mask: Tensor) -> Tensor:
    return torch.where(mask > 0.5, latents, known)


def _step(
    latents: Tensor, timestep: Tensor, path: DenoisingSchedule, predict: Predict, *, guided: bool
) -> Tensor:
    scheduler = path.scheduler
    noise = predict(scheduler.scale_model_input(latents, timestep), timestep, guided)
    stepped: Tensor = scheduler.step(noise, timestep, latents, **path.random, return_dict=False)[0]
    return stepped
