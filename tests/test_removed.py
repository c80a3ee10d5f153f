"""Removed: what has a picture and is named no more."""

from __future__ import annotations

import pyarrow as pa

from manifests.removed import removed

COMMITTED = pa.table(
    {
        "row_id": ["1", "2", "3", "4", "5"],
        "item_id": ["kept", "gone", "gone", "never shown", "also gone"],
        "status": ["restored", "copied", "failed", "failed", "restored"],
    }
)


def test_an_item_with_a_picture_and_without_a_row_is_removed() -> None:
    wanted = pa.table({"item_id": ["kept", "new"]})
    assert removed(wanted, COMMITTED)["item_id"].to_pylist() == ["also gone", "gone"]


def test_nothing_is_removed_from_a_new_store() -> None:
    assert removed(pa.table({"item_id": ["new"]}), COMMITTED.slice(0, 0)).num_rows == 0
