"""One row of a run's plan: a photo, its mask, their versions, and the reason to do it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from restore.row_schema import NOT_A_COLUMN, Int32, schema_of

EXTRA_PREFIX = "x_"


@dataclass(frozen=True, slots=True)
class Item:
    """One photo to be done. The fields are the columns of a plan's row, in this order.

    `image`, `mask` and `reference` are absolute URIs. A version is the store's own token as listed,
    opaque; a pinned version came with the manifest. `overrides` is canonical JSON of the row's recipe
    columns. `attempts` counts the earlier runs that failed at this work key. `former` is the row_id of
    the current picture, where only the inputs' versions differ from those of that picture;
    `former_image_sha256` and `former_mask_sha256` are the digests of its inputs.
    """

    item_id: str
    image: str
    image_version: str | None = field(default=None, kw_only=True)
    image_pinned: bool = field(default=False, kw_only=True)
    mask: str | None = field(default=None, kw_only=True)
    mask_version: str | None = field(default=None, kw_only=True)
    mask_pinned: bool = field(default=False, kw_only=True)
    reference: str | None = field(default=None, kw_only=True)
    overrides: str = field(default="{}", kw_only=True)
    work_key: str
    reason: str = "new"
    attempts: Int32 = 0
    former: str | None = None
    former_image_sha256: str | None = None
    former_mask_sha256: str | None = None
    extra: Mapping[str, str | None] = field(default_factory=dict, metadata=NOT_A_COLUMN)

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Item:
        """From one row of the plan; `extra` holds its `x_*` columns."""
        known = {name: row[name] for name in PLAN_SCHEMA.names}
        extra = {name: value for name, value in row.items() if name.startswith(EXTRA_PREFIX)}
        return cls(**known, extra=extra)

    def overridden(self) -> dict[str, Any]:
        """The row's recipe columns as values."""
        values: dict[str, Any] = json.loads(self.overrides)
        return values


PLAN_SCHEMA = schema_of(Item)
"""Columns of `OUT/plans/<run_id>.parquet`. The manifest's `x_*` columns follow, all strings."""
