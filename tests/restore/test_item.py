"""Item: a row of the plan, there and back."""

from __future__ import annotations

from dataclasses import fields

import pyarrow as pa

from restore.item import PLAN_SCHEMA, Item

SCHEMA = """
item_id: string not null
image: string not null
image_version: string
image_pinned: bool not null
mask: string
mask_version: string
mask_pinned: bool not null
reference: string
overrides: string not null
work_key: string not null
reason: string not null
attempts: int32 not null
former: string
former_image_sha256: string
former_mask_sha256: string
"""


def test_the_columns_are_these() -> None:
    described = [
        f"{column.name}: {column.type}{'' if column.nullable else ' not null'}" for column in PLAN_SCHEMA
    ]
    assert described == SCHEMA.split("\n")[1:-1]


def test_the_plans_columns_are_the_items_fields() -> None:
    assert set(PLAN_SCHEMA.names) == {field.name for field in fields(Item)} - {"extra"}


def test_a_row_becomes_an_item_with_its_own_columns_apart() -> None:
    row = {
        "item_id": "a",
        "image": "/a.png",
        "image_version": "1",
        "image_pinned": True,
        "mask": None,
        "mask_version": None,
        "mask_pinned": False,
        "reference": None,
        "overrides": '{"seed":3}',
        "work_key": "k",
        "reason": "new",
        "attempts": 2,
        "x_box": "7",
    }
    schema = PLAN_SCHEMA.append(pa.field("x_box", pa.string()))
    item = Item.from_row(pa.Table.from_pylist([row], schema=schema).to_pylist()[0])
    assert item == Item(
        item_id="a",
        image="/a.png",
        work_key="k",
        image_version="1",
        image_pinned=True,
        overrides='{"seed":3}',
        attempts=2,
        extra={"x_box": "7"},
    )
    assert item.overridden() == {"seed": 3}
