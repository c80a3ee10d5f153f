"""Missing inputs: what a listing did not find would fail."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from manifests.planning.missing import missing_inputs
from manifests.reading.invalid import InvalidRow
from restore.recipe import Recipe
from restore.storage import AccessPolicy

ANYWHERE = AccessPolicy(("/",), allow_http=True)


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
    found = list(missing_inputs(todo(**values), Recipe(), copy_unmasked=False, policy=ANYWHERE))
    assert [one.code for one in found] == ([code] if code else [])


def test_a_copied_or_outpainted_photo_needs_no_mask() -> None:
    unmasked = todo(mask=None, mask_version=None)
    assert list(missing_inputs(unmasked, Recipe(), copy_unmasked=True, policy=ANYWHERE)) == []
    outpainted = Recipe(mode="outpaint", expand="8,0,0,0")
    assert list(missing_inputs(unmasked, outpainted, copy_unmasked=False, policy=ANYWHERE)) == []
    assert isinstance(
        next(missing_inputs(unmasked, Recipe(), copy_unmasked=False, policy=ANYWHERE)), InvalidRow
    )


@pytest.mark.parametrize("column", ["image", "mask"])
def test_what_the_policy_forbids_is_denied_and_not_missing(column: str, tmp_path: Path) -> None:
    values = {"image": f"{tmp_path}/a.png", "mask": f"{tmp_path}/m.png"}
    values |= {column: "/elsewhere/x.png", f"{column}_version": None}
    policy = AccessPolicy((str(tmp_path),))
    (found,) = missing_inputs(todo(**values), Recipe(), copy_unmasked=False, policy=policy)
    assert found.code == "storage_denied" and "/elsewhere/x.png" in found.message


def test_an_outpainted_row_that_adds_nothing_is_named_so() -> None:
    unmasked = todo(mask=None, mask_version=None)
    recipe = Recipe(mode="outpaint")
    (found,) = missing_inputs(unmasked, recipe, copy_unmasked=False, policy=ANYWHERE)
    assert found.code == "mask_not_found" and "expand" in found.message
