"""What a diffusion engine is shown in the place of the damage."""

from __future__ import annotations

import numpy as np

from restore.engines.prefill import prefill
from tests.support.diffusion_tasks import task


def test_it_writes_only_where_it_is_damaged() -> None:
    one = task()
    before = one.window.copy()
    filled = prefill(one.window, one.mask)
    assert np.array_equal(one.window, before) and np.array_equal(filled[~one.mask], before[~one.mask])
    assert filled[one.mask].mean() < 200, "no longer white"


def test_the_damage_itself_tells_nothing() -> None:
    one = task()
    other = np.where(one.mask[..., None], np.uint8([200, 0, 0]), one.window)
    assert np.array_equal(prefill(one.window, one.mask), prefill(other, one.mask))


def test_where_nothing_is_damaged_or_nothing_is_known_it_is_a_copy() -> None:
    one = task()
    for mask in (np.zeros_like(one.mask), np.ones_like(one.mask)):
        filled = prefill(one.window, mask)
        assert np.array_equal(filled, one.window) and not np.shares_memory(filled, one.window)
