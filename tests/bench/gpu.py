"""SDXL on a GPU, with full-size random weights in fp16: rates, memory, and the main job over large scans.

The rates are in MLPerf's setting: 1024 x 1024, 20 Euler steps, guidance 8 (its H200 reference makes 2.33 to
2.40 samples/s). Without a GPU it runs on tiny models and small pictures, to show that it runs.

python -m tests.bench gpu
"""

from __future__ import annotations

import gc
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
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
from PIL import Image
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from jobs.demo.damage import scratched_photograph
from manifests.catalog.rows import committed_rows
from restore.engines import EngineConfig, Painted, Sampler, Task
from restore.engines.cost import window_tflop
from restore.engines.diffusion.engine import DiffusionEngine
from restore.engines.diffusion.flops import BASE, REFINER, TEXT_1, TEXT_2, VAE
from restore.engines.diffusion.sdxl import load_sdxl
from restore.methods import Size
from restore.recipe import Recipe
from restore.storage import OutStore
from tests.bench import work
from tests.support.archives import write_manifest
from tests.support.tiny_checkpoints import make_checkpoints, make_euler, make_tokenizer

BATCHES, SECONDS = (1, 4, 8), 6.0
SCANS = 24
REAL = torch.cuda.is_available()


def make_full(folder: Path) -> dict[str, str]:
    """Checkpoints of the real sizes, random, fp16, 11.5 GB. Their last layers are small: all stays finite."""
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
        torch.nn.init.normal_(layer.weight, std=0.01)
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


def make_tiny(folder: Path) -> dict[str, str]:
    made = make_checkpoints(folder)
    return {"inpaint": str(made.inpaint), "refiner": str(made.refiner)}


