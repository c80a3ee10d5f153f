"""What the jobs can be told: one dataclass field, one option of the command line."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from cluster.profiles import PROFILES
from restore.cli import option
from restore.engines.cost import RATES
from restore.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreSettings:
    """Everything that `python -m jobs.restore_archive` can be told."""

    manifest: str = option("the photos to restore: Parquet, CSV or JSON Lines", metavar="URI")
    output: str = option("where the restored archive is kept", metavar="URI")
    recipe: str | None = option("recipe in TOML", None, metavar="FILE")
    set: tuple[str, ...] = option("override a recipe setting", (), metavar="NAME=VALUE")
    profile: str = option("resources to use", "local", choices=tuple(PROFILES))
    limit: int | None = option("do at most this many of the planned rows", None, metavar="N")
    batch_size: int | None = option("windows of one engine call", None, metavar="N")
    retry_failed: bool = option("try again what failed in earlier runs", False)
    dry_run: bool = option("say what would be done and why, and write nothing", False)
    gpu: str | None = option("GPUs that a dry run reckons with, as H200 or 8xH200", None, metavar="[Nx]NAME")
    max_failed: float = option("stop when more than this fraction has failed", 0.2, metavar="FRACTION")
    copy_unmasked: bool = option("copy photos whose row names no mask", False)
    allow_root: tuple[str, ...] = option("folder that local inputs may lie in", (), metavar="DIR")
    allow_http: bool = option("read inputs from http(s) too", False)
    max_megapixels: float = option("refuse larger pictures", 400.0, metavar="N")
    photo_timeout: float = option("seconds a photo may take in one step", 600.0, metavar="SECONDS")
    node_memory: float | None = option("memory of a node for large photos, in GiB", None, metavar="GIB")
    log: str = option("lines for people, or JSON events on stdout", "text", choices=("text", "json"))

    def __post_init__(self) -> None:
        """Raises UsageError for a number out of its range."""
        _require(self.limit is None or self.limit >= 0, "--limit", self.limit, "0 or more")
        _require(
            self.batch_size is None or self.batch_size >= 1, "--batch-size", self.batch_size, "1 or more"
        )
        _require(0 <= self.max_failed <= 1, "--max-failed", self.max_failed, "a fraction from 0 to 1")
        _require(self.max_megapixels > 0, "--max-megapixels", self.max_megapixels, "more than 0")
        _require(self.photo_timeout > 0, "--photo-timeout", self.photo_timeout, "more than 0")
        _require(
            self.node_memory is None or self.node_memory > 0, "--node-memory", self.node_memory, "more than 0"
        )
        _check_gpu(self.gpu, self.dry_run)


@dataclass(frozen=True, slots=True)
class Cards:
    """So many GPUs of one name, which is one of `RATES`."""

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


def _check_gpu(gpu: str | None, dry_run: bool) -> None:
    if gpu is not None:
        cards(gpu)
        _require(dry_run, "--gpu", gpu, "given with --dry-run")


def _require(holds: bool, name: str, value: object, allowed: str) -> None:
    if not holds:
        raise UsageError(f"{name} {value}: must be {allowed}")


@dataclass(frozen=True, slots=True, kw_only=True)
class NightlySettings:
    """Everything that `python -m jobs.nightly` can be told."""

    images: str = option("the photos: a folder of a disk or store", metavar="URI")
    masks: str | None = option("their masks; else they lie beside the photos", None, metavar="URI")
    mask_pattern: tuple[str, ...] = option("a mask's path for a photo's {stem}", (), metavar="PATTERN")
    sidecar: str | None = option("prompts and overrides by item_id", None, metavar="FILE")
    output: str = option("where the restored archive is kept", metavar="URI")
    recipe: str | None = option("recipe in TOML", None, metavar="FILE")
    set: tuple[str, ...] = option("override a recipe setting", (), metavar="NAME=VALUE")
    profile: str = option("resources to use", "local", choices=tuple(PROFILES))
    until: str | None = option("end by this time of day, of this machine's clock", None, metavar="HH:MM")
    max_hours: float | None = option("end after so many hours", None, metavar="N")
    max_photos: int | None = option("do at most this many photos", None, metavar="N")
    prune: bool = option("remove the pictures of photos that have been gone for the grace period", False)
    grace: float = option("hours that a photo must be gone before it is pruned", 720.0, metavar="HOURS")
    batch_size: int | None = option("windows of one engine call", None, metavar="N")
    retry_failed: bool = option("try again what failed in earlier runs", False)
    dry_run: bool = option("say what would be done and why, and write nothing", False)
    gpu: str | None = option("GPUs that a dry run reckons with, as H200 or 8xH200", None, metavar="[Nx]NAME")
    max_failed: float = option("stop when more than this fraction has failed", 0.2, metavar="FRACTION")
    copy_unmasked: bool = option("copy photos that have no mask", False)
    allow_root: tuple[str, ...] = option("folder that local inputs may lie in", (), metavar="DIR")
    allow_http: bool = option("read inputs from http(s) too", False)
    max_megapixels: float = option("refuse larger pictures", 400.0, metavar="N")
    photo_timeout: float = option("seconds a photo may take in one step", 600.0, metavar="SECONDS")
    node_memory: float | None = option("memory of a node for large photos, in GiB", None, metavar="GIB")
    log: str = option("lines for people, or JSON events on stdout", "text", choices=("text", "json"))
    notify: str | None = option("POST the summary to a URL, or give it to a command", None, metavar="TARGET")

    def __post_init__(self) -> None:
        """Raises UsageError for a time of day that is none, or a number out of its range."""
        _require(self.until is None or _time_of_day(self.until), "--until", self.until, "a time as 06:00")
        _require(self.max_hours is None or self.max_hours > 0, "--max-hours", self.max_hours, "more than 0")
        _require(
            self.max_photos is None or self.max_photos >= 0, "--max-photos", self.max_photos, "0 or more"
        )
        _require(self.grace >= 0, "--grace", self.grace, "0 or more")
        _check_gpu(self.gpu, self.dry_run)


def _time_of_day(text: str | None) -> bool:
    return re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", text or "") is not None


def deadline(settings: NightlySettings, now: datetime) -> float | None:
    """When the night ends, in seconds since the epoch: the earlier of `--until` and `--max-hours`.

    Args:
        now: with its time zone, in which `--until` is told.
    """
    ends = []
    if settings.max_hours is not None:
        ends.append(now + timedelta(hours=settings.max_hours))
    if settings.until is not None:
        hour, minute = map(int, settings.until.split(":"))
        today = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
        ends.append(today if today > now else today + timedelta(days=1))
    return min(ends).timestamp() if ends else None
