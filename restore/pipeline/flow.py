"""The Ray Data pipeline: a plan in, outcomes out, as a stream.

    plan -> prepare (CPU tasks) -> paint (a pool of actors) -> finish (CPU tasks) -> driver

Between operators a photo is one row: its id and the pickled value that `restore.photo` hands from
step to step. Ray restarts the task of a dead worker for ever; the crash tracker, an actor beside the
driver, ends the photo that kills its workers.
"""

from __future__ import annotations

import logging
import os
import pickle
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from threading import Lock
from typing import Any, TypeVar

import pyarrow as pa
import ray
from ray.data import ActorPoolStrategy, DataContext
from ray.util import metrics

from restore import engines
from restore.engines import Engine
from restore.engines.selection import EngineSelection
from restore.errors import DeviceLost, ErrorCode, ItemError, SystemicError
from restore.item import Item
from restore.methods import Method
from restore.outcome import Outcome, outcomes_table, with_own_faults, with_read_bytes, with_thumbs
from restore.photo.finish import compose, upload
from restore.photo.inputs import Read
from restore.photo.paint import paint
from restore.photo.prepare import filled, prepare
from restore.photo.state import Job, PaintedPhoto, Prepared, failed, first_draft
from restore.photo.watchdog import time_limit
from restore.pipeline.attempts import run_tracked
from restore.pipeline.crash_client import CrashTrackerClient, open_crash_tracker
from restore.pipeline.crash_tracker import Step
from restore.pipeline.in_flight import limit_blocks_in_flight
from restore.pipeline.paint_metrics import PaintMetrics
from restore.pipeline.prefetch import Prefetcher
from restore.run.metrics import Metric, MetricsRecorder, Record

log = logging.getLogger(__name__)

T = TypeVar("T")

_HOP = pa.schema([pa.field("item_id", pa.string()), pa.field("photo", pa.large_binary())])

BESIDE: Any = {"max_concurrent_calls_per_actor": 2, "enable_true_multi_threading": True}
"""A second thread of each actor unpacks the next block, and packs the last one, while the first paints."""

