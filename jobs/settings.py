"""A job's command line, derived from its settings: one dataclass field, one option."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, TypeVar, get_type_hints

from cluster.profiles import PROFILES
from restore.errors import UsageError

T = TypeVar("T")


def option(text: str, default: Any = MISSING, metavar: str | None = None, choices: Any = None) -> Any:
    """A settings field with what its option's help says. Without a default it must be given."""
    metadata = {"help": text, "metavar": metavar, "choices": choices}
    if default is MISSING:
        return field(metadata=metadata)
    return field(default=default, metadata=metadata)


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


def parse(kind: type[T], prog: str, description: str, argv: Sequence[str] | None) -> T:
    """argv -> settings. Leaves the process with exit code 2 on a bad command line."""
    parser = argparse.ArgumentParser(prog=prog, description=description, allow_abbrev=False)
    hints = get_type_hints(kind)
    for setting in fields(kind):  # type: ignore[arg-type]
        _add(parser, setting.name, hints[setting.name], setting)
    values = vars(parser.parse_args(argv))
    for name, value in values.items():
        if isinstance(value, list):
            values[name] = tuple(value)
    return kind(**values)


def _add(parser: argparse.ArgumentParser, name: str, hint: Any, setting: Any) -> None:
    flag = "--" + name.replace("_", "-")
    required = setting.default is MISSING
    common: dict[str, Any] = {"dest": name, "help": setting.metadata["help"]}
    if not required:
        common["default"] = setting.default
    if hint is bool:
        parser.add_argument(flag, action="store_true", **common)
    elif hint == tuple[str, ...]:
        common["default"] = []
        parser.add_argument(flag, nargs="+", action="extend", metavar=setting.metadata["metavar"], **common)
    else:
        kind = next((t for t in (int, float) if t in (hint, *getattr(hint, "__args__", ()))), str)
        parser.add_argument(
            flag,
            type=kind,
            required=required,
            metavar=setting.metadata["metavar"],
            choices=setting.metadata["choices"],
            **common,
        )
