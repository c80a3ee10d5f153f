"""Masks that were painted on a smaller or larger copy of the photo."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from restore.repair.mask_fit import fitted

SIDES = st.integers(1, 60)


@given(SIDES, SIDES, SIDES, SIDES, st.data())
def test_every_mark_stays_where_it_was(
    width: int, height: int, new_width: int, new_height: int, data: st.DataObject
) -> None:
    damage = np.zeros((height, width), bool)
    x, y = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    damage[y, x] = True
    kept = damage.copy()
    new = fitted(damage, (new_height, new_width))
    assert new.dtype == bool and new.shape == (new_height, new_width)
    assert np.array_equal(damage, kept)
    rows, columns = np.nonzero(new)
    assert len(rows), "no mark is lost, however thin"
    # A new pixel that is marked lies over the old one, or beside it by less than a pixel.
    for centre, old, scale in ((columns, x, width / new_width), (rows, y, height / new_height)):
        first, last = centre * scale, (centre + 1) * scale
        assert (last > old - 1e-6 - scale).all() and (first < old + 1 + 1e-6 + scale).all()


def test_a_mask_of_the_right_size_stays_as_it_is() -> None:
    damage = np.eye(7, dtype=bool)
    assert fitted(damage, (7, 7)) is damage
    assert np.array_equal(fitted(damage, (14, 14)), np.kron(damage, np.ones((2, 2), bool)))
