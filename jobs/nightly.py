"""The nightly run: list the stores -> manifest -> diff -> restore -> report -> compaction, under one lease.

python -m jobs.nightly --images URI --masks URI --output URI

Every night is the same command. What is new, changed or gone is found by listing; what does not fit into
the night is the next one's.
"""

from __future__ import annotations

import dataclasses
import logging
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from jobs.console import print_estimate, print_plan
from jobs.exit_codes import ALL_WELL, OTHER
from jobs.notify import notify
from jobs.run import Run, Terms, stop_signals
from jobs.run_spec import RunSpec, load_run_spec
from jobs.settings import NightlySettings, RestoreSettings, deadline
from manifests.catalog import compact
from manifests.catalog.gc import remove_pictures
from manifests.catalog.rows import committed_rows
from manifests.listing.build import Found, Listed, Sources, build
from manifests.planning.removed import pruned_pictures, remember, removed, since
from restore.cli import leave, parse
from restore.errors import ItemError, SystemicError
from restore.run.lease import acquire
from restore.storage import OutStore, is_local, local_path

log = logging.getLogger(__name__)

NAMED = 10
"""So many removed photos are named; the rest are counted."""


def main(argv: Sequence[str] | None = None) -> int:
    """argv -> settings -> one night -> exit code."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    settings = None
    try:
        settings = parse(NightlySettings, "python -m jobs.nightly", "Restore what is new tonight.", argv)
        summary = night(settings)
    except SystemicError as error:
        summary = _failed(error.exit_code, str(error))
    except ItemError as error:  # of no photo, so of a store: it has stayed away
        summary = _failed(OTHER, f"{error.message}; what is committed stays")
    if settings is not None and settings.notify:
        notify(settings.notify, summary)
    return int(summary["exit_code"])


def _failed(code: int, message: str) -> dict[str, Any]:
    print(f"silverprint: {message}", file=sys.stderr)
    return {"verdict": "stopped", "exit_code": code, "message": message}


def night(settings: NightlySettings) -> dict[str, Any]:
    """One night. Returns its summary: the run record, and what was listed, removed and merged."""
    terms = Terms(deadline=deadline(settings, datetime.now().astimezone()), bears_failures=True)
    with tempfile.TemporaryDirectory(prefix="silverprint-night-") as folder:
        if settings.dry_run:
            spec, listed = listing(settings, Path(folder))
            planned = spec.plan()
            print_plan(planned, spec, spec.events(None))
            print_estimate(planned, spec)
            gone = _gone(spec, listed, settings)
            return {"exit_code": ALL_WELL, **listed, **gone.told(spec)}
        store = OutStore.open(settings.output)
        store.check()
        with stop_signals() as stop, acquire(store) as lease:
            spec, listed = listing(settings, Path(folder))
            gone = _gone(spec, listed, settings)
            remember(store, gone.since)
            record = Run(spec, lease, stop, terms, gone.pruned).execute()
            if not stop.is_set():
                if gone.pruned.num_rows:
                    old = pruned_pictures(gone.pruned, committed_rows(store))
                    remove_pictures(store, old, lease.check)
                compact.compact(store, lease.check)
            return {**record, **listed, **gone.told(spec)}


def listing(settings: NightlySettings, folder: Path) -> tuple[RunSpec, dict[str, Any]]:
    """The order for all photos that the stores hold now, and what the listing met."""
    manifest = folder / "manifest.parquet"
    sources = Sources(
        images=settings.images,
        masks=settings.masks,
        patterns=settings.mask_pattern,
        sidecar=settings.sidecar,
        exclude=(settings.output,),
    )
    listed = build(sources, str(manifest))
    spec = load_run_spec(_restoring(settings, str(manifest)))
    print(describe(listed, settings), file=spec.console, flush=True)
    found = {name: value for name, value in dataclasses.asdict(listed).items() if name != "manifest"}
    return spec, {"images": settings.images, "listed": found}


def describe(listed: Listed, settings: NightlySettings) -> str:
    """What the stores hold, and what of it has no place in the manifest, with the first names."""
    lines = [f"{settings.images}: {listed.photos} photos, {listed.rows} of them in tonight's manifest"]
    for field in dataclasses.fields(listed):
        found = getattr(listed, field.name)
        if isinstance(found, Found) and found.count:
            more = ", ..." if found.count > NAMED else ""
            lines.append(
                f"  {found.count} {field.name.replace('_', ' ')}: {', '.join(found.first[:NAMED])}{more}"
            )
    return "\n".join(lines)


def _restoring(settings: NightlySettings, manifest: str) -> RestoreSettings:
    """The night's settings as those of the main job."""
    shared = {field.name for field in dataclasses.fields(RestoreSettings)} - {"manifest", "limit"}
    values = {name: getattr(settings, name) for name in shared}
    roots = [uri for uri in (settings.images, settings.masks) if uri and is_local(uri)]
    values["allow_root"] = (*settings.allow_root, *map(local_path, roots))
    return RestoreSettings(manifest=manifest, limit=settings.max_photos, **values)


@dataclass(frozen=True, slots=True)
class Gone:
    """What has a picture and is listed no more.

    Attributes:
        since: `item_id` and the time since when.
        pruned: those of them whose pictures are to go tonight.
    """

    since: pa.Table
    pruned: pa.Table

    def told(self, spec: RunSpec) -> dict[str, Any]:
        """Said in any case, since nobody may have meant it to go; and for the summary."""
        count, first = self.since.num_rows, self.since["item_id"].slice(0, NAMED).to_pylist()
        if count:
            more = ", ..." if count > NAMED else ""
            pruned = self.pruned.num_rows
            fate = f"{pruned} of them are pruned" if pruned else "their pictures stay"
            print(f"removed since: {count} photos ({', '.join(first)}{more}); {fate}", file=spec.console)
        return {"removed": {"count": count, "first": first, "pruned": self.pruned.num_rows}}


def _gone(spec: RunSpec, listed: dict[str, Any], settings: NightlySettings) -> Gone:
    now = datetime.now(UTC)
    items = since(spec.store, removed(spec.wanted, committed_rows(spec.store)), now)
    long_enough = pc.less_equal(items["since"], pa.scalar(now - timedelta(hours=settings.grace)))
    # A listing without any photo is a wrong folder rather than an empty archive.
    prunes = settings.prune and listed["listed"]["photos"] > 0
    return Gone(items, items.filter(long_enough) if prunes else items.slice(0, 0))


if __name__ == "__main__":
    leave(main())
