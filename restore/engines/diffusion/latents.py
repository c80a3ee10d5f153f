"""Windows -> latents and back: what a latent inpainting model is given, and what is made of its answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from restore.engines import Task
from restore.engines.prefill import prefill
from restore.imaging.pixels import Mask

Window = npt.NDArray[np.uint8]

CELL = 8
"""Pixels that one latent stands for, each way."""
CHANNELS = 4


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Windows of one size as a latent inpainting model wants them; `h, w` are an eighth of the window.

    Attributes:
        tasks: the windows, in the order of the batch.
        mask: `(B, 1, h, w)`, 1 = repaint: every cell that a damaged pixel touches.
        clean: `(B, 4, h, w)`, the prefilled windows, scaled as the UNet expects them.
        masked: `(B, 4, h, w)`, the windows with mid-gray in the repainted cells, scaled likewise.
        noise: `(B, 4, h, w)`, standard normal.

    All float32 on the model's device. Each item's random numbers come from its own seed, drawn on the CPU
    in the order in which diffusers draws them, so neither neighbours nor device change them.
    """

    tasks: tuple[Task, ...]
    mask: Tensor
    clean: Tensor
    masked: Tensor
    noise: Tensor

    @property
    def pixels(self) -> tuple[int, int]:
        """(height, width) of the windows."""
        height, width = self.mask.shape[-2:]
        return height * CELL, width * CELL


def cells(mask: Mask) -> Mask:
    """Max-pooled over latent cells: bool `(H / 8, W / 8)`, True where any pixel of the cell is."""
    height, width = mask.shape
    return np.asarray(mask.reshape(height // CELL, CELL, width // CELL, CELL).any(axis=(1, 3)))


def encoded(tasks: Sequence[Task], vae: Any, device: torch.device) -> Batch:
    """Tasks as a batch on `device`, their damage filled from around it where it is not yet."""
    windows = [task.window if task.filled else prefill(task.window, task.unknown) for task in tasks]
    image = _upload(np.stack(windows), device).permute(0, 3, 1, 2).float() / 127.5 - 1
    mask = _upload(np.stack([cells(task.mask) for task in tasks])[:, None], device).float()
    hole = torch.nn.functional.interpolate(mask, scale_factor=CELL)
    draws = torch.stack([_draws(task.seed, tuple(mask.shape[-2:])) for task in tasks], dim=1).to(device)
    clean = _encode(vae, image, draws[0])
    masked = _encode(vae, image * (hole < 0.5), draws[2])
    return Batch(tuple(tasks), mask, clean, masked, draws[1])


def _upload(array: npt.NDArray[Any], device: torch.device) -> Tensor:
    tensor = torch.from_numpy(np.ascontiguousarray(array))
    if device.type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def _draws(seed: int, shape: tuple[int, ...]) -> Tensor:
    """`(3, 4, h, w)`: for the clean latents' posterior, the noise, and the masked latents' posterior."""
    generator = torch.Generator("cpu").manual_seed(seed)
    return torch.stack([torch.randn((CHANNELS, *shape), generator=generator) for _ in range(3)])


def _encode(vae: Any, image: Tensor, draw: Tensor) -> Tensor:
    posterior = vae.encode(image.to(vae.dtype)).latent_dist
    latents: Tensor = posterior.mean.float() + posterior.std.float() * draw
    return latents * vae.config.scaling_factor


def decoded(latents: Tensor, vae: Any) -> list[Window | None]:
    """Latents `(B, 4, h, w)` -> windows `(H, W, 3)` sRGB uint8; None for one that is not finite."""
    images = vae.decode((latents / vae.config.scaling_factor).to(vae.dtype), return_dict=False)[0]
    finite = torch.isfinite(images).flatten(1).all(dim=1).tolist()
    levels = (images.float() * 127.5 + 127.5).nan_to_num(0).clamp(0, 255).round().to(torch.uint8)
    windows = levels.permute(0, 2, 3, 1).contiguous().cpu().numpy()
    return [window if good else None for window, good in zip(windows, finite, strict=True)]
