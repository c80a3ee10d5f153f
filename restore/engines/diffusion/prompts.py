"""Prompts as the UNets want them: encoded once per distinct text, in a bounded cache."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

CACHED = 256
"""Texts kept per model: 160 MB of SDXL's in fp16, and archives rarely have more prompts."""


@dataclass(frozen=True, slots=True, eq=False)
class Text:
    """One encoded prompt: `sequence` `(77, D)` and, for models that want one, `pooled` `(P,)`."""

    sequence: Tensor
    pooled: Tensor | None


class Prompts:
    """One model's texts.

    Args:
        encode: a prompt -> its encoding.
        blank_is_zero: whether the model was trained with zeros, not with the encoding of "", for "nothing".
    """

    def __init__(self, encode: Callable[[str], Text], *, blank_is_zero: bool) -> None:
        self._encoded = lru_cache(maxsize=CACHED)(encode)
        self._blank_is_zero = blank_is_zero

    def positive(self, prompt: str) -> Text:
        """What the picture should show."""
        return self._encoded(prompt)

    def negative(self, prompt: str) -> Text:
        """What the guidance leads away from; "" stands for nothing."""
        text = self._encoded(prompt)
        if prompt or not self._blank_is_zero:
            return text
        pooled = None if text.pooled is None else torch.zeros_like(text.pooled)
        return Text(torch.zeros_like(text.sequence), pooled)


def stacked(texts: Sequence[Text]) -> tuple[Tensor, Tensor | None]:
    """Texts as `(B, 77, D)` and `(B, P)`."""
    pooled = [text.pooled for text in texts if text.pooled is not None]
    return torch.stack([text.sequence for text in texts]), torch.stack(pooled) if pooled else None


def encoder(pipeline: Any, device: torch.device) -> Callable[[str], Text]:
    """What encodes a prompt with the text encoders of a diffusers pipeline, SDXL's or SD 2's."""

    def encode(prompt: str) -> Text:
        encoded = pipeline.encode_prompt(
            prompt=prompt, device=device, num_images_per_prompt=1, do_classifier_free_guidance=False
        )
        pooled = encoded[2][0].to(device) if len(encoded) == 4 else None
        return Text(encoded[0][0].to(device), pooled)

    return encode
