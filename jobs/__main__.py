"""`silverprint COMMAND`: one door to every command. `python -m jobs` is the same.

A command is a function below: its settings class gives the options, its docstring the help. What it needs
is imported when it runs, so that the help comes at once.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Annotated

from jobs.doctor import DoctorSettings
from jobs.settings import (
    RECIPE_HELP,
    CompareSettings,
    FrontSettings,
    ListingSettings,
    NightlySettings,
    RestoreSettings,
    RunSettings,
)
from restore.cli import FLAT, application, argument, call, exit_code, leave
from restore.errors import UsageError
from restore.storage import is_local

app = application(
    "silverprint",
    "Restore damaged photographs: one picture, a folder, or an archive every night.",
    help_epilogue="silverprint COMMAND --help lists a command's options.",
)
app.command("manifests.__main__:app", name="manifest", help="Make, check and compare manifests; upkeep.")
app.command("restore.weights.__main__:app", name="weights", help="Fetch, verify and list models.")
app.register_install_completion_command(help="Install the completion of commands for your shell.")


@app.command(help_epilogue=RECIPE_HELP)
def restore(
    photos: Annotated[str | None, argument("a folder of photos, or one photo")] = None,
    masks: Annotated[str | None, argument("the folder of their masks, or its mask")] = None,
    /,
    *,
    settings: Annotated[FrontSettings, FLAT],
) -> int:
    """Restore one picture, a folder, or the rows of a manifest.

    silverprint restore photo.jpg mask.png -o out.png
    silverprint restore photos/ masks/ -o restored/
    silverprint restore --manifest manifest.csv -o restored/
    """
    shared = {name.name: getattr(settings, name.name) for name in fields(RunSettings)}
    if (photos is None) == (settings.manifest is None):
        raise UsageError("name a folder of photos, one photo, or a --manifest")
    if photos is None:
        from jobs.restore_archive import restore as restore_archive

        return restore_archive(
            RestoreSettings(manifest=settings.manifest or "", limit=settings.limit, **shared)
        )
    if is_local(photos) and Path(photos).is_file():
        from jobs.restore_picture import Picture, restore_picture

        return restore_picture(
            Picture(Path(photos), Path(masks) if masks else None, Path(settings.output)), settings
        )
    from jobs.restore_folder import restore_folder

    listing = ListingSettings(
        images=photos,
        masks=masks,
        mask_pattern=settings.mask_pattern,
        sidecar=settings.sidecar,
        **shared,
    )
    return restore_folder(listing, settings.limit)


@app.command(help_epilogue=RECIPE_HELP)
def nightly(settings: Annotated[NightlySettings, FLAT]) -> int:
    """Restore what is new or changed in a folder tonight."""
    from jobs.nightly import run

    return run(settings)


@app.command(help_epilogue=RECIPE_HELP)
def compare(settings: Annotated[CompareSettings, FLAT]) -> int:
    """Restore photos by several variants of a recipe, side by side."""
    from jobs.compare.compare import compare as compare_variants

    return compare_variants(settings)


@app.command
def doctor(settings: Annotated[DoctorSettings, FLAT] = DoctorSettings()) -> int:
    """Say what this machine can do, and what is missing."""
    from jobs.doctor import doctor as examine

    return examine(settings)


def main(argv: Sequence[str] | None = None) -> int:
    """argv -> the command -> exit code."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    return exit_code(lambda: int(call(app, argv)))


def run() -> None:
    """The console script `silverprint`."""
    leave(main())


if __name__ == "__main__":
    run()
