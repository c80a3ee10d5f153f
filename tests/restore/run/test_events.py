"""Events: each is one line of the frozen schema."""

from __future__ import annotations

import io
from datetime import UTC, datetime

import pytest

from restore.outcome import Outcome, outcomes_table
from restore.run.events import SILENT, Events
from tests.support.schemas import EVENTS, check_event

RUN = "20260101T000000Z-000001"


def outcome(item_id: str, code: str | None) -> Outcome:
    return Outcome(
        item_id=item_id,
        run_id=RUN,
        status="failed" if code else "restored",
        error_code=code,
        error_message="two\nlines, ü" if code else None,
        work_key="k",
        reason="new",
        image="/a.png",
        recipe_hash="r",
        pipeline_version=1,
        started_at=datetime.now(UTC),
        software_version="0",
    )


def test_every_event_is_one_line_of_the_schema() -> None:
    stream = io.StringIO()
    events = Events(RUN, stream)
    events.plan("s3://a/m.csv", 3, 2, 0, {"new": 2, "done": 1})
    events.progress(0, 2, 0, None, None)
    events.progress(1, 2, 1, 0.5, 2.0)
    events.failed(outcomes_table([outcome("a/1", "mask_full"), outcome("a/2", None)], []))
    events.part("metadata/run=x/part-00000.parquet", 2, 2)
    events.stop("stopped by a signal")
    events.end("some_failed", 3, {"restored": 1, "failed": 1}, {"mask_full": 1}, "reports/r/index.html", 2)
    events = [check_event(line) for line in stream.getvalue().splitlines()]
    assert list(dict.fromkeys(event["event"] for event in events)) == list(EVENTS)
    assert {event["run_id"] for event in events} == {RUN}
    failed = events[3]
    assert (failed["item_id"], failed["code"], failed["message"]) == ("a/1", "mask_full", "two\nlines, ü")


def test_without_a_stream_nothing_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    SILENT.failed(outcomes_table([outcome("a/1", "mask_full")], []))
    SILENT.stop("x")
    assert capsys.readouterr() == ("", "")
