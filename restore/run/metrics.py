"""What monitoring sees of a run while it goes: metrics as plain data, and who counts what. No Ray.

The driver counts what became of photos by their rows, each photo once; a paint actor counts its own time
and windows. How a value is recorded flow.py says: by Ray, whose agent on the same node exports it as
`ray_<name>`. There a counter stays as long as the agent lives, and a gauge 20 s after it was last set. So
gauges are set again every few seconds, and a run is on exactly where they are.
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
        labels: names of its own labels, each of few values. Ray adds node, session and worker.
        buckets: upper bounds of a histogram. Ray sums by their middles, so its `_sum` is only about right.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


PHOTOS = Metric(
    "silverprint_photos_total",
    "counter",
    "Photos that came to their end, by status and error code.",
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
    "Photos painted after a step down the engine's ladder, by step.",
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
    "Seconds that paint actors were there, their engines loaded, painting or not.",
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
"""What photos that have no error code end as."""

STAGES = tuple(field.name for field in fields(Seconds))
LADDER = ("micro_batch", "vae_tiling", "vae_float32", "other")
"""The steps of engines/memory.py and engines/diffusion.py, without the sizes of micro-batches."""

Record = Callable[[float, dict[str, str]], None]


class MetricsRecorder:
    """One process's metrics, recorded by what `instrument` makes of each when it is first used."""

    def __init__(self, instrument: Callable[[Metric], Record]) -> None:
        self._instrument = instrument
        self._records: dict[str, Record] = {}
        self._well = True

    def record(self, metric: Metric, value: float, **labels: str) -> None:
        """Add to a counter (0 begins its series), set a gauge, observe in a histogram."""
        if metric.name not in self._records:
            self._records[metric.name] = self._instrument(metric)
        self._records[metric.name](value, labels)

    @contextmanager
    def never_raise(self) -> Iterator[None]:
        """Around all recording: what goes wrong is logged once, and costs no photo."""
        try:
            yield
        except Exception:
            if self._well:
                log.warning("metrics will lack something; the run goes on", exc_info=True)
            self._well = False


def metered(stream: Iterable[pa.Table], meters: MetricsRecorder) -> Iterator[pa.Table]:
    """A stream of outcomes without the column `READ_BYTES`, its photos counted."""
    for table in stream:
        with meters.never_raise():
            _count(table, meters)
        yield table.drop_columns([READ_BYTES])


def _count(table: pa.Table, meters: MetricsRecorder) -> None:
    seconds = table["seconds"].combine_chunks()
    for stage in STAGES:
        for spent in seconds.field(stage).to_pylist():
            if spent:  # 0: it did not come so far
                meters.record(STAGE_SECONDS, spent, stage=stage)
    for steps in table["engine_steps"].to_pylist():
        for step in {_rung(step) for step in steps}:
            meters.record(ENGINE_STEPS, 1, step=step)
    meters.record(READ, pc.sum(table[READ_BYTES]).as_py() or 0)
    meters.record(WRITTEN, pc.sum(table["output_bytes"]).as_py() or 0)


def _rung(step: str) -> str:
    return next((rung for rung in LADDER if step.startswith(rung)), "other")


class RunMeters:
    """The run as a whole, told every `BEAT_SECONDS` by a thread of its own: a driver that hangs is still
    seen. A context manager.

    Args:
        total: photos that the run has planned.
    """

    def __init__(
        self,
        meters: MetricsRecorder,
        ledger: Ledger,
        lease: Lease,
        total: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._meters = meters
        self._ledger = ledger
        self._lease = lease
        self._total = total
        self._clock = clock
        self._told: dict[tuple[str, ...], int] = {}
        self._committed, self._last_commit = ledger.committed, clock()
        self._stop = Event()
        self._beating = Thread(target=_beat, args=(self.tell, self._stop), name="metrics", daemon=True)

    def tell(self) -> None:
        """Everything as it is now."""
        with self._meters.never_raise():
            ledger, tally = self._ledger, self._ledger.tally
            if ledger.committed > self._committed:
                self._committed, self._last_commit = ledger.committed, self._clock()
            for status in STATUSES:
                self._advance(PHOTOS, tally.status[status], status=status, code="")
            for code in ErrorCode:
                self._advance(PHOTOS, tally.codes[code], status="failed", code=code)
            self._advance(COMMITTED, self._committed)
            self._meters.record(LAST_COMMIT, self._last_commit)
            self._meters.record(LEASE_EPOCH, self._lease.epoch)
            self._meters.record(LEASE_SINCE, self._lease.since.timestamp())
            self._meters.record(PLANNED, self._total)
            self._meters.record(LEFT, self._total - tally.attempted)

    def _advance(self, metric: Metric, total: int, **labels: str) -> None:
        """A counter, by how much its total has grown since it was last told."""
        series = (metric.name, *labels.values())
        self._meters.record(metric, total - self._told.get(series, 0), **labels)
        self._told[series] = total

    def __enter__(self) -> RunMeters:
        with self._meters.never_raise():
            for metric in (READ, WRITTEN):
                self._meters.record(metric, 0)
            for step in LADDER:
                self._meters.record(ENGINE_STEPS, 0, step=step)
        self.tell()
        self._beating.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self._stop.set()
        self._beating.join()
        self.tell()


def _beat(tell: Callable[[], None], stop: Event) -> None:
    while not stop.wait(BEAT_SECONDS):
        tell()
