"""What the jobs can be told: one dataclass field, one option of the command line."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.profiles import PROFILES
from restore.command_line import option
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
    max_failed: float = option("stop when more than this fraction has failed", 0.2, metavar="FRACTION")
    copy_unmasked: bool = option("copy photos whose row names no mask", False)
    allow_root: tuple[str, ...] = option("folder that local inputs may lie in", (), metavar="DIR")
    allow_http: bool = option("read inputs from http(s) too", False)
    max_megapixels: float = option("refuse larger pictures", 400.0, metavar="N")
    log: str = option("lines for people, or JSON events on stdout", "text", choices=("text", "json"))

    def __post_init__(self) -> None:
        """Raises UsageError for a number out of its range."""
        _require(self.limit is None or self.limit >= 0, "--limit", self.limit, "0 or more")
        _require(
            self.batch_size is None or self.batch_size >= 1, "--batch-size", self.batch_size, "1 or more"
        )
        _require(0 <= self.max_failed <= 1, "--max-failed", self.max_failed, "a fraction from 0 to 1")
        _require(self.max_megapixels > 0, "--max-megapixels", self.max_megapixels, "more than 0")


def _require(holds: bool, name: str, value: object, allowed: str) -> None:
    if not holds:
        raise UsageError(f"{name} {value}: must be {allowed}")
