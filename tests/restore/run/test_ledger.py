"""Ledger: when parts are written, what their row ids are, and when a run is stopped."""

from __future__ import annotations

import io
import json
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from restore.errors import BudgetSpent, EngineError, LeaseHeld, StoreVanished
from restore.outcome import Figures, Outcome, outcome_schema, outcomes_table
from restore.run.events import Events
from restore.run.lease import acquire
from restore.run.ledger import Ledger, collect, write_plan, write_record
from restore.storage import OutStore

RUN = "20260101T000000Z-000001"


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def rows(count: int, code: str | None = None, start: int = 0, psnr: float | None = None) -> pa.Table:
    return outcomes_table(
        [
            Outcome(
                item_id=f"p{start + n}",
                run_id=RUN,
                status="failed" if code else "restored",
                error_code=code,
                error_message=f"{code}: p{start + n}" if code else None,
                work_key="k",
                reason="new",
                image="/a.png",
                recipe_hash="r",
                pipeline_version=1,
                started_at=datetime.now(UTC),
                software_version="0",
                figures=Figures(psnr=psnr, ssim=None if psnr is None else 0.5),
                extra={"x_box": "12"},
            )
            for n in range(count)
        ],
        ["x_box"],
    )


@pytest.fixture
def store(tmp_path: Path) -> OutStore:
    return OutStore.open(str(tmp_path / "out"))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(store: OutStore, clock: Clock) -> Iterator[Ledger]:
    with acquire(store) as lease:
        yield Ledger(store, lease, RUN, ["x_box"], max_failed=0.2, clock=clock)


def part(store: OutStore, number: int) -> pa.Table:
    data = store.read(f"metadata/run={RUN}/part-{number:05d}.parquet")
    return pq.ParquetFile(io.BytesIO(data)).read()


def test_parts_come_at_3_s_then_at_doubling_intervals_to_60_s(ledger: Ledger, clock: Clock) -> None:
    waits = []
    for number in range(7):
        ledger.add(rows(1, start=number))
        began = clock.now
        while len(ledger.parts) == number:
            clock.now += 0.5
            ledger.tick()
        waits.append(clock.now - began)
    assert waits == [3, 6, 12, 24, 48, 60, 60]


def test_a_part_is_due_at_20_000_rows(ledger: Ledger, store: OutStore) -> None:
    for start in range(0, 20_000, 5_000):
        assert not ledger.parts
        ledger.add(rows(5_000, start=start))
    assert part(store, 0).num_rows == 20_000


def test_row_ids_are_unique_and_in_the_order_of_time(ledger: Ledger, store: OutStore) -> None:
    ledger.add(rows(3))
    ledger.commit()
    ledger.add(rows(2, start=3))
    ledger.commit()
    ids = [*part(store, 0)["row_id"].to_pylist(), *part(store, 1)["row_id"].to_pylist()]
    assert ids == sorted(set(ids)) and ids[0] == "000001-00000-000000"
    assert part(store, 0).schema.equals(outcome_schema(["x_box"]))
    assert part(store, 0)["x_box"].to_pylist() == ["12"] * 3


def test_twenty_first_failures_alike_stop_the_run_and_are_not_recorded(ledger: Ledger, clock: Clock) -> None:
    ledger.add(rows(19, "storage_denied"))
    clock.now += 100
    ledger.tick()
    assert not ledger.parts, "they wait: a broken world may have caused them"
    with pytest.raises(BudgetSpent, match="storage_denied") as caught:
        ledger.add(rows(1, "storage_denied", start=19))
    assert caught.value.exit_code == 4
    ledger.close()
    assert not ledger.parts


def test_failures_alike_of_a_run_that_comes_to_its_end_are_recorded(ledger: Ledger) -> None:
    assert collect(iter([rows(5, "image_unreadable")]), ledger, lambda tally: None, threading.Event())
    assert ledger.committed == 5


def test_a_broken_world_under_way_leaves_no_rows_of_it(ledger: Ledger, store: OutStore, clock: Clock) -> None:
    ledger.add(rows(100))
    ledger.add(rows(1, "image_unreadable", start=100))
    ledger.add(rows(12, "storage_unavailable", start=101))
    clock.now += 10
    ledger.tick()
    assert part(store, 0).num_rows == 101, "what came before is sure"
    ledger.add(rows(7, "storage_unavailable", start=113))
    clock.now += 100
    ledger.tick()
    assert len(ledger.parts) == 1
    words = "20 photos in a row .*storage_unavailable.*the last error: storage_unavailable: p120"
    with pytest.raises(BudgetSpent, match=words):
        ledger.add(rows(1, "storage_unavailable", start=120))
    ledger.close()
    assert ledger.committed == 101


def test_rows_held_back_are_committed_when_the_world_goes_on(
    ledger: Ledger, store: OutStore, clock: Clock
) -> None:
    ledger.add(rows(1))
    ledger.add(rows(5, "storage_denied", start=1))
    clock.now += 3
    ledger.tick()
    ledger.add(rows(1, start=6))
    clock.now += 6
    ledger.tick()
    assert [part(store, 0).num_rows, part(store, 1).num_rows] == [1, 6]
    assert part(store, 1)["item_id"].to_pylist() == [f"p{n}" for n in range(1, 7)]


