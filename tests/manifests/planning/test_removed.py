"""Removed: items that have a picture and are no longer named."""

from __future__ import annotations

import io
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from manifests.catalog.rows import committed_rows, current_pictures
from manifests.planning.removed import (
    COUNTED_GAP,
    MEMORY,
    pruned_pictures,
    remember,
    removed,
    removed_outcomes,
    since,
    to_prune,
)
from restore.outcome import outcome_schema
from restore.storage import OutStore
from tests.support.runs import STARTED, failure, outcome
from tests.support.stores import written

COMMITTED = pa.table(
    {
        "row_id": ["1", "2", "3", "4", "5"],
        "item_id": ["kept", "missing", "missing", "never shown", "also missing"],
        "status": ["restored", "copied", "failed", "failed", "restored"],
        "committed_at": pa.array([STARTED] * 5, pa.timestamp("us", tz="UTC")),
    }
)
DAY = timedelta(days=1)


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
    pruned, back = (
        rows.append_column("committed_at", pa.array([STARTED] * len(rows), pa.timestamp("us", tz="UTC")))
        for rows in (pruned, back)
    )
    wanted = pa.table({"item_id": ["kept"]})
    assert removed(wanted, pa.concat_tables([COMMITTED, pruned])).num_rows == 0
    assert removed(wanted, pa.concat_tables([COMMITTED, pruned, back]))["item_id"].to_pylist() == ["missing"]


@pytest.mark.parametrize(
    ("name", "below"),
    [
        *(("box/a", False), ("box", True), ("box/a/b", False), ("box", False), ("bo", True)),
        *(("", True), ("", False)),
    ],
)
def test_what_the_listing_found_is_not_removed(name: str, below: bool) -> None:
    """A photo that is left out of the manifest, or lies below a link, is still there; all lies below
    the folder without a name, which is the listed one.
    """
    committed = COMMITTED.slice(0, 1).set_column(1, "item_id", pa.array(["box/a"]))
    present = pa.table({"item_id": [name], "below": [below]})
    found = removed(pa.table({"item_id": ["other"]}), committed, present)["item_id"].to_pylist()
    assert found == ([] if (name, below) in {("box/a", False), ("box", True), ("", True)} else ["box/a"])


def items(*names: str, shown: datetime = STARTED - 400 * DAY) -> pa.Table:
    """As `removed` finds them."""
    times = pa.array([shown] * len(names), pa.timestamp("us", tz="UTC"))
    return pa.table({"item_id": pa.array(names, pa.string()), "shown": times})


def night(store: OutStore, now: datetime, *names: str, **more: datetime) -> dict[str, datetime]:
    """Remember the items of tonight. Returns since when each is missing."""
    found = since(store, items(*names, **more), now)
    remember(store, found)
    return dict(zip(found["item_id"].to_pylist(), found["since"].to_pylist(), strict=True))


def pruned_at(store: OutStore, now: datetime, *names: str, days: float = 30) -> list[str]:
    found = to_prune(since(store, items(*names), now), now, timedelta(days=days))
    return list(found["item_id"].to_pylist())


def test_the_first_night_that_missed_a_photo_is_remembered(tmp_path: Path) -> None:
    store, later, last = OutStore.open(str(tmp_path)), STARTED + DAY, STARTED + 2 * DAY
    assert night(store, STARTED, "a", "b") == {"a": STARTED, "b": STARTED}
    assert night(store, later, "b", "c") == {"b": STARTED, "c": later}
    assert night(store, last, "a", "b") == {"a": last, "b": STARTED}, "a was back meanwhile"
    assert night(store, last) == {}


def test_two_listings_at_least_have_missed_what_is_pruned(tmp_path: Path) -> None:
    store = OutStore.open(str(tmp_path))
    assert pruned_at(store, STARTED, "a", days=0) == []
    night(store, STARTED, "a")
    assert pruned_at(store, STARTED, "a", "b", days=0) == ["a"]
    for day in range(30):
        assert pruned_at(store, STARTED + day * DAY, "a") == []
        night(store, STARTED + day * DAY, "a")
    assert pruned_at(store, STARTED + 30 * DAY, "a") == ["a"]


