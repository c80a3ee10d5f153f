"""TIFF tags: descriptive ones are kept, odd ones are no damage."""

import io
import struct

import numpy as np
import pytest
import tifffile
from PIL import Image

from restore.errors import ErrorCode, ItemError
from restore.imaging.codec import decode, encode
from tests.support.corpus import tag_set
from tests.support.pictures import DEEP, RGB, full, pil, same, tif


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("big", [False, True])
def test_descriptive_tags_of_tiff_survive(order: str, big: bool) -> None:
    source = tif(
        DEEP,
        photometric="rgb",
        byteorder=order,
        bigtiff=big,
        resolution=(600, 600),
        resolutionunit="INCH",
        description="Station, 1911",
        metadata=None,
        software="scanner",
        extratags=[(315, 2, 0, "A. Sander", True), (65000, 5, 2, (1, 3, 2, 7), True)],
    )
    for output_format in ("source", "png"):
        encoded = encode(decode(source), output_format, 95).data
        image = Image.open(io.BytesIO(encoded)) if output_format == "png" else None
        with tifffile.TiffFile(io.BytesIO(encode(decode(encoded), "tiff", 95).data)) as file:
            tags = file.pages.first.tags
            assert tags["Artist"].value == "A. Sander"
            assert tags[65000].value == (1, 3, 2, 7)
            assert tags["ImageDescription"].value == "Station, 1911"
            assert tags["XResolution"].value[0] / tags["XResolution"].value[1] == pytest.approx(600, abs=0.01)
        assert image is None or image.getexif()[315] == "A. Sander"


def test_a_resolution_that_cannot_be_is_named() -> None:
    picture = decode(
        tif(RGB, photometric="rgb", resolution=((4_000_000_000, 1), (1, 1)), resolutionunit="INCH")
    )
    assert (picture.resolution, picture.dropped) == (None, ("dpi",))
    assert encode(picture, "webp", 100).proof == "exact"


def test_a_tag_of_the_wrong_type_is_no_damage() -> None:
    source = bytearray(full("TIFF"))
    at = source.index(struct.pack("<HHL", 282, 5, 1))
    source[at : at + 4] = struct.pack("<HH", 282, 12)  # XResolution as a double
    picture = decode(bytes(source))
    assert picture.resolution is None and "dpi" in picture.dropped
    assert same(picture.pixels, RGB)


def test_tags_that_libtiff_does_not_know_are_no_damage() -> None:
    for compression in (None, "jpeg"):
        picture = decode(pil(RGB, "TIFF", compression=compression, tiffinfo={65000: "mine", 65001: 7}))
        assert picture.mode == "RGB"


def test_a_tile_is_no_larger_than_it_has_to_be() -> None:
    """It is allocated whole: 20000 x 16000 pixels for a picture of 83 x 61. libvips sees to it."""
    tiled = tif(RGB, photometric="rgb", tile=(32, 32))
    with pytest.raises(ItemError, match="tile size out of range") as caught:
        decode(tag_set(tag_set(tiled, 322, 20_000), 323, 16_000))
    assert caught.value.code == ErrorCode.IMAGE_UNREADABLE
    assert same(decode(tif(RGB, photometric="rgb", tile=(256, 256))).pixels, RGB), (
        "a usual tile is larger too"
    )


COLOUR_TAGS = {
    301: (3, 256, tuple(range(0, 65_536, 257))),
    318: (5, 2, (3127, 10_000, 3290, 10_000)),
    319: (5, 6, (64, 100, 33, 100, 21, 100, 71, 100, 15, 100, 6, 100)),
}


def with_tags(pixels: np.ndarray, tags: dict[int, tuple], **options: object) -> bytes:
    extra = [(number, kind, count, values, True) for number, (kind, count, values) in tags.items()]
    return tif(pixels, extratags=extra, metadata=None, **options)


def test_what_says_what_the_colours_mean_is_kept() -> None:
    picture = decode(with_tags(RGB, COLOUR_TAGS, photometric="rgb"))
    assert picture.dropped == ()
    for target in ("tiff", "png", "webp", "jpeg"):
        encoded = encode(picture, target, 100)
        assert encoded.dropped == ()
        with Image.open(io.BytesIO(encoded.data)) as image:
            found = image.getexif()
        assert [tuple(map(float, found[tag])) for tag in (318, 319)] == [
            (0.3127, 0.329),
            (0.64, 0.33, 0.21, 0.71, 0.15, 0.06),
        ]
        assert found[301] == COLOUR_TAGS[301][2]


def test_a_curve_of_another_depth_goes_into_no_tiff() -> None:
    picture = decode(with_tags(DEEP, {301: COLOUR_TAGS[301]}, photometric="rgb"))
    encoded = encode(picture, "source", 100)
    assert encoded.dropped == ("transfer function",)
    with tifffile.TiffFile(io.BytesIO(encoded.data)) as file:
        assert 301 not in file.pages.first.tags


def test_colours_that_are_converted_lose_what_was_said_of_them() -> None:
    inks = np.dstack([RGB, RGB[..., 0]])
    picture = decode(with_tags(inks, COLOUR_TAGS, photometric="separated"))
    assert encode(picture, "source", 100).dropped == ()
    encoded = encode(picture, "png", 100)
    assert encoded.dropped == ("cmyk", "transfer function", "white point", "primaries")
    assert "exif" not in Image.open(io.BytesIO(encoded.data)).info or not {301, 318, 319} & set(
        Image.open(io.BytesIO(encoded.data)).getexif()
    )


LOST = {
    "ycbcr coefficients": {529: (5, 3, (2126, 10_000, 7152, 10_000, 722, 10_000))},
    "reference black and white": {532: (5, 6, (16, 1, 235, 1, 128, 1, 240, 1, 128, 1, 240, 1))},
    "sample range": {280: (3, 3, (16, 16, 16)), 281: (3, 3, (235, 235, 235))},
    "dot range": {336: (3, 2, (10, 240))},
    "clip path": {343: (1, 20, bytes(20))},
}
USUAL = {
    280: (3, 3, (0, 0, 0)),
    281: (3, 3, (255, 255, 255)),
    529: (5, 3, (299, 1000, 587, 1000, 114, 1000)),
    532: (5, 6, (0, 1, 255, 1, 128, 1, 255, 1, 128, 1, 255, 1)),
}


@pytest.mark.parametrize("name", LOST)
def test_what_is_said_of_samples_and_not_kept_is_named(name: str) -> None:
    assert decode(with_tags(RGB, LOST[name], photometric="rgb")).dropped == (name,)


def test_what_is_so_anyway_is_not_named() -> None:
    assert decode(with_tags(RGB, USUAL, photometric="rgb")).dropped == ()


def test_numbers_and_pointers_of_bigtiff_are_kept_or_named() -> None:
    tags = {65_010: (16, 2, (7, 8)), 65_011: (16, 1, (1 << 40,)), 65_012: (13, 1, (8,))}
    picture = decode(with_tags(RGB, tags, photometric="rgb", bigtiff=True))
    assert picture.dropped == ("exif tag 65011", "exif tag 65012")
    with Image.open(io.BytesIO(encode(picture, "png", 100).data)) as image:
        assert image.getexif()[65_010] == (7, 8)
