"""Proves on the encoded file that known pixels are unchanged."""

from __future__ import annotations

from itertools import zip_longest

import numpy as np

from restore.errors import ErrorCode, ItemError
from restore.imaging import codec
from restore.imaging.picture import Encoded, Picture
from restore.imaging.pixels import Mask
from restore.repair import composite


def changed_pixels(
    encoded: Encoded, source: Picture, restored: Picture, editable_area: Mask, max_megapixels: float
) -> int | None:
    """Decode the encoded picture and count the known pixels that differ from the source.

    Args:
        editable_area: bool `(H, W)`, where pixels may differ.

    Returns:
        None where an output format that was asked for holds another depth or mode.

    Raises:
        ItemError: `verify_failed`, when a lossless file is not what was encoded or known pixels changed.
    """
    exact, pixels, changed, below = encoded.proof == "exact", source.pixels, 0, 0
    for rows, stored in codec.strips(encoded.data, max_megapixels=max_megapixels):
        if exact and not np.array_equal(stored, restored.pixels[rows]):
            raise ItemError(
                ErrorCode.VERIFY_FAILED, "the encoded picture does not decode to what was encoded"
            )
        alike = stored.shape[1:] == pixels.shape[1:] and stored.dtype == pixels.dtype
        changed += composite.changed_outside(pixels[rows], stored, editable_area[rows]) if alike else 0
        below = rows.stop
    if below != restored.height:
        raise ItemError(ErrorCode.VERIFY_FAILED, f"the encoded picture has {below} rows of {restored.height}")
    if exact and changed:
        raise ItemError(ErrorCode.VERIFY_FAILED, f"{changed} pixels outside the damage would change")
    return changed if alike else None


def require_same(output: str, existing: bytes, made: bytes, max_megapixels: float) -> None:
    """Check that an existing object under the output's name holds the same picture.

    Raises:
        ItemError: `verify_failed`, when it does not.
    """
    found, expected = (codec.strips(data, max_megapixels=max_megapixels) for data in (existing, made))
    nothing = (slice(0), np.empty(0))
    try:
        pairs = zip_longest(found, expected, fillvalue=nothing)
        same = all(
            np.array_equal(found_strip, expected_strip) for (_, found_strip), (_, expected_strip) in pairs
        )
    except ItemError as error:
        raise ItemError(ErrorCode.VERIFY_FAILED, f"{output} exists and is damaged: {error.message}") from None
    if not same:
        raise ItemError(
            ErrorCode.VERIFY_FAILED,
            f"{output} exists and shows another picture; move it away and run with the setting retry_failed",
        )
