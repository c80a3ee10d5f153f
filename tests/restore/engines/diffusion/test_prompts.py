"""Prompts longer than the text encoders read at a time."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise

import torch
from hypothesis import given
from hypothesis import strategies as st

from restore.engines.diffusion.prompts import Prompts, Text, chunks
from tests.support.diffusion_tasks import SAMPLER


def fits(text: str) -> bool:
    """A tokenizer of 12 places that makes a token of each letter."""
    return len(text.replace(" ", "")) <= 12


@given(st.text(alphabet="abc \n", max_size=120))
def test_chunks_are_the_prompt_each_fits_and_none_could_be_longer(prompt: str) -> None:
    parts = chunks(prompt, fits)
    assert "".join(parts) == prompt
    assert all(fits(part) for part in parts)
    for part, following in pairwise(parts):
        first_word = re.match(r"\S*\s*", following)
        assert first_word and not fits(part + first_word[0]), "one more word would not have fitted"


def test_a_word_is_cut_only_where_it_fits_no_chunk() -> None:
    assert chunks("a wall of red brick", fits) == ["a wall of red ", "brick"]
    assert chunks("abcabcabcabcabc b", fits) == ["abcabcabcabc", "abc b"]


def encode(prompt: str) -> Text:
    """As many chunks as words; each holds its word's length."""
    parts = [torch.full((77, 2), float(len(word))) for word in prompt.split() or [""]]
    return Text(torch.cat(parts), torch.tensor([float(len(prompt))]))


def test_the_shorter_of_prompt_and_negative_prompt_is_padded_with_nothing() -> None:
    sampler = replace(SAMPLER, prompt="sky", negative_prompt="blur and dust")
    prompts = Prompts(encode, blank_is_zero=False)
    positive, negative = prompts.positive(sampler), prompts.negative(sampler)
    assert prompts.length(sampler) == positive.length == negative.length == 231
    assert torch.equal(positive.sequence, torch.cat([encode(word).sequence for word in ("sky", "", "")]))
    assert positive.pooled is not None and positive.pooled.tolist() == [3.0]
    assert torch.equal(negative.sequence, encode("blur and dust").sequence)