@pytest.mark.parametrize("jump", [-2500 * DAY, 2500 * DAY])
def test_a_night_with_a_wrong_clock_prunes_nothing(tmp_path: Path, jump: timedelta) -> None:
    """One listing with the clock in another year counts a week at most, that night and later."""
    store = OutStore.open(str(tmp_path))
    night(store, STARTED, "a")
    assert pruned_at(store, STARTED + jump, "a") == []
    night(store, STARTED + jump, "a", "b")
    for day in range(1, 22):
        now = STARTED + day * DAY
        assert pruned_at(store, now, "a", "b") == []
        night(store, now, "a", "b")


def test_a_time_before_the_items_newest_row_is_not_believed(tmp_path: Path) -> None:
    store = OutStore.open(str(tmp_path))
    night(store, STARTED, "a", "b")
    later = STARTED + DAY
    assert night(store, later, "a", "b", shown=STARTED + DAY / 2) == {"a": later, "b": later}


def test_the_memory_of_an_older_version_counts_a_week(tmp_path: Path) -> None:
    store, sink = OutStore.open(str(tmp_path)), io.BytesIO()
    since_when = pa.array([STARTED], pa.timestamp("us", tz="UTC"))
    pq.write_table(pa.table({"item_id": ["a"], "since": since_when}), sink)
    store.create(MEMORY, sink.getvalue())
    now = STARTED + 100 * DAY
    assert night(store, now, "a") == {"a": now - COUNTED_GAP}


def test_a_pruned_item_has_a_row_that_says_so_and_no_picture(tmp_path: Path) -> None:
    store = OutStore.open(str(tmp_path))
    first = outcome(1, item_id="missing", output="images/missing.1.png")
    newer = outcome(
        2, item_id="missing", output="images/missing.2.png", image_version="v2", extra={"x_title": "T"}
    )
    written(store, [[first, outcome(3, item_id="kept")], [newer, failure(4, item_id="missing")]])
    absent = pa.table({"item_id": ["missing"]})
    assert pruned_pictures(absent, committed_rows(store)) == [], "nothing goes before its row says so"
    values = {"run_id": "later", "started_at": STARTED, "software_version": "1"}
    rows = removed_outcomes(absent, committed_rows(store), extra=["x_title", "x_new"], **values)  # type: ignore[arg-type]
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
    assert pruned_pictures(absent, committed) == ["images/missing.1.png", "images/missing.2.png"]
    assert current_pictures(committed, ("item_id",))["item_id"].to_pylist() == ["kept"]


def test_a_picture_that_may_be_anothers_too_is_not_pruned(tmp_path: Path) -> None:
    """Some disks take names that differ in case or in Unicode's normal form for one."""
    store = OutStore.open(str(tmp_path))
    outputs = {"IMG": "images/IMG.1.png", "img": "images/img.1.png", "e\u0301": "images/e\u0301.1.png"}
    outputs |= {"\u00e9": "images/\u00e9.1.png", "a": "images/a.1.png", "a2": "images/a.2.png"}
    rows = [outcome(n, item_id=item, output=output) for n, (item, output) in enumerate(outputs.items())]
    written(store, [rows])
    absent = pa.table({"item_id": ["img", "e\u0301", "a"]})
    later = pa.table({"item_id": absent["item_id"], "status": ["removed"] * 3, "row_id": ["999999"] * 3})
    committed = pa.concat_tables([committed_rows(store).to_table(), later], promote_options="default")
    assert pruned_pictures(absent, committed) == ["images/a.1.png"]


SET_LATER = ("row_id", "committed_at")


@pytest.mark.parametrize("data", [b"", b"PAR1", b"a note"])
def test_a_memory_that_says_nothing_is_no_memory(tmp_path: Path, data: bytes) -> None:
    """An empty or cut removed.parquet must not lock the store: nothing goes too soon without it."""
    store = OutStore.open(str(tmp_path))
    store.create(MEMORY, data)
    assert since(store, items("missing"), STARTED)["since"].to_pylist() == [STARTED]
