"""Reuse: a run's rows for pictures that an earlier run has made."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

from manifests.planning.reuse import completed, reused_outcomes
from manifests.query import sql
from manifests.query.spool import SpooledTable, spool
from restore.errors import StorageConfigError
from restore.item import PLAN_SCHEMA
from restore.outcome import OUTCOME_SCHEMA, SET_AT_COMMIT, Outcome, Seconds, outcomes_table

NOW = datetime(2026, 2, 3, tzinfo=UTC)


def committed() -> pa.Table:
    rows = [
        {
            "row_id": f"00000{number}-00000-000000",
            "item_id": "a",
            "run_id": f"run{number}",
            "status": "restored",
            "work_key": f"key{number}",
            "reason": "new",
            "image": "/old/a.png",
            "image_version": "v1",
            "output": f"images/a.key{number}.png",
            "recipe_hash": f"recipe{number}",
            "overrides": "{}",
            "pipeline_version": 1,
            "attempts": 1,
            "seconds": {"paint": 3.0},
            "figures": {"seam": 1.25},
            "started_at": datetime(2026, 1, 1, tzinfo=UTC),
            "committed_at": datetime(2026, 1, 1, tzinfo=UTC),
            "software_version": "0.0",
        }
        for number in (1, 2)
    ]
    return pa.Table.from_pylist(rows, schema=OUTCOME_SCHEMA)


def test_the_earlier_row_is_repeated_by_this_run() -> None:
    schema = pa.schema([*PLAN_SCHEMA, pa.field("x_box", pa.string()), pa.field("reused_from", pa.string())])
    plan_row = {
        "item_id": "a",
        "image": "/new/a.png",
        "image_version": "v1",
        "image_pinned": False,
        "mask_pinned": False,
        "overrides": "{}",
        "work_key": "key1",
        "reason": "reused",
        "attempts": 0,
        "x_box": "7",
        "reused_from": "000001-00000-000000",
    }
    reused = pa.Table.from_pylist([plan_row], schema=schema)
    doubled = pa.concat_tables([committed(), committed()])  # a compacted part stands beside its sources
    table = reused_outcomes(reused, doubled, run_id="run3", started_at=NOW, software_version="9")
    assert [name for name in OUTCOME_SCHEMA.names if name not in SET_AT_COMMIT] == table.schema.names[:-1]
    (row,) = table.to_pylist()
    assert (row["run_id"], row["reason"], row["reused_from"]) == ("run3", "reused", "000001-00000-000000")
    assert (row["output"], row["work_key"], row["recipe_hash"]) == ("images/a.key1.png", "key1", "recipe1")
    assert (row["image"], row["x_box"], row["software_version"]) == ("/new/a.png", "7", "9")
    assert row["started_at"] == NOW and row["seconds"] is None and row["figures"]["seam"] == 1.25


def outcome(item_id: str, **more: Any) -> Outcome:
    draft: dict[str, Any] = {
        "item_id": item_id,
        "run_id": "run3",
        "status": "restored",
        "work_key": "newkey",
        "reason": "image_changed",
        "image": "/new/a.png",
        "image_version": "v2",
        "recipe_hash": "recipe2",
        "pipeline_version": 1,
        "started_at": NOW,
        "software_version": "9",
        "attempts": 3,
        "seconds": Seconds(fetch=1.5),
        "extra": {"x_box": "7"},
    }
    return Outcome(**{**draft, **more})


def todo(*formers: str | None) -> SpooledTable:
    with sql.connection() as con:
        con.register("formers", pa.table({"former": pa.array(formers, pa.string())}))
        return spool(con, "FROM formers", pa.schema([("former", pa.string())]))


TOUCHED = outcome("a", reason="touched", reused_from="000002-00000-000000")


def test_a_touched_photo_shows_its_former_picture_under_its_new_key() -> None:
    painted = outcomes_table([outcome("b", output="images/b.png")], ["x_box"])
    mixed = outcomes_table([TOUCHED, outcome("c", output="images/c.png")], ["x_box"])
    doubled = pa.concat_tables([committed(), committed()])
    tables = list(completed([painted, mixed], todo("000002-00000-000000", None), doubled))
    assert tables[0] is painted and all(table.schema == painted.schema for table in tables)
    rows = {row["item_id"]: row for row in tables[1].to_pylist()}
    assert rows["c"] == mixed.to_pylist()[1]
    row = rows["a"]
    assert (row["status"], row["output"], row["figures"]["seam"]) == ("restored", "images/a.key2.png", 1.25)
    assert (row["work_key"], row["image_version"], row["image"]) == ("newkey", "v2", "/new/a.png")
    assert (row["reason"], row["reused_from"]) == ("touched", "000002-00000-000000")
    assert (row["run_id"], row["started_at"], row["software_version"]) == ("run3", NOW, "9")
    assert (row["attempts"], row["seconds"]["fetch"], row["x_box"]) == (3, 1.5, "7")


def test_a_missing_former_row_is_an_error() -> None:
    stream = [outcomes_table([TOUCHED], ["x_box"])]
    with pytest.raises(StorageConfigError, match="'a' is missing"):
        list(completed(stream, todo("000002-00000-000000"), committed().slice(0, 1)))
