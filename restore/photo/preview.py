"""What a mask marks on its photo, before anything is painted."""

from __future__ import annotations

from dataclasses import dataclass, replace

from restore.errors import ErrorCode, ItemError
from restore.imaging import codec
from restore.imaging.thumbnails import damage_overlay, thumbnail
from restore.item import Item
from restore.photo.damage import damage_of, dilated, fetch_mask
from restore.photo.inputs import fetch_input
from restore.photo.state import Job
from restore.recipe import with_overrides
from restore.repair import mask as masks


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """One photo as a run would read it.

    Attributes:
        width, height: px, upright.
        before: the photo's thumbnail, a JPEG.
        damage: what a run would repaint, a PNG over the thumbnail.
        coverage: fraction of the photo that the mask marks, 0 to 1.
        error_code, error_message: why a run would fail it; None where it would not.
    """

    item_id: str
    width: int | None = None
    height: int | None = None
    before: bytes | None = None
    damage: bytes | None = None
    coverage: float | None = None
    error_code: str | None = None
    error_message: str | None = None


def preview(item: Item, job: Job) -> Preview:
    """Fetch and decode one photo and its mask. What can be seen of a photo that would fail is shown too."""
    seen = Preview(item_id=item.item_id)
    try:
        recipe = with_overrides(job.recipe, item.overridden())
        image = fetch_input(item.image, item.image_version, ErrorCode.IMAGE_NOT_FOUND, job)
        picture = codec.decode(image.data, max_megapixels=job.max_megapixels)
        seen = replace(seen, width=picture.width, height=picture.height, before=thumbnail(picture))
        damage = damage_of(fetch_mask(item, job), picture, recipe, job).pixels
        seen = replace(seen, coverage=masks.coverage(damage), damage=damage_overlay(damage))
        # What marks too much cannot be dilated, and is shown as it is.
        return replace(seen, damage=damage_overlay(dilated(damage, recipe)))
    except ItemError as error:
        return replace(seen, error_code=error.code, error_message=error.message)
