"""One photo's inputs: fetched, and their memory estimated from their headers."""

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


BYTES_A_PIXEL, BYTES_BESIDES = 9, 64 * 2**20
"""What a file may hold: four channels of 16 bits as badly compressed as can be, and metadata."""


_MASKS = 3
"""Bool masks of the whole picture that a step holds at once."""


def _needs(data: bytes, recipe: Recipe, job: Job, copies: int) -> int:
    """Bytes that a step takes for a source whose samples it holds so often at once, with its bool masks."""
    header = _header(data, job)
    if header is None:
        return 0
    canvas_share = outpaint.growth((header.width, header.height), recipe.margins)
    held = copies + (canvas_share > 1)
    decoding = 1 + (header.orientation > 1) + 2 * header.whole
    whole = int(header.bytes * max(decoding, held * canvas_share))
    return len(data) + whole + int(_MASKS * header.width * header.height * canvas_share)


def _header(data: bytes, job: Job) -> Header | None:
    """None where decoding will say why not, without taking memory."""
    try:
        return codec.read_header(data, max_megapixels=job.max_megapixels)
    except ItemError:
        return None


def _fetch(uri: str, version: str | None, missing: ErrorCode, job: Job, read: Read = fetch) -> Fetched:
    job.access.check(uri)
    most = int(job.max_megapixels * 1e6 * BYTES_A_PIXEL) + BYTES_BESIDES
    return read(uri, version=version, missing=missing, max_bytes=most)
