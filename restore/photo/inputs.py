"""Reads one photo's inputs, and estimates from their headers the memory that they need."""

from __future__ import annotations

from collections.abc import Callable

from restore.errors import ErrorCode, ItemError
from restore.imaging import codec
from restore.imaging.picture import Header
from restore.photo.state import Job
from restore.recipe import Recipe
from restore.repair import outpaint
from restore.storage import Fetched, fetch

Read = Callable[..., Fetched]
"""Reads an input as `restore.storage.fetch` does."""

BYTES_A_PIXEL = 9
"""Largest file of a picture, bytes a pixel: four channels of 16 bits that compression made longer."""
BYTES_BESIDES = 64 * 2**20
"""Largest part of a file that is not pixels, bytes: metadata."""
_MASKS = 3
"""Bool masks of the whole picture that a step holds at the same time."""


def fetch_input(uri: str, version: str | None, missing: ErrorCode, job: Job, read: Read = fetch) -> Fetched:
    """The bytes of a photo, a mask or a reference, where the run may read them.

    Args:
        version: the version that the plan names; None takes the present one.
        missing: the code for an input that does not exist.

    Raises:
        ItemError: storage_denied, `missing`, changed_during_run, image_too_large and what `read` raises.
    """
    job.access.check(uri)
    largest = int(job.max_megapixels * 1e6 * BYTES_A_PIXEL) + BYTES_BESIDES
    return read(uri, version=version, missing=missing, max_bytes=largest, access=job.access)


def memory_for_photo(data: bytes, recipe: Recipe, job: Job, copies: int) -> int:
    """Bytes of memory that a step takes for a photo, 0 where decoding will fail.

    Args:
        data: the photo's file.
        copies: how many arrays of all its samples the step holds at the same time, beside bool masks.
    """
    header = _header(data, job)
    if header is None:
        return 0
    canvas_share = outpaint.growth((header.width, header.height), recipe.margins)
    held = copies + (canvas_share > 1)
    decoding = header.bytes * (1 + (header.orientation > 1)) + header.decoder_bytes
    whole = max(decoding, int(header.bytes * held * canvas_share))
    return len(data) + whole + int(_MASKS * header.width * header.height * canvas_share)


def memory_for_mask(mask: Fetched | None, job: Job) -> int:
    """Bytes of memory that decoding a mask's file takes, 0 where it will fail."""
    header = mask and _header(mask.data, job)
    return header.bytes + header.decoder_bytes if header else 0


def _header(data: bytes, job: Job) -> Header | None:
    """None where decoding will fail with the reason, and take no memory."""
    try:
        return codec.read_header(data, max_megapixels=job.max_megapixels)
    except ItemError:
        return None
