"""One row of a run's plan: a photo, its mask, their versions, and why it is to be done."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import pyarrow as pa

EXTRA_PREFIX = "x_"

PLAN_SCHEMA = pa.schema(
    [
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("image", pa.string(), nullable=False),
        pa.field("image_version", pa.string()),
        pa.field("image_pinned", pa.bool_(), nullable=False),
        pa.field("mask", pa.string()),
        pa.field("mask_version", pa.string()),
        pa.field("mask_pinned", pa.bool_(), nullable=False),
        pa.field("reference", pa.string()),
        pa.field("overrides", pa.string(), nullable=False),
        pa.field("work_key", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("attempts", pa.int32(), nullable=False),
        pa.field("former", pa.string()),
        pa.field("former_image_sha256", pa.string()),
        pa.field("former_mask_sha256", pa.string()),
    ]
)
"""Columns of `OUT/plans/<run_id>.parquet`; the manifest's `x_*` columns follow, all strings."""


@dataclass(frozen=True, slots=True)
class Item:
    """One photo to be done.

    `image`, `mask` and `reference` are absolute URIs. A version is the store's own token as listed,
    opaque; a pinned one came with the manifest. `overrides` is canonical JSON of the row's recipe
    columns. `attempts` counts the earlier runs that failed at this work key. `former` is the row_id of
    the current picture if it was made the same way from inputs of other versions; the inputs' sha256
    were those.
    """

    item_id: str
    image: str
    work_key: str
    reason: str = "new"
    image_version: str | None = None
    image_pinned: bool = False
    mask: str | None = None
    mask_version: str | None = None
    mask_pinned: bool = False
    reference: str | None = None
    overrides: str = "{}"
    attempts: int = 0
    former: str | None = None
    former_image_sha256: str | None = None
    former_mask_sha256: str | None = None
    extra: Mapping[str, str | None] = field(default_factory=dict)

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Item:
        """From one row of the plan, its `x_*` columns gathered in `extra`."""
        known = {f.name: row[f.name] for f in fields(cls) if f.name != "extra"}
        extra = {name: value for name, value in row.items() if name.startswith(EXTRA_PREFIX)}
        return cls(**known, extra=extra)

    def overridden(self) -> dict[str, Any]:
        """The row's recipe columns as values."""
        values: dict[str, Any] = json.loads(self.overrides)
        return values
