"""One picture in, one picture out: the steps of the pipeline in this process, without Ray.

silverprint restore photo.jpg mask.png -o out.png
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cluster.profiles import PROFILES
from jobs.exit_codes import ALL_WELL, SOME_FAILED
from jobs.settings import RunSettings
from restore.errors import UsageError
from restore.formats import EXTENSIONS
from restore.outcome import Outcome
from restore.recipe import Recipe, read_recipe
from restore.single import SingleSettings, restore_file
from restore.storage import OutStore


@dataclass(frozen=True, slots=True)
class Picture:
    """A photo, its mask and the file to write, as local paths."""

    photo: Path
    mask: Path | None
    out: Path


def restore_picture(picture: Picture, settings: RunSettings) -> int:
    """Restore one photo into one file. Returns the exit code.

    The pixels are those of a run over the same photo under the id `photo.stem`. The output file is created,
    never overwritten.

    Raises:
        SystemicError: when a setting cannot be used or the engine cannot be built.
    """
    recipe = _recipe(picture, settings)
    _require_free(picture.out)
    if settings.dry_run:
        print(f"{picture.photo}: would be restored to {picture.out}, engine {recipe.engine}")
        return ALL_WELL
    done, data = restore_file(picture.photo, picture.mask, recipe, picture.photo.stem, _settings(settings))
    if data is None:
        print(f"{picture.photo}: failed with {done.error_code}: {done.error_message}")
        return SOME_FAILED
    if done.status == "copied" and EXTENSIONS.get(_extension(picture.photo)) != recipe.output_format:
        raise UsageError(f"{picture.photo}: no pixel is damaged, so there is nothing to restore")
    return _write(picture, data, done)


def _recipe(picture: Picture, settings: RunSettings) -> Recipe:
    """The recipe, its output format that of the output's name."""
    recipe = read_recipe(settings.recipe, settings.set)
    wanted = EXTENSIONS.get(_extension(picture.out))
    if wanted is None:
        raise UsageError(f"{picture.out}: the name must end in .{', .'.join(EXTENSIONS)}")
    return recipe.model_copy(update={"output_format": wanted})


def _extension(path: Path) -> str:
    return path.suffix.lower().removeprefix(".")


def _require_free(out: Path) -> None:
    if out.exists():
        raise UsageError(f"{out} exists already and is not overwritten; name another file or move it away")
    if not out.parent.is_dir():
        raise UsageError(f"{out.parent} is not a folder; make it first")


def _settings(settings: RunSettings) -> SingleSettings:
    profile = PROFILES[settings.profile]
    return SingleSettings(
        auto=profile.auto,
        device=profile.device,
        batch=settings.batch_size or profile.batch_size,
        max_megapixels=settings.max_megapixels,
        copy_unmasked=settings.copy_unmasked,
        fit_masks=settings.fit_masks,
    )


def _write(picture: Picture, data: bytes, done: Outcome) -> int:
    created = OutStore.open(str(picture.out.parent)).create(picture.out.name, data)
    if created.existing is not None:
        raise UsageError(f"{picture.out} was made meanwhile and is not overwritten; name another file")
    what = "copied, since no pixel is damaged" if done.status == "copied" else f"restored by {done.engine}"
    lost = f"; not kept: {', '.join(done.dropped)}" if done.dropped else ""
    print(f"{picture.out}: {what}, {len(data)} bytes{lost}")
    return ALL_WELL
