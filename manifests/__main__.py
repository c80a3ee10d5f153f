"""`python -m manifests COMMAND`: manifests made, checked and compared, and the upkeep of what runs leave.

Each command is a settings class and a function of it that prints and returns the exit code.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow.compute as pc

from cluster.profiles import PROFILES
from manifests import listing
from manifests.catalog import compact as upkeep
from manifests.catalog import export
from manifests.catalog import verify as audit
from manifests.catalog.rows import Rows, committed_rows
from manifests.planning.compare import Changes, against_store, between, write_todo
from manifests.planning.plan import named_engines, plan
from manifests.reading.schema import Manifest, fill_versions, input_policy, read_manifest
from restore.cli import argument, leave, option, parse
from restore.engines import EngineConfig
from restore.engines.selection import choose
from restore.errors import ItemError, StorageConfigError, SystemicError, UsageError
from restore.identity import recipe_hash
from restore.recipe import read_recipe
from restore.run.lease import take
from restore.storage import OutStore

DIFFERS = 3
"""Exit code: it came to its end, and not all was as it should be."""


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
class CompactSettings:
    """What `compact` can be told."""

    store: str = argument("an output store: the --output of runs", metavar="OUT")
    grace: float = option("remove sources this long after they were merged", 24.0, metavar="HOURS")


def compact(settings: CompactSettings) -> int:
    """Merge the small parts of each run's rows; later remove what was merged."""
    store = _store(settings.store)
    with take(store) as lease:
        done = upkeep.compact(store, lease.check, timedelta(hours=settings.grace))
    print(f"{done.merged} parts merged into {done.written}; {done.removed} that were merged before removed")
    return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class GcSettings:
    """What `gc` can be told."""

    store: str = argument("an output store: the --output of runs", metavar="OUT")
    delete: bool = option("remove what is older than --grace", False)
    grace: float = option("hours; longer than any run, whose pictures come before their rows", 168.0, "HOURS")


def gc(settings: GcSettings) -> int:
    """Images that no row names, half-written files, unfinished uploads: listed, or removed."""
    store = _store(settings.store)
    before = datetime.now(UTC) - timedelta(hours=settings.grace)
    if not store.is_local and not store.lists_uploads:
        print("unfinished uploads: this store drops them by itself, or its lifecycle rules do")
    if settings.delete:
        with take(store) as lease:
            removed = upkeep.remove(store, _told(upkeep.garbage(store), before, "removing"), lease.check)
        print(f"{removed} removed")
    else:
        found = sum(1 for _ in _told(upkeep.garbage(store), before, "old"))
        print(f"{found} that --delete would remove")
    return 0


def _told(found: Iterable[upkeep.Garbage], before: datetime, word: str) -> Iterator[upkeep.Garbage]:
    """Those that are old enough; each is printed, the young ones too."""
    for thing in found:
        old = thing.modified <= before
        size = "" if thing.size is None else f" {thing.size} bytes"
        print(f"{word if old else 'young'} {thing.kind} {thing.path}{size}, {thing.modified:%Y-%m-%d %H:%M}")
        if old:
            yield thing


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifySettings:
    """What `verify` can be told."""

    store: str = argument("an output store: the --output of runs", metavar="OUT")
    sample: float = option("read this fraction of the current pictures", 1.0, metavar="FRACTION")
    seed: int = option("which ones: each seed chooses others", 0, metavar="N")

    def __post_init__(self) -> None:
        """Raises UsageError for a number out of its range."""
        if not 0 <= self.sample <= 1:
            raise UsageError(f"--sample {self.sample}: must be a fraction from 0 to 1")


def verify(settings: VerifySettings) -> int:
    """Read the current pictures again and hold them, and the runs' counts, against the rows."""
    done, differences = audit.Audit(), 0
    for difference in audit.verify(_store(settings.store), done, settings.sample, settings.seed):
        print(f"{difference.place}: {difference.what}")
        differences += 1
    print(f"{done.pictures} pictures looked at, {done.bytes / 1e6:.1f} MB; {differences} differences")
    return DIFFERS if differences else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CurrentSettings:
    """What `current` can be told."""

    store: str = argument("an output store: the --output of runs", metavar="OUT")
    out: str = option("Parquet, CSV or JSON Lines, by its name's ending", metavar="FILE")


