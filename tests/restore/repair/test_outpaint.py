"""Canvas: margins round a photo."""

from __future__ import annotations

import numpy as np
import pytest

from restore.errors import ErrorCode, ItemError
from restore.imaging.picture import Picture
from restore.repair.outpaint import extended, on_canvas, outside

MARGINS = (3, 1, 0, 2)


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3), (5, 7, 4)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_the_photo_keeps_its_pixels_at_their_offset(shape: tuple[int, ...], dtype: type) -> None:
    pixels = np.random.default_rng(1).integers(0, 255, shape).astype(dtype)
    mode = {2: "L", 3: "RGB", 4: "CMYK"}[shape[2] if len(shape) == 3 and shape[2] > 3 else len(shape)]
    picture = Picture(pixels, mode, "tiff", True, icc=b"icc")  # type: ignore[arg-type]
    whole = extended(picture, MARGINS, 1.0)
    assert (whole.width, whole.height, whole.icc) == (10, 8, b"icc")
    assert np.array_equal(whole.pixels[1:6, 3:10], pixels) and whole.pixels.dtype == dtype
    assert np.array_equal(~outside((8, 10), MARGINS), on_canvas(np.ones((5, 7), bool), MARGINS) & _inner())


def _inner() -> np.ndarray:
    inner = np.zeros((8, 10), bool)
    inner[1:6, 3:10] = True
    return inner


def test_without_margins_it_is_the_picture_itself() -> None:
    picture = Picture(np.zeros((5, 7), np.uint8), "L", "png", True)
    assert extended(picture, (0, 0, 0, 0), 1.0) is picture
    assert not outside((5, 7), (0, 0, 0, 0)).any()


def test_damage_moves_with_the_photo_and_the_margins_are_damaged() -> None:
    damage = np.zeros((5, 7), bool)
    damage[2, 3] = True
    moved = on_canvas(damage, MARGINS)
    assert moved[3, 6] and np.array_equal(moved & _inner(), moved & ~outside((8, 10), MARGINS))
    assert np.count_nonzero(moved) == 80 - 35 + 1


def test_a_canvas_that_is_too_large_is_refused() -> None:
    picture = Picture(np.zeros((1000, 1000), np.uint8), "L", "png", True)
    with pytest.raises(ItemError) as caught:
        extended(picture, (1000, 0, 0, 0), 1.5)
    assert caught.value.code is ErrorCode.IMAGE_TOO_LARGE and "2000 x 1000" in caught.value.message
