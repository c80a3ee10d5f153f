"""`python -m manifests COMMAND`: manifests made, checked and compared, and the upkeep of what runs leave.

Each command is a settings class and a function of it that prints and returns the exit code.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow.compute as pc

from manifests.schema import read_manifest
from restore.command_line import argument, option, parse
from restore.errors import SystemicError


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


Command = tuple[type[Any], Callable[[Any], int]]

COMMANDS: dict[str, Command] = {
    "validate": (ValidateSettings, validate),
    "show": (ShowSettings, show),
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
