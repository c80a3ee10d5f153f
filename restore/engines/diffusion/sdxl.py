"""The SDXL engine: the 9-channel inpainting base and the refiner, an ensemble of expert denoisers."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import StableDiffusionXLInpaintPipeline
from torch import Tensor

from restore.engines import EngineConfig, Sampler
from restore.engines.diffusion.denoising import DenoisingSchedule, denoise_base, started, walk_refiner
from restore.engines.diffusion.engine import DiffusionEngine
from restore.engines.diffusion.latents import Batch
from restore.engines.diffusion.loading import load_pipeline, load_vae, prepared, require_device
from restore.engines.diffusion.memory import ModelOffload
from restore.engines.diffusion.prompts import Prompts, encoder
from restore.engines.diffusion.unet import ConditionedUNet, expert
from restore.errors import EngineError
from restore.methods import SDXL_SIZES

AESTHETIC, NEGATIVE_AESTHETIC = 6.0, 2.5
"""The scores that the refiner is asked for and led away from; diffusers' defaults."""
_NOISE = ("num_train_timesteps", "beta_start", "beta_end", "beta_schedule", "prediction_type")


def sdxl_engine(config: EngineConfig) -> DiffusionEngine:
    """The engine of one actor, loaded.

    Raises:
        EngineError: see `load_sdxl`.
    """
    return DiffusionEngine(load_sdxl(config), SDXL_SIZES, config)


def load_sdxl(config: EngineConfig) -> Sdxl:
    """Load base and refiner; the refiner shares the base's VAE and second text encoder.

    Raises:
        EngineError: when there is no such device, or the checkpoints do not belong together.
    """
    device = require_device(config)
    vae = load_vae(config, "inpaint").to(device)
    base = load_pipeline(StableDiffusionXLInpaintPipeline, config, "inpaint", vae=vae, add_watermarker=False)
    _require_channels(base, 9, "inpaint")
    refiner = None
    if "refiner" in config.directories:
        shared = {name: getattr(base, name) for name in ("vae", "text_encoder_2", "tokenizer_2")}
        refiner = load_pipeline(
            StableDiffusionXLInpaintPipeline,
            config,
            "refiner",
            **shared,
            text_encoder=None,
            tokenizer=None,
            add_watermarker=False,
        )
        _require_channels(refiner, 4, "refiner")
        _require_one_schedule(base, refiner)
    return Sdxl(base, refiner, config, device)


class Sdxl:
    """The loaded models of one actor."""

    def __init__(self, base: Any, refiner: Any | None, config: EngineConfig, device: torch.device) -> None:
        self.vae = base.vae
        self.scheduler = base.scheduler
        self._base, self._refiner = base, refiner
        self.has_refiner = refiner is not None
        pipelines = [base] if refiner is None else [base, refiner]
        unets = [prepared(pipeline.unet, config) for pipeline in pipelines]
        self._turns = ModelOffload([base.text_encoder, base.text_encoder_2, *unets], device, config.offload)
        self._prompts = {
            pipeline: Prompts(
                encoder(pipeline, device), blank_is_zero=pipeline.config.force_zeros_for_empty_prompt
            )
            for pipeline in pipelines
        }

    def refines(self, sampler: Sampler) -> bool:
        """Whether the refiner takes the low noise levels.

        Raises:
            EngineError: when it should and none was loaded.
        """
        if sampler.refine and self._refiner is None:
            raise EngineError("refine=true needs models.refiner; name one, or set refine=false")
        return sampler.refine

    def text_length(self, sampler: Sampler) -> int:
        """Positions that the encoded prompts take, for base and refiner alike."""
        return self._prompts[self._base].length(sampler)

    def denoised(self, batch: Batch, path: DenoisingSchedule) -> Tensor:
        """Latents of the repainted windows: base, then refiner, with no decode between them."""
        base, refiner = self._experts(batch, refine=len(path.refiner) > 0)
        latents = denoise_base(started(batch, path), path, base.predict)
        self._turns.end()
        if refiner is not None:
            latents = walk_refiner(latents, batch, path, refiner.predict)
            self._turns.end()
        return latents

    def _experts(self, batch: Batch, *, refine: bool) -> tuple[ConditionedUNet, ConditionedUNet | None]:
        pipelines = [self._base, self._refiner] if refine else [self._base]
        experts = [
            expert(pipeline.unet, self._prompts[pipeline], batch, _conditions(pipeline, batch.pixels))
            for pipeline in pipelines
        ]
        self._turns.end()  # the text encoders'
        return experts[0], experts[1] if refine else None


def _conditions(pipeline: Any, size: tuple[int, int]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """SDXL's size and crop conditions for prompt and negative prompt (Podell et al. 2023, 2.2).

    The window is an original of its own size that was not cropped. (height, width) throughout.
    """
    if pipeline.config.requires_aesthetics_score:
        return (*size, 0, 0, AESTHETIC), (*size, 0, 0, NEGATIVE_AESTHETIC)
    whole = (*size, 0, 0, *size)
    return whole, whole


def _require_channels(pipeline: Any, channels: int, role: str) -> None:
    found = pipeline.unet.config.in_channels
    if found != channels:
        raise EngineError(
            f"models.{role}: its UNet has {found} input channels and an SDXL {role} model has {channels}; "
            "name an SDXL inpainting checkpoint as inpaint and an SDXL refiner as refiner"
        )


def _require_one_schedule(base: Any, refiner: Any) -> None:
    one, other = ({name: p.scheduler.config.get(name) for name in _NOISE} for p in (base, refiner))
    if one != other:
        raise EngineError(
            f"models.refiner was trained on other noise levels than models.inpaint: {other} and {one}; "
            "an ensemble needs both on the same"
        )
