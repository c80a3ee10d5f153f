"""Tiny random checkpoints in the layout of the real ones, so that the diffusion engines run on any machine.

The VAE has four blocks, as the real one has: with two its scale would be 2 instead of 8, and mistakes with
masks in latent space would not show.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    EulerDiscreteScheduler,
    StableDiffusionInpaintPipeline,
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLInpaintPipeline,
    UNet2DConditionModel,
)
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

WIDTH = 32  # of either text encoder
SCHEDULE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "steps_offset": 1}


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """Folders in diffusers' layout, safetensors only."""

    inpaint: Path
    refiner: Path
    vae: Path
    sd2: Path

    def settings(self) -> list[str]:
        """What names them on a job's command line."""
        return [f"models.{role}={getattr(self, role)}" for role in ("inpaint", "refiner", "vae", "sd2")]


def make_checkpoints(folder: Path) -> Checkpoints:
    """All four, the same weights every time."""
    state = torch.random.get_rng_state()
    torch.manual_seed(0)
    made = Checkpoints(folder / "inpaint", folder / "refiner", folder / "vae", folder / "sd2")
    vae, encoder = make_vae(), make_encoder(projected=True)
    tokenizer = make_tokenizer()
    base = StableDiffusionXLInpaintPipeline(
        vae=vae,
        text_encoder=make_encoder(projected=False),
        text_encoder_2=encoder,
        tokenizer=tokenizer,
        tokenizer_2=tokenizer,
        unet=make_unet(9, cross=2 * WIDTH, projection=WIDTH + 6 * 8),
        scheduler=make_euler(),
        force_zeros_for_empty_prompt=True,
    )
    refiner = StableDiffusionXLImg2ImgPipeline(  # as the real one's model_index.json says
        vae=vae,
        text_encoder=None,
        text_encoder_2=encoder,
        tokenizer=None,
        tokenizer_2=tokenizer,
        unet=make_unet(4, cross=WIDTH, projection=WIDTH + 5 * 8),
        scheduler=make_euler(),
        requires_aesthetics_score=True,
        force_zeros_for_empty_prompt=False,
    )
    base.save_pretrained(made.inpaint)
    refiner.save_pretrained(made.refiner)
    vae.save_pretrained(made.vae)
    make_sd2(tokenizer).save_pretrained(made.sd2)
    torch.random.set_rng_state(state)
    return made


def make_vae(*, force_upcast: bool = False) -> AutoencoderKL:
    """Scale 8, four latent channels. `force_upcast` as SDXL's own VAE has it and the fp16 fix has not."""
    return AutoencoderKL(
        block_out_channels=(8, 8, 16, 16),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
        norm_num_groups=4,
        latent_channels=4,
        sample_size=64,
        scaling_factor=0.13025,
        force_upcast=force_upcast,
    ).eval()


def make_unet(channels: int, *, cross: int, projection: int | None) -> UNet2DConditionModel:
    """Two levels; `projection` is the width of SDXL's added conditions, None for SD 2."""
    added = {
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 8,
        "projection_class_embeddings_input_dim": projection,
    }
    return UNet2DConditionModel(
        sample_size=8,
        in_channels=channels,
        out_channels=4,
        block_out_channels=(32, 64),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=(2, 4),
        use_linear_projection=True,
        cross_attention_dim=cross,
        transformer_layers_per_block=(1, 1),
        **(added if projection else {}),
    ).eval()


def make_encoder(*, projected: bool) -> CLIPTextModel:
    config = CLIPTextConfig(
        vocab_size=514,
        hidden_size=WIDTH,
        intermediate_size=2 * WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=77,
        projection_dim=WIDTH,
        bos_token_id=512,
        eos_token_id=513,
        pad_token_id=513,
        hidden_act="gelu",
    )
    return (CLIPTextModelWithProjection if projected else CLIPTextModel)(config).eval()


def make_tokenizer() -> CLIPTokenizer:
    """Every byte is a token: CLIP's 256 byte characters, the same at a word's end, and two marks."""
    redact = [*range(33, 127), *range(161, 173), *range(174, 256)]
    characters = [chr(b) for b in redact] + [chr(256 + i) for i in range(256 - len(redact))]
    words = [*characters, *(c + "</w>" for c in characters), "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {word: number for number, word in enumerate(words)}
    return CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=77)


def make_euler() -> EulerDiscreteScheduler:
    return EulerDiscreteScheduler(**SCHEDULE, timestep_spacing="leading")


def make_sd2(tokenizer: CLIPTokenizer) -> StableDiffusionInpaintPipeline:
    return StableDiffusionInpaintPipeline(
        vae=make_vae(),
        text_encoder=make_encoder(projected=False),
        tokenizer=tokenizer,
        unet=make_unet(9, cross=WIDTH, projection=None),
        scheduler=DDIMScheduler(**SCHEDULE, clip_sample=False, set_alpha_to_one=False),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
