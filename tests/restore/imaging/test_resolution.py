"""Resolution keeps its unit: per inch, per centimetre, or none. Other readers look at the fields."""

from __future__ import annotations

import io
import struct
from typing import Any

import pytest
import tifffile
from PIL import Image

from restore.imaging.codec import decode, encode
from restore.imaging.picture import Picture
from restore.imaging.resolution import Resolution, preferred, stated
from tests.support.corpus import chunk, png_with
from tests.support.pictures import RGB, exif, pil, tif


def tiff_of(x: tuple[int, int], y: tuple[int, int], unit: str) -> bytes:
    return tif(RGB, photometric="rgb", resolution=(x, y), resolutionunit=unit, metadata=None)


def jpeg_of(unit: int, x: int, y: int, **options: Any) -> bytes:
    jpeg = pil(RGB, "JPEG", **options)
    at = jpeg.index(b"JFIF\0") + 7
    return jpeg[:at] + struct.pack(">BHH", unit, x, y) + jpeg[at + 5 :]


def png_of(unit: int, x: int, y: int) -> bytes:
    return png_with(chunk(b"pHYs", struct.pack(">LLB", x, y, unit)))


SOURCES = {
    "tiff, inch": (tiff_of((300, 1), (600, 1), "INCH"), Resolution(300, 600)),
    "tiff, centimetre": (tiff_of((118, 1), (236, 1), "CENTIMETER"), Resolution(118, 236, "centimetre")),
    "tiff, no unit": (tiff_of((3, 1), (2, 1), "NONE"), Resolution(3, 2, "none")),
    "jpeg, inch": (jpeg_of(1, 300, 600), Resolution(300, 600)),
    "jpeg, centimetre": (jpeg_of(2, 118, 236), Resolution(118, 236, "centimetre")),
    "jpeg, no unit": (jpeg_of(0, 3, 2), Resolution(3, 2, "none")),
    "png, no unit": (png_of(0, 3, 2), Resolution(3, 2, "none")),
}


def jfif(data: bytes) -> tuple[int, ...]:
    return struct.unpack(">BHH", data[13:18])


def phys(data: bytes) -> tuple[int, ...]:
    at = data.index(b"pHYs") + 4
    return struct.unpack(">LLB", data[at : at + 9])


@pytest.mark.parametrize("name", SOURCES)
def test_the_unit_stays_in_every_format(name: str) -> None:
    source, resolution = SOURCES[name]
    picture = decode(source)
    assert (picture.resolution, picture.dropped) == (resolution, ())
    x, y, unit = round(resolution.x), round(resolution.y), resolution.unit
    assert jfif(encode(picture, "jpeg", 90).data) == ({"none": 0, "inch": 1, "centimetre": 2}[unit], x, y)
    scale = {"none": 1, "inch": 1 / 0.0254, "centimetre": 100}[unit]
    assert phys(encode(picture, "png", 90).data) == (round(x * scale), round(y * scale), unit != "none")
    number = {"none": 1, "inch": 2, "centimetre": 3}[unit]
    with tifffile.TiffFile(io.BytesIO(encode(picture, "tiff", 90).data)) as file:
        tags = file.pages.first.tags
        assert (tags[282].value[0] / tags[282].value[1], tags[283].value[0] / tags[283].value[1]) == (x, y)
        assert tags[296].value == number
    with Image.open(io.BytesIO(encode(picture, "webp", 90).data)) as image:
        block = image.getexif()
        assert (block[282], block[283], block[296]) == (x, y, number)
    for target in ("jpeg", "tiff", "webp"):
        assert decode(encode(picture, target, 90).data).resolution == resolution


def test_nothing_stated_stays_so() -> None:
    for source in (
        tiff_of((1, 1), (1, 1), "NONE"),
        tiff_of((0, 1), (0, 1), "INCH"),
        jpeg_of(0, 1, 1),
        png_of(0, 1, 1),
        png_of(1, 0, 0),
    ):
        picture = decode(source)
        assert (picture.resolution, picture.dropped) == (None, ())
        assert b"pHYs" not in encode(picture, "png", 90).data


def test_exif_counts_before_a_ratio_without_a_unit() -> None:
    block = Image.Exif()
    block.load(exif())
    block[282], block[283], block[296] = 300.0, 300.0, 2
    assert decode(jpeg_of(0, 2, 1, exif=block.tobytes())).resolution == Resolution(300, 300)
    assert decode(jpeg_of(1, 72, 72, exif=block.tobytes())).resolution == Resolution(72, 72)
    assert preferred(None, stated(2, 1, "none"), None) == Resolution(2, 1, "none")


def test_a_jpeg_takes_the_unit_that_loses_less() -> None:
    for resolution, expected in (
        (Resolution(118.1102, 118.1102, "centimetre"), (1, 300, 300)),
        (Resolution(299.9994, 299.9994), (1, 300, 300)),
        (Resolution(1.5, 1, "none"), (0, 3, 2)),
        (Resolution(1, 1.0940, "none"), (0, 500, 547)),
    ):
        picture = Picture(RGB, "RGB", "png", True, resolution=resolution)
        assert jfif(encode(picture, "jpeg", 90).data) == expected


@pytest.mark.parametrize("values", [((4_000_000_000, 1), (1, 1)), ((1, 4_000_000_000), (1, 1))])
def test_a_resolution_that_no_field_holds_is_named(values: Any) -> None:
    for unit in ("INCH", "CENTIMETER", "NONE"):
        picture = decode(tiff_of(*values, unit))
        assert (picture.resolution, picture.dropped) == (None, ("dpi",))
