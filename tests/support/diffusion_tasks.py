"""Windows and settings for the diffusion engines' tests."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from skimage import data

from restore.engines import Engine, EngineConfig, Painted, Sampler, Task
from tests.support.tiny_checkpoints import Checkpoints

SAMPLER = Sampler(
    prompt="a street",
    negative_prompt="",
    num_inference_steps=10,
    guidance_scale=7.5,
    strength=0.99,
    high_noise_frac=0.8,
    refine=True,
    scheduler="checkpoint",
)


def config(checkpoints: Checkpoints, **more: Any) -> EngineConfig:
    roles = ("inpaint", "refiner", "vae")
    return EngineConfig(directories={role: str(getattr(checkpoints, role)) for role in roles}, **more)


def task(number: int = 0, size: tuple[int, int] = (128, 96), **sampler: Any) -> Task:
    """A window of a photograph with a white scratch and a hole across it."""
    width, height = size
    mask = np.zeros((height, width), np.uint8)
    cv2.line(mask, (10, 5 + number), (width - 20, height - 10), 1, 2)
    cv2.circle(mask, (width // 2, height // 3), 11 + number, 1, -1)
    photo = data.astronaut()[20 * number : 20 * number + height, 40 : 40 + width]
    window = np.where(mask[..., None] > 0, np.uint8(255), photo)
    return Task("sdxl", window, mask.astype(bool), replace(SAMPLER, **sampler), 1000 + number)


def painted(engine: Engine, tasks: list[Task]) -> list[npt.NDArray[np.generic]]:
    answers = engine.paint(tasks)
    assert all(isinstance(answer, Painted) for answer in answers), answers
    return [answer.window for answer in answers if isinstance(answer, Painted)]


def grey_levels(one: npt.NDArray[np.generic], other: npt.NDArray[np.generic]) -> int:
    return int(np.abs(one.astype(int) - other.astype(int)).max())