UPLOADS = 4
"""Pictures that one finish task uploads at the same time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """The paint actors, and the size of the blocks between operators.

    Attributes:
        actors: their number, all started at once. Each GPU that joins the cluster later gets one more.
        cpus, gpus: what Ray reserves for each actor.
        photos_per_block: photos that travel together; a lost worker loses one block.
        photo_seconds: time that one photo may take in one step before its worker is ended.
    """

    actors: int
    cpus: float
    gpus: float
    photos_per_block: int
    photo_seconds: float = 600.0


@dataclass(frozen=True, slots=True)
class Cluster:
    """The nodes, CPUs and GPUs of the Ray cluster that the job is connected to."""

    count: int
    cpus: float
    gpus: float


def cluster() -> Cluster:
    """The cluster as it is now."""
    resources = ray.cluster_resources()
    count = sum(node["Alive"] for node in ray.nodes())
    return Cluster(count, resources.get("CPU", 0.0), resources.get("GPU", 0.0))


def outcomes(
    job: Job,
    plan: str,
    extra: Sequence[str],
    selection: EngineSelection,
    pool: Pool,
    admit_until: float | None = None,
) -> Iterator[pa.Table]:
    """Run the plan and yield tables of outcomes in the order in which photos finish.

    The columns `OWN_FAULT`, `THUMBS` and `READ_BYTES` follow those of the rows.

    Args:
        plan: path of the plan's Parquet file below OUT.
        extra: the plan's `x_*` columns.
        selection: every engine that a row of the plan may ask for.
        admit_until: seconds since the epoch. Photos that are not painted by then are left alone and have
            no outcome; those already painted are finished.

    Raises:
        SystemicError: the one that a worker met, where the world is broken.
    """
    _configure()
    tracker = open_crash_tracker(pool.photo_seconds)
    filesystem, root = job.store.arrow_filesystem()
    photos = (
        ray.data.read_parquet(f"{root}/{plan}", filesystem=filesystem)
        # One Parquet file is one read task and would be one block. Small blocks run in parallel, and a
        # lost worker loses one of them.
        .repartition(target_num_rows_per_block=pool.photos_per_block)
        .map_batches(
            prepare_block,
            fn_args=(job, tracker, admit_until),
            batch_size=None,
            batch_format="pyarrow",
            num_cpus=1,
        )
        .map_batches(
            Painter,
            fn_constructor_args=(selection, tracker, admit_until),
            batch_size=pool.photos_per_block,
            batch_format="pyarrow",
            compute=_actors(pool),
            num_cpus=pool.cpus,
            num_gpus=pool.gpus or None,
        )
        .map_batches(
            finish_block,
            fn_args=(job, tracker, tuple(extra)),
            batch_size=None,
            batch_format="pyarrow",
            num_cpus=1,
        )
    )
    try:
        yield from photos.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, SystemicError):
            raise error.cause from None
        raise


def _actors(pool: Pool) -> ActorPoolStrategy:
    """All actors at once and never fewer, so that Ray replaces a lost one.

    While all are busy, Ray Data starts another for each GPU of the cluster that is free. For those it keeps
    CPUs from the other steps: none where the cluster has 6 of them to a GPU, 1 of 14 where it has 8, 1 of 7
    where it has 32 (its allocator, simulated). Nothing would hold it back from actors that reserve nothing.
    """
    max_size = None if pool.gpus else pool.actors
    return ActorPoolStrategy(min_size=pool.actors, max_size=max_size, initial_size=pool.actors, **BESIDE)


def instrument(metric: Metric) -> Record:
    """How Ray records a metric in this process."""
    if metric.kind == "histogram":
        histogram = metrics.Histogram(metric.name, metric.help, list(metric.buckets), metric.labels)
        return histogram.observe  # type: ignore[no-any-return]
    kind = metrics.Counter if metric.kind == "counter" else metrics.Gauge
    # `inc` and `set` call `_record` too, but `inc` refuses the 0 that begins a series.
    return kind(metric.name, metric.help, metric.labels)._record  # type: ignore[no-any-return]


def _is_over(admit_until: float | None) -> bool:
    return admit_until is not None and time.time() >= admit_until


def prepare_block(
    rows: pa.Table, job: Job, tracker: CrashTrackerClient, admit_until: float | None = None
) -> pa.Table:
    """Rows of the plan -> photos whose windows are ready to be painted."""
    if _is_over(admit_until):
        return _pack([])
    draft = partial(first_draft, job=job)

    def work(items: Sequence[Item]) -> Iterator[Prepared | Outcome]:
        with Prefetcher(items, job.access) as prefetcher:
            for item in items:
                ready = partial(_ready, item, job, prefetcher.fetch)
                yield _guarded("prepare", ready, draft(item), tracker)

    items = {row["item_id"]: Item.from_row(row) for row in rows.to_pylist()}
    return _pack(run_tracked(tracker, "prepare", items, work, draft))


def _ready(item: Item, job: Job, read: Read) -> Prepared | Outcome:
    prepared = prepare(item, job, read)
    return filled(prepared) if isinstance(prepared, Prepared) else prepared


class Painter:
    """The actor that holds the engines; it loads them once."""

    def __init__(
        self, selection: EngineSelection, tracker: CrashTrackerClient, admit_until: float | None = None
    ) -> None:
        self._admit_until = admit_until
        self._batch = selection.config.batch
        self._tracker = tracker
        tracker.start()
        self._engines: dict[Method, Engine] = {}
        self._fault: SystemicError | None = None
        self._turn = Lock()
        try:
            config = replace(selection.config, directories=selection.directories())
            self._engines = engines.build(selection.methods, config)
        except SystemicError as error:
            self._fault = error  # the first call raises it: from here it would reach the driver as text
        self._metrics = PaintMetrics(MetricsRecorder(instrument), selection.config.device, self._engines)

    def __call__(self, photos: pa.Table) -> pa.Table:
        if self._fault is not None:
            raise self._fault
        waiting, done = _split_by_end(photos)
        self._tracker.arrive("paint", list(waiting))
        painted: list[Any] = []
        with self._turn:  # one block at a time: a crash hits its photos alone, and they have the device
            if not _is_over(self._admit_until):
                painted = run_tracked(self._tracker, "paint", waiting, self._painted, _draft)
        return _pack([*done, *painted])

    def _painted(self, photos: Sequence[Prepared]) -> list[PaintedPhoto | Outcome]:
        """The photos together; after an unexpected error one by one, so that it costs only one of them."""
        try:
            with time_limit(self._tracker.photo_seconds * len(photos)), self._metrics.painting():
                results = paint(photos, self._engines, self._batch)
            self._metrics.painted(photos, results)
            return results
        except DeviceLost:
            # Ray counts this as a crash and starts another actor. An exception would end the run, and
            # Ray takes `exit_actor` for intended.
            log.exception("leaving this process to get the device back")
            os._exit(1)
        except SystemicError:
            raise
        except Exception as error:
            if len(photos) > 1:
                return [painted for photo in photos for painted in self._painted([photo])]
            log.exception("%s: unexpected error in paint", photos[0].item.item_id)
            return [_crashed(photos[0].draft, "paint", error)]


def finish_block(photos: pa.Table, job: Job, tracker: CrashTrackerClient, extra: Sequence[str]) -> pa.Table:
    """Painted photos -> their outcomes, with their thumbnails in columns beside them."""

    def work(painted: Sequence[PaintedPhoto]) -> Iterator[Outcome]:
        with ThreadPoolExecutor(UPLOADS) as uploads:  # a picture is uploaded while the next is composed
            waiting = []
            for photo in painted:
                made = _guarded("finish", partial(compose, photo, job), photo.draft, tracker)
                if isinstance(made, Outcome):
                    yield made
                else:
                    waiting.append((made, uploads.submit(upload, made, job)))
            for made, stored in waiting:
                yield _guarded("finish", stored.result, made.draft, tracker)

    waiting, done = _split_by_end(photos)
    done += run_tracked(tracker, "finish", waiting, work, _draft)
    table = with_own_faults(outcomes_table(done, extra), done)
    return with_read_bytes(with_thumbs(table, done), done)


def _guarded(step: Step, work: Callable[[], T], draft: Outcome, tracker: CrashTrackerClient) -> T | Outcome:
    """One photo's step. An unexpected error in it costs that photo and not the run."""
    try:
        with time_limit(tracker.photo_seconds):
            return work()
    except SystemicError:
        raise
    except Exception as error:
        log.exception("%s: unexpected error in %s", draft.item_id, step)
        return _crashed(draft, step, error)


