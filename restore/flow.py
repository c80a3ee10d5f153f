"""The Ray Data pipeline: a plan in, outcomes out, as a stream.

    plan -> prepare (CPU tasks) -> paint (a pool of actors) -> finish (CPU tasks) -> driver

Between operators a photo is one row: its id and the pickled value that `restore.photo` hands from
step to step. The only importer of ray in this package.
"""

from __future__ import annotations

import logging
import os
import pickle
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import pyarrow as pa
import ray
from ray.data import ActorPoolStrategy, DataContext

from restore import engines, photo
from restore.choice import Choice
from restore.engines import Engine, Method
from restore.errors import DeviceLost, ErrorCode, ItemError, SystemicError
from restore.item import Item
from restore.outcome import Outcome, outcomes_table, with_thumbs

log = logging.getLogger(__name__)

_HOP = pa.schema([pa.field("item_id", pa.string()), pa.field("photo", pa.large_binary())])


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """The paint actors and the size of what travels between operators.

    Attributes:
        actors: how many, all started at once.
        cpus, gpus: what Ray reserves for each.
        photos_per_block: photos that travel together; what a lost worker loses.
    """

    actors: int
    cpus: float
    gpus: float
    photos_per_block: int


@dataclass(frozen=True, slots=True)
class Cluster:
    """What the job can use of the Ray cluster that it is connected to."""

    count: int
    cpus: float
    gpus: float


def cluster() -> Cluster:
    """The cluster as it is now."""
    resources = ray.cluster_resources()
    count = sum(node["Alive"] for node in ray.nodes())
    return Cluster(count, resources.get("CPU", 0.0), resources.get("GPU", 0.0))


def outcomes(
    job: photo.Job,
    plan: str,
    extra: Sequence[str],
    choice: Choice,
    pool: Pool,
    admit_until: float | None = None,
) -> Iterator[pa.Table]:
    """Run the plan and yield tables of outcomes with their `THUMBS`, in the order in which photos finish.

    Args:
        plan: path of the plan's Parquet file below OUT.
        extra: the plan's `x_*` columns.
        choice: every engine that a row of the plan may ask for.
        admit_until: seconds since the epoch. Photos not painted by then are left alone and have no
            outcome; those under way are finished.

    Raises:
        SystemicError: the one that a worker met, when the world is broken.
    """
    _configure()
    filesystem, root = job.store.arrow_filesystem()
    photos = (
        ray.data.read_parquet(f"{root}/{plan}", filesystem=filesystem)
        # One Parquet file is one read task and would be one block: small blocks make the
        # parallelism, and are all that a lost worker loses.
        .repartition(target_num_rows_per_block=pool.photos_per_block)
        .map_batches(prepare, fn_args=(job, admit_until), batch_size=None, batch_format="pyarrow", num_cpus=1)
        .map_batches(
            Painter,
            fn_constructor_args=(choice, admit_until),
            batch_size=pool.photos_per_block,
            batch_format="pyarrow",
            compute=ActorPoolStrategy(min_size=pool.actors, max_size=pool.actors, initial_size=pool.actors),
            num_cpus=pool.cpus,
            num_gpus=pool.gpus or None,
        )
        .map_batches(finish, fn_args=(job, tuple(extra)), batch_size=None, batch_format="pyarrow", num_cpus=1)
    )
    try:
        yield from photos.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, SystemicError):
            raise error.cause from None
        raise


def _over(admit_until: float | None) -> bool:
    return admit_until is not None and time.time() >= admit_until


def prepare(rows: pa.Table, job: photo.Job, admit_until: float | None = None) -> pa.Table:
    """Rows of the plan -> photos whose windows wait to be painted."""
    if _over(admit_until):
        return _pack([])
    cv2.setNumThreads(1)
    items = [Item.from_row(row) for row in rows.to_pylist()]
    return _pack([_guarded(photo.prepare, item, photo.first_facts(item, job), job) for item in items])


class Painter:
    """The actor that holds the engines, loaded once."""

    def __init__(self, choice: Choice, admit_until: float | None = None) -> None:
        cv2.setNumThreads(1)
        self._admit_until = admit_until
        self._batch = choice.config.batch
        self._engines: dict[Method, Engine] = {}
        self._fault: SystemicError | None = None
        try:
            config = replace(choice.config, directories=choice.directories())
            self._engines = engines.build(choice.methods, config)
        except SystemicError as error:
            self._fault = error  # raised by the first call: from here it would reach the driver as text

    def __call__(self, photos: pa.Table) -> pa.Table:
        if self._fault is not None:
            raise self._fault
        waiting = _unpack(photos)
        if _over(self._admit_until):
            return _pack([value for value in waiting if isinstance(value, Outcome)])
        try:
            return _pack(photo.paint(waiting, self._engines, self._batch))
        except DeviceLost:
            # Ray counts this as a crash and starts another actor; an exception would end the run, and
            # `exit_actor` would count as meant.
            log.exception("leaving this process to get the device back")
            os._exit(1)


def finish(photos: pa.Table, job: photo.Job, extra: Sequence[str]) -> pa.Table:
    """Painted photos -> their outcomes, and their small pictures beside them."""
    cv2.setNumThreads(1)
    done = [
        value if isinstance(value, Outcome) else _guarded(photo.finish, value, value.facts, job)
        for value in _unpack(photos)
    ]
    return with_thumbs(outcomes_table(done, extra), done)


def _guarded(step: Callable[[Any, photo.Job], Any], value: Any, facts: Outcome, job: photo.Job) -> Any:
    """One photo's step, such that a fault of ours in it costs that photo and not the night.

    The row says `worker_crashed` and the log has the traceback; the error budget stops a run in
    which that is no exception.
    """
    try:
        return step(value, job)
    except SystemicError:
        raise
    except Exception as error:
        log.exception("%s: unexpected error in %s", facts.item_id, step.__name__)
        crash = f"unexpected {type(error).__name__} in {step.__name__}: {error}"
        return photo.failed(facts, ItemError(ErrorCode.WORKER_CRASHED, crash))


def _pack(photos: Sequence[Any]) -> pa.Table:
    ids = [value.item_id if isinstance(value, Outcome) else value.item.item_id for value in photos]
    blobs = [pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL) for value in photos]
    return pa.table([ids, blobs], schema=_HOP)


def _unpack(rows: pa.Table) -> list[Any]:
    # Our own values, pickled by the operator before this one: nothing from outside is unpickled.
    return [pickle.loads(blob.as_buffer()) for blob in rows.column("photo")]


def _configure() -> None:
    """Ray Data as this job wants it."""
    context = DataContext.get_current()
    context.enable_progress_bars = False  # the ledger prints one line for the whole run
    context.execution_options.verbose_progress = False
    context.raise_original_map_exception = True  # its wrapper loses the cause on the way to the driver
    logging.getLogger("ray.data").setLevel(logging.ERROR)
