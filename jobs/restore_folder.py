"""Folder in, folder out: list the photos, pair them with their masks, restore what is new or changed.

silverprint restore photos/ masks/ -o restored/

The store keeps what was done, so the same command again does only what is new, changed or unfinished.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from jobs.console import print_estimate, print_failures, print_plan
from jobs.exit_codes import ALL_WELL
from jobs.listed import run_spec_from_listing
from jobs.run import Run, stop_signals
from jobs.settings import ListingSettings
from restore.run.lease import acquire
from restore.storage import OutStore


def restore_folder(settings: ListingSettings, limit: int | None = None) -> int:
    """Restore the photos of a folder into an output store. Returns the exit code.

    Args:
        limit: do at most this many of the planned photos.

    Raises:
        SystemicError: when the run cannot go on.
    """
    with tempfile.TemporaryDirectory(prefix="silverprint-folder-") as name:
        if settings.dry_run:
            spec, _ = run_spec_from_listing(settings, Path(name), limit)
            planned = spec.plan()
            print_plan(planned, spec, spec.events(None))
            print_failures(planned, spec)
            print_estimate(planned, spec)
            return ALL_WELL
        store = OutStore.open(settings.output)
        store.check()
        with stop_signals() as stop, acquire(store) as lease:
            spec, _ = run_spec_from_listing(settings, Path(name), limit)
            return int(Run(spec, lease, stop).execute()["exit_code"])
