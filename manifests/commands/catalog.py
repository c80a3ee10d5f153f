"""The commands over an output store: compact, gc, verify, current, export."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import KW_ONLY, dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated

from manifests.catalog import compact as upkeep
from manifests.catalog import export
from manifests.catalog.gc import Garbage, garbage, remove
from manifests.catalog.rows import committed_rows, present_batches
from manifests.catalog.verify import Audit
from manifests.catalog.verify import verify as verify_pictures
from manifests.commands.manifest import DIFFERS
from restore.cli import argument, option
from restore.errors import StorageConfigError, UsageError
from restore.report.writer import write_archive_report
from restore.run.lease import acquire
from restore.storage import OutStore, require_answer


@dataclass(frozen=True, slots=True)
class CompactSettings:
    """Settings of `manifests compact`."""

    store: Annotated[str, argument("an output store: the --output of runs")]
    _: KW_ONLY
    grace: Annotated[float, option("remove sources this long after they were merged", "HOURS")] = 24.0


def compact(settings: CompactSettings) -> int:
    """Merge the small parts of each run's rows; later remove what was merged."""
    store = _store(settings.store)
    with acquire(store) as lease:
        done = upkeep.compact(store, lease.check, timedelta(hours=settings.grace))
    print(f"{done.merged} parts merged into {done.written}; {done.removed} that were merged before removed")
    return 0


@dataclass(frozen=True, slots=True)
class GcSettings:
    """Settings of `manifests gc`."""

    store: Annotated[str, argument("an output store: the --output of runs")]
    _: KW_ONLY
    delete: Annotated[bool, option("remove what is older than --grace")] = False
    grace: Annotated[
        float, option("hours; longer than any run, whose pictures come before their rows", "HOURS")
    ] = 168.0


def gc(settings: GcSettings) -> int:
    """Images that no row names, half-written files, unfinished uploads: listed, or removed."""
    store = _store(settings.store)
    before = datetime.now(UTC) - timedelta(hours=settings.grace)
    if not store.is_local and not store.lists_uploads:
        print("unfinished uploads: this store drops them by itself, or its lifecycle rules do")
    if settings.delete:
        with acquire(store) as lease:
            removed = remove(store, _described(garbage(store), before, "removing"), lease.check)
        print(f"{removed} removed")
    else:
        found = sum(1 for _ in _described(garbage(store), before, "old"))
        print(f"{found} that --delete would remove")
    return 0


def _described(found: Iterable[Garbage], before: datetime, word: str) -> Iterator[Garbage]:
    """Those that are old enough; each is printed, the young ones too."""
    for thing in found:
        old = thing.modified <= before
        size = "" if thing.size is None else f" {thing.size} bytes"
        print(f"{word if old else 'young'} {thing.kind} {thing.path}{size}, {thing.modified:%Y-%m-%d %H:%M}")
        if old:
            yield thing


@dataclass(frozen=True, slots=True)
class VerifySettings:
    """Settings of `manifests verify`."""

    store: Annotated[str, argument("an output store: the --output of runs")]
    _: KW_ONLY
    sample: Annotated[float, option("read this fraction of the current pictures", "FRACTION")] = 1.0
    seed: Annotated[int, option("which ones: each seed chooses others", "N")] = 0

    def __post_init__(self) -> None:
        """Raises UsageError for a number out of its range."""
        if not 0 <= self.sample <= 1:
            raise UsageError(f"--sample {self.sample}: must be a fraction from 0 to 1")


def verify(settings: VerifySettings) -> int:
    """Read the current pictures again and hold them, and the runs' counts, against the rows."""
    done, differences = Audit(), 0
    for difference in verify_pictures(_store(settings.store), done, settings.sample, settings.seed):
        print(f"{difference.place}: {difference.what}")
        differences += 1
    print(f"{done.pictures} pictures looked at, {done.bytes / 1e6:.1f} MB; {differences} differences")
    return DIFFERS if differences else 0


@dataclass(frozen=True, slots=True)
class CurrentSettings:
    """Settings of `manifests current`."""

    store: Annotated[str, argument("an output store: the --output of runs")]
    _: KW_ONLY
    out: Annotated[str, option("Parquet, CSV or JSON Lines, by its name's ending", "FILE")]


def current(settings: CurrentSettings) -> int:
    """Write the rows of the current pictures as one table."""
    rows = export.write_current(_store(settings.store), settings.out)
    print(f"{settings.out}: {rows} rows")
    return 0


@dataclass(frozen=True, slots=True)
class ExportSettings:
    """Settings of `manifests export`."""

    store: Annotated[str, argument("an output store: the --output of runs")]
    _: KW_ONLY
    to: Annotated[str, option("where the tree is made: a folder, or a place in a bucket", "URI")]


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
    require_answer(store.root)
    if not store.names("metadata"):
        raise StorageConfigError(f"{store.root} holds no rows; name the --output of a run")
    return store


@dataclass(frozen=True, slots=True)
class ReportSettings:
    """Settings of `manifests report`."""

    store: Annotated[str, argument("an output store: the --output of runs")]


def report(settings: ReportSettings) -> int:
    """Write the archive as it is now, over all runs, as a page to look at."""
    store = _store(settings.store)
    rows = present_batches(committed_rows(store))
    page = write_archive_report(store, rows, datetime.now(UTC))
    print(f"report: {store.root}/{page}")
    return 0
