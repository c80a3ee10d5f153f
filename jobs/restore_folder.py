"""Folder in, folder out: list the photos, pair them with their masks, restore what is new or changed.

silverprint restore photos/ masks/ -o restored/

The store keeps what was done, so the same command again does only what is new, changed or unfinished.
`jobs.nightly` lists in the same way.
"""

from __future__ import annotations

import tempfile
from dataclasses import fields, replace
from pathlib import Path

from jobs.console import print_estimate, print_failures, print_listing, print_plan
from jobs.exit_codes import ALL_WELL
from jobs.ray_address import require_ray
from jobs.run import Run, stop_signals
from jobs.run_spec import Listing, RunSpec, load_run_spec
from jobs.settings import ListingSettings, RestoreSettings, RunSettings
from manifests.listing.build import Sources, build
from restore.run.lease import acquire
from restore.storage import OutStore, is_local, local_path


def restore_folder(settings: ListingSettings, limit: int | None = None) -> int:
    """Restore the photos of a folder into an output store. Returns the exit code.

    Args:
        limit: do at most this many of the planned photos.

    Raises:
        SystemicError: when the run cannot go on.
    """
    with tempfile.TemporaryDirectory(prefix="silverprint-folder-") as name:
        if settings.dry_run:
            spec = run_spec_from_listing(settings, Path(name), limit)
            planned = spec.plan()
            print_plan(planned, spec, spec.events(None))
            print_failures(planned, spec)
            print_estimate(planned, spec)
            return ALL_WELL
        require_ray()
        store = OutStore.open(settings.output)
        store.check()
        with stop_signals() as stop, acquire(store) as lease:
            spec = run_spec_from_listing(settings, Path(name), limit)
            return int(Run(spec, lease, stop).execute()["exit_code"])


def run_spec_from_listing(settings: ListingSettings, folder: Path, limit: int | None = None) -> RunSpec:
    """List the photos, print what was found, and read the run's settings.

    Args:
        folder: where the manifest and the listing's names are written.

    Raises:
        SystemicError: when nothing can be listed, or a setting cannot be used.
    """
    manifest, present = folder / "manifest.parquet", folder / "present.parquet"
    sources = Sources(
        images=settings.images,
        masks=settings.masks,
        patterns=settings.mask_pattern,
        sidecar=settings.sidecar,
        exclude=(settings.output,),
    )
    listing = Listing(settings.images, build(sources, str(manifest), present=present), present)
    spec = replace(load_run_spec(_restore_settings(settings, str(manifest), limit)), listing=listing)
    print_listing(listing, spec)
    return spec


def _restore_settings(settings: ListingSettings, manifest: str, limit: int | None) -> RestoreSettings:
    """The same settings for a run over `manifest`. The listed folders become allowed roots."""
    values = {field.name: getattr(settings, field.name) for field in fields(RunSettings)}
    roots = [uri for uri in (settings.images, settings.masks) if uri and is_local(uri)]
    values["allow_root"] = (*settings.allow_root, *map(local_path, roots))
    return RestoreSettings(manifest=manifest, limit=limit, **values)
