"""Metrics: what is counted for which photo, run and actor, without Ray."""

from __future__ import annotations

import logging
import re
from dataclasses import replace
from pathlib import Path

import pytest

from restore import engines
from restore.engines import Painted, Task
from restore.engines.cost import window_tflop
from restore.errors import ErrorCode, ItemError
from restore.item import Item
from restore.outcome import READ_BYTES, Outcome, Seconds, outcomes_table, with_read_bytes, with_thumbs
from restore.photo.paint import paint
from restore.photo.prepare import prepare
from restore.photo.state import Prepared
from restore.pipeline.paint_metrics import PaintMetrics
from restore.recipe import Recipe
from restore.run import metrics as meters
from restore.run.lease import Lease, acquire
from restore.run.ledger import Ledger
from restore.run.metrics import METRICS, Metric, MetricsRecorder, RunMetrics
from restore.run.metrics import counted as count_photos
from restore.storage import OutStore
from tests.support.archives import make_archive, read_manifest_rows
from tests.support.heads import wait_for
from tests.support.plans import make_job
from tests.support.runs import failure, outcome

Series = tuple[str, ...]


class Counted:
    """What was recorded: sums of counters, last values of gauges, all values of histograms."""

    def __init__(self) -> None:
        self.values: dict[Series, float] = {}
        self.observed: dict[Series, list[float]] = {}

    def instrument(self, metric: Metric) -> meters.Record:
        def record(value: float, labels: dict[str, str]) -> None:
            assert metric in METRICS and set(labels) == set(metric.labels), metric.name
            series = (metric.name.removeprefix("silverprint_"), *(labels[name] for name in metric.labels))
            if metric.kind == "histogram":
                self.observed.setdefault(series, []).append(value)
            elif metric.kind == "gauge":
                self.values[series] = value
            else:
                assert value >= 0, "a counter never falls"
                self.values[series] = self.values.get(series, 0) + value

        return record


@pytest.fixture
def counted() -> Counted:
    return Counted()


def fails(_: Metric) -> meters.Record:
    raise RuntimeError("no agent")


def test_every_metric_is_listed_and_named_as_prometheus_asks() -> None:
    declared = [value for value in vars(meters).values() if isinstance(value, Metric)]
    assert list(METRICS) == declared
    assert len({metric.name for metric in METRICS}) == len(METRICS)
    for metric in METRICS:
        assert re.fullmatch(r"silverprint_[a-z_]+", metric.name) and metric.help.endswith(".")
        assert metric.name.endswith("_total") == (metric.kind == "counter"), metric.name
        assert bool(metric.buckets) == (metric.kind == "histogram")
        assert list(metric.buckets) == sorted(metric.buckets)
        assert not {"item_id", "run_id", "image"} & set(metric.labels), "labels of few values only"


def test_rows_are_counted_and_go_on_as_they_were(counted: Counted) -> None:
    some = [
        outcome(1, read_bytes=700, output_bytes=90, engine_steps=("micro_batch_2", "micro_batch_1")),
        outcome(2, read_bytes=300, output_bytes=10, engine_steps=("vae_tiling", "a new one")),
        failure(3, read_bytes=50, seconds=Seconds(fetch=0.5)),
    ]
    plain = with_thumbs(outcomes_table(some, ["x_title"]), some)
    [went] = count_photos([with_read_bytes(plain, some)], MetricsRecorder(counted.instrument))
    assert went.equals(plain)
    assert counted.observed["stage_seconds", "fetch"] == [0.01, 0.01, 0.5]
    assert counted.observed["stage_seconds", "paint"] == [0.02, 0.02], "the third did not reach painting"
    assert counted.values == {
        ("engine_steps_total", "micro_batch"): 1,  # a photo, however often it was halved
        ("engine_steps_total", "vae_tiling"): 1,
        ("engine_steps_total", "other"): 1,
        ("read_bytes_total",): 1050,
        ("written_bytes_total",): 100,
    }


def test_the_fallback_steps_are_those_of_the_engines() -> None:
    folder = Path(engines.__file__).parent
    files = ("diffusion/memory.py", "diffusion/engine.py", "heal/engine.py", "../photo/damage.py")
    words = "".join((folder / name).read_text() for name in files)
    assert all(step in words for step in meters.FALLBACK_STEPS if step != "other")


def test_a_run_is_reported_as_it_is(counted: Counted, tmp_path: Path) -> None:
    store = OutStore.open(str(tmp_path))
    with acquire(store) as lease:
        ledger = Ledger(store, lease, "run", ["x_title"], max_failed=1)
        ledger.add(outcomes_table([outcome(0)], ["x_title"]))
        ledger.commit()  # a reused row, before painting
        times = iter([100.0, 150.0])
        with RunMetrics(
            MetricsRecorder(counted.instrument), ledger, lease, 9, clock=lambda: next(times)
        ) as telling:
            values = counted.values
            assert values["last_commit_timestamp_seconds",] == 100, "when painting began"
            assert values["photos_total", "restored", ""] == 1 and values["photos_left",] == 8
            assert values["photos_total", "failed", "timed_out"] == values["engine_steps_total", "other"] == 0
            ledger.add(outcomes_table([outcome(1), failure(2)], ["x_title"]))
            telling.report()
            assert values["photos_left",] == 6 and values["committed_rows_total",] == 1
            ledger.commit()
        assert values["committed_rows_total",] == 3, "the last part, which came at the end"
        assert values["last_commit_timestamp_seconds",] == 150
        assert values["photos_total", "restored", ""] == 2
        assert values["photos_total", "failed", "image_unreadable"] == 1
        assert values["photos_planned",] == 9 and values["lease_epoch",] == lease.epoch
        assert values["lease_since_timestamp_seconds",] == lease.since.timestamp()


