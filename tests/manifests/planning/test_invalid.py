"""Invalid rows: what a run would fail is known before it begins."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from manifests.planning.invalid import InvalidRow, invalid_overrides, missing_inputs
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


def todo(**values: Any) -> pa.Table:
    row = {"item_id": "a", "image": "/a.png", "image_version": "1", "mask": "/m.png", "mask_version": "1"}
    types = pa.schema([(name, pa.string()) for name in (*row, "overrides")])
    return pa.Table.from_pylist([{**row, "overrides": "{}", **values}], types)


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({}, None),
        ({"image_version": None}, "image_not_found"),
        ({"image": "https://h/a.png", "image_version": None}, None),
        ({"mask_version": None}, "mask_not_found"),
        ({"mask": "https://h/m.png", "mask_version": None}, None),
        ({"mask": None, "mask_version": None}, "mask_not_found"),
        ({"mask": None, "mask_version": None, "overrides": '{"expand":"8,0,0,0"}'}, None),
    ],
)
def test_what_a_listing_did_not_find_would_fail(values: dict[str, Any], code: str | None) -> None:
    found = list(missing_inputs(todo(**values), Recipe(), copy_unmasked=False))
    assert [one.code for one in found] == ([code] if code else [])


def test_a_copied_or_outpainted_photo_needs_no_mask() -> None:
    unmasked = todo(mask=None, mask_version=None)
    assert list(missing_inputs(unmasked, Recipe(), copy_unmasked=True)) == []
    outpainted = Recipe(mode="outpaint", expand="8,0,0,0")
    assert list(missing_inputs(unmasked, outpainted, copy_unmasked=False)) == []
    assert isinstance(next(missing_inputs(unmasked, Recipe(), copy_unmasked=False)), InvalidRow)
