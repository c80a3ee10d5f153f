"""The damage of one photo: reads its mask, and refuses one that cannot be meant."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from restore.errors import ErrorCode, ItemError
from restore.imaging import codec
from restore.imaging.picture import Picture
from restore.imaging.pixels import Mask
from restore.imaging.scaled_copy import same_shape
from restore.item import Item
from restore.methods import Size
from restore.photo.inputs import Read, fetch_input
from restore.photo.state import Job
from restore.recipe import Recipe
from restore.repair import mask as masks
from restore.repair.mask_fit import fitted
from restore.repair.mask_reading import damage_from
from restore.storage import Fetched, fetch


def fetch_mask(item: Item, job: Job, read: Read = fetch) -> Fetched | None:
    """The bytes of the mask; None where the row names none. Errors are as in `fetch_input`."""
    if item.mask is None:
        return None
    try:
        return fetch_input(item.mask, item.mask_version, ErrorCode.MASK_NOT_FOUND, job, read)
    except ItemError as error:
        raise _of_mask(error) if error.code is ErrorCode.IMAGE_TOO_LARGE else error from None


@dataclass(frozen=True, slots=True, eq=False)
class Damage:
    """The pixels of one photo that its mask marks, before dilation.

    Attributes:
        pixels: bool `(H, W)` of the photo's size, True = repaint.
        fitted_from: the mask file's size, where it was enlarged or reduced.
    """

    pixels: Mask
    fitted_from: Size | None = None

    @property
    def steps(self) -> tuple[str, ...]:
        """What the photo's row says of its mask."""
        return () if self.fitted_from is None else ("mask_fitted",)


def damage_of(mask: Fetched | None, picture: Picture, recipe: Recipe, job: Job) -> Damage:
    """What the mask marks, or with mode=outpaint all the rest.

    Raises:
        ItemError: mask_not_found, mask_unreadable, mask_size_mismatch.
    """
    shape = (picture.height, picture.width)
    if mask is None:
        if not (job.copy_unmasked or any(recipe.margins)):
            raise _nothing_to_paint(recipe)
        return Damage(np.zeros(shape, bool))
    read = _read_mask(mask.data, job.max_megapixels)
    fits = job.fit_masks and same_shape((read.width, read.height), (picture.width, picture.height))
    damage = damage_from(
        read,
        (read.height, read.width) if fits else shape,
        picture.orientation,
        polarity=recipe.mask_polarity,
        threshold=recipe.mask_threshold,
    )
    whole = fitted(~damage if recipe.mode == "outpaint" else damage, shape)
    return Damage(whole, None if damage.shape == shape else (read.width, read.height))


def dilated(damage: Mask, recipe: Recipe) -> Mask:
    """The damage as it is repainted.

    Raises:
        ItemError: `mask_full` where no known pixel is left, `mask_too_large` where too few are.
    """
    grown = masks.dilate(damage, recipe.dilate_kernel, recipe.dilate_iterations)
    if grown.all():
        raise ItemError(ErrorCode.MASK_FULL, f"no known pixel is left after dilation; {_way_out(recipe)}")
    _check_coverage(damage, recipe)
    return grown


def _nothing_to_paint(recipe: Recipe) -> ItemError:
    """Why a photo without a mask cannot be painted, and what to set."""
    if recipe.mode == "outpaint":
        lack = (
            f"mode=outpaint has nothing to paint, since expand={recipe.expand} adds no margin: "
            "set expand to LEFT,TOP,RIGHT,BOTTOM in px, or name a mask that marks what to keep"
        )
    else:
        lack = "the row names no mask; add one, or copy such photos with the setting copy_unmasked"
    return ItemError(ErrorCode.MASK_NOT_FOUND, lack)


def _read_mask(data: bytes, max_megapixels: float) -> Picture:
    try:
        return codec.decode(data, max_megapixels=max_megapixels)
    except ItemError as error:
        raise _of_mask(error) from None


def _of_mask(error: ItemError) -> ItemError:
    return ItemError(ErrorCode.MASK_UNREADABLE, f"the mask: {error.message}")


def _check_coverage(damage: Mask, recipe: Recipe) -> None:
    """Most masks that mark most of a photo are inverted; painted, the photo would be one flat colour."""
    marked = masks.coverage(damage)
    if recipe.mode == "inpaint" and marked > recipe.max_coverage:
        raise ItemError(
            ErrorCode.MASK_TOO_LARGE,
            f"the mask marks {marked:.1%} of the photo as damage, more than max_coverage "
            f"{recipe.max_coverage:g}; {_way_out(recipe)}, or raise max_coverage",
        )


def _way_out(recipe: Recipe) -> str:
    """What to change where nothing is left of a photo."""
    if recipe.mode == "outpaint" and not any(recipe.margins):
        return (
            f"mode=outpaint keeps only what the mask marks, and expand={recipe.expand} adds no margin: "
            "set expand to LEFT,TOP,RIGHT,BOTTOM in px and name no mask, or mark what to keep"
        )
    return f"check mask_polarity (now {recipe.mask_polarity}), mask_threshold and the dilation"
