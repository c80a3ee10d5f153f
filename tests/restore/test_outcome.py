"""Outcome: the declared schema, which the README documents and queries rely on."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime

import pyarrow as pa

from restore.outcome import (
    OUTCOME_SCHEMA,
    OWN_FAULT,
    READ_BYTES,
    SET_AT_COMMIT,
    Figures,
    Outcome,
    Thumbs,
    outcome_schema,
    outcomes_table,
    results,
    with_thumbs,
)

# Rows of every archive have these columns: this text changes only when a column is added.
SCHEMA = """
row_id: string not null
item_id: string not null
run_id: string not null
status: string not null
error_code: string
error_message: string
work_key: string not null
reason: string not null
reused_from: string
image: string not null
image_version: string
image_sha256: string
mask: string
mask_version: string
mask_sha256: string
output: string
output_sha256: string
output_bytes: int64
width: int32
height: int32
bit_depth: int32
color_mode: string
mask_coverage: double
windows: WINDOWS
proof: string
changed_outside_mask: int64
dropped: list<item: string>
engine: string
engine_hash: string
engine_steps: list<item: string>
models: list<item: struct<role: string, id: string, revision: string, sha256: string>>
scheduler: string
recipe_hash: string not null
recipe: string
overrides: string not null
pipeline_version: int32 not null
seed: int64
device: string
dtype: string
attempts: int32 not null
seconds: SECONDS
figures: struct<seam: double, colour_step: double, grain: double, psnr: double, ssim: double>
suspicion: double
started_at: timestamp[us, tz=UTC] not null
committed_at: timestamp[us, tz=UTC] not null
software_version: string not null
"""
WINDOWS = """list<item: struct<x: int32, y: int32, width: int32, height: int32, paint_width: int32,
 paint_height: int32>>""".replace("\n", "")
SECONDS = """struct<fetch: double, prepare: double, wait: double, paint: double, finish: double,
 upload: double>""".replace("\n", "")


def described(schema: pa.Schema) -> list[str]:
    """One line for each column: its name, its type, and whether it may be null."""
    return [f"{column.name}: {column.type}{'' if column.nullable else ' not null'}" for column in schema]


def test_the_columns_are_these() -> None:
    expected = SCHEMA.replace(" WINDOWS", f" {WINDOWS}").replace(" SECONDS", f" {SECONDS}")
    assert described(OUTCOME_SCHEMA) == expected.split("\n")[1:-1]
    assert OUTCOME_SCHEMA.metadata is None


def test_every_column_is_a_field_or_set_at_commit() -> None:
    assert SET_AT_COMMIT == ("row_id", "committed_at")
    beside = {"extra", "thumbs", OWN_FAULT, READ_BYTES}
    assert {field.name for field in fields(Outcome)} - beside == set(OUTCOME_SCHEMA.names)
    given = {field.name for field in fields(Outcome) if field.init} - beside
    assert given == set(OUTCOME_SCHEMA.names) - set(SET_AT_COMMIT)


def test_outcomes_become_rows_of_the_declared_types() -> None:
    window = {"x": 1, "y": 2, "width": 3, "height": 4, "paint_width": 3, "paint_height": 4}
    outcome = Outcome(
        item_id="a",
        run_id="r",
        status="restored",
        work_key="k",
        reason="new",
        image="/a.png",
        recipe_hash="h",
        pipeline_version=1,
        started_at=datetime(2026, 1, 2, tzinfo=UTC),
        software_version="0",
        windows=(window,),
        figures=Figures(seam=1.5),
        extra={"x_box": "7", "x_other": "not of this run"},
    )
    table = outcomes_table([outcome], ["x_box"])
    assert table.schema.names == [
        name for name in outcome_schema(["x_box"]).names if name not in SET_AT_COMMIT
    ]
    row = table.to_pylist()[0]
    assert row["windows"] == [window] and row["x_box"] == "7"
    assert row["figures"]["seam"] == 1.5 and row["figures"]["psnr"] is None
    assert row["started_at"] == datetime(2026, 1, 2, tzinfo=UTC)


def test_pictures_travel_beside_the_row() -> None:
    draft = {"status": "failed", "work_key": "k", "reason": "new", "image": "/a.png", "recipe_hash": "h"}
    more = {"pipeline_version": 1, "started_at": datetime(2026, 1, 2, tzinfo=UTC), "software_version": "0"}
    outcome = Outcome(item_id="a", run_id="r", thumbs=Thumbs(before=b"jpeg"), **draft, **more)
    row = outcomes_table([outcome], [])
    both = with_thumbs(row, [outcome])
    assert both.schema.names == [*row.schema.names, "thumb_before", "thumb_after", "thumb_damage"]
    assert both["thumb_before"].to_pylist() == [b"jpeg"] and both["thumb_after"].to_pylist() == [None]


def test_a_photo_that_shows_an_earlier_picture_is_called_reused() -> None:
    rows = {
        "status": ["restored", "restored", "copied", "failed", "removed"],
        "reused_from": [None, "a", "b", "c", None],
    }
    called = ["restored", "reused", "reused", "failed", "removed"]
    assert results(pa.table(rows)).to_pylist() == called
    assert results(pa.RecordBatch.from_pydict(rows)).to_pylist() == called
    assert results(pa.table(rows).slice(0, 0)).to_pylist() == []


def test_no_outcomes_are_an_empty_table_of_the_same_schema() -> None:
    assert outcomes_table([], ["x_box"]).num_rows == 0
