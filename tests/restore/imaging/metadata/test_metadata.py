"""Metadata of all four kinds, through every format."""

import io

import pytest
import pyvips
import tifffile
from PIL import Image

from restore.imaging.codec import decode, encode
from restore.imaging.metadata import strip
from tests.support.pictures import UPRIGHT_XMP, by_pillow, full, same, srgb

FORMATS = ("source", "png", "tiff", "jpeg", "webp")


def check_metadata(encoded: bytes, extension: str) -> None:
    """What Pillow, and for TIFF tifffile, read of the metadata of `full`."""
    image = Image.open(io.BytesIO(encoded))
    image.load()
    block = image.getexif()
    assert block[0x010F] == "Linhof"
    assert block[0x8298] == "The Archive"
    assert block[50000] == "a private tag"
    assert block.get(0x0112, 1) == 1
    assert block.get_ifd(0x8769)[0x9003] == "1968:07:20 20:17:00"
    assert bytes(block.get_ifd(0x8769)[0x927C]) == b"maker note " * 9
    assert block.get_ifd(0x8825)[1] == "N"
    assert image.info["icc_profile"] == srgb()
    if extension == "tif":
        with tifffile.TiffFile(io.BytesIO(encoded)) as file:
            tags = file.pages.first.tags
            assert bytes(tags[700].value) == UPRIGHT_XMP
            assert tags["ExifTag"].value["DateTimeOriginal"] == "1968:07:20 20:17:00"
            assert tags["Orientation"].value == 1
    else:
        xmp = image.info["xmp"]
        assert (xmp.encode() if isinstance(xmp, str) else xmp) == UPRIGHT_XMP
    dpi = (block[282], block[283]) if extension == "webp" else image.info["dpi"]
    assert dpi == pytest.approx((300, 300), abs=0.01)


@pytest.mark.parametrize("output_format", FORMATS)
@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_all_metadata_survives(form: str, output_format: str) -> None:
    picture = decode(full(form, orientation=6))
    encoded = encode(picture, output_format, 90)
    assert encoded.dropped == ()
    check_metadata(encoded.data, encoded.extension)
    again = decode(encoded.data)
    assert (again.icc, again.xmp, again.orientation) == (picture.icc, picture.xmp, 1)
    assert again.resolution and picture.resolution
    assert again.resolution.dpi == pytest.approx(picture.resolution.dpi, abs=0.01)
    # a second way through changes nothing
    check_metadata(encode(again, output_format, 90).data, encoded.extension)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_the_codec_library_is_shown_no_metadata(form: str) -> None:
    shown = strip(full(form), {"JPEG": "jpeg", "PNG": "png", "TIFF": "tiff", "WEBP": "webp"}[form])
    image = pyvips.Image.new_from_buffer(shown, "")
    assert not [name for name in image.get_fields() if "exif" in name or "icc" in name or "xmp" in name]
    assert same(image.numpy(), by_pillow(full(form)))
