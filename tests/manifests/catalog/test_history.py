"""History: the rows of earlier runs that a forecast is estimated from."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from manifests.catalog.history import COLUMNS, recent_painted_rows
from restore.outcome import OUTCOME_SCHEMA, Seconds, outcomes_table
from tests.support.runs import outcome


def committed(*draft: dict[str, Any]) -> pa.Table:
    """Rows of three runs as `committed_rows` gives them."""
    table = outcomes_table([outcome(number, **fact) for number, fact in enumerate(draft)], [])
    table = table.append_column("row_id", pa.array([f"{number:020d}" for number in range(len(draft))]))
    return table.append_column("committed_at", table["started_at"]).select(OUTCOME_SCHEMA.names)


ROWS = committed(
    {"run_id": "1", "engine": "sdxl"},
    {"run_id": "1", "engine": "ns"},
    {"run_id": "2", "engine": "ns+sdxl"},
    {"run_id": "2", "engine": "sdxl", "reused_from": "0"},
    {"run_id": "2", "engine": "sdxl", "status": "failed"},
    {"run_id": "2", "engine": "sdxl", "seconds": Seconds()},
    {"run_id": "3", "engine": "ns+telea"},
    {"run_id": "3", "engine": "sd2"},
    {"run_id": "4", "engine": None, "status": "copied", "seconds": Seconds()},
)


@pytest.mark.parametrize(
    ("by", "never", "expected"),
    [
        (["sdxl"], [], [("2", "ns+sdxl")]),
        (["ns", "telea"], ["sdxl", "sd2"], [("3", "ns+telea")]),
        (["ns"], ["telea", "sdxl"], [("1", "ns")]),
        (["sd2", "sdxl"], [], [("3", "sd2")]),
        (["nobody"], [], []),
    ],
)
def test_the_newest_run_that_painted_so(by: list[str], never: list[str], expected: list[Any]) -> None:
    found = recent_painted_rows(ROWS, by, never)
    assert tuple(found.schema.names) == COLUMNS
    assert [(row["run_id"], row["engine"]) for row in found.to_pylist()] == expected


def test_a_row_that_stands_in_two_parts_counts_once() -> None:
    assert recent_painted_rows(pa.concat_tables([ROWS, ROWS]), ["sdxl"]).num_rows == 1


def test_a_new_store_has_none() -> None:
    assert recent_painted_rows(ROWS.slice(0, 0), ["ns"]).num_rows == 0
