"""Outcome: the declared schema, which the README documents and queries rely on."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime

from restore.outcome import (
    OUTCOME_SCHEMA,
    READ_BYTES,
    SET_AT_COMMIT,
    Figures,
    Outcome,
    Thumbs,
    outcome_schema,
    outcomes_table,
    with_thumbs,
)

COLUMNS = """
row_id item_id run_id status error_code error_message work_key reason reused_from image image_version
image_sha256 mask mask_version mask_sha256 output output_sha256 output_bytes width height bit_depth
color_mode mask_coverage windows proof changed_outside_mask dropped engine engine_hash engine_steps models
scheduler recipe_hash recipe overrides pipeline_version seed device dtype attempts seconds figures started_at
committed_at software_version
""".split()


def test_the_columns_are_these() -> None:
    assert OUTCOME_SCHEMA.names == COLUMNS


def test_every_column_is_a_field_or_set_at_commit() -> None:
    beside = {"extra", "thumbs", READ_BYTES}
    assert {field.name for field in fields(Outcome)} - beside == set(COLUMNS) - set(SET_AT_COMMIT)


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


def test_no_outcomes_are_an_empty_table_of_the_same_schema() -> None:
    assert outcomes_table([], ["x_box"]).num_rows == 0
