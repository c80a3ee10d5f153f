"""SDXL on a GPU: load time, peak memory, photos/s at 1024 x 1024, with full-size random weights in fp16.

MLPerf's setting: 20 Euler steps, guidance 8 (its H200 reference makes 2.33 to 2.40 samples/s). Without a GPU
it runs on tiny models and small windows, to show that it runs.

python -m tests.bench gpu
"""

from __future__ import annotations

import gc
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from diffusers import (
    AutoencoderKL,
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLInpaintPipeline,
    UNet2DConditionModel,
)
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from restore.engines import EngineConfig, Painted, Sampler, Size, Task
from restore.engines.diffusion import DiffusionEngine
from restore.engines.flops import BASE, REFINER, TEXT_1, TEXT_2, VAE
from restore.engines.sdxl import load_sdxl
from tests.tiny_checkpoints import make_checkpoints, make_euler, make_tokenizer

BATCHES, SECONDS = (1, 4, 8), 15.0


def make_full(folder: Path) -> dict[str, str]:
    """Checkpoints of the real sizes, random, fp16, 11.5 GB. Their last layers are zero: all stays finite."""
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float16)
    marks = {"bos_token_id": 512, "eos_token_id": 513, "pad_token_id": 513}
    with torch.device("cuda"):
        unets = [UNet2DConditionModel(**BASE), UNet2DConditionModel(**REFINER)]
        vae = AutoencoderKL(**VAE, scaling_factor=0.13025, force_upcast=False)
        first = CLIPTextModel(CLIPTextConfig(**TEXT_1, **marks))
        second = CLIPTextModelWithProjection(CLIPTextConfig(**TEXT_2, **marks))
    torch.set_default_dtype(torch.float32)
    for layer in (*(unet.conv_out for unet in unets), vae.decoder.conv_out):
        torch.nn.init.zeros_(layer.weight)
    tokenizer = make_tokenizer()
    shared: dict[str, Any] = {
        "vae": vae,
        "text_encoder_2": second,
        "tokenizer_2": tokenizer,
        "scheduler": make_euler(),
    }
    base = StableDiffusionXLInpaintPipeline(
        text_encoder=first, tokenizer=tokenizer, unet=unets[0], add_watermarker=False, **shared
    )
    base.save_pretrained(folder / "inpaint")
    refiner = StableDiffusionXLImg2ImgPipeline(
        text_encoder=None,
        tokenizer=None,
        unet=unets[1],
        requires_aesthetics_score=True,
        add_watermarker=False,
        **shared,
    )
    refiner.save_pretrained(folder / "refiner")
    return {"inpaint": str(folder / "inpaint"), "refiner": str(folder / "refiner")}


def tasks(count: int, size: Size, *, refine: bool) -> list[Task]:
    width, height = size
    mask = np.zeros((height, width), np.uint8)
    cv2.circle(mask, (width // 2, height // 2), height // 5, 1, -1)
    sampler = Sampler("an old photograph", "", 20, 8.0, 1.0, 0.8, refine, "euler")
    window = np.full((height, width, 3), 128, np.uint8)
    return [Task("sdxl", window, mask.astype(bool), sampler, seed) for seed in range(count)]


def rate(engine: DiffusionEngine, batch: int, size: Size, *, refine: bool) -> float:
    """Photos per second, after one call that warms up."""
    some = tasks(batch, size, refine=refine)
    for answer in engine.paint(some):
        assert isinstance(answer, Painted) and not answer.steps, answer
    began, done = time.perf_counter(), 0
    while time.perf_counter() - began < SECONDS and (done == 0 or torch.cuda.is_available()):
        done += len(engine.paint(some))
    return done / (time.perf_counter() - began)


def measure(config: EngineConfig, size: Size) -> None:
    began = time.perf_counter()
    model = load_sdxl(config)
    print(f"compile={config.compile} loaded in {time.perf_counter() - began:.1f} s", flush=True)
    engine = DiffusionEngine(model, (size,), config)
    print(f"  ready after {time.perf_counter() - began:.1f} s", flush=True)
    for refine in (False, True):
        for batch in BATCHES:
            if torch.cuda.is_available():
                torch.cuda.reset_peak_memory_stats()
            photos = rate(engine, batch, size, refine=refine)
            peak = torch.cuda.max_memory_allocated() / 1e9 if torch.cuda.is_available() else 0.0
            print(
                f"  refine={refine!s:5} batch {batch}: {photos:.2f} photos/s, peak {peak:.1f} GB", flush=True
            )


def main() -> None:
    real = torch.cuda.is_available()
    print(torch.cuda.get_device_name() if real else "no GPU: tiny models, small windows, on the CPU")
    with tempfile.TemporaryDirectory() as name:
        if real:
            directories = make_full(Path(name))
        else:
            made = make_checkpoints(Path(name))
            directories = {"inpaint": str(made.inpaint), "refiner": str(made.refiner)}
        gc.collect()
        for compiled in ("none", "regional", "full") if real else ("none",):
            config = EngineConfig(
                directories=directories,  # type: ignore[arg-type]
                device="cuda" if real else "cpu",
                dtype="float16" if real else "float32",
                compile=compiled,  # type: ignore[arg-type]
                batch=max(BATCHES),
            )
            measure(config, (1024, 1024) if real else (128, 128))
            gc.collect()
            torch.cuda.empty_cache()
