"""Picture and Header: sizes, modes and the way up, of any picture."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image, ImageOps

from restore.imaging.codec import decode, encode, read_header
from restore.imaging.picture import Picture
from restore.imaging.resolution import Resolution
from tests.support.pictures import RGB, SOURCES, full, pil, same

FORMATS = ("source", "png", "tiff", "jpeg", "webp")


@pytest.mark.parametrize("name", SOURCES)
def test_header_agrees_with_the_picture(name: str) -> None:
    header, picture = read_header(SOURCES[name][0]), decode(SOURCES[name][0])
    assert (header.width, header.height) == (picture.width, picture.height)
    assert (header.bit_depth, header.format, header.pages) == (picture.bit_depth, picture.format, 1)
    assert header.mode == picture.mode or name == "png gray palette"


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_orientation_as_pillow_turns_it(form: str, orientation: int) -> None:
    source = full(form, orientation)
    picture = decode(source)
    assert picture.orientation == orientation
    assert same(picture.pixels, np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(source)))))
    header = read_header(source)
    assert (header.width, header.height) == (picture.width, picture.height)


def test_unequal_resolutions_turn_with_the_picture() -> None:
    block = Image.Exif()
    block[0x0112] = 8
    assert decode(pil(RGB, "JPEG", exif=block.tobytes(), dpi=(300, 600))).resolution == Resolution(600, 300)


SHAPES = {"L": (), "LA": (2,), "RGB": (3,), "RGBA": (4,), "CMYK": (4,)}


@st.composite
def pictures(draw: st.DrawFn) -> Picture:
    mode = draw(st.sampled_from(list(SHAPES)))
    shape = (draw(st.integers(1, 9)), draw(st.integers(1, 9)), *SHAPES[mode])
    pixels = draw(hnp.arrays(draw(st.sampled_from([np.uint8, np.uint16])), shape))
    return Picture(pixels, mode, "tiff" if mode == "CMYK" else "png", True)


@settings(deadline=None, max_examples=60)
@given(pictures(), st.sampled_from(FORMATS), st.sampled_from([50, 100]))
def test_any_picture_of_any_size(picture: Picture, output_format: str, quality: int) -> None:
    before = picture.pixels.copy()
    encoded = encode(picture, output_format, quality)
    assert same(picture.pixels, before)
    again = decode(encoded.data)
    assert (again.width, again.height) == (picture.width, picture.height)
    assert encoded.proof == "lossy" or same(again.pixels, picture.pixels)
    assert encode(picture, output_format, quality).data == encoded.data
