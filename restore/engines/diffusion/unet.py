"""One UNet as an expert of the ensemble: its conditions, its guidance, its extra channels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from restore.engines.diffusion.latents import Batch
from restore.engines.diffusion.prompts import Prompts, Text, stacked


@dataclass(frozen=True, slots=True, eq=False)
class Conditions:
    """What a batch is conditioned on: `(B, 77 n, D)` of text and, for SDXL, pooled text and time ids."""

    sequence: Tensor
    added: dict[str, Tensor]

    def after(self, other: Conditions) -> Conditions:
        """`other`'s batch and then this one, for one call with both."""
        added = {name: torch.cat([other.added[name], value]) for name, value in self.added.items()}
        return Conditions(torch.cat([other.sequence, self.sequence]), added)


@dataclass(frozen=True, slots=True, eq=False)
class ConditionedUNet:
    """A UNet with what it needs to predict the noise in one batch.

    Attributes:
        positive: of the prompts alone.
        both: of the negative prompts and then the prompts; None where no item is guided.
        scale: guidance of each item, `(B, 1, 1, 1)`, at least 1, which is none.
        channels: `(B, C, h, w)` that a model which sees the mask is given besides the latents.
    """

    unet: Any
    positive: Conditions
    both: Conditions | None
    scale: Tensor
    channels: Tensor | None

    def predict(self, latents: Tensor, timestep: Tensor, guided: bool) -> Tensor:
        """The noise in scaled latents `(B, 4, h, w)`, float32.

        Classifier-free guidance (Ho & Salimans 2022) in one call of twice the batch.
        """
        seen = latents if self.channels is None else torch.cat([latents, self.channels], dim=1)
        if not guided or self.both is None:
            return self._call(seen, timestep, self.positive)
        away, towards = self._call(torch.cat([seen, seen]), timestep, self.both).chunk(2)
        return away + self.scale * (towards - away)

    def _call(self, latents: Tensor, timestep: Tensor, conditions: Conditions) -> Tensor:
        # One layout, whatever step or batch they come from: a compiled model is compiled again for another.
        predicted: Tensor = self.unet(
            latents.to(self.unet.dtype).contiguous(),
            timestep,
            encoder_hidden_states=conditions.sequence,
            added_cond_kwargs=conditions.added,
            return_dict=False,
        )[0]
        return predicted.float()


def expert(
    unet: Any, prompts: Prompts, batch: Batch, ids: tuple[Sequence[float], Sequence[float]]
) -> ConditionedUNet:
    """The expert for one batch.

    Args:
        ids: SDXL's size and crop conditions for prompt and negative prompt; empty for a model without.
    """
    samplers = [task.sampler for task in batch.tasks]
    scales = [max(sampler.guidance_scale, 1.0) for sampler in samplers]
    positive = _conditions([prompts.positive(sampler) for sampler in samplers], ids[0])
    both = None
    if max(scales) > 1:
        negative = _conditions([prompts.negative(sampler) for sampler in samplers], ids[1])
        both = positive.after(negative)
    sees_mask = unet.config.in_channels > batch.clean.shape[1]
    return ConditionedUNet(
        unet=unet,
        positive=positive,
        both=both,
        scale=torch.tensor(scales, device=batch.mask.device).reshape(-1, 1, 1, 1),
        channels=torch.cat([batch.mask, batch.masked], dim=1) if sees_mask else None,
    )


def _conditions(texts: Sequence[Text], ids: Sequence[float]) -> Conditions:
    sequence, pooled = stacked(texts)
    if pooled is None:
        return Conditions(sequence, {})
    time_ids = torch.tensor([list(ids)] * len(texts), dtype=sequence.dtype, device=sequence.device)
    return Conditions(sequence, {"text_embeds": pooled, "time_ids": time_ids})