def _crashed(draft: Outcome, step: str, error: Exception) -> Outcome:
    """The row of a photo that met an unexpected error; the error budget stops a run full of them."""
    crash = f"unexpected {type(error).__name__} in {step}: {error}"
    return failed(draft, ItemError(ErrorCode.WORKER_CRASHED, crash))


def _split_by_end(rows: pa.Table) -> tuple[dict[str, Any], list[Outcome]]:
    """The photos that go on, by item id, and the outcomes of those that have ended."""
    values = _unpack(rows)
    waiting = {value.item.item_id: value for value in values if not isinstance(value, Outcome)}
    return waiting, [value for value in values if isinstance(value, Outcome)]


def _draft(value: Prepared | PaintedPhoto) -> Outcome:
    return value.draft


def _pack(photos: Sequence[Any]) -> pa.Table:
    ids = [value.item_id if isinstance(value, Outcome) else value.item.item_id for value in photos]
    blobs = [pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL) for value in photos]
    return pa.table([ids, blobs], schema=_HOP)


def _unpack(rows: pa.Table) -> list[Any]:
    # The operator before this one has pickled these values: nothing from outside is unpickled.
    return [pickle.loads(blob.as_buffer()) for blob in rows.column("photo")]


def _configure() -> None:
    """Set up Ray Data for this job."""
    # Ray Data would ask the autoscaler for twice the present GPUs, however few photos are left. The
    # autoscaler refuses a request above the cluster's limit as a whole, with the CPUs in it.
    os.environ.setdefault("RAY_DATA_DEFAULT_CLUSTER_SCALING_UP_MAX_GPU_RESOURCE_DELTA", "0")
    # The plan is one file; Ray Data would start 32 actors to read the footers of many.
    os.environ.setdefault("RAY_DATA_PARQUET_FOOTER_NUM_ACTORS", "1")
    # A killed run holds its share of the cluster for this number of seconds, and its successor lacks it.
    # Ray renews the share every 10 s; its own value is 180.
    os.environ.setdefault("RAY_DATA_AUTOSCALING_REQUEST_EXPIRE_TIME_S", "20")
    context = DataContext.get_current()
    context.enable_progress_bars = False  # the ledger prints one line for the whole run
    context.execution_options.verbose_progress = False
    context.raise_original_map_exception = True  # its wrapper loses the cause on the way to the driver
    limit_blocks_in_flight(context)
    _quiet_console(logging.getLogger("ray.data"))


def _quiet_console(logger: logging.Logger) -> None:
    """Keep Ray Data's messages from stderr, and in its log file those of errors.

    Ray Data prints the traceback of each error twice before it raises the error to the driver.
    """
    logger.setLevel(logging.ERROR)
    for handler in logger.handlers:
        # An application may attach handlers of its own to this logger; only that of Ray is silenced.
        if isinstance(handler, logging.StreamHandler) and type(handler).__module__.startswith("ray."):
            handler.setLevel(logging.CRITICAL)
