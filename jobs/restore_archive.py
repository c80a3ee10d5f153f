"""The main job: manifest -> restored archive.

python -m jobs.restore_archive --manifest URI --output URI
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from threading import Event
from typing import Any, TextIO

import pyarrow as pa
import ray

from cluster.profiles import PROFILES, Profile
from jobs.settings import RestoreSettings, parse
from manifests.committed import committed_rows
from manifests.diff import Plan, plan
from manifests.reuse import reused_outcomes
from manifests.schema import fill_versions, read_manifest
from restore import flow, identity
from restore.album import Album
from restore.choice import Choice, choose
from restore.engines import EngineConfig, sizes_of
from restore.errors import EngineError, LeaseHeld, StorageConfigError, SystemicError, UsageError
from restore.estimate import estimate, sample
from restore.events import Events
from restore.item import EXTRA_PREFIX, Item
from restore.lease import Lease, take
from restore.ledger import Ledger, collect, write_plan, write_record
from restore.photo import Job
from restore.progress import Progress
from restore.recipe import Recipe, load_recipe
from restore.report import write_report
from restore.storage import AccessPolicy, OutStore, is_local, local_path

log = logging.getLogger(__name__)

ALL_WELL, OTHER, SOME_FAILED = 0, 1, 3
VERDICTS = {0: "complete", 1: "stopped", 3: "some_failed", 4: "budget_spent"}


def main(argv: Sequence[str] | None = None) -> int:
    """argv -> settings -> flow -> exit code."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        return restore(parse(RestoreSettings, "python -m jobs.restore_archive", "Restore an archive.", argv))
    except SystemicError as error:
        print(f"silverprint: {error}", file=sys.stderr)
        return error.exit_code


def restore(settings: RestoreSettings) -> int:
    """Plan what is to be done, then do it under the store's lease. Returns the exit code."""
    order = read_order(settings)
    if settings.dry_run:
        planned = order.plan()
        announce(planned, order, order.events(None))
        foretell(planned, order)
        return ALL_WELL
    order.store.check()
    with stop_signals() as stop, take(order.store) as lease:
        return Run(order, lease, stop).execute()


@dataclass(frozen=True, slots=True)
class Order:
    """The settings, read and understood: all that a run needs before it touches the store."""

    settings: RestoreSettings
    recipe: Recipe
    profile: Profile
    choice: Choice
    wanted: pa.Table
    access: AccessPolicy
    store: OutStore

    def plan(self) -> Plan:
        """The diff of what is wanted against what is committed."""
        return plan(
            self.wanted,
            committed_rows(self.store),
            recipe_hash=identity.recipe_hash(self.recipe),
            engine_hashes=self.choice.hashes,
            engine=self.recipe.engine,
            retry_failed=self.settings.retry_failed,
            copy_unmasked=self.settings.copy_unmasked,
            limit=self.settings.limit,
        )

    def events(self, run_id: str | None) -> Events:
        """Events of a run, if they were asked for."""
        return Events(run_id, sys.stdout if self.settings.log == "json" else None)

    @property
    def people(self) -> TextIO:
        """Where lines for people go: not among the events."""
        return sys.stderr if self.settings.log == "json" else sys.stdout

    def job(self, run_id: str) -> Job:
        """What all photos of a run share."""
        return Job(
            run_id=run_id,
            recipe=self.recipe,
            auto=self.profile.auto,
            engine_hashes=self.choice.hashes,
            models=self.choice.rows(),
            store=self.store,
            access=self.access,
            software_version=version("silverprint"),
            device=self.profile.device,
            max_megapixels=self.settings.max_megapixels,
            copy_unmasked=self.settings.copy_unmasked,
        )


def read_order(settings: RestoreSettings) -> Order:
    """Read recipe and manifest.

    Raises:
        SystemicError: on the first of them that cannot be used.
    """
    profile = PROFILES[settings.profile]
    recipe = load_recipe(_recipe_text(settings.recipe), _assignments(settings.set))
    access = AccessPolicy(_roots(settings), settings.allow_http)
    manifest = read_manifest(settings.manifest)
    return Order(
        settings=settings,
        recipe=recipe,
        profile=profile,
        choice=_choice(settings, profile, recipe, manifest.table),
        wanted=fill_versions(manifest, access),
        access=access,
        store=OutStore.open(settings.output),
    )


