"""The proof that known pixels are unchanged."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from restore.errors import ErrorCode, ItemError
from restore.imaging import codec
from restore.imaging.picture import Encoded, Picture
from restore.recipe import OutputFormat
from restore.repair.verify import changed_pixels, require_same
from tests.support.archives import photograph

LIMIT = 10.0  # megapixels
SOURCE = Picture(photograph(1), "RGB", "png", True)
ZONE = np.zeros(SOURCE.pixels.shape[:2], bool)
ZONE[10:30, 40:90] = True
RESTORED = replace(SOURCE, pixels=np.where(ZONE[..., None], np.uint8(7), SOURCE.pixels))


def encoded(picture: Picture, form: OutputFormat = "source") -> Encoded:
    return codec.encode(picture, form, 95)


def stray(picture: Picture) -> Picture:
    """One known sample is a level off."""
    pixels = picture.pixels.copy()
    pixels[5, 5, 1] ^= 1
    return replace(picture, pixels=pixels)


def refused(*arguments: object) -> str:
    with pytest.raises(ItemError) as caught:
        changed_pixels(*arguments, LIMIT)  # type: ignore[arg-type]
    assert caught.value.code is ErrorCode.VERIFY_FAILED
    return caught.value.message


def test_a_picture_that_differs_only_in_the_zone_has_no_changed_pixel() -> None:
    assert changed_pixels(encoded(RESTORED), SOURCE, RESTORED, ZONE, LIMIT) == 0


def test_one_known_sample_off_by_one_is_found() -> None:
    wrong = stray(RESTORED)
    assert refused(encoded(wrong), SOURCE, wrong, ZONE) == "1 pixels outside the damage would change"


def test_a_file_that_does_not_hold_what_was_encoded_is_found() -> None:
    assert "does not decode to what was encoded" in refused(encoded(stray(RESTORED)), SOURCE, RESTORED, ZONE)
    short = replace(RESTORED, pixels=RESTORED.pixels[:-1])
    assert "rows of" in refused(encoded(short), SOURCE, RESTORED, ZONE)


def test_a_lossy_file_is_counted_not_refused() -> None:
    jpeg = replace(RESTORED, format="jpeg")
    counted = changed_pixels(encoded(jpeg, "jpeg"), SOURCE, jpeg, ZONE, LIMIT)
    assert counted is not None and counted > 1000


def test_a_file_of_another_depth_cannot_be_compared() -> None:
    deep = replace(SOURCE, pixels=SOURCE.pixels.astype(np.uint16) * 257)
    jpeg = replace(deep, format="jpeg")
    assert changed_pixels(encoded(jpeg, "jpeg"), deep, jpeg, ZONE, LIMIT) is None


def test_what_lies_under_our_name_must_show_the_same_picture() -> None:
    ours = encoded(RESTORED).data
    require_same("images/a.png", encoded(RESTORED).data, ours, LIMIT)
    for theirs, words in ((encoded(stray(RESTORED)).data, "another picture"), (ours[:200], "is damaged")):
        with pytest.raises(ItemError, match=words) as caught:
            require_same("images/a.png", theirs, ours, LIMIT)
        assert caught.value.code is ErrorCode.VERIFY_FAILED
