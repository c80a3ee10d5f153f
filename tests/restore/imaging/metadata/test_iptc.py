"""IPTC: records come along into every format that has a place for them, as other readers find them."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, IptcImagePlugin
from PIL.PngImagePlugin import PngInfo

from restore.imaging.codec import decode, encode
from restore.imaging.metadata import iptc, photoshop
from restore.imaging.metadata.fields import text_profile
from restore.imaging.picture import Picture
from tests.support.archives import photograph
from tests.support.corpus import jpeg_with
from tests.support.pictures import pil, tif


def record(dataset: int, value: bytes, number: int = 2) -> bytes:
    return struct.pack(">3BH", 0x1C, number, dataset, len(value)) + value


CAPTION = "The mill, before the flood — Mühle".encode()
RECORDS = record(90, b"\x1b%G", 1) + record(5, b"Mill") + record(120, CAPTION) + record(25, b"water")
PICTURE = Picture(photograph(3, 64, 48), "RGB", "png", True)


def encoded(form: str, records: bytes = RECORDS) -> bytes:
    return encode(replace(PICTURE, iptc=records), form, 95).data  # type: ignore[arg-type]


@pytest.mark.parametrize("form", ["jpeg", "tiff"])
def test_pillow_finds_the_records(form: str) -> None:
    with Image.open(io.BytesIO(encoded(form))) as image:
        found: dict[Any, Any] = IptcImagePlugin.getiptcinfo(image) or {}
    assert found[2, 120] == CAPTION and found[2, 5] == b"Mill" and found[2, 25] == b"water"


def test_png_says_them_as_imagemagick_does() -> None:
    with Image.open(io.BytesIO(encoded("png", record(5, b"Mill")))) as image:
        text = image.text["Raw profile type iptc"]  # type: ignore[attr-defined]
    assert text == "\niptc\n      22\n3842494d04040000000000091c020500044d696c6c00\n"


@pytest.mark.parametrize("source", ["jpeg", "png", "tiff"])
@pytest.mark.parametrize("target", ["jpeg", "png", "tiff"])
def test_the_records_go_from_format_to_format(source: str, target: str) -> None:
    picture = decode(encoded(source))
    assert picture.iptc == RECORDS and "iptc" not in picture.dropped
    again = encode(picture, target, 95)  # type: ignore[arg-type]
    assert decode(again.data).iptc == RECORDS and "iptc" not in again.dropped


def test_webp_has_no_place_for_them() -> None:
    assert "iptc" in encode(replace(PICTURE, iptc=RECORDS), "webp", 95).dropped
    assert "iptc" not in encode(PICTURE, "webp", 95).dropped


def test_records_longer_than_a_segment_of_a_jpeg() -> None:
    long = b"".join(record(120, bytes([65 + n]) * 30_000) for n in range(5))
    assert decode(encoded("jpeg", long)).iptc == long
    with Image.open(io.BytesIO(encoded("jpeg", long))) as image:
        assert image.size == (64, 48)


@pytest.mark.parametrize("turned", [False, True])
def test_a_tag_of_four_byte_numbers(turned: bool) -> None:
    stored = RECORDS + bytes(-len(RECORDS) % 4)
    if turned:
        stored = b"".join(stored[at : at + 4][::-1] for at in range(0, len(stored), 4))
    sink = io.BytesIO()
    numbers = struct.unpack(f"<{len(stored) // 4}L", stored)
    tifffile.imwrite(sink, PICTURE.pixels, extratags=[(33723, 4, len(numbers), numbers, False)])
    assert decode(sink.getvalue()).iptc == RECORDS


def test_other_resources_stand_before_them() -> None:
    other = b"8BIM" + struct.pack(">H", 0x03E8) + b"\x03odd" + struct.pack(">L", 3) + b"abc\0"
    assert photoshop.read(other + photoshop.of_iptc(RECORDS)).iptc == (RECORDS,)
    assert photoshop.read(other).iptc == ()


def app13(*values: bytes) -> bytes:
    resources = b"".join(photoshop.of_iptc(value) for value in values)
    return jpeg_with(0xED, b"Photoshop 3.0\0" + resources, pil(PICTURE.pixels, "JPEG"))


def test_broken_records_are_dropped_by_name() -> None:
    picture = decode(app13(b"broken"))
    assert (picture.iptc, picture.dropped) == (None, ("iptc",))
    picture = decode(app13(RECORDS + record(5, b"cut short")[:-1]))
    assert (picture.iptc, picture.dropped) == (RECORDS, ("part of iptc",))
    picture = decode(app13(RECORDS + bytes(3)))
    assert (picture.iptc, picture.dropped) == (RECORDS, ())


MORE = record(5, b"Another mill")


def jp2_with(*blocks: bytes) -> bytes:
    jp2 = pil(PICTURE.pixels, "JPEG2000", irreversible=False)
    at = jp2.index(b"jp2c") - 4
    uuid = b"uuid" + bytes.fromhex("33c7a4d2b81d4723a0baf1a3e097ad38")
    return jp2[:at] + b"".join(struct.pack(">L", 24 + len(each)) + uuid + each for each in blocks) + jp2[at:]


def tiff_with(*blocks: bytes) -> bytes:
    own, other = blocks
    resources = photoshop.of_iptc(other)
    tags = [(33723, 7, len(own), own, True), (34377, 1, len(resources), resources, True)]
    return tif(PICTURE.pixels, photometric="rgb", extratags=tags, metadata=None)


def png_of(*blocks: bytes) -> bytes:
    info = PngInfo()
    for block in blocks:
        info.add_text("Raw profile type iptc", f"\niptc\n {len(block)}\n{block.hex()}\n")
    return pil(PICTURE.pixels, "PNG", pnginfo=info)


@pytest.mark.parametrize("written", [app13, jp2_with, tiff_with, png_of])
def test_a_second_block_is_named_unless_it_says_the_same(written: Callable[..., bytes]) -> None:
    picture = decode(written(RECORDS, MORE))
    assert (picture.iptc, picture.dropped) == (RECORDS, ("further iptc",))
    picture = decode(written(RECORDS, RECORDS))
    assert (picture.iptc, picture.dropped) == (RECORDS, ())


@given(st.binary(max_size=200))
def test_whatever_bytes_come(data: bytes) -> None:
    for start in (b"", b"\x1c\x02\x05", b"8BIM\x04\x04", b"\niptc\n 9\n"):
        found = iptc.sound(start + data)
        assert found is None or iptc.sound(found) == found
        kept = photoshop.read(start + data).kept or b""
        assert (photoshop.read(kept).kept or b"") == kept
        photoshop.without_places(kept)
        text_profile.parsed(start + data)
