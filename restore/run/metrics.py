"""The metrics of a run for monitoring, as plain data, and the driver's share of them. No Ray.

The driver counts photos by their rows, each photo once; a paint actor counts its own time and windows.
The pipeline records the values through Ray, whose agent on the same node exports them as `ray_<name>`.
The agent keeps a counter as long as it lives, and a gauge for 20 s after its last value. So the driver sets
its gauges every few seconds, and a run is in progress exactly where they are present.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from threading import Event, Thread
from types import TracebackType
from typing import Literal, get_args

import pyarrow as pa
import pyarrow.compute as pc

from restore.errors import ErrorCode
from restore.outcome import READ_BYTES, Seconds, Status
from restore.run.lease import Lease
from restore.run.ledger import Ledger

log = logging.getLogger(__name__)

BEAT_SECONDS = 5.0
"""Half of the interval at which Ray's processes report to their agent."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric as Prometheus knows it.

    Attributes:
        labels: names of its own labels, each with few values. Ray adds node, session and worker.
        buckets: upper bounds of a histogram. Ray sums by their middles, so its `_sum` is approximate.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


PHOTOS = Metric(
    "silverprint_photos_total",
    "counter",
    "Photos that have an outcome, by status and error code.",
    ("status", "code"),
)
STAGE_SECONDS = Metric(
    "silverprint_stage_seconds",
    "histogram",
    "Seconds of a photo in each stage that it reached; wait is for a paint actor.",
    ("stage",),
    (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0),
)
ENGINE_STEPS = Metric(
    "silverprint_engine_steps_total",
    "counter",
    "Photos painted after a fallback of the engine, by step.",
    ("step",),
)
READ = Metric("silverprint_read_bytes_total", "counter", "Bytes of images and masks read.")
WRITTEN = Metric("silverprint_written_bytes_total", "counter", "Bytes of pictures written.")
COMMITTED = Metric("silverprint_committed_rows_total", "counter", "Rows committed to the output store.")
LAST_COMMIT = Metric(
    "silverprint_last_commit_timestamp_seconds",
    "gauge",
    "When rows were last committed, seconds since the epoch; before the first, when painting began.",
)
LEASE_EPOCH = Metric("silverprint_lease_epoch", "gauge", "Epoch of the output store's lease.")
LEASE_SINCE = Metric(
    "silverprint_lease_since_timestamp_seconds",
    "gauge",
    "When the output store's lease was taken, seconds since the epoch.",
)
PLANNED = Metric("silverprint_photos_planned", "gauge", "Photos that the run set out to do or reuse.")
LEFT = Metric("silverprint_photos_left", "gauge", "Photos of the plan that have no outcome yet.")
WINDOWS = Metric("silverprint_windows_painted_total", "counter", "Windows painted, by engine.", ("engine",))
TFLOP = Metric(
    "silverprint_painted_tflop_total",
    "counter",
    "TFLOP of the painted windows by the table of engines/cost.py, by engine.",
    ("engine",),
)
BUSY_SECONDS = Metric(
    "silverprint_paint_busy_seconds_total", "counter", "Seconds that paint actors were painting.", ("device",)
)
ACTOR_SECONDS = Metric(
    "silverprint_paint_actor_seconds_total",
    "counter",
    "Seconds that paint actors had their engines loaded, painting or not.",
    ("device",),
)

METRICS = (
    PHOTOS,
    STAGE_SECONDS,
    ENGINE_STEPS,
    READ,
    WRITTEN,
    COMMITTED,
    LAST_COMMIT,
    LEASE_EPOCH,
    LEASE_SINCE,
    PLANNED,
    LEFT,
    WINDOWS,
    TFLOP,
    BUSY_SECONDS,
    ACTOR_SECONDS,
)

STATUSES = tuple(status for status in get_args(Status) if status != "failed")
"""Statuses of photos without an error code."""

STAGES = tuple(field.name for field in fields(Seconds))
FALLBACK_STEPS = ("micro_batch", "vae_tiling", "vae_float32", "heal:membrane", "mask_fitted", "other")
"""What `engine_steps` of a row may hold, without sizes of micro-batches."""

Record = Callable[[float, dict[str, str]], None]


