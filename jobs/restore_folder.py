"""Folder in, folder out: list the photos, pair them with their masks, restore what is new or changed.

silverprint restore photos/ masks/ -o restored/

The store keeps what was done, so the same command again does only what is new, changed or unfinished.
`jobs.nightly` lists in the same way.
"""

from __future__ import annotations

import tempfile
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from jobs.console import print_estimate, print_failures, print_plan
from jobs.exit_codes import ALL_WELL
from jobs.ray_address import require_ray
from jobs.run import Run, stop_signals
from jobs.run_spec import RunSpec, load_run_spec
from jobs.settings import ListingSettings, RestoreSettings, RunSettings
from manifests.listing.build import Found, Listed, Sources, build
from restore.run.lease import acquire
from restore.storage import OutStore, is_local, local_path

NAMES_SHOWN = 10
"""Names printed of each kind that was left out; the rest are counted."""


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
        require_ray()
        store = OutStore.open(settings.output)
        store.check()
        with stop_signals() as stop, acquire(store) as lease:
            spec, _ = run_spec_from_listing(settings, Path(name), limit)
            return int(Run(spec, lease, stop).execute()["exit_code"])


@dataclass(frozen=True, slots=True)
class Listing:
    """What a run was built from.

    Attributes:
        images: the folder that was listed.
        present: a Parquet file of the names that the folder holds, of `listing.build.PRESENT`.
    """

    images: str
    listed: Listed
    present: Path

    def summary(self) -> dict[str, Any]:
        """For the run's summary."""
        found = {name: value for name, value in asdict(self.listed).items() if name != "manifest"}
        return {"images": self.images, "listed": found}


def run_spec_from_listing(
    settings: ListingSettings, folder: Path, limit: int | None = None
) -> tuple[RunSpec, Listing]:
    """List the photos and read the run's settings; the manifest is written below `folder`.

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
    spec = load_run_spec(_restore_settings(settings, str(manifest), limit))
    print(describe(listing.listed, settings.images), file=spec.console, flush=True)
    return spec, listing


def describe(listed: Listed, images: str) -> str:
    """The number of photos, and what is left out of the manifest with its first names."""
    lines = [f"{images}: {listed.photos} photos, {listed.rows} of them in the manifest"]
    for field in fields(listed):
        found = getattr(listed, field.name)
        if isinstance(found, Found) and found.count:
            more = ", ..." if found.count > NAMES_SHOWN else ""
            names = ", ".join(found.first[:NAMES_SHOWN])
            lines.append(f"  {found.count} {field.name.replace('_', ' ')}: {names}{more}")
    return "\n".join(lines)


def _restore_settings(settings: ListingSettings, manifest: str, limit: int | None) -> RestoreSettings:
    """The same settings for a run over `manifest`. The listed folders become allowed roots."""
    values = {field.name: getattr(settings, field.name) for field in fields(RunSettings)}
    roots = [uri for uri in (settings.images, settings.masks) if uri and is_local(uri)]
    values["allow_root"] = (*settings.allow_root, *map(local_path, roots))
    return RestoreSettings(manifest=manifest, limit=limit, **values)
