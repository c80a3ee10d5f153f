"""`python -m manifests COMMAND`: manifests made, checked and compared, and the upkeep of what runs leave.

Each command is a settings class and a function of it that prints and returns the exit code.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from manifests.commands.catalog import (
    CompactSettings,
    CurrentSettings,
    ExportSettings,
    GcSettings,
    ReportSettings,
    VerifySettings,
    compact,
    current,
    export_tree,
    gc,
    report,
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
from manifests.commands.preview import PreviewSettings, show_masks
from restore.cli import add_command, application, call, exit_code, leave

Command = tuple[type[Any], Callable[[Any], int]]

COMMANDS: dict[str, Command] = {
    "build": (BuildSettings, build),
    "diff": (DiffSettings, diff),
    "validate": (ValidateSettings, validate),
    "show": (ShowSettings, show),
    "preview": (PreviewSettings, show_masks),
    "compact": (CompactSettings, compact),
    "gc": (GcSettings, gc),
    "verify": (VerifySettings, verify),
    "current": (CurrentSettings, current),
    "export": (ExportSettings, export_tree),
    "report": (ReportSettings, report),
}


app = application("manifest", "Make, check and compare manifests; look after what runs leave.")
for _name, (_settings, _run) in COMMANDS.items():
    add_command(app, _name, _settings, _run)


def main(argv: Sequence[str] | None = None) -> int:
    """argv -> a command's settings -> the command -> exit code."""
    return exit_code(lambda: int(call(app, argv)))


if __name__ == "__main__":
    leave(main())
