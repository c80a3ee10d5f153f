"""Invalid rows: recipe columns that make no recipe are known before a run begins."""

from __future__ import annotations

import pyarrow as pa
import pytest

from manifests.reading.invalid import invalid_overrides
from restore.errors import ItemError
from restore.recipe import Recipe, with_overrides


def manifest(*overrides: str) -> pa.Table:
    count = len(overrides)
    return pa.table(
        {"row": range(2, count + 2), "item_id": [f"i{n}" for n in range(count)], "overrides": overrides}
    )


def test_bad_overrides_are_named_with_their_rows() -> None:
    rows = manifest("{}", '{"seed":3}', '{"seed":"x"}', '{"dilate_kernel":4}', '{"seed":"x"}')
    found = list(invalid_overrides(rows, Recipe()))
    assert [(one.row, one.item_id, one.code) for one in found] == [
        (4, "i2", "invalid_row"),
        (5, "i3", "invalid_row"),
        (6, "i4", "invalid_row"),
    ]
    assert "seed='x'" in found[0].message and "must be odd" in found[1].message


def test_the_messages_are_those_of_the_run() -> None:
    (found,) = invalid_overrides(manifest('{"strength":0.1}'), Recipe())
    with pytest.raises(ItemError) as caught:
        with_overrides(Recipe(), {"strength": 0.1})
    assert found.message == caught.value.message
