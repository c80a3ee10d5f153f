"""Reuse: a run's rows for pictures that an earlier run has made."""

from __future__ import annotations

from datetime import UTC, datetime

import pyarrow as pa

from manifests.reuse import reused_outcomes
from restore.item import PLAN_SCHEMA
from restore.outcome import OUTCOME_SCHEMA, SET_AT_COMMIT

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
    table = reused_outcomes(reused, doubled, run_id="run3", started_at=NOW, software_version="9")
    assert [name for name in OUTCOME_SCHEMA.names if name not in SET_AT_COMMIT] == table.schema.names[:-1]
    (row,) = table.to_pylist()
    assert (row["run_id"], row["reason"], row["reused_from"]) == ("run3", "reused", "000001-00000-000000")
    assert (row["output"], row["work_key"], row["recipe_hash"]) == ("images/a.key1.png", "key1", "recipe1")
    assert (row["image"], row["x_box"], row["software_version"]) == ("/new/a.png", "7", "9")
    assert row["started_at"] == NOW and row["seconds"] is None and row["figures"]["seam"] == 1.25
