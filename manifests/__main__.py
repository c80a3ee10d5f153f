"""`python -m manifests COMMAND`: manifests made, checked and compared, and the upkeep of what runs leave.

Each command is a settings class and a function of it that prints and returns the exit code.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow.compute as pc

from cluster.profiles import PROFILES
from manifests.committed import Rows, committed_rows
from manifests.compare import Changes, against_store, between, write_todo
from manifests.diff import named_engines, plan
from manifests.schema import Manifest, fill_versions, input_policy, read_manifest
from restore.choice import choose
from restore.command_line import argument, option, parse
from restore.engines import EngineConfig
from restore.errors import SystemicError, UsageError
from restore.identity import recipe_hash
from restore.recipe import read_recipe
from restore.storage import OutStore


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidateSettings:
    """What `validate` can be told."""

    manifest: str = argument("a manifest: Parquet, CSV or JSON Lines", metavar="MANIFEST")


def validate(settings: ValidateSettings) -> int:
    """Say that a manifest has no faults; the error that stops it says all that it has."""
    print(f"{settings.manifest}: {read_manifest(settings.manifest).table.num_rows} rows, no faults")
    return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowSettings:
    """What `show` can be told."""

    manifest: str = argument("a manifest: Parquet, CSV or JSON Lines", metavar="MANIFEST")
    rows: int = option("how many rows to print", 10, metavar="N")


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
class DiffSettings:
    """What `diff` can be told."""

    manifests: tuple[str, ...] = argument("a manifest, or the older of two and the newer", metavar="MANIFEST")
    store: str | None = option("compare one manifest with this output store", None, metavar="URI")
    recipe: str | None = option("recipe in TOML", None, metavar="FILE")
    set: tuple[str, ...] = option("override a recipe setting", (), metavar="NAME=VALUE")
    profile: str = option("whose engines are meant", "local", choices=tuple(PROFILES))
    retry_failed: bool = option("count what failed in earlier runs as to be done", False)
    copy_unmasked: bool = option("count photos whose row names no mask as to be copied", False)
    allow_root: tuple[str, ...] = option("folder that local inputs may lie in", (), metavar="DIR")
    allow_http: bool = option("read inputs from http(s) too", False)
    json: bool = option("print one JSON object", False)
    out: str | None = option("write what is to be done as a manifest", None, metavar="FILE.parquet")

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
    wanted = fill_versions(manifest, input_policy(uri, settings.allow_root, settings.allow_http))
    auto = PROFILES[settings.profile].auto
    choice = choose(named_engines(wanted), auto, recipe, EngineConfig(dtype=recipe.dtype))
    committed = committed_rows(OutStore.open(settings.store or ""))
    planned = plan(
        wanted,
        committed,
        recipe_hash=recipe_hash(recipe),
        engine_hashes=choice.hashes,
        engine=recipe.engine,
        retry_failed=settings.retry_failed,
        copy_unmasked=settings.copy_unmasked,
    )
    return against_store(planned, wanted, committed), manifest, wanted


Command = tuple[type[Any], Callable[[Any], int]]

COMMANDS: dict[str, Command] = {
    "validate": (ValidateSettings, validate),
    "show": (ShowSettings, show),
    "diff": (DiffSettings, diff),
}


def main(argv: Sequence[str] | None = None) -> int:
    """argv -> a command's settings -> the command -> exit code."""
    name, *rest = (sys.argv[1:] if argv is None else argv) or [""]
    if name not in COMMANDS:
        listed = "\n".join(f"  {name:10}{run.__doc__}" for name, (_, run) in COMMANDS.items())
        print(f"usage: python -m manifests COMMAND ...\n{listed}", file=sys.stderr)
        return 0 if name in {"-h", "--help"} else 2
    kind, run = COMMANDS[name]
    try:
        return run(parse(kind, f"python -m manifests {name}", run.__doc__ or "", rest))
    except SystemicError as error:
        print(f"silverprint: {error}", file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
