"""A run over what a store lists: the photos of a folder, paired with their masks by name."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from jobs.run_spec import RunSpec, load_run_spec
from jobs.settings import ListingSettings, RestoreSettings, RunSettings
from manifests.listing.build import Found, Listed, Sources, build
from restore.storage import is_local, local_path

NAMES_SHOWN = 10
"""Names printed of each kind that was left out; the rest are counted."""


def run_spec_from_listing(
    settings: ListingSettings, folder: Path, limit: int | None = None
) -> tuple[RunSpec, dict[str, Any]]:
    """List the photos and read the run's settings; the manifest is written below `folder`.

    Returns:
        The run spec, and what the listing found, for the run's summary.

    Raises:
        SystemicError: when nothing can be listed, or a setting cannot be used.
    """
    manifest = folder / "manifest.parquet"
    sources = Sources(
        images=settings.images,
        masks=settings.masks,
        patterns=settings.mask_pattern,
        sidecar=settings.sidecar,
        exclude=(settings.output,),
    )
    listed = build(sources, str(manifest))
    spec = load_run_spec(_restore_settings(settings, str(manifest), limit))
    print(describe(listed, settings.images), file=spec.console, flush=True)
    found = {name: value for name, value in dataclasses.asdict(listed).items() if name != "manifest"}
    return spec, {"images": settings.images, "listed": found}


def describe(listed: Listed, images: str) -> str:
    """The number of photos, and what is left out of the manifest with its first names."""
    lines = [f"{images}: {listed.photos} photos, {listed.rows} of them in the manifest"]
    for field in dataclasses.fields(listed):
        found = getattr(listed, field.name)
        if isinstance(found, Found) and found.count:
            more = ", ..." if found.count > NAMES_SHOWN else ""
            names = ", ".join(found.first[:NAMES_SHOWN])
            lines.append(f"  {found.count} {field.name.replace('_', ' ')}: {names}{more}")
    return "\n".join(lines)


def _restore_settings(settings: ListingSettings, manifest: str, limit: int | None) -> RestoreSettings:
    """The same settings for a run over `manifest`. The listed folders become allowed roots."""
    values = {field.name: getattr(settings, field.name) for field in dataclasses.fields(RunSettings)}
    roots = [uri for uri in (settings.images, settings.masks) if uri and is_local(uri)]
    values["allow_root"] = (*settings.allow_root, *map(local_path, roots))
    return RestoreSettings(manifest=manifest, limit=limit, **values)
