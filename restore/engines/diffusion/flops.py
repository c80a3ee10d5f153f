"""The real models' sizes and arithmetic, counted on torch's `meta` device: no weights, no memory.

python -m restore.engines.diffusion.flops    prints the table that `restore.engines.cost` holds
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch.utils.flop_counter import FlopCounterMode
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from restore.engines.cost import Tflop
from restore.methods import SDXL_SIZES, Size

_SDXL = {
    "sample_size": 128,
    "layers_per_block": 2,
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
}
# The config.json of each published checkpoint, as far as it shapes the model.
BASE: Mapping[str, Any] = {
    **_SDXL,
    "in_channels": 9,
    "block_out_channels": (320, 640, 1280),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "transformer_layers_per_block": (1, 2, 10),
    "attention_head_dim": (5, 10, 20),
    "cross_attention_dim": 2048,
    "projection_class_embeddings_input_dim": 2816,
}
REFINER: Mapping[str, Any] = {
    **_SDXL,
    "in_channels": 4,
    "block_out_channels": (384, 768, 1536, 1536),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "transformer_layers_per_block": 4,
    "attention_head_dim": (6, 12, 24, 24),
    "cross_attention_dim": 1280,
    "projection_class_embeddings_input_dim": 2560,
}
SD2: Mapping[str, Any] = {
    "sample_size": 64,
    "in_channels": 9,
    "block_out_channels": (320, 640, 1280, 1280),
    "attention_head_dim": (5, 10, 20, 20),
    "cross_attention_dim": 1024,
    "use_linear_projection": True,
}
VAE: Mapping[str, Any] = {
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 2,
    "latent_channels": 4,
    "sample_size": 1024,
}
TEXT_1: Mapping[str, Any] = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "projection_dim": 768,
}
TEXT_2: Mapping[str, Any] = {
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "num_hidden_layers": 32,
    "num_attention_heads": 20,
    "projection_dim": 1280,
}


def models() -> dict[str, Any]:
    """The full-size models of the SDXL engine, on `meta`."""
    with torch.device("meta"):
        return {
            "base": UNet2DConditionModel(**BASE),
            "refiner": UNet2DConditionModel(**REFINER),
            "vae": AutoencoderKL(**VAE),
            "text_encoder": CLIPTextModel(CLIPTextConfig(**TEXT_1)),
            "text_encoder_2": CLIPTextModelWithProjection(CLIPTextConfig(**TEXT_2)),
        }


def gigabytes(model: Any) -> float:
    """Parameters in 16 bit, 10**9 bytes."""
    return sum(int(parameter.numel()) for parameter in model.parameters()) * 2 / 1e9


def counted(call: Callable[[], Any]) -> float:
    """TFLOP of a call, a multiplication and an addition counting as two."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        call()
    return float(counter.get_total_flops()) / 1e12


def unet_tflop(unet: Any, size: Size) -> float:
    """TFLOP of one forward of one window."""
    config = unet.config
    text = torch.empty(1, 77, config.cross_attention_dim, device="meta")
    added = None
    if config.addition_embed_type:
        ids = 6 if config.in_channels == 9 else 5
        pooled = config.projection_class_embeddings_input_dim - ids * config.addition_time_embed_dim
        added = {
            "text_embeds": torch.empty(1, pooled, device="meta"),
            "time_ids": torch.empty(1, ids, device="meta"),
        }
    latents = torch.empty(1, config.in_channels, size[1] // 8, size[0] // 8, device="meta")
    step = torch.empty((), device="meta")
    return counted(lambda: unet(latents, step, encoder_hidden_states=text, added_cond_kwargs=added))


def tflop(full: Mapping[str, Any], size: Size) -> Tflop:
    """TFLOP of one forward of each model on one window of `size`."""
    image = torch.empty(1, 3, size[1], size[0], device="meta")
    latents = torch.empty(1, 4, size[1] // 8, size[0] // 8, device="meta")
    return Tflop(
        base=unet_tflop(full["base"], size),
        refiner=unet_tflop(full["refiner"], size) if "refiner" in full else 0.0,
        encode=counted(lambda: full["vae"].encode(image)),
        decode=counted(lambda: full["vae"].decode(latents)),
    )


def main() -> None:
    """Print the table."""
    full = models()
    for size in SDXL_SIZES:
        print(f"    {size}: {tflop(full, size)},")
    with torch.device("meta"):
        sd2 = {"base": UNet2DConditionModel(**SD2), "vae": AutoencoderKL(**VAE)}
    print(f"    (512, 512): {tflop(sd2, (512, 512))},")


if __name__ == "__main__":
    main()