class MetricsRecorder:
    """Records the metrics of one process; `instrument` is called once for each metric, at its first value."""

    def __init__(self, instrument: Callable[[Metric], Record]) -> None:
        self._instrument = instrument
        self._records: dict[str, Record] = {}
        self._works = True

    def record(self, metric: Metric, value: float, **labels: str) -> None:
        """Add to a counter (0 begins its series), set a gauge, observe in a histogram."""
        if metric.name not in self._records:
            self._records[metric.name] = self._instrument(metric)
        self._records[metric.name](value, labels)

    @contextmanager
    def never_raise(self) -> Iterator[None]:
        """A context around all recording: the first error is logged, and none costs a photo."""
        try:
            yield
        except Exception:
            if self._works:
                log.warning("some metrics are missing from here on; the run goes on", exc_info=True)
            self._works = False


def counted(stream: Iterable[pa.Table], metrics: MetricsRecorder) -> Iterator[pa.Table]:
    """Count the photos of a stream of outcomes, and yield its tables without the column `READ_BYTES`."""
    for table in stream:
        with metrics.never_raise():
            _count(table, metrics)
        yield table.drop_columns([READ_BYTES])


def _count(table: pa.Table, metrics: MetricsRecorder) -> None:
    seconds = table["seconds"].combine_chunks()
    for stage in STAGES:
        for spent in seconds.field(stage).to_pylist():
            if spent:  # 0: the photo did not reach this stage
                metrics.record(STAGE_SECONDS, spent, stage=stage)
    for steps in table["engine_steps"].to_pylist():
        for step in {_fallback_step(step) for step in steps}:
            metrics.record(ENGINE_STEPS, 1, step=step)
    metrics.record(READ, pc.sum(table[READ_BYTES]).as_py() or 0)
    metrics.record(WRITTEN, pc.sum(table["output_bytes"]).as_py() or 0)


def _fallback_step(step: str) -> str:
    return next((known for known in FALLBACK_STEPS if step.startswith(known)), "other")


class RunMetrics:
    """The metrics of the run as a whole. A context manager.

    A separate thread reports them every `BEAT_SECONDS`, so that monitoring still sees a driver that hangs.

    Args:
        total: photos that the run has planned.
    """

    def __init__(
        self,
        metrics: MetricsRecorder,
        ledger: Ledger,
        lease: Lease,
        total: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._metrics = metrics
        self._ledger = ledger
        self._lease = lease
        self._total = total
        self._clock = clock
        self._reported: dict[tuple[str, ...], int] = {}
        self._committed, self._last_commit = ledger.committed, clock()
        self._stop = Event()
        self._beating = Thread(target=beat, args=(self.report, self._stop), name="metrics", daemon=True)

    def report(self) -> None:
        """Report all values as they are now."""
        with self._metrics.never_raise():
            ledger, tally = self._ledger, self._ledger.tally
            if ledger.committed > self._committed:
                self._committed, self._last_commit = ledger.committed, self._clock()
            for status in STATUSES:
                self._advance(PHOTOS, tally.status[status], status=status, code="")
            for code in ErrorCode:
                self._advance(PHOTOS, tally.codes[code], status="failed", code=code)
            self._advance(COMMITTED, self._committed)
            self._metrics.record(LAST_COMMIT, self._last_commit)
            self._metrics.record(LEASE_EPOCH, self._lease.epoch)
            self._metrics.record(LEASE_SINCE, self._lease.since.timestamp())
            self._metrics.record(PLANNED, self._total)
            self._metrics.record(LEFT, self._total - tally.attempted)

    def _advance(self, metric: Metric, total: int, **labels: str) -> None:
        """Add to a counter what its total has grown by since the last report."""
        series = (metric.name, *labels.values())
        self._metrics.record(metric, total - self._reported.get(series, 0), **labels)
        self._reported[series] = total

    def __enter__(self) -> RunMetrics:
        with self._metrics.never_raise():
            for metric in (READ, WRITTEN):
                self._metrics.record(metric, 0)
            for step in FALLBACK_STEPS:
                self._metrics.record(ENGINE_STEPS, 0, step=step)
        self.report()
        self._beating.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self._stop.set()
        self._beating.join()
        self.report()


def beat(report: Callable[[], None], stop: Event) -> None:
    """Call `report` every `BEAT_SECONDS` until `stop` is set."""
    while not stop.wait(BEAT_SECONDS):
        report()
