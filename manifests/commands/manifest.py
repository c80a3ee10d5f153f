"""The commands over manifests: validate, show, build, diff."""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import KW_ONLY, asdict, dataclass
from typing import Annotated

import pyarrow.compute as pc

from cluster.profiles import PROFILES
from manifests.catalog.rows import Rows, committed_rows
from manifests.listing.build import Sources
from manifests.listing.build import build as build_manifest
from manifests.listing.check_files import unreadable_files
from manifests.listing.found import MEANING, printable
from manifests.planning.compare import Changes, against_store, between, write_todo
from manifests.planning.missing import missing_inputs
from manifests.planning.plan import named_engines, plan
from manifests.planning.versions import fill_versions
from manifests.reading.invalid import InvalidRow, invalid_overrides
from manifests.reading.schema import Manifest, input_policy, read_manifest
from restore.cli import argument, option, options
from restore.engines import EngineConfig
from restore.engines.selection import select_engines
from restore.errors import UsageError
from restore.identity import recipe_hash
from restore.recipe import Recipe, read_recipe
from restore.storage import OutStore

FAULTS_SHOWN = 100
"""Rows that `validate` prints; the rest are counted."""

DIFFERS = 3
"""Exit code: the command came to its end, and not all was as it should be."""


@dataclass(frozen=True, slots=True)
class ValidateSettings:
    """Settings of `manifests validate`."""

    manifest: Annotated[str, argument("a manifest: Parquet, CSV or JSON Lines")]
    _: KW_ONLY
    recipe: Annotated[str | None, option("recipe in TOML that the rows override", "FILE")] = None
    set: Annotated[tuple[str, ...], options("override a recipe setting", "NAME=VALUE")] = ()
    probe: Annotated[bool, option("read the files too: are they there, readable and of one size?")] = False
    copy_unmasked: Annotated[bool, option("with --probe, rows without a mask are copied")] = False
    fit_masks: Annotated[bool, option("with --probe, masks may be scaled copies")] = False
    allow_root: Annotated[tuple[str, ...], options("folder that local inputs may lie in", "DIR")] = ()
    allow_http: Annotated[bool, option("read inputs from http(s) too")] = False


def validate(settings: ValidateSettings) -> int:
    """Check a manifest: its form, each row's recipe columns and, with --probe, its files."""
    manifest = read_manifest(settings.manifest)
    recipe = read_recipe(settings.recipe, settings.set)
    faults, shown = Counter[str](), 0
    for found in _invalid(manifest, recipe, settings):
        faults[found.code] += 1
        if shown < FAULTS_SHOWN:
            place = f"row {found.row}: " if found.row else ""
            print(f"{place}{found.item_id}: {found.code}: {found.message}")
            shown += 1
    rows = manifest.table.num_rows
    if not faults:
        print(f"{settings.manifest}: {rows} rows, no faults")
        return 0
    if faults.total() > shown:
        print(f"and {faults.total() - shown} more")
    counts = ", ".join(f"{count} {code}" for code, count in faults.most_common())
    print(f"{settings.manifest}: {rows} rows; a run would fail {counts}")
    return DIFFERS


def _invalid(manifest: Manifest, recipe: Recipe, settings: ValidateSettings) -> Iterator[InvalidRow]:
    yield from invalid_overrides(manifest.table, recipe)
    if settings.probe:
        policy = input_policy(settings.manifest, settings.allow_root, settings.allow_http)
        wanted = fill_versions(manifest.table, policy)
        yield from missing_inputs(wanted, recipe, settings.copy_unmasked, policy)
        yield from unreadable_files(wanted, settings.fit_masks)


@dataclass(frozen=True, slots=True)
class ShowSettings:
    """Settings of `manifests show`."""

    manifest: Annotated[str, argument("a manifest: Parquet, CSV or JSON Lines")]
    _: KW_ONLY
    rows: Annotated[int, option("how many rows to print", "N")] = 10


def show(settings: ShowSettings) -> int:
    """A manifest's rows as a run would read them: the counts, then the first rows."""
    manifest = read_manifest(settings.manifest)
    table = manifest.table
    unmasked = table["mask"].null_count
    pinned = pc.sum(pc.is_valid(table["image_version"])).as_py() or 0
    columns = ", ".join((*manifest.overrides, *manifest.extra))
    print(f"{manifest.uri}: {table.num_rows} rows, {unmasked} without a mask, {pinned} with a version")
    print(f"columns besides item_id, image and mask: {columns or 'none'}")
    for row in table.slice(0, settings.rows).to_pylist():
        print("  ".join(f"{name}={value}" for name, value in row.items() if value not in {None, "{}"}))
    return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildSettings:
    """Settings of `manifests build`."""

    images: Annotated[str, option("the folder of the photos, in any store", "URI")]
    masks: Annotated[
        str | None, option("the folder of their masks; without it they lie among the photos", "URI")
    ] = None
    out: Annotated[str, option("the manifest to write or to replace, a .parquet in any store", "FILE")]
    mask_pattern: Annotated[
        tuple[str, ...],
        options("masks' paths below their folder, tried in order ({stem}.* and {stem}_mask.*)", "PATTERN"),
    ] = ()
    sidecar: Annotated[
        str | None,
        option("CSV, JSON Lines or Parquet of recipe fields, x_*, priority and reference by item_id", "FILE"),
    ] = None
    exclude: Annotated[tuple[str, ...], options("folders that are not listed", "URI")] = ()
    probe: Annotated[bool, option("read each photo's header and note size, depth and mode")] = False
    json: Annotated[bool, option("print what was found as one JSON object")] = False


