"""TIFF tags: descriptive ones are kept, odd ones are no damage."""

import io
import struct

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
    assert (picture.dpi, picture.dropped) == (None, ("dpi",))
    assert encode(picture, "webp", 100).proof == "exact"


def test_a_tag_of_the_wrong_type_is_no_damage() -> None:
    source = bytearray(full("TIFF"))
    at = source.index(struct.pack("<HHL", 282, 5, 1))
    source[at : at + 4] = struct.pack("<HH", 282, 12)  # XResolution as a double
    picture = decode(bytes(source))
    assert picture.dpi is None
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