def tasks(count: int, size: Size, *, refine: bool) -> list[Task]:
    width, height = size
    mask = np.zeros((height, width), np.uint8)
    cv2.circle(mask, (width // 2, height // 2), height // 5, 1, -1)
    sampler = Sampler("an old photograph", "", 20, 8.0, 1.0, 0.8, refine, "euler")
    window = np.full((height, width, 3), 128, np.uint8)
    return [Task("sdxl", window, mask.astype(bool), sampler, seed, filled=True) for seed in range(count)]


def rate(engine: DiffusionEngine, batch: int, size: Size, *, refine: bool) -> float:
    """Windows per second, after one call that warms up."""
    some = tasks(batch, size, refine=refine)
    painted(engine, some)
    began, done = time.perf_counter(), 0
    while time.perf_counter() - began < SECONDS and (done == 0 or REAL):
        done += len(engine.paint(some))
    return done / (time.perf_counter() - began)


def painted(engine: DiffusionEngine, some: Sequence[Task]) -> list[Painted]:
    answers = [answer for answer in engine.paint(some) if isinstance(answer, Painted)]
    assert len(answers) == len(some), "none failed"
    return answers


def peak() -> float:
    """GB of the device's memory that were taken at most, since the last time."""
    if not REAL:
        return 0.0
    taken = torch.cuda.max_memory_allocated() / 1e9
    torch.cuda.reset_peak_memory_stats()
    return taken


@contextmanager
def engine_of(config: EngineConfig, size: Size) -> Iterator[DiffusionEngine]:
    """A loaded engine."""
    free()
    began = time.perf_counter()
    model = load_sdxl(config)
    loaded = time.perf_counter() - began
    engine = DiffusionEngine(model, (size,), config)
    ready = time.perf_counter() - began
    print(
        f"compile={config.compile} offload={config.offload}: loaded in {loaded:.1f} s ({peak():.1f} GB), "
        f"ready after {ready:.1f} s",
        flush=True,
    )
    yield engine


def free() -> None:
    """The device's memory, of engines that nobody holds any more."""
    gc.collect()
    if REAL:
        torch.cuda.empty_cache()


def measure(config: EngineConfig, size: Size, batches: Sequence[int] = BATCHES) -> None:
    """Rates and peaks of one way to run it."""
    with engine_of(config, size) as engine:
        for refine in (False, True):
            for batch in batches:
                peak()
                windows = rate(engine, batch, size, refine=refine)
                recipe = Recipe(num_inference_steps=20, guidance_scale=8, strength=1.0, refine=refine)
                tflops = windows * window_tflop((1024, 1024), recipe, "sdxl") if REAL else 0.0
                print(
                    f"  refine={refine!s:5} batch {batch}: {windows:.2f} windows/s, {tflops:.0f} TFLOP/s, "
                    f"peak {peak():.1f} GB",
                    flush=True,
                )


def neighbours(config: EngineConfig, size: Size) -> None:
    """Company changes a window by rounding alone, and a card that is too full by how it is decoded."""
    with engine_of(config, size) as engine:
        some = tasks(max(BATCHES), size, refine=True)
        together = painted(engine, some)
        alone = [painted(engine, [task])[0] for task in some]
        print(f"  alone or 1 of {len(some)}: {difference(together, alone)}", flush=True)
        if REAL:
            crowded(engine, config, some, alone)


def crowded(
    engine: DiffusionEngine, config: EngineConfig, some: Sequence[Task], alone: Sequence[Painted]
) -> None:
    """The same on less and less memory."""
    torch.cuda.empty_cache()
    whole = torch.cuda.get_device_properties(0).total_memory
    for room in (24e9, 18e9, 16.5e9, 15e9):
        peak()
        torch.cuda.set_per_process_memory_fraction(room / whole)
        answers = DiffusionEngine(engine._model, (), config).paint(some)
        good = [answer for answer in answers if isinstance(answer, Painted)]
        result = (
            f"steps {good[-1].steps}, {difference(good, alone)}" if len(good) == len(some) else answers[-1]
        )
        print(f"  in {room / 1e9:.1f} GB: {result}, peak {peak():.1f} GB", flush=True)
    torch.cuda.set_per_process_memory_fraction(1.0)


def difference(some: Sequence[Painted], others: Sequence[Painted]) -> str:
    apart = [np.abs(a.window.astype(int) - b.window.astype(int)) for a, b in zip(some, others, strict=True)]
    return f"at most {max(int(d.max()) for d in apart)} grey levels, {float(np.mean(apart)):.4f} on average"


def make_scan(folder: Path, size: Size, number: int) -> None:
    """A photograph with 3 to 6 separate damages."""
    pixels, _ = scratched_photograph(*size, number)
    mask = cv2.resize(work.damage(number).astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
    Image.fromarray(pixels).save(folder / f"images/{number:02d}.jpg", quality=90)
    Image.fromarray(mask).save(folder / f"masks/{number:02d}.png")


def night(folder: Path, directories: dict[str, str]) -> None:
    """The main job over large scans: what it says before it starts, what it takes, what it says after."""
    free()
    count, size = (SCANS, (work.WIDTH, work.HEIGHT)) if REAL else (3, (375, 500))
    for name in ("images", "masks"):
        (folder / name).mkdir()
    with ThreadPoolExecutor() as pool:
        list(pool.map(partial(make_scan, folder, size), range(count)))
    rows = [
        {"item_id": f"{n:02d}", "image": f"images/{n:02d}.jpg", "mask": f"masks/{n:02d}.png"}
        for n in range(count)
    ]
    manifest = write_manifest(folder / "manifest.csv", rows)
    settings = [f"models.{role}={name}" for role, name in directories.items()]
    command = ["-m", "jobs.restore_archive", "--manifest", str(manifest), "--output", str(folder / "out")]
    command += ["--profile", "gpu" if REAL else "local", "--set", "models.vae=", *settings]
    command += [] if REAL else ["engine=sdxl", "dtype=float32", "num_inference_steps=4"]
    environment = {**os.environ, "SILVERPRINT_WEIGHTS": str(folder / "weights")}
    run = partial(subprocess.run, check=True, text=True, env=environment, stdout=subprocess.PIPE)
    asked = ["--dry-run", "--gpu", "H100"] if REAL else ["--dry-run"]
    print(run([sys.executable, *command, *asked]).stdout, flush=True)
    with watched() as used:
        print(run([sys.executable, *command]).stdout, flush=True)
    print_run(OutStore.open(str(folder / "out")), used)
    rest = ["--set", "seed=1", "--dry-run"]
    print(run([sys.executable, *command, *rest]).stdout, flush=True)


def print_run(store: OutStore, used: Sequence[float]) -> None:
    """Print a summary of the rows and the record of the newest run."""
    record = json.loads(store.read(f"runs/{store.names('runs')[-1]}"))
    rows = committed_rows(store).to_table().to_pylist()
    seconds = {step: statistics.mean(row["seconds"][step] for row in rows) for step in rows[0]["seconds"]}
    pace = record["photos_per_second"] or 0.0
    print(f"status {record['status']}, {record['seconds']:.0f} s, {pace:.2f} photos/s")
    print("seconds a photo: " + ", ".join(f"{step} {spent:.2f}" for step, spent in seconds.items() if spent))
    if used:
        first, last = used.index(max(used)), len(used) - 1 - used[::-1].index(max(used))
        busy = used[first : last + 1]
        print(f"GPU in use {statistics.mean(busy):.0f}% of the {len(busy)} s from its first full second on")


@contextmanager
def watched() -> Iterator[list[float]]:
    """Percent of each second in which the GPU ran anything, as its driver counts."""
    used: list[float] = []
    ended = threading.Event()

    def watch() -> None:
        query = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "--id=0"]
        while not ended.wait(0.9):
            used.append(float(subprocess.run(query, check=True, capture_output=True, text=True).stdout))

    thread = threading.Thread(target=watch)
    if REAL:
        thread.start()
    try:
        yield used
    finally:
        ended.set()
        if REAL:
            thread.join()


def main() -> None:
    print(torch.cuda.get_device_name() if REAL else "no GPU: tiny models, small windows, on the CPU")
    with tempfile.TemporaryDirectory() as name:
        began = time.perf_counter()
        directories = (make_full if REAL else make_tiny)(Path(name))
        print(f"checkpoints written in {time.perf_counter() - began:.0f} s", flush=True)
        gc.collect()
        config = EngineConfig(
            directories=directories,  # type: ignore[arg-type]
            device="cuda" if REAL else "cpu",
            dtype="float16" if REAL else "float32",
            batch=max(BATCHES),
        )
        size = (1024, 1024) if REAL else (128, 128)
        measure(config, size)
        neighbours(config, size)
        night(Path(name), directories)
        if REAL:
            measure(replace(config, offload="model"), size, (1,))
            measure(replace(config, compile="regional"), size)
            measure(replace(config, compile="full"), size)