class Run:
    """One run under a lease: from the plan to the run record."""

    def __init__(self, order: Order, lease: Lease, stop: Event) -> None:
        self._order = order
        self._lease = lease
        self._stop = stop
        self._began = datetime.now(UTC)
        self.run_id = f"{self._began:%Y%m%dT%H%M%SZ}-{lease.epoch:06d}"
        self._events = order.events(self.run_id)

    def execute(self) -> int:
        """Do what the plan says. Returns the exit code; the run record holds the same verdict."""
        order = self._order
        planned = order.plan()
        extra = [name for name in planned.todo.schema.names if name.startswith(EXTRA_PREFIX)]
        ledger = Ledger(
            order.store, self._lease, self.run_id, extra, order.settings.max_failed, events=self._events
        )
        path = write_plan(order.store, self.run_id, planned.todo)
        announce(planned, order, self._events)
        with Album() as album:
            code, message = self._guarded(planned, path, extra, ledger, album)
            album.close()
            record = self._summary(planned, ledger, code, message)
            report = self._report(ledger, album, record)
        write_record(order.store, self.run_id, {**record, "report": report})
        if message:
            self._events.stop(message)
        tally = ledger.tally
        self._events.end(VERDICTS.get(code, "stopped"), code, tally.status, tally.codes, report)
        self._say(ledger, code, message)
        if report:
            print(f"report: {order.store.root}/{report}", file=order.people)
        return code

    def _guarded(
        self, planned: Plan, path: str, extra: list[str], ledger: Ledger, album: Album
    ) -> tuple[int, str]:
        """The exit code and, where the run did not come to its end, why."""
        try:
            self._reuse(planned, ledger)
            ended = not planned.todo.num_rows or self._paint(planned, path, extra, ledger, album)
        except LeaseHeld as error:
            self._events.stop(str(error))
            raise  # the store is another's now: nothing more is written
        except SystemicError as error:
            return error.exit_code, str(error)
        if not ended:
            return OTHER, "stopped by a signal; what was done is committed, run again to go on"
        return (SOME_FAILED if ledger.tally.failed else ALL_WELL), ""

    def _reuse(self, planned: Plan, ledger: Ledger) -> None:
        """Rows for pictures that an earlier run has made: no painting."""
        if planned.reused.num_rows:
            rows = reused_outcomes(
                planned.reused,
                committed_rows(self._order.store),
                run_id=self.run_id,
                started_at=self._began,
                software_version=version("silverprint"),
            )
            for batch in rows.to_batches(max_chunksize=10_000):
                ledger.add(pa.Table.from_batches([batch]))
            ledger.commit()

    def _paint(self, planned: Plan, path: str, extra: list[str], ledger: Ledger, album: Album) -> bool:
        """Rows to do, through the pipeline. Returns whether it came to its end."""
        order = self._order
        with connected(order.store) as nodes:
            stream = flow.outcomes(
                order.job(self.run_id), path, extra, order.choice, _pool(order.profile, nodes)
            )
            total = planned.todo.num_rows + planned.reused.num_rows
            with Progress(total, events=self._events) as progress:
                return collect(album.watch(stream), ledger, progress.show, self._stop)

    def _report(self, ledger: Ledger, album: Album, record: Mapping[str, Any]) -> str | None:
        """The page of this run. None when it did nothing, when it was told to stop and has no time for
        pages, or when the page could not be written: rows are the truth, a page is only shown.
        """
        if not ledger.parts or self._stop.is_set():
            return None
        try:
            return write_report(self._order.store, self.run_id, ledger.parts, album, record)
        except Exception:
            log.warning("no report was written; rows and pictures are whole", exc_info=True)
            return None

    def _summary(self, planned: Plan, ledger: Ledger, code: int, message: str) -> dict[str, Any]:
        """The run record but for its report."""
        order = self._order
        ended = datetime.now(UTC)
        return {
            "run_id": self.run_id,
            "epoch": self._lease.epoch,
            "verdict": VERDICTS.get(code, "stopped"),
            "exit_code": code,
            "message": message,
            "manifest": order.settings.manifest,
            "profile": order.profile.name,
            "planned": planned.todo.num_rows,
            "reasons": dict(planned.counts),
            "status": dict(ledger.tally.status),
            "errors": dict(ledger.tally.codes),
            "committed": ledger.committed,
            "parts": ledger.parts,
            "photos_per_second": ledger.tally.rate,
            "recipe": order.recipe.model_dump(),
            "recipe_hash": identity.recipe_hash(order.recipe),
            "engine_hashes": dict(order.choice.hashes),
            "pipeline_version": identity.PIPELINE_VERSION,
            "versions": {name: version(name) for name in ("silverprint", "ray", "pyarrow", "pyvips")},
            "started_at": self._began.isoformat(),
            "ended_at": ended.isoformat(),
            "seconds": round((ended - self._began).total_seconds(), 3),
        }

    def _say(self, ledger: Ledger, code: int, message: str) -> None:
        tally, people = ledger.tally, self._order.people
        counts = ", ".join(f"{count} {status}" for status, count in sorted(tally.status.items()))
        print(f"run {self.run_id}: {VERDICTS.get(code, 'stopped')}: {counts or 'nothing to do'}", file=people)
        for error, count in tally.codes.most_common():
            print(f"  {count} failed with {error}", file=people)
        if tally.referenced:
            print(
                f"  inside the damage, over {tally.referenced} with a reference: "
                f"PSNR {tally.psnr / tally.referenced:.2f} dB, SSIM {tally.ssim / tally.referenced:.3f}",
                file=people,
            )
        if message:
            print(f"silverprint: {message}", file=sys.stderr)


