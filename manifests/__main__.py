"""`python -m manifests COMMAND`: manifests made, checked and compared, and the upkeep of what runs leave.

Each command is a settings class and a function of it that prints and returns the exit code.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

from manifests.commands.catalog import (
    CompactSettings,
    CurrentSettings,
    ExportSettings,
    GcSettings,
    VerifySettings,
    compact,
    current,
    export_tree,
    gc,
    verify,
)
from manifests.commands.manifest import (
    BuildSettings,
    DiffSettings,
    ShowSettings,
    ValidateSettings,
    build,
    diff,
    show,
    validate,
)
from restore.cli import leave, parse
from restore.errors import ItemError, SystemicError

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
