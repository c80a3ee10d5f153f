"""Prompts as the UNets want them: encoded once per distinct text, in a bounded cache.

The text encoders read 77 tokens at a time, and diffusers cuts the rest off. A longer prompt is encoded in
chunks, whose encodings follow each other for the UNets' cross-attention, as other tools do.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from restore.engines import Sampler

CACHED = 256
"""Texts kept per model: 160 MB of SDXL's in fp16, and archives rarely have more prompts."""


@dataclass(frozen=True, slots=True, eq=False)
class Text:
    """One encoded prompt.

    Attributes:
        sequence: `(77 n, D)`, for a prompt of n chunks.
        pooled: `(P,)` of the first chunk, for models that want one.
    """

    sequence: Tensor
    pooled: Tensor | None

    @property
    def length(self) -> int:
        """Positions of the sequence."""
        return len(self.sequence)

    def padded(self, length: int, padding: Tensor) -> Text:
        """The text at `length` positions, its end filled with repetitions of `padding` `(77, D)`."""
        missing = (length - self.length) // len(padding)
        return replace(self, sequence=torch.cat([self.sequence, *[padding] * missing])) if missing else self


class Prompts:
    """One model's texts.

    Args:
        encode: a prompt -> its encoding.
        blank_is_zero: whether the model was trained with zeros, not with the encoding of "", for "nothing".
    """

    def __init__(self, encode: Callable[[str], Text], *, blank_is_zero: bool) -> None:
        self._encoded = lru_cache(maxsize=CACHED)(encode)
        self._blank_is_zero = blank_is_zero

    def length(self, sampler: Sampler) -> int:
        """Positions that both of a window's texts take, the shorter one padded."""
        return max(self._encoded(sampler.prompt).length, self._encoded(sampler.negative_prompt).length)

    def positive(self, sampler: Sampler) -> Text:
        """What the picture should show."""
        return self._encoded(sampler.prompt).padded(self.length(sampler), self._encoded("").sequence)

    def negative(self, sampler: Sampler) -> Text:
        """What the guidance leads away from; "" stands for nothing."""
        text = self._encoded(sampler.negative_prompt)
        if self._blank_is_zero and not sampler.negative_prompt:
            pooled = None if text.pooled is None else torch.zeros_like(text.pooled)
            text = Text(torch.zeros_like(text.sequence), pooled)
            return text.padded(self.length(sampler), text.sequence)
        return text.padded(self.length(sampler), self._encoded("").sequence)


def stacked(texts: Sequence[Text]) -> tuple[Tensor, Tensor | None]:
    """Texts of one length as `(B, 77 n, D)` and `(B, P)`."""
    pooled = [text.pooled for text in texts if text.pooled is not None]
    return torch.stack([text.sequence for text in texts]), torch.stack(pooled) if pooled else None


def encoder(pipeline: Any, device: torch.device) -> Callable[[str], Text]:
    """What encodes a prompt with the text encoders of a diffusers pipeline, SDXL's or SD 2's."""
    tokenizers = [pipeline.tokenizer, getattr(pipeline, "tokenizer_2", None)]

    def fits(text: str) -> bool:
        return all(
            len(tokenizer(text, truncation=False, verbose=False).input_ids) <= tokenizer.model_max_length
            for tokenizer in tokenizers
            if tokenizer is not None
        )

    def encode_chunk(chunk: str) -> Text:
        encoded = pipeline.encode_prompt(
            prompt=chunk, device=device, num_images_per_prompt=1, do_classifier_free_guidance=False
        )
        pooled = encoded[2][0].to(device) if len(encoded) == 4 else None
        return Text(encoded[0][0].to(device), pooled)

    def encode(prompt: str) -> Text:
        texts = [encode_chunk(chunk) for chunk in chunks(prompt, fits)]
        return replace(texts[0], sequence=torch.cat([text.sequence for text in texts]))

    return encode


def chunks(prompt: str, fits: Callable[[str], bool]) -> list[str]:
    """The prompt in parts that fit, each as long as can be, cut at white space where there is any.

    Args:
        fits: whether the text encoders read a text to its end. It is true of every part of such a text.
    """
    if fits(prompt):
        return [prompt]
    ends = [match.end() for match in re.finditer(r"\s+", prompt)]
    if not ends or not fits(prompt[: ends[0]]):
        ends = list(range(1, len(prompt)))
    end = ends[max(bisect_left(ends, True, key=lambda end: not fits(prompt[:end])) - 1, 0)]
    return [prompt[:end], *chunks(prompt[end:], fits)]
