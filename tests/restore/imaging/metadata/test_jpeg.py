"""JPEG segments: long values, and what has no place."""

import io
import struct

from PIL import Image

from restore.imaging.codec import decode, encode
from restore.imaging.picture import Picture
from tests.support.pictures import RGB, pil, srgb


def test_what_a_jpeg_segment_cannot_hold_is_named() -> None:
    picture = decode(pil(RGB, "PNG"))
    long = Picture(picture.pixels, "RGB", "png", True, xmp=b"<x/>" * 20_000, icc=srgb(), dpi=(1e6, 1e6))
    encoded = encode(long, "jpeg", 90)
    assert encoded.dropped == ("dpi", "xmp")
    assert Image.open(io.BytesIO(encoded.data)).info["icc_profile"] == srgb()


def test_a_profile_of_several_segments() -> None:
    long = bytearray(srgb() + bytes(200_000))
    long[:4] = struct.pack(">L", len(long))
    picture = decode(pil(RGB, "JPEG", icc_profile=bytes(long)))
    assert picture.icc == long
    again = Image.open(io.BytesIO(encode(picture, "jpeg", 90).data))
    assert again.info["icc_profile"] == long


def test_a_comment_is_named() -> None:
    assert decode(pil(RGB, "JPEG", comment=b"Station")).dropped == ("comment",)
