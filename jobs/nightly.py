"""The nightly run: list the stores -> manifest -> diff -> restore -> report -> compaction, under one lease.

python -m jobs.nightly --images URI --masks URI --output URI

Every night is the same command. A listing shows what is new, changed or missing; what does not fit into
the night is the next one's.
"""

from __future__ import annotations

import logging
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow.dataset import dataset

from jobs.console import NAMES_SHOWN, names_shown, print_estimate, print_failures, print_plan
from jobs.exit_codes import ALL_WELL, OTHER
from jobs.notify import notify
from jobs.ray_address import require_ray
from jobs.restore_folder import run_spec_from_listing
from jobs.run import Run, Terms, stop_signals
from jobs.run_spec import Listing, RunSpec
from jobs.settings import RECIPE_HELP, NightlySettings, deadline, local_zone
from manifests.catalog import compact
from manifests.catalog.gc import remove_pictures
from manifests.catalog.rows import committed_rows
from manifests.planning.removed import pruned_pictures, remember, removed, since, to_prune
from restore.cli import exit_code, leave, parse
from restore.errors import ItemError, SystemicError
from restore.run.lease import acquire
from restore.storage import OutStore

log = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """argv -> settings -> one night -> exit code."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    name, text = "python -m jobs.nightly", "Restore what is new or changed in a folder tonight."
    return exit_code(lambda: run(parse(NightlySettings, name, text, argv, help_epilogue=RECIPE_HELP)))


def run(settings: NightlySettings) -> int:
    """Run one night. The notification target gets its summary, also when the night stopped."""
    try:
        summary = night(settings)
    except SystemicError as error:
        summary = _failed(error.exit_code, str(error))
    except ItemError as error:  # it belongs to no photo, so to a store that does not answer
        summary = _failed(OTHER, f"{error.message}; what is committed stays")
    if settings.notify:
        notify(settings.notify, summary)
    return int(summary["exit_code"])


def _failed(code: int, message: str) -> dict[str, Any]:
    print(f"silverprint: {message}", file=sys.stderr)
    return {"verdict": "stopped", "exit_code": code, "message": message}


def night(settings: NightlySettings) -> dict[str, Any]:
    """One night. Returns its summary: the run record, and what was listed, removed and merged."""
    terms = Terms(deadline=deadline(settings, datetime.now(local_zone())), bears_failures=True)
    with tempfile.TemporaryDirectory(prefix="silverprint-night-") as folder:
        if settings.dry_run:
            spec = run_spec_from_listing(settings, Path(folder), settings.max_photos)
            planned = spec.plan()
            print_plan(planned, spec, spec.events(None))
            print_failures(planned, spec)
            print_estimate(planned, spec)
            missing = _missing(spec, settings)
            return {"exit_code": ALL_WELL, **_listing(spec).summary(), **missing.report(spec)}
        require_ray()
        store = OutStore.open(settings.output)
        store.check()
        with stop_signals() as stop, acquire(store) as lease:
            spec = run_spec_from_listing(settings, Path(folder), settings.max_photos)
            missing = _missing(spec, settings)
            remember(store, missing.found)
            record = Run(spec, lease, stop, terms, missing.pruned).execute()
            if not stop.is_set():
                if missing.pruned.num_rows:
                    old = pruned_pictures(missing.pruned, committed_rows(store))
                    remove_pictures(store, old, lease.check)
                compact.compact(store, lease.check)
            return {**record, **missing.report(spec)}


@dataclass(frozen=True, slots=True)
class Missing:
    """Items that have a picture and are no longer listed.

    Attributes:
        found: `item_id`, and since when it is missing.
        pruned: those whose pictures are removed tonight.
    """

    found: pa.Table
    pruned: pa.Table

    def report(self, spec: RunSpec) -> dict[str, Any]:
        """Print the missing photos, since they may be missing by mistake. Return them for the summary."""
        count, first = self.found.num_rows, self.found["item_id"].slice(0, NAMES_SHOWN).to_pylist()
        if count:
            pruned = self.pruned.num_rows
            fate = f"{pruned} of them are pruned" if pruned else "their pictures stay"
            print(f"removed since: {count} photos ({names_shown(first, count)}); {fate}", file=spec.console)
        return {"removed": {"count": count, "first": first, "pruned": self.pruned.num_rows}}


def _listing(spec: RunSpec) -> Listing:
    assert spec.listing is not None, "a night's manifest is made of a listing"
    return spec.listing


def _missing(spec: RunSpec, settings: NightlySettings) -> Missing:
    now, listing = datetime.now(UTC), _listing(spec)
    items = removed(spec.wanted, committed_rows(spec.store), dataset(listing.present))
    found = since(spec.store, items, now)
    prunable = to_prune(found, now, timedelta(hours=settings.grace))
    # A listing without any photo is a wrong folder rather than an empty archive.
    prunes = settings.prune and listing.listed.photos > 0
    return Missing(found, prunable if prunes else prunable.slice(0, 0))


if __name__ == "__main__":
    leave(main())