def test_a_run_that_ends_in_doubt_records_what_it_saw(ledger: Ledger) -> None:
    ledger.add(rows(3))
    ledger.add(rows(5, "storage_denied", start=3))
    ledger.close()
    assert ledger.committed == 8


def test_a_spent_budget_commits_what_is_done(ledger: Ledger) -> None:
    ledger.add(rows(30))
    ledger.add(rows(19, "image_unreadable", start=30))
    with pytest.raises(BudgetSpent, match=r"20 of 50 .*image_unreadable 20.*max_failed=0\.2"):
        ledger.add(rows(1, "image_unreadable", start=49))
    assert ledger.committed == 50


def test_a_part_under_a_taken_name_is_never_replaced(ledger: Ledger, store: OutStore) -> None:
    store.create(f"metadata/run={RUN}/part-00000.parquet", b"another writer's")
    ledger.add(rows(1))
    with pytest.raises(LeaseHeld):
        ledger.commit()
    assert store.read(f"metadata/run={RUN}/part-00000.parquet") == b"another writer's"


def test_the_tally_counts_and_averages(ledger: Ledger) -> None:
    ledger.add(rows(2, psnr=30.0))
    ledger.add(rows(1, "mask_full", start=2))
    tally = ledger.tally
    assert (tally.attempted, tally.failed, tally.referenced, tally.psnr) == (3, 1, 2, 60.0)
    assert tally.codes == {"mask_full": 1}


def test_a_stop_commits_what_came_though_the_stream_hangs(ledger: Ledger) -> None:
    stop, release = threading.Event(), threading.Event()

    def stream() -> Iterator[pa.Table]:
        yield rows(4)
        stop.set()
        release.wait(30)

    began = time.monotonic()
    assert collect(stream(), ledger, lambda tally: None, stop) is False
    release.set()
    assert time.monotonic() - began < 3
    assert ledger.committed == 4


def test_a_deadline_commits_what_came_and_is_no_stop(ledger: Ledger) -> None:
    hangs = threading.Event()

    def stream() -> Iterator[pa.Table]:
        yield rows(3)
        hangs.wait()

    assert collect(stream(), ledger, lambda tally: None, threading.Event(), time.time() + 1) is True
    assert ledger.committed == 3
    hangs.set()


def test_a_broken_world_is_raised_after_committing_what_came(ledger: Ledger) -> None:
    def stream() -> Iterator[pa.Table]:
        yield rows(4)
        raise EngineError("the GPU fell off")

    with pytest.raises(EngineError, match="fell off"):
        collect(stream(), ledger, lambda tally: None, threading.Event())
    assert ledger.committed == 4


def test_plan_and_record_are_created_once(store: OutStore, tmp_path: Path) -> None:
    (tmp_path / "todo").write_bytes(b"PAR1 and more")
    path = write_plan(store, RUN, tmp_path / "todo")
    assert path == f"plans/{RUN}.parquet" and store.read(path) == b"PAR1 and more"
    write_record(store, RUN, {"verdict": "complete", "ü": 1})
    assert json.loads(store.read(f"runs/{RUN}.json")) == {"verdict": "complete", "ü": 1}


def test_failures_are_events_at_once_and_parts_when_they_are_committed(store: OutStore) -> None:
    events = io.StringIO()
    with acquire(store) as lease:
        ledger = Ledger(store, lease, RUN, ["x_box"], max_failed=0.2, events=Events(RUN, events))
        ledger.add(rows(3))
        ledger.add(rows(1, "mask_full", start=3))
        ledger.commit()
    failed, committed = (json.loads(line) for line in events.getvalue().splitlines())
    assert (failed["event"], failed["item_id"], failed["code"]) == ("failed", "p3", "mask_full")
    assert (committed["path"], committed["rows"], committed["committed"]) == (ledger.parts[0], 4, 4)


@pytest.mark.parametrize("lost", ["lease", "plans", f"metadata/run={RUN}", ""])
def test_a_store_that_vanishes_stops_the_run(
    ledger: Ledger, store: OutStore, clock: Clock, tmp_path: Path, lost: str
) -> None:
    """As when a disk is unmounted: an empty folder is left, and writing into it works."""
    todo = tmp_path / "todo.parquet"
    todo.write_bytes(b"a plan")
    ledger.plan = write_plan(store, RUN, todo)
    ledger.add(rows(3))
    ledger.commit()
    ledger.require_store()
    folder = Path(store.root, lost)
    folder.rename(tmp_path / "away")
    folder.mkdir()
    ledger.add(rows(3))
    with pytest.raises(StoreVanished, match="unmounted, emptied or replaced"):
        ledger.commit()
    with pytest.raises(StoreVanished, match="unmounted, emptied or replaced"):
        ledger.require_store()
