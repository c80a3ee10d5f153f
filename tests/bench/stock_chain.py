"""The stock chain of two diffusers pipelines against our engine, on tiny checkpoints: time and module calls.

The stock chain as tutorials have it: one photo at a time, the prompt encoded each time, a decode and an
encode at the handoff, the whole image. Tiny models only show what is called how often; the share that this
saves of a real model's time is smaller, since its UNets weigh more beside its VAE.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
import torch
from diffusers import StableDiffusionXLInpaintPipeline
from PIL import Image
from skimage import data

from restore.engines import Sampler, Task
from restore.engines.diffusion.engine import DiffusionEngine
from restore.engines.diffusion.sdxl import load_sdxl
from restore.imaging.picture import Picture
from restore.methods import SDXL_SIZES
from restore.photo.routing import cut_engine_windows
from restore.recipe import Recipe
from restore.repair.mask import dilate
from tests.support.diffusion_tasks import config
from tests.support.tiny_checkpoints import Checkpoints, make_checkpoints

PHOTOS, WIDTH, HEIGHT, STEPS = 2, 1536, 1280, 4
SAMPLER = Sampler("an old photograph", "", STEPS, 7.5, 0.99, 0.8, True, "checkpoint")


class Spent(NamedTuple):
    """Seconds of wall clock and of this process's cores, and calls of each module."""

    wall: float
    cpu: float
    calls: dict[str, int]


def photo(number: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
    picture = cv2.resize(np.roll(data.astronaut(), 40 * number, axis=1), (WIDTH, HEIGHT))
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.circle(mask, (400 + 200 * number, 600), 60, 1, -1)
    return np.asarray(picture, np.uint8), mask.astype(bool)


@contextmanager
def counted(modules: dict[str, torch.nn.Module]) -> Iterator[dict[str, int]]:
    calls = dict.fromkeys(modules, 0)

    def counter(name: str) -> Any:
        def count(*_: Any) -> None:
            calls[name] += 1

        return count

    hooks = [module.register_forward_hook(counter(name)) for name, module in modules.items()]
    yield calls
    for hook in hooks:
        hook.remove()


def modules(base: Any, refiner: Any) -> dict[str, torch.nn.Module]:
    return {
        "text encoder": base.text_encoder,
        "text encoder 2": base.text_encoder_2,
        "VAE encoder": base.vae.encoder,
        "base": base.unet,
        "refiner": refiner.unet,
        "VAE decoder": base.vae.decoder,
    }


def stock(checkpoints: Checkpoints) -> Spent:
    base = StableDiffusionXLInpaintPipeline.from_pretrained(checkpoints.inpaint, add_watermarker=False)
    refiner = StableDiffusionXLInpaintPipeline.from_pretrained(
        checkpoints.refiner, text_encoder_2=base.text_encoder_2, vae=base.vae, add_watermarker=False
    )
    for pipeline in (base, refiner):
        pipeline.set_progress_bar_config(disable=True)
    with counted(modules(base, refiner)) as calls:
        began = time.perf_counter(), time.process_time()
        for number in range(PHOTOS):
            picture, mask = photo(number)
            given = {
                "prompt": SAMPLER.prompt,
                "mask_image": Image.fromarray(mask),
                "height": HEIGHT,
                "width": WIDTH,
                "num_inference_steps": STEPS,
                "strength": SAMPLER.strength,
            }
            half = base(image=Image.fromarray(picture), denoising_end=0.8, **given).images[0]
            refiner(image=half, denoising_start=0.8, **given)
    return Spent(time.perf_counter() - began[0], time.process_time() - began[1], calls)


def ours(checkpoints: Checkpoints) -> Spent:
    model = load_sdxl(config(checkpoints))
    engine = DiffusionEngine(model, SDXL_SIZES, config(checkpoints))
    assert model._refiner is not None
    with counted(modules(model._base, model._refiner)) as calls:
        began = time.perf_counter(), time.process_time()
        tasks: dict[tuple[int, ...], list[Task]] = {}
        for number in range(PHOTOS):
            picture, mask = photo(number)
            scan = Picture(picture, "RGB", "png", True)
            for shot in cut_engine_windows(scan, mask, dilate(mask, 5, 1), Recipe(engine="sdxl"), "sdxl"):
                task = Task("sdxl", shot.pixels, shot.mask, SAMPLER, number)
                tasks.setdefault(shot.mask.shape, []).append(task)
        for alike in tasks.values():
            engine.paint(alike)
    return Spent(time.perf_counter() - began[0], time.process_time() - began[1], calls)


def main() -> None:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        checkpoints = make_checkpoints(Path(folder))
        results = {"stock": stock(checkpoints), "ours": ours(checkpoints)}
    for name, spent in results.items():
        per_photo = ", ".join(f"{module} {count / PHOTOS:.1f}" for module, count in spent.calls.items())
        wall, cpu = spent.wall / PHOTOS, spent.cpu / PHOTOS
        print(f"{name:5}: {wall:.1f} s a photo, {cpu:.1f} s of a core; calls a photo: {per_photo}")
    one, other = results["stock"], results["ours"]
    print(f"ratio {one.wall / other.wall:.2f} by the wall, {one.cpu / other.cpu:.2f} by the core")
