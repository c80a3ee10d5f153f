"""The settings of the jobs: one dataclass field, one option of the command line."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

from cluster.profiles import PROFILES
from restore.cli import option, options
from restore.engines.cost import RATES
from restore.errors import UsageError
from restore.recipe import describe_fields

RECIPE_HELP = "\n".join(
    ["Recipe fields, for --set NAME=VALUE, a recipe file or a manifest's columns:", "", *describe_fields()]
)
"""Ends the help of every job that restores photos."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """What every job that restores photos can be given."""

    output: Annotated[str, option("where the restored archive is kept", "URI", alias="-o")]
    recipe: Annotated[str | None, option("recipe in TOML", "FILE")] = None
    set: Annotated[tuple[str, ...], options("override a recipe setting", "NAME=VALUE")] = ()
    profile: Annotated[str, option("resources to use", choices=tuple(PROFILES))] = "local"
    batch_size: Annotated[int | None, option("windows per engine call", "N")] = None
    retry_failed: Annotated[bool, option("try again what failed in earlier runs")] = False
    dry_run: Annotated[bool, option("print what would be done and why; write nothing")] = False
    gpu: Annotated[str | None, option("GPUs that a dry run assumes: H200, or 8xH200", "[Nx]NAME")] = None
    max_failed: Annotated[float, option("stop when more than this fraction has failed", "FRACTION")] = 0.2
    copy_unmasked: Annotated[bool, option("copy photos that have no mask")] = False
    fit_masks: Annotated[bool, option("enlarge or reduce masks of their photo's shape")] = False
    allow_root: Annotated[tuple[str, ...], options("folder that local inputs may lie in", "DIR")] = ()
    allow_http: Annotated[bool, option("read inputs from http(s) too")] = False
    max_megapixels: Annotated[float, option("refuse larger pictures", "N")] = 400.0
    photo_timeout: Annotated[float, option("seconds a photo may take in one step", "SECONDS")] = 600.0
    node_memory: Annotated[float | None, option("memory of a node for large photos, in GiB", "GIB")] = None
    log: Annotated[str, option("lines for people, or JSON events on stdout", choices=("text", "json"))] = (
        "text"
    )

    def __post_init__(self) -> None:
        """Raises UsageError for a number out of its range."""
        _require(self.batch_size is None or self.batch_size >= 1, "batch_size", self.batch_size, "1 or more")
        _require(0 <= self.max_failed <= 1, "max_failed", self.max_failed, "a fraction from 0 to 1")
        _require(self.max_megapixels > 0, "max_megapixels", self.max_megapixels, "more than 0")
        _require(self.photo_timeout > 0, "photo_timeout", self.photo_timeout, "more than 0")
        memory = self.node_memory
        _require(memory is None or memory > 0, "node_memory", memory, "more than 0")
        if self.gpu is not None:
            cards(self.gpu)
            _require(self.dry_run, "gpu", self.gpu, "given with --dry-run")


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreSettings(RunSettings):
    """Settings of `python -m jobs.restore_archive`."""

    manifest: Annotated[str, option("the photos to restore: Parquet, CSV or JSON Lines", "URI")]
    limit: Annotated[int | None, option("do at most this many of the planned rows", "N")] = None

    def __post_init__(self) -> None:
        """Raises UsageError for a number out of its range."""
        RunSettings.__post_init__(self)
        _require(self.limit is None or self.limit >= 0, "limit", self.limit, "0 or more")


@dataclass(frozen=True, slots=True, kw_only=True)
class ListingSettings(RunSettings):
    """Settings of a job whose manifest is made from what a store lists."""

    images: Annotated[str, option("the photos: a folder of a disk or store", "URI")]
    masks: Annotated[str | None, option("their masks; without it they lie beside the photos", "URI")] = None
    mask_pattern: Annotated[tuple[str, ...], options("a mask's path for a photo's {stem}", "PATTERN")] = ()
    sidecar: Annotated[str | None, option("prompts and overrides by item_id", "FILE")] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NightlySettings(ListingSettings):
    """Settings of `python -m jobs.nightly`."""

    until: Annotated[str | None, option("end by this time of day, by this machine's clock", "HH:MM")] = None
    max_hours: Annotated[float | None, option("end after this many hours", "N")] = None
    max_photos: Annotated[int | None, option("do at most this many photos", "N")] = None
    prune: Annotated[bool, option("remove the pictures of photos missing for the grace period")] = False
    grace: Annotated[float, option("hours that a photo must be missing before it is pruned", "HOURS")] = 720.0
    notify: Annotated[str | None, option("POST the summary to a URL or pipe it to a command", "TARGET")] = (
        None
    )

    def __post_init__(self) -> None:
        """Raises UsageError for a time of day that is none, or a number out of its range."""
        RunSettings.__post_init__(self)
        _require(self.until is None or _is_time_of_day(self.until), "until", self.until, "a time as 06:00")
        _require(self.max_hours is None or self.max_hours > 0, "max_hours", self.max_hours, "more than 0")
        photos = self.max_photos
        _require(photos is None or photos >= 0, "max_photos", photos, "0 or more")
        _require(self.grace >= 0, "grace", self.grace, "0 or more")


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontSettings(RunSettings):
    """Settings of `silverprint restore`: one photo, a folder, or a manifest."""

    manifest: Annotated[str | None, option("a manifest instead of a folder", "URI")] = None
    limit: Annotated[int | None, option("do at most this many of the planned rows", "N")] = None
    mask_pattern: Annotated[tuple[str, ...], options("a mask's path for a photo's {stem}", "PATTERN")] = ()
    sidecar: Annotated[str | None, option("prompts and overrides by item_id", "FILE")] = None

    def __post_init__(self) -> None:
        """Raises UsageError for a number out of its range."""
        RunSettings.__post_init__(self)
        _require(self.limit is None or self.limit >= 0, "limit", self.limit, "0 or more")


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareSettings(RunSettings):
    """Settings of `python -m jobs.compare`."""

    manifest: Annotated[str, option("the photos to compare: Parquet, CSV or JSON Lines", "URI")]
    grid: Annotated[tuple[str, ...], options("vary a recipe field; several make a grid", "NAME=V1,V2")] = ()
    variants: Annotated[str | None, option("variants by name, in TOML", "FILE")] = None
    baseline: Annotated[str | None, option("variant that others are compared with; the first", "NAME")] = None
    limit: Annotated[int | None, option("take only the first photos", "N")] = None

    def __post_init__(self) -> None:
        """Raises UsageError unless there is either a grid or a file of variants."""
        RunSettings.__post_init__(self)
        _require(self.limit is None or self.limit >= 1, "limit", self.limit, "1 or more")
        if bool(self.grid) == bool(self.variants):
            raise UsageError("give the variants by --grid or by --variants, and not by both")


@dataclass(frozen=True, slots=True)
class Cards:
    """A number of GPUs of one name, which is one of `RATES`."""

    count: int
    name: str


def cards(text: str) -> Cards:
    """`H200` or `8xH200`.

    Raises:
        UsageError: naming the GPUs that are known.
    """
    found = re.fullmatch(r"(?:([1-9][0-9]*)x)?(\w+)", text)
    if found is None or found[2] not in RATES:
        raise UsageError(f"--gpu {text}: known are {', '.join(RATES)}, as H200 or 8xH200")
    return Cards(int(found[1] or 1), found[2])


def _require(holds: bool, setting: str, value: object, allowed: str) -> None:
    if not holds:
        raise UsageError(f"--{setting.replace('_', '-')} {value}: must be {allowed}")


def _is_time_of_day(text: str) -> bool:
    return re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", text) is not None


def deadline(settings: NightlySettings, now: datetime) -> float | None:
    """When the night ends, in seconds since the epoch: the earlier of `--until` and `--max-hours`.

    Args:
        now: with the time zone that `--until` is read in, its clock changes included: see `local_zone`.
    """
    ends = []
    if settings.max_hours is not None:
        ends.append(now.timestamp() + 3600 * settings.max_hours)
    if settings.until is not None:
        hour, minute = map(int, settings.until.split(":"))
        ends.append(_next_moment(now, hour, minute))
    return min(ends) if ends else None


def _next_moment(now: datetime, hour: int, minute: int) -> float:
    """When the clock shows this time next, in seconds since the epoch.

    A time that a clock change skips is read with the offset before it.
    """
    today = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
    # The second reading of a day is later than the first only where the clock shows the time twice.
    readings = ((today + timedelta(days=day)).replace(fold=fold) for day in (0, 1) for fold in (0, 1))
    return next(moment for moment in map(datetime.timestamp, readings) if moment > now.timestamp())


def local_zone() -> tzinfo:
    """This machine's time zone with its clock changes: that of TZ, else of /etc/localtime.

    The offset of this moment would end a night of the clock change an hour late or early.
    """
    name = os.environ.get("TZ", "").removeprefix(":")
    try:
        if name:
            return ZoneInfo(name)
        with Path("/etc/localtime").open("rb") as file:
            return ZoneInfo.from_file(file)
    except (OSError, ValueError, KeyError):  # no such zone, or no zone of that form
        return datetime.now().astimezone().tzinfo or UTC
