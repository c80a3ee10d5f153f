"""Removed: items that have a picture and are no longer named."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from manifests.catalog.rows import committed_rows, current_pictures
from manifests.planning.removed import MEMORY, pruned_pictures, remember, removed, removed_outcomes, since
from restore.outcome import outcome_schema
from restore.storage import OutStore
from tests.support.runs import STARTED, failure, outcome
from tests.support.stores import written

COMMITTED = pa.table(
    {
        "row_id": ["1", "2", "3", "4", "5"],
        "item_id": ["kept", "missing", "missing", "never shown", "also missing"],
        "status": ["restored", "copied", "failed", "failed", "restored"],
    }
)


def test_an_item_with_a_picture_and_without_a_row_is_removed() -> None:
    wanted = pa.table({"item_id": ["kept", "new"]})
    assert removed(wanted, COMMITTED)["item_id"].to_pylist() == ["also missing", "missing"]


def test_nothing_is_removed_from_a_new_store() -> None:
    assert removed(pa.table({"item_id": ["new"]}), COMMITTED.slice(0, 0)).num_rows == 0


def test_what_was_pruned_is_removed_once() -> None:
    pruned = pa.table(
        {"row_id": ["6", "7"], "item_id": ["missing", "also missing"], "status": ["removed", "removed"]}
    )
    back = pa.table({"row_id": ["8"], "item_id": ["missing"], "status": ["restored"]})
    wanted = pa.table({"item_id": ["kept"]})
    assert removed(wanted, pa.concat_tables([COMMITTED, pruned])).num_rows == 0
    assert removed(wanted, pa.concat_tables([COMMITTED, pruned, back]))["item_id"].to_pylist() == ["missing"]


def test_the_first_night_that_missed_a_photo_is_remembered(tmp_path: Path) -> None:
    store, later = OutStore.open(str(tmp_path)), STARTED + timedelta(days=1)

    def night(now: object, *items: str) -> dict[str, object]:
        found = since(store, pa.table({"item_id": pa.array(items, pa.string())}), now)  # type: ignore[arg-type]
        remember(store, found)
        return dict(zip(found["item_id"].to_pylist(), found["since"].to_pylist(), strict=True))

    assert night(STARTED, "a", "b") == {"a": STARTED, "b": STARTED}
    assert night(later, "b", "c") == {"b": STARTED, "c": later}
    last = later + timedelta(days=1)
    assert night(last, "a", "b") == {"a": last, "b": STARTED}, "a was back meanwhile"
    assert night(last) == {}


def test_a_pruned_item_has_a_row_that_says_so_and_no_picture(tmp_path: Path) -> None:
    store = OutStore.open(str(tmp_path))
    first = outcome(1, item_id="missing", output="images/missing.1.png")
    newer = outcome(
        2, item_id="missing", output="images/missing.2.png", image_version="v2", extra={"x_title": "T"}
    )
    written(store, [[first, outcome(3, item_id="kept")], [newer, failure(4, item_id="missing")]])
    items = pa.table({"item_id": ["missing"]})
    assert pruned_pictures(items, committed_rows(store)) == [], "nothing goes before its row says so"
    values = {"run_id": "later", "started_at": STARTED, "software_version": "1"}
    rows = removed_outcomes(items, committed_rows(store), extra=["x_title", "x_new"], **values)  # type: ignore[arg-type]
    assert rows.schema.names == [n for n in outcome_schema(["x_title", "x_new"]).names if n not in SET_LATER]
    (row,) = rows.to_pylist()
    assert (row["status"], row["reason"], row["output"], row["image_version"]) == (
        "removed",
        "removed",
        None,
        "v2",
    )
    assert (row["item_id"], row["run_id"], row["x_title"], row["x_new"]) == ("missing", "later", None, None)
    rows = rows.append_column("row_id", pa.array(["999999-00000-000000"]))
    rows = rows.append_column("committed_at", pa.array([STARTED], pa.timestamp("us", tz="UTC")))
    committed = pa.concat_tables([committed_rows(store).to_table(), rows], promote_options="default")
    assert pruned_pictures(items, committed) == ["images/missing.1.png", "images/missing.2.png"]
    assert current_pictures(committed, ("item_id",))["item_id"].to_pylist() == ["kept"]


SET_LATER = ("row_id", "committed_at")


@pytest.mark.parametrize("data", [b"", b"PAR1", b"a note"])
def test_a_memory_that_says_nothing_is_no_memory(tmp_path: Path, data: bytes) -> None:
    """An empty or cut removed.parquet must not lock the store: nothing goes too soon without it."""
    store = OutStore.open(str(tmp_path))
    store.create(MEMORY, data)
    items = pa.table({"item_id": ["missing"]})
    assert since(store, items, STARTED)["since"].to_pylist() == [STARTED]