def build(settings: BuildSettings) -> int:
    """A manifest from what a store lists: photos, their masks and versions, and a sidecar's columns."""
    listed = build_manifest(
        Sources(
            images=settings.images,
            masks=settings.masks,
            patterns=settings.mask_pattern,
            sidecar=settings.sidecar,
            exclude=settings.exclude,
        ),
        settings.out,
        probe=settings.probe,
    )
    if settings.json:
        print(json.dumps({**asdict(listed), "left_out": listed.left_out}, ensure_ascii=False))
        return 0
    print(f"{listed.manifest}: {listed.rows} rows of {listed.photos} photos")
    for name, found in listed.findings():
        more = [f"and {found.count - SHOWN} more"] if found.count > SHOWN else []
        lines = "".join(f"\n  {line}" for line in [*map(printable, found.first[:SHOWN]), *more])
        print(f"warning: {_with_options('; '.join(MEANING[name]))}: {found.count}{lines}", file=sys.stderr)
    return 0


SHOWN = 10


def _with_options(text: str) -> str:
    """A message with its settings as this command's options."""
    return re.sub("copy_unmasked|mask_pattern", lambda found: f"--{found[0].replace('_', '-')}", text)


@dataclass(frozen=True, slots=True)
class DiffSettings:
    """Settings of `manifests diff`."""

    manifests: Annotated[tuple[str, ...], argument("a manifest, or the older of two and the newer")]
    _: KW_ONLY
    store: Annotated[str | None, option("compare one manifest with this output store", "URI")] = None
    recipe: Annotated[str | None, option("recipe in TOML", "FILE")] = None
    set: Annotated[tuple[str, ...], options("override a recipe setting", "NAME=VALUE")] = ()
    profile: Annotated[str, option("whose engines are meant", choices=tuple(PROFILES))] = "local"
    retry_failed: Annotated[bool, option("count what failed in earlier runs as to be done")] = False
    copy_unmasked: Annotated[bool, option("count photos whose row names no mask as to be copied")] = False
    fit_masks: Annotated[bool, option("count photos whose mask is a scaled copy as to be done")] = False
    allow_root: Annotated[tuple[str, ...], options("folder that local inputs may lie in", "DIR")] = ()
    allow_http: Annotated[bool, option("read inputs from http(s) too")] = False
    json: Annotated[bool, option("print one JSON object")] = False
    out: Annotated[str | None, option("write what is to be done as a manifest", "FILE.parquet")] = None

    def __post_init__(self) -> None:
        """Raises UsageError unless there are two things to compare."""
        if len(self.manifests) != (1 if self.store else 2):
            raise UsageError("diff takes two manifests, or one and --store; name the manifests first")


def diff(settings: DiffSettings) -> int:
    """Two manifests compared, or a manifest with what a store holds: what is to be done, and why."""
    changes, manifest, wanted = _against_store(settings) if settings.store else _between(settings)
    if settings.out:
        write_todo(changes, manifest, wanted, settings.out)
    compared = {"manifests": list(settings.manifests), "store": settings.store}
    summary = {**compared, **changes.summary()}
    print(json.dumps(summary, ensure_ascii=False) if settings.json else changes.text())
    return 0


def _between(settings: DiffSettings) -> tuple[Changes, Manifest, Rows]:
    old, new = map(read_manifest, settings.manifests)
    return between(old.table, new.table), new, new.table


def _against_store(settings: DiffSettings) -> tuple[Changes, Manifest, Rows]:
    (uri,) = settings.manifests
    recipe = read_recipe(settings.recipe, settings.set)
    manifest = read_manifest(uri)
    wanted = fill_versions(manifest.table, input_policy(uri, settings.allow_root, settings.allow_http))
    auto = PROFILES[settings.profile].auto
    choice = select_engines(named_engines(wanted), auto, recipe, EngineConfig(dtype=recipe.dtype))
    committed = committed_rows(OutStore.open(settings.store or ""))
    planned = plan(
        wanted,
        committed,
        recipe_hash=recipe_hash(recipe),
        engine_hashes=choice.hashes,
        engine=recipe.engine,
        retry_failed=settings.retry_failed,
        copy_unmasked=settings.copy_unmasked,
        fit_masks=settings.fit_masks,
    )
    return against_store(planned, wanted, committed), manifest, wanted