def announce(planned: Plan, order: Order, events: Events) -> None:
    """Say what would be done and why, to people and to machines."""
    print(describe(planned, order), file=order.people, flush=True)
    events.plan(
        order.settings.manifest,
        order.wanted.num_rows,
        planned.todo.num_rows,
        planned.reused.num_rows,
        planned.counts,
    )


def describe(planned: Plan, order: Order) -> str:
    """How many rows would be done and why, in a few lines."""
    reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(planned.counts.items()))
    return (
        f"{order.settings.manifest}: {order.wanted.num_rows} rows: {reasons or 'none'}\n"
        f"to do: {planned.todo.num_rows}, to reuse: {planned.reused.num_rows}, "
        f"profile {order.profile.name}, engine {order.recipe.engine}"
    )


def foretell(planned: Plan, order: Order) -> None:
    """Say, where a GPU is to paint, about what that takes."""
    if any(sizes_of(method) for method in order.choice.methods):
        photos = planned.todo.num_rows
        rows = planned.todo.take(pa.array(sample(photos), pa.int64()))
        some = [Item.from_row(row) for row in rows.to_pylist()]
        print(estimate(some, photos, order.job("dry run")).text(), file=order.people)


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
    ray.init(log_to_driver=False, logging_level=logging.ERROR, include_dashboard=False)
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


def _pool(profile: Profile, nodes: flow.Cluster) -> flow.Pool:
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
    )


def _choice(settings: RestoreSettings, profile: Profile, recipe: Recipe, manifest: pa.Table) -> Choice:
    """The engines that the recipe and any row of the manifest ask for."""
    overrides = pa.compute.unique(manifest["overrides"]).to_pylist()
    config = EngineConfig(
        device=profile.device,
        dtype=recipe.dtype,
        offload=recipe.offload,
        compile=recipe.compile,
        batch=settings.batch_size or profile.batch_size,
    )
    named = {json.loads(text).get("engine", recipe.engine) for text in overrides}
    return choose(named, profile.auto, recipe, config)


def _recipe_text(path: str | None) -> str | None:
    if path is None:
        return None
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--recipe {path} cannot be read: {error}") from None


def _assignments(texts: Sequence[str]) -> dict[str, str]:
    for text in texts:
        if "=" not in text:
            raise UsageError(f"--set {text}: give it as name=value")
    return dict(text.split("=", 1) for text in texts)


def _roots(settings: RestoreSettings) -> tuple[str, ...]:
    """Folders that local inputs may lie in: the manifest's own, and those that were allowed."""
    own = [Path(local_path(settings.manifest)).parent] if is_local(settings.manifest) else []
    return tuple(str(folder.resolve()) for folder in [*own, *map(Path, settings.allow_root)])


if __name__ == "__main__":
    sys.exit(main())
