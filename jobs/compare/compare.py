"""A comparison: variants, their cells, a run for each set of models, and a table."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import fields
from itertools import groupby
from pathlib import Path

from jobs.compare.cells import require_cells, write_cells
from jobs.compare.table import table
from jobs.compare.variants import Variant, Variants, of_file, of_grid
from jobs.exit_codes import ALL_WELL, SOME_FAILED
from jobs.restore_archive import restore
from jobs.settings import CompareSettings, RestoreSettings, RunSettings
from manifests.reading.schema import Manifest, read_manifest
from restore.errors import UsageError
from restore.storage import OutStore, is_local, local_path


def compare(settings: CompareSettings) -> int:
    """Restore each photo by each variant into one store, and print a table. Returns the exit code.

    What the store holds already is not painted again: a killed comparison goes on, and a new value of an axis
    paints only what is new.
    """
    found = _variants(settings)
    baseline = _baseline(settings, found)
    manifest = read_manifest(settings.manifest)
    photos = min(manifest.table.num_rows, settings.limit or manifest.table.num_rows)
    require_cells(manifest, photos, len(found.possible))
    print(f"{photos} photos by {len(found.possible)} variants: {photos * len(found.possible)} pictures")
    for name, why in found.impossible.items():
        print(f"left out: {name}: {why}")
    code = _run_all(settings, manifest, photos, found.possible)
    if code in (ALL_WELL, SOME_FAILED) and not settings.dry_run:
        ids = set(manifest.table["item_id"].slice(0, photos).to_pylist())
        print("\n".join(table(OutStore.open(settings.output), found.possible, baseline, ids)))
    return code


def _variants(settings: CompareSettings) -> Variants:
    if settings.variants:
        return of_file(settings.variants, settings.recipe, settings.set)
    return of_grid(settings.grid, settings.recipe, settings.set)


def _baseline(settings: CompareSettings, found: Variants) -> str:
    names = [variant.name for variant in found.possible]
    if settings.baseline and settings.baseline not in names:
        raise UsageError(f"--baseline {settings.baseline}: the variants are {'; '.join(names)}")
    return settings.baseline or names[0]


def _run_all(settings: CompareSettings, manifest: Manifest, photos: int, variants: Sequence[Variant]) -> int:
    """A run for each set of models, one after the other. Stops at the first that does not come to its end."""
    code = ALL_WELL
    with tempfile.TemporaryDirectory(prefix="silverprint-compare-") as folder:
        for number, (fixed, together) in enumerate(_groups(variants)):
            path = str(Path(folder, f"variants-{number}.parquet"))
            write_cells(manifest, photos, together, path)
            ended = restore(_run_settings(settings, manifest, path, fixed))
            if ended not in (ALL_WELL, SOME_FAILED):
                return ended
            code = max(code, ended)
    return code


def _groups(variants: Sequence[Variant]) -> Iterator[tuple[tuple[str, ...], list[Variant]]]:
    """Variants that can share workers, since these load the same models in the same way."""
    ordered = sorted(variants, key=lambda variant: variant.fixed)
    for fixed, together in groupby(ordered, key=lambda variant: variant.fixed):
        yield fixed, list(together)


def _run_settings(
    settings: CompareSettings, manifest: Manifest, cells: str, fixed: Sequence[str]
) -> RestoreSettings:
    values = {field.name: getattr(settings, field.name) for field in fields(RunSettings)}
    own = [str(Path(local_path(manifest.uri)).parent)] if is_local(manifest.uri) else []
    values |= {"set": (*settings.set, *fixed), "allow_root": (*settings.allow_root, *own)}
    return RestoreSettings(manifest=cells, **values)