def test_a_run_is_reported_while_its_driver_hangs(
    counted: Counted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(meters, "BEAT_SECONDS", 0.01)
    store = OutStore.open(str(tmp_path))
    with (
        acquire(store) as lease,
        RunMetrics(MetricsRecorder(counted.instrument), ledger_of(store, lease), lease, 9),
    ):
        counted.values.clear()
        wait_for(lambda: ("photos_left",) in counted.values)


def ledger_of(store: OutStore, lease: Lease) -> Ledger:
    return Ledger(store, lease, "run", [], max_failed=1)


def test_an_actor_is_busy_while_it_paints_and_not_while_it_waits(counted: Counted) -> None:
    now = 0.0
    actor = PaintMetrics(MetricsRecorder(counted.instrument), "cuda", ["sdxl"], clock=lambda: now)
    busy, there = ("paint_busy_seconds_total", "cuda"), ("paint_actor_seconds_total", "cuda")
    assert counted.values[busy] == counted.values[there] == 0, "both series are there before any photo"
    assert counted.values["windows_painted_total", "sdxl"] == 0
    now = 4.0  # waits
    with actor.painting():
        now = 10.0
        actor.report()
        assert (counted.values[busy], counted.values[there]) == (6, 10), "in the midst of a long call"
        now = 12.0
    now = 20.0  # waits again
    actor.report()
    assert (counted.values[busy], counted.values[there]) == (8, 20)
    with pytest.raises(RuntimeError), actor.painting():
        now = 21.0
        raise RuntimeError("a photo's fault")
    now = 30.0
    actor.report()
    assert (counted.values[busy], counted.values[there]) == (9, 30), "a fault ends it too"


def test_windows_and_tflop_are_those_that_came_out(counted: Counted, tmp_path: Path) -> None:
    rows = read_manifest_rows(make_archive(tmp_path / "in", 3))
    job = make_job(tmp_path)
    job = replace(job, recipe=Recipe(engine="sdxl"), engine_hashes={"sdxl": "one", "ns": "two"})
    items = [
        Item(row["item_id"], at(tmp_path, row["image"]), "0" * 16, mask=at(tmp_path, row["mask"]))
        for row in rows
    ]
    items[1] = replace(items[1], overrides='{"engine":"ns"}')
    prepared = [prepare(one, job) for one in items]
    sdxl, ns, failing = (one for one in prepared if isinstance(one, Prepared))
    results = paint([sdxl, ns, failing], {"sdxl": Copies(failing.tasks), "ns": Copies(())}, 1)
    assert isinstance(results[2], Outcome)
    PaintMetrics(MetricsRecorder(counted.instrument), "cpu", ["ns", "sdxl"]).painted(
        [sdxl, ns, failing], results
    )
    values, windows = counted.values, len(sdxl.tasks)
    assert values["windows_painted_total", "sdxl"] == windows
    assert values["windows_painted_total", "ns"] == len(ns.tasks)
    height, width, _ = sdxl.tasks[0].window.shape
    one = window_tflop((width, height), Recipe(), "sdxl")
    assert values["painted_tflop_total", "sdxl"] == pytest.approx(windows * one) and one > 100
    assert values["painted_tflop_total", "ns"] == 0


def at(folder: Path, path: str) -> str:
    return str(folder / "in" / path)


class Copies:
    """An engine that gives windows back as they are, but for those that do not fit."""

    sizes = None

    def __init__(self, failing: tuple[Task, ...]) -> None:
        self._failing = set(map(id, failing))

    def paint(self, tasks: list[Task]) -> list[Painted | ItemError]:
        none = ItemError(ErrorCode.OUT_OF_MEMORY, "too large")
        return [none if id(task) in self._failing else Painted(task.window) for task in tasks]


def test_a_metric_that_fails_is_said_once_and_costs_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    some = [outcome(1), outcome(2)]
    table = with_read_bytes(outcomes_table(some, ["x_title"]), some)
    broken = MetricsRecorder(fails)
    with caplog.at_level(logging.WARNING, logger="restore.run.metrics"):
        went = list(count_photos([table, table], broken))
        with PaintMetrics(broken, "cpu", ["ns"]).painting():
            went.append(table)
        store = OutStore.open(str(tmp_path))
        with acquire(store) as lease, RunMetrics(broken, ledger_of(store, lease), lease, 2):
            went.append(table)
    assert len(went) == 4 and READ_BYTES not in went[0].schema.names
    assert len(caplog.records) == 1 and "no agent" in caplog.text
