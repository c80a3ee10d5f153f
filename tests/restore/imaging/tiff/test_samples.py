"""Samples: what is refused is named, nothing sound is called damaged, and alpha stays what it is."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from restore.errors import ErrorCode, ItemError
from restore.imaging.codec import decode, encode, shown
from restore.imaging.picture import Picture
from tests.support import tiffs
from tests.support.corpus import tag_set
from tests.support.pictures import by_pillow, same
from tests.support.second_decoder import second
from tests.support.tiffs import Mix, tiff, truth


def refusal(data: bytes) -> ItemError:
    with pytest.raises(ItemError) as caught:
        decode(data)
    return caught.value


@pytest.mark.parametrize(
    ("mix", "name"),
    [
        (Mix("YCbCr", planar=True), "YCbCr"),
        (Mix("YCbCr", subsampling=(2, 2), compression="LZW"), "YCbCr"),
        (Mix("YCbCr"), "YCbCr"),
        (Mix("gray", alpha="two extra"), "gray with 2 further channels"),
        (Mix("CMYK", alpha="alpha"), "CMYK with 1 further channel"),
        (Mix(compression="old JPEG"), "old-style JPEG"),
        (Mix(compression="JPEG", bits=16), "16-bit samples in JPEG"),
        (Mix(compression="LERC"), "LERC"),
        (Mix(bits=32), "32-bit samples"),
        (Mix(bits=64, sample_format="float"), "64-bit floating point"),
        (Mix(bits=16, sample_format="signed"), "16-bit signed"),
        (Mix("ICCLab"), "ICC Lab"),
        (Mix("mask", bits=1), "a transparency mask"),
    ],
    ids=lambda value: value.name if isinstance(value, Mix) else "",
)
def test_a_feature_is_named_and_not_called_damage(mix: Mix, name: str) -> None:
    error = refusal(tiff(mix))
    assert error.code == ErrorCode.UNSUPPORTED_FORMAT
    assert name in error.message and "accepted are" in error.message


def test_channels_of_different_depths_are_named() -> None:
    data = bytearray(tiff(Mix()))
    bits = struct.pack("<3H", 8, 8, 8)
    at = data.rindex(bits + struct.pack("<L", 8))  # the first strip begins behind the header
    data[at : at + 6] = struct.pack("<3H", 8, 8, 16)
    assert "channels of different depths" in refusal(bytes(data)).message


def test_tags_that_contradict_each_other_are_damage() -> None:
    for data in (tag_set(tiff(Mix()), 277, 65_535, kind=3), tag_set(tiff(Mix("palette")), 258, 4, kind=3)):
        assert refusal(data).code == ErrorCode.IMAGE_UNREADABLE


@pytest.mark.parametrize("alpha", ["premultiplied", "unspecified", "alpha"])
@pytest.mark.parametrize("photometric", ["gray", "RGB"])
@pytest.mark.parametrize("bits", [8, 16])
def test_a_channel_beside_the_colours_stays_what_it_is(photometric: str, bits: int, alpha: str) -> None:
    mix = Mix(photometric, bits=bits, alpha=alpha)
    picture = decode(tiff(mix))
    assert same(picture.pixels, truth(mix)), "the samples as stored, divided by nothing"
    encoded = encode(picture, "source", 95)
    again = second(encoded.data)
    assert (encoded.proof, encoded.dropped) == ("exact", ())
    assert again.extra == {"unspecified": (0,), "premultiplied": (1,), "alpha": (2,)}[alpha]
    assert same(again.samples, truth(mix))
    assert decode(encoded.data).alpha == picture.alpha


def test_other_formats_hold_straight_alpha_and_say_that_it_changed() -> None:
    flat = np.zeros((4, 6, 4), np.uint8)
    flat[..., 0], flat[..., 3] = 50, 100
    flat[:, :2] = 0  # transparent
    encoded = encode(Picture(flat, "RGBA", "tiff", True, alpha="premultiplied"), "png", 95)
    assert (encoded.proof, encoded.dropped) == ("lossy", ("premultiplied alpha",))
    assert by_pillow(encoded.data)[0].tolist() == [[0, 0, 0, 0]] * 2 + [[128, 0, 0, 100]] * 4


def test_a_channel_that_is_no_alpha_makes_nothing_transparent() -> None:
    mix = Mix(alpha="unspecified")
    picture = decode(tiff(mix))
    encoded = encode(picture, "png", 95)
    assert (encoded.proof, encoded.dropped) == ("lossy", ("extra channel",))
    assert same(by_pillow(encoded.data), truth(mix)[..., :3])
    assert same(shown(picture).pixels, truth(mix)[..., :3])


def test_premultiplied_colours_are_shown_over_white() -> None:
    half = np.full((2, 2, 4), 128, np.uint8)  # white at half strength
    assert shown(Picture(half, "RGBA", "tiff", True, alpha="premultiplied")).pixels.min() == 255


@pytest.mark.parametrize("mix", [Mix("gray", compression="JPEG", tile=True), Mix(compression="JPEG")])
def test_a_jpeg_tile_or_strip_that_lacks_pixels_is_damage(mix: Mix, monkeypatch: pytest.MonkeyPatch) -> None:
    """libvips fills such a tile with gray and says nothing to its caller."""
    whole = tiffs.jpeg
    monkeypatch.setattr(tiffs, "jpeg", lambda mix, part: whole(mix, part)[:-60] + b"\xff\xd9")
    assert refusal(tiff(mix)).code == ErrorCode.IMAGE_UNREADABLE