def current(settings: CurrentSettings) -> int:
    """Write the rows of the current pictures as one table."""
    rows = export.write_current(_store(settings.store), settings.out)
    print(f"{settings.out}: {rows} rows")
    return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportSettings:
    """What `export` can be told."""

    store: str = argument("an output store: the --output of runs", metavar="OUT")
    to: str = option("where the tree is made: a folder, or a place in a bucket", metavar="URI")


def export_tree(settings: ExportSettings) -> int:
    """Copy the current pictures to `<item_id>.<ext>`, with a list of their sums."""
    store, target = _store(settings.store), OutStore.open(settings.to)
    target.check()
    done = export.export(store, target)
    for fault in done.faults:
        print(fault)
    print(f"{done.pictures} pictures, {done.bytes / 1e6:.1f} MB in {target.root}; {len(done.faults)} faults")
    return DIFFERS if done.faults else 0


def _store(uri: str) -> OutStore:
    """The store at `uri`; one without rows is more likely a slip of the keyboard."""
    store = OutStore.open(uri)
    if not store.names("metadata"):
        raise StorageConfigError(f"{store.root} holds no rows; name the --output of a run")
    return store


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildSettings:
    """What `build` can be told."""

    images: str = option("the folder of the photos, in any store", metavar="URI")
    masks: str | None = option(
        "the folder of their masks; without it they lie among the photos", None, metavar="URI"
    )
    out: str = option("the manifest to write or to replace, a .parquet in any store", metavar="FILE")
    mask_pattern: tuple[str, ...] = option(
        "masks' paths below their folder, tried in order ({stem}.* and {stem}_mask.*)",
        (),
        metavar="PATTERN",
    )
    sidecar: str | None = option(
        "CSV, JSON Lines or Parquet of recipe fields, x_*, priority and reference by item_id",
        None,
        metavar="FILE",
    )
    exclude: tuple[str, ...] = option("folders that are not listed", (), metavar="URI")
    probe: bool = option("read each photo's header and note size, depth and mode", False)
    json: bool = option("print what was found as one JSON object", False)


def build(settings: BuildSettings) -> int:
    """A manifest from what a store lists: photos, their masks and versions, and a sidecar's columns."""
    listed = listing.build(
        listing.Sources(
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
        print(json.dumps(asdict(listed), ensure_ascii=False))
        return 0
    print(f"{listed.manifest}: {listed.rows} rows of {listed.photos} photos")
    for name, meaning in FOUND.items():
        found: listing.Found = getattr(listed, name)
        if found.count:
            more = [f"and {found.count - SHOWN} more"] if found.count > SHOWN else []
            names = "".join(f"\n  {line}" for line in [*found.first[:SHOWN], *more])
            print(f"warning: {meaning}: {found.count}{names}", file=sys.stderr)
    return 0


SHOWN = 10
FOUND = {
    "unpaired_images": "photos without a mask; draw one, or run with --copy-unmasked",
    "unpaired_masks": "masks without a photo; correct their names or --mask-pattern",
    "ambiguous": "names left out, since they are claimed twice; rename or remove all but one",
    "illegal": "photos left out, since their paths can be no item_id; rename them",
    "other_files": "files that are no photos by their names",
    "outputs": "files left out, since they are an output store's; keep it elsewhere or pass --exclude",
    "links": "links left out, since they lead elsewhere; list what they lead to by itself",
    "unknown_in_sidecar": "ids of the sidecar that are not in the manifest; correct them",
    "unreadable": "photos whose headers cannot be read; their rows will fail",
}


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
    "build": (BuildSettings, build),
    "diff": (DiffSettings, diff),
    "validate": (ValidateSettings, validate),
    "show": (ShowSettings, show),
    "compact": (CompactSettings, compact),
    "gc": (GcSettings, gc),
    "verify": (VerifySettings, verify),
    "current": (CurrentSettings, current),
    "export": (ExportSettings, export_tree),
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
    except ItemError as error:  # of no photo, so of a store: it has stayed away
        print(f"silverprint: {error.message}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    leave(main())
