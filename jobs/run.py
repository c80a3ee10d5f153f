"""One run over an order, under a lease: from the plan to the run record."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from threading import Event
from typing import Any

import pyarrow as pa
import ray

from jobs.console import print_plan, print_summary
from jobs.exit_codes import ALL_WELL, OTHER, OUT_OF_TIME, SOME_FAILED, VERDICTS
from jobs.ray_address import ray_address
from jobs.run_spec import NO_LISTING, RunSpec
from manifests.catalog.rows import Rows, committed_rows
from manifests.planning.plan import FAILED_BEFORE, Plan
from manifests.planning.removed import removed_outcomes
from manifests.planning.reuse import completed, reused_outcomes
from restore import identity
from restore.errors import EngineError, ItemError, LeaseHeld, StorageConfigError, StoreVanished, SystemicError
from restore.item import EXTRA_PREFIX
from restore.pipeline import flow
from restore.report.thumbnail_store import ThumbnailStore
from restore.report.writer import write_report
from restore.run.error_budget import Doubt
from restore.run.lease import Lease
from restore.run.ledger import Ledger, collect, last_unrecorded, write_plan, write_record
from restore.run.metrics import MetricsRecorder, RunMetrics, counted
from restore.run.progress import Progress
from restore.storage import OutStore

log = logging.getLogger(__name__)


DRAIN_SECONDS = 300.0
"""Longest time before its deadline in which a run begins no photo, so that those begun can finish."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What one run may take and bear.

    Attributes:
        deadline: seconds since the epoch by which it has ended; the photos not begun are the next run's.
        bears_failures: whether failed photos within the error budget leave the exit code at 0.
    """

    deadline: float | None = None
    bears_failures: bool = False

    def admit_until(self, now: float) -> float | None:
        """When to stop beginning photos: a tenth of the time before the deadline, five minutes at most."""
        if self.deadline is None:
            return None
        return self.deadline - min(DRAIN_SECONDS, (self.deadline - now) / 10)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    """What a run has to do, and what takes in its outcomes.

    Attributes:
        extra: the manifest's `x_*` columns.
        path: of the plan in the store.
        connection: holds Ray, which the run ends when it has the time.
    """

    planned: Plan
    extra: list[str]
    path: str
    ledger: Ledger
    thumbnails: ThumbnailStore
    connection: ExitStack


class Run:
    """One run under a lease: from the plan to the run record."""

    def __init__(
        self,
        spec: RunSpec,
        lease: Lease,
        stop: Event,
        terms: Terms | None = None,
        pruned: pa.Table | None = None,
    ) -> None:
        self._spec = spec
        self._lease = lease
        self._stop = stop
        self._terms = terms or Terms()
        self._pruned = pruned
        self._store_vanished = False
        self._began = datetime.now(UTC)
        self.run_id = f"{self._began:%Y%m%dT%H%M%SZ}-{lease.epoch:06d}"
        self._events = spec.events(self.run_id)

    def execute(self) -> dict[str, Any]:
        """Do what the plan says. Returns the run record, `exit_code` in it."""
        spec = self._spec
        planned = spec.plan()
        extra = [name for name in planned.todo.schema.names if name.startswith(EXTRA_PREFIX)]
        ledger = Ledger(
            spec.store,
            self._lease,
            self.run_id,
            extra,
            spec.settings.max_failed,
            events=self._events,
            doubt=Doubt(code=last_unrecorded(spec.store), planned=self._total(planned)),
        )
        ledger.plan = path = write_plan(spec.store, self.run_id, planned.todo.path)
        print_plan(planned, spec, self._events)
        with ThumbnailStore() as thumbnails, ExitStack() as connection:
            work = _Work(
                planned=planned,
                extra=extra,
                path=path,
                ledger=ledger,
                thumbnails=thumbnails,
                connection=connection,
            )
            verdict, code, message = self._guarded(work)
            if not self._stop.is_set():
                connection.close()
            thumbnails.close()
            record = self._summary(planned, ledger, verdict, code, message)
            record["report"] = self._report(ledger, thumbnails, record)
            write_record(spec.store, self.run_id, record)
            if self._stop.is_set():
                self._lease.release()  # Ray takes longer to end than it leaves a job that it stops
            self._print_end(record, ledger, planned)
        return record

    def _print_end(self, record: Mapping[str, Any], ledger: Ledger, planned: Plan) -> None:
        spec, tally = self._spec, ledger.tally
        verdict, message, report = record["verdict"], record["message"], record["report"]
        if message:
            self._events.stop(message)
        left_out = record["left_out"]
        self._events.end(verdict, record["exit_code"], tally.status, tally.codes, report, left_out)
        print_summary(self.run_id, verdict, tally, message, spec, planned.counts.get(FAILED_BEFORE, 0))
        if report:
            print(f"report: {spec.store.root}/{report}", file=spec.console)

    def _guarded(self, work: _Work) -> tuple[str, int, str]:
        """The verdict, the exit code and, where the run did not come to its end, why."""
        planned, ledger = work.planned, work.ledger
        try:
            self._prune(work)
            self._reuse(work)
            ended = not planned.todo.num_rows or (not self._stop.is_set() and self._paint(work))
            ledger.require_store()
        except LeaseHeld as error:
            self._events.stop(str(error))
            raise  # the store is another's now: nothing more is written
        except SystemicError as error:
            self._store_vanished = isinstance(error, StoreVanished)
            return VERDICTS.get(error.exit_code, VERDICTS[OTHER]), error.exit_code, str(error)
        if not ended:
            reason = "stopped by a signal; what was done is committed, run again to go on"
            return VERDICTS[OTHER], OTHER, reason
        code = SOME_FAILED if ledger.tally.failed else ALL_WELL
        exit_code = ALL_WELL if self._terms.bears_failures else code
        left = self._total(planned) - ledger.tally.attempted
        if left:
            return OUT_OF_TIME, exit_code, f"deadline reached; {left} photos remain"
        return VERDICTS[code], exit_code, ""

    def _prune(self, work: _Work) -> None:
        """Rows that say of which items no picture is shown any more."""
        if self._pruned is not None and self._pruned.num_rows:
            self._commit_again(partial(removed_outcomes, extra=work.extra), self._pruned, work.ledger)

    def _reuse(self, work: _Work) -> None:
        """Rows for pictures that an earlier run has made: no painting."""
        if work.planned.reused.num_rows:
            self._commit_again(reused_outcomes, work.planned.reused, work.ledger)

    def _commit_again(self, outcomes: Callable[..., pa.Table], of: Rows, ledger: Ledger) -> None:
        """Commit rows that repeat earlier ones."""
        rows = outcomes(
            of,
            committed_rows(self._spec.store),
            run_id=self.run_id,
            started_at=self._began,
            software_version=version("silverprint"),
        )
        for batch in rows.to_batches(max_chunksize=10_000):
            ledger.add(pa.Table.from_batches([batch]))
        ledger.commit()

    def _total(self, planned: Plan) -> int:
        pruned = self._pruned.num_rows if self._pruned is not None else 0
        return planned.todo.num_rows + planned.reused.num_rows + pruned

    def _paint(self, work: _Work) -> bool:
        """Rows to do, through the pipeline, as long as time allows. Returns whether it came to its end."""
        spec, until = self._spec, self._terms.admit_until(time.time())
        nodes = work.connection.enter_context(connected(spec.store))
        pool = _pool(spec, nodes)
        stream = flow.outcomes(spec.job(self.run_id), work.path, work.extra, spec.engines, pool, until)
        total = self._total(work.planned)
        meters = MetricsRecorder(flow.instrument)
        seen = work.thumbnails.watch(counted(stream, meters))
        with (
            Progress(total, events=self._events) as progress,
            RunMetrics(meters, work.ledger, self._lease, total),
        ):
            outcomes = completed(seen, work.planned.todo, committed_rows(spec.store))
            return collect(outcomes, work.ledger, progress.show, self._stop, self._terms.deadline)

    def _report(self, ledger: Ledger, thumbnails: ThumbnailStore, record: Mapping[str, Any]) -> str | None:
        """The page of this run. None when it did nothing, when its rows have vanished, when it has to stop
        and has no time for pages, or when the page could not be written: rows are the truth, a page is only
        shown.
        """
        if not ledger.parts or self._store_vanished or self._stop.is_set():
            return None
        try:
            return write_report(self._spec.store, self.run_id, ledger.parts, thumbnails, record)
        except (ItemError, SystemicError) as error:
            log.warning("no report was written; rows and pictures are whole: %s", error)
        except Exception:
            log.warning("no report was written; rows and pictures are whole", exc_info=True)
        return None

    def _summary(
        self, planned: Plan, ledger: Ledger, verdict: str, code: int, message: str
    ) -> dict[str, Any]:
        """The run record but for its report."""
        spec = self._spec
        ended = datetime.now(UTC)
        return {
            "run_id": self.run_id,
            "epoch": self._lease.epoch,
            "verdict": verdict,
            "exit_code": code,
            "message": message,
            "manifest": spec.settings.manifest,
            **(spec.listing.summary() if spec.listing else NO_LISTING),
            "profile": spec.profile.name,
            "planned": planned.todo.num_rows,
            "reasons": dict(planned.counts),
            "status": dict(ledger.tally.status),
            "errors": dict(ledger.tally.codes),
            "committed": ledger.committed,
            "parts": ledger.parts,
            "unrecorded": ledger.unrecorded,
            "failed_before": planned.counts.get(FAILED_BEFORE, 0),
            "photos_per_second": ledger.tally.rate,
            "recipe": spec.recipe.model_dump(),
            "recipe_hash": identity.recipe_hash(spec.recipe),
            "engine_hashes": dict(spec.engines.hashes),
            "pipeline_version": identity.PIPELINE_VERSION,
            "versions": {name: version(name) for name in ("silverprint", "ray", "pyarrow", "pyvips")},
            "started_at": self._began.isoformat(),
            "ended_at": ended.isoformat(),
            "seconds": round((ended - self._began).total_seconds(), 3),
        }


@contextmanager
def stop_signals() -> Iterator[Event]:
    """An event that SIGTERM and SIGINT set, so that what is done is committed before we leave."""
    stop = Event()
    kept = {name: signal.signal(name, lambda *_: stop.set()) for name in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for name, handler in kept.items():
            signal.signal(name, handler)


@contextmanager
def connected(store: OutStore) -> Iterator[flow.Cluster]:
    """Ray: the cluster that the environment names, else one of this machine's own."""
    handlers = {name: signal.getsignal(name) for name in (signal.SIGTERM, signal.SIGINT)}
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # its C++ side writes to our stderr
    ray.init(address=ray_address(), log_to_driver=False, logging_level=logging.ERROR, include_dashboard=False)
    for name, handler in handlers.items():
        signal.signal(name, handler)  # ray.init puts its own in their place
    try:
        nodes = flow.cluster()
        if store.is_local and nodes.count > 1:
            raise StorageConfigError(
                f"--output {store.root} is a local folder, which is another one on each of this cluster's "
                f"{nodes.count} nodes; use an object store (s3://, gs://, az://)"
            )
        yield nodes
    finally:
        ray.shutdown()


def _pool(spec: RunSpec, nodes: flow.Cluster) -> flow.Pool:
    profile = spec.profile
    actors = profile.actors(nodes.cpus, nodes.gpus)
    if actors < 1:
        raise EngineError(
            f"profile {profile.name} needs {profile.gpus_per_actor:g} GPU per actor and this cluster has "
            f"{nodes.gpus:g}; add GPU nodes, or use --profile local"
        )
    return flow.Pool(
        actors=actors,
        cpus=profile.cpus_per_actor,
        gpus=profile.gpus_per_actor,
        photos_per_block=profile.photos_per_block,
        photo_seconds=spec.settings.photo_timeout,
    )
