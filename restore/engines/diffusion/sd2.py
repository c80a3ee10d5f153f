"""The comparator: Stable Diffusion 2 inpainting, 512 x 512, behind the same protocol."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import StableDiffusionInpaintPipeline
from torch import Tensor

from restore.engines import EngineConfig, Sampler
from restore.engines.diffusion.denoising import DenoisingSchedule, denoise_base, started
from restore.engines.diffusion.engine import DiffusionEngine
from restore.engines.diffusion.latents import Batch
from restore.engines.diffusion.loading import load_pipeline, prepared, require_device
from restore.engines.diffusion.memory import ModelOffload
from restore.engines.diffusion.prompts import Prompts, encoder
from restore.engines.diffusion.unet import expert
from restore.methods import sizes_of


def sd2_engine(config: EngineConfig) -> DiffusionEngine:
    """Load it; its own VAE does not overflow in fp16.

    Raises:
        EngineError: when there is no such device or the checkpoint is not one.
    """
    device = require_device(config)
    pipeline = load_pipeline(
        StableDiffusionInpaintPipeline, config, "sd2", safety_checker=None, requires_safety_checker=False
    )
    return DiffusionEngine(Sd2(pipeline, config, device), sizes_of("sd2") or (), config)


class Sd2:
    """The loaded model of one actor."""

    has_refiner = False

    def __init__(self, pipeline: Any, config: EngineConfig, device: torch.device) -> None:
        self.vae = pipeline.vae.to(device)
        self.scheduler = pipeline.scheduler
        self._unet = prepared(pipeline.unet, config)
        self._turns = ModelOffload([pipeline.text_encoder, self._unet], device, config.offload)
        self._prompts = Prompts(encoder(pipeline, device), blank_is_zero=False)

    def refines(self, sampler: Sampler) -> bool:
        """Never: there is no refiner for SD 2."""
        return False

    def text_length(self, sampler: Sampler) -> int:
        """Positions that the encoded prompts take."""
        return self._prompts.length(sampler)

    def denoised(self, batch: Batch, path: DenoisingSchedule) -> Tensor:
        """Latents of the repainted windows."""
        one = expert(self._unet, self._prompts, batch, ((), ()))
        self._turns.end()
        latents = denoise_base(started(batch, path), path, one.predict)
        self._turns.end()
        return latents
