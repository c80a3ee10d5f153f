"""PNG chunks: profiles and text."""

import io
import struct

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from restore.imaging.codec import decode, encode
from tests.support.pictures import GRAY, RGB, pil, srgb


def test_a_profile_of_other_colours_goes_into_no_png() -> None:
    picture = decode(pil(GRAY, "JPEG", icc_profile=srgb()))
    assert (picture.icc, picture.dropped) == (srgb(), ())
    encoded = encode(picture, "source", 90)
    assert (encoded.proof, encoded.dropped) == ("exact", ("icc",))
    assert "icc_profile" not in Image.open(io.BytesIO(encoded.data)).info
    assert decode(encode(picture, "tiff", 90).data).icc == srgb()


def test_text_and_gamma_are_named() -> None:
    info = PngInfo()
    info.add_text("Title", "Station")
    info.add(b"gAMA", struct.pack(">L", 100_000))
    assert decode(pil(RGB, "PNG", pnginfo=info)).dropped == ("text", "gamma")
