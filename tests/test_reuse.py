"""Reuse: a run's rows for pictures that an earlier run has made."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from manifests.reuse import Teller, retold, reused_outcomes
from restore.item import PLAN_SCHEMA
from restore.outcome import OUTCOME_SCHEMA, SET_AT_COMMIT, Outcome, outcomes_table

NOW = datetime(2026, 2, 3, tzinfo=UTC)
TELLER = Teller("run3", NOW, "9")


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


def test_the_earlier_row_is_told_again_by_this_run() -> None:
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
    table = reused_outcomes(reused, doubled, TELLER)
    assert [name for name in OUTCOME_SCHEMA.names if name not in SET_AT_COMMIT] == table.schema.names[:-1]
    (row,) = table.to_pylist()
    assert (row["run_id"], row["reason"], row["reused_from"]) == ("run3", "reused", "000001-00000-000000")
    assert (row["output"], row["work_key"], row["recipe_hash"]) == ("images/a.key1.png", "key1", "recipe1")
    assert (row["image"], row["x_box"], row["software_version"]) == ("/new/a.png", "7", "9")
    assert row["started_at"] == NOW and row["seconds"] is None and row["figures"]["seam"] == 1.25


def test_a_touched_photo_is_told_as_its_former_picture(tmp_path: Path) -> None:
    for number in (1, 2):  # each in a part of its own
        pq.write_table(committed().slice(number - 1, 1), tmp_path / f"part-{number}.parquet")
    touched = Outcome(
        item_id="a",
        run_id="run3",
        status="restored",
        work_key="key9",
        reason="touched",
        image="/new/a.png",
        image_version="v2",
        recipe_hash="recipe2",
        pipeline_version=1,
        started_at=NOW,
        software_version="9",
        reused_from="000002-00000-000000",
        extra={"x_box": "7"},
    )
    other = replace(touched, item_id="b", reused_from=None)
    tables = [outcomes_table([other, touched], ["x_box"]), outcomes_table([other], ["x_box"])]
    first, second = retold(tables, ds.dataset(tmp_path, schema=OUTCOME_SCHEMA), TELLER)
    assert second is tables[1] and first["item_id"].to_pylist() == ["b", "a"]
    row = first.to_pylist()[1]
    assert (row["output"], row["work_key"], row["reason"]) == ("images/a.key2.png", "key9", "touched")
    assert (row["image"], row["image_version"], row["x_box"]) == ("/new/a.png", "v2", "7")
    assert row["figures"]["seam"] == 1.25 and row["reused_from"] == "000002-00000-000000"
