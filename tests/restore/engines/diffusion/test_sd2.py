"""SD 2, the comparator: held against diffusers' own pipeline."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from diffusers import StableDiffusionInpaintPipeline
from PIL import Image

from restore.engines import EngineConfig, Painted, build
from restore.engines.diffusion.latents import cells
from restore.engines.prefill import prefill
from restore.methods import sizes_of
from tests.support.diffusion_tasks import grey_levels, painted, task
from tests.support.tiny_checkpoints import Checkpoints


def test_it_paints_what_the_stock_pipeline_does(checkpoints: Checkpoints) -> None:
    one = replace(task(size=(128, 128), strength=0.9), method="sd2")
    engine = build(["sd2"], EngineConfig(directories={"sd2": str(checkpoints.sd2)}))["sd2"]
    answer = engine.paint([one])[0]
    assert isinstance(answer, Painted) and answer.scheduler == "DDIMScheduler"
    pipeline = StableDiffusionInpaintPipeline.from_pretrained(checkpoints.sd2, safety_checker=None)
    stock = pipeline(
        prompt=one.sampler.prompt,
        image=Image.fromarray(prefill(one.window, one.mask)),
        mask_image=Image.fromarray(np.kron(cells(one.mask), np.ones((8, 8), bool))),
        height=128,
        width=128,
        num_inference_steps=one.sampler.num_inference_steps,
        strength=one.sampler.strength,
        guidance_scale=one.sampler.guidance_scale,
        generator=torch.Generator("cpu").manual_seed(one.seed),
        output_type="np",
    ).images[0]
    assert grey_levels(answer.window, (stock * 255).round().astype(np.uint8)) <= 1


def test_its_windows_are_square_and_it_has_no_refiner(checkpoints: Checkpoints) -> None:
    assert sizes_of("sd2") == ((512, 512),)
    engine = build(["sd2"], EngineConfig(directories={"sd2": str(checkpoints.sd2)}))["sd2"]
    assert engine.sizes == sizes_of("sd2")
    one = replace(task(size=(64, 64)), method="sd2")
    alone = replace(one, sampler=replace(one.sampler, refine=False))
    assert np.array_equal(painted(engine, [one])[0], painted(engine, [alone])[0])
