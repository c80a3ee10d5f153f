"""Checkpoints on disk -> models in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL
from diffusers.utils import logging as diffusers_logging
from transformers.utils import logging as transformers_logging

from restore.engines import EngineConfig
from restore.errors import EngineError
from restore.methods import Role


def require_device(config: EngineConfig) -> torch.device:
    """The device that was asked for.

    Raises:
        EngineError: when it is not there; another is never taken instead.
    """
    if config.device == "cuda" and not torch.cuda.is_available():
        raise EngineError(
            "this node has no usable CUDA GPU (torch sees none); check the driver and that torch is a CUDA "
            "build, or use the profile local"
        )
    return torch.device(config.device, 0) if config.device == "cuda" else torch.device("cpu")


def visible_gpus() -> list[tuple[str, int]]:
    """Name and bytes of memory of each GPU that torch sees; empty on a CPU build."""
    cards = map(torch.cuda.get_device_properties, range(torch.cuda.device_count()))
    return [(card.name, card.total_memory) for card in cards]


def torch_dtype(name: str) -> torch.dtype:
    """`torch.float16` for "float16"."""
    dtype: torch.dtype = getattr(torch, name)
    return dtype


def load_vae(config: EngineConfig, role: Role) -> Any:
    """The VAE of `models.vae`, else that of `role`'s own checkpoint.

    One that says of itself that it overflows in fp16 (SDXL's own does) is held in fp32; diffusers would
    recast it at every encode and decode.
    """
    own = "vae" in config.directories
    folder = config.directories["vae" if own else role]
    where = {} if own else {"subfolder": "vae"}
    dtype = torch_dtype(config.dtype)
    if dtype == torch.float16 and AutoencoderKL.load_config(folder, **where).get("force_upcast", True):
        dtype = torch.float32
    return AutoencoderKL.from_pretrained(
        folder, **where, **_options(Path(folder) / where.get("subfolder", ""), dtype)
    ).eval()


def load_pipeline(kind: Any, config: EngineConfig, role: Role, **given: Any) -> Any:
    """A diffusers pipeline from the checkpoint of `role`, in main memory; `given` parts are not loaded.

    Raises:
        EngineError: when the checkpoint does not hold such a pipeline.
    """
    folder = config.directories[role]
    diffusers_logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()
    try:
        return kind.from_pretrained(folder, **_options(Path(folder), torch_dtype(config.dtype)), **given)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise EngineError(f"models.{role}: {folder} holds no {kind.__name__}: {error}") from error


def _options(folder: Path, dtype: torch.dtype) -> dict[str, Any]:
    half = any(folder.rglob("*.fp16*.safetensors"))
    return {
        "dtype": dtype,
        "variant": "fp16" if half else None,
        "use_safetensors": True,
        "low_cpu_mem_usage": True,
        "local_files_only": True,
    }


def prepared(unet: Any, config: EngineConfig) -> Any:
    """A UNet laid out and compiled as configured.

    Shapes stay symbolic: one compile serves every window size and batch. Compiled shape by shape, the
    ninth would exceed torch's limit of eight per function and end in an error.
    """
    if config.device == "cuda" and config.compile == "full":
        # Only a whole compile keeps that layout throughout. PyTorch's own group norm turns it back before
        # every convolution: eager, an H200 painted 5% less with it.
        unet.to(memory_format=torch.channels_last)
    if config.compile == "regional":
        unet.compile_repeated_blocks(fullgraph=True, dynamic=True)
    elif config.compile == "full":
        unet.compile(fullgraph=True, dynamic=True)
    return unet
