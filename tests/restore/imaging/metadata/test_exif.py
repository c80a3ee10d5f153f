"""EXIF: what an upright, restored picture keeps of it."""

import io
import struct

import pytest
import tifffile
from PIL import Image

from restore.imaging.codec import decode, encode
from tests.support.pictures import RGB, pil


def test_the_big_endian_exif_of_a_jpeg_is_swapped_for_tiff() -> None:
    block = struct.pack(">2sHLH", b"MM", 42, 8, 2)
    block += struct.pack(">HHLHH", 274, 3, 1, 6, 0) + struct.pack(">HHLL", 33434, 5, 1, 38) + bytes(4)
    block += struct.pack(">LL", 1, 125)
    picture = decode(pil(RGB, "JPEG", exif=b"Exif\0\0" + block))
    assert picture.orientation == 6
    with tifffile.TiffFile(io.BytesIO(encode(picture, "tiff", 95).data)) as file:
        assert file.pages.first.tags[33434].value == (1, 125)
    assert Image.open(io.BytesIO(encode(picture, "png", 95).data)).getexif()[274] == 1


def test_exif_states_the_upright_size() -> None:
    block = Image.Exif()
    block[0x0112] = 6
    inner = block.get_ifd(0x8769)
    inner[40962], inner[40963] = RGB.shape[1], RGB.shape[0]
    encoded = encode(decode(pil(RGB, "JPEG", exif=block.tobytes())), "png", 95)
    inner = Image.open(io.BytesIO(encoded.data)).getexif().get_ifd(0x8769)
    assert (inner[40962], inner[40963]) == (RGB.shape[0], RGB.shape[1])


def test_the_thumbnail_of_the_damaged_photo_goes() -> None:
    first = struct.pack("<2sHLH", b"II", 42, 8, 1) + struct.pack("<HHLHHL", 274, 3, 1, 1, 0, 26)
    second = struct.pack("<HHHLLHHLLL", 2, 513, 4, 1, 60, 514, 4, 1, 4, 0) + bytes(12)
    picture = decode(pil(RGB, "JPEG", exif=b"Exif\0\0" + first + second))
    encoded = encode(picture, "jpeg", 95).data
    with tifffile.TiffFile(io.BytesIO(first + second)) as before:
        assert len(before.pages) == 2
    with tifffile.TiffFile(io.BytesIO(Image.open(io.BytesIO(encoded)).info["exif"][6:])) as after:
        assert len(after.pages) == 1


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_malformed_exif_and_profile_are_dropped_by_name(form: str) -> None:
    broken = b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + b"x" * 50
    picture = decode(pil(RGB, form, exif=broken, icc_profile=b"no profile" * 20))
    assert set(picture.dropped) == {"exif", "icc"}
    assert (picture.exif, picture.icc) == (None, None)
