"""Photoshop's resources: kept as they are where a format has a place for them, as other readers find them."""

from __future__ import annotations

import io
import struct
from typing import Any

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from restore.imaging.codec import decode, encode
from restore.imaging.metadata import photoshop
from restore.imaging.resolution import Resolution
from restore.imaging.thumbnails import thumbnail
from restore.repair.outpaint import extended
from tests.support.corpus import jpeg_with
from tests.support.pictures import RGB, exif, pil, same, srgb, tif

URL, FLAG, PATH, CLIPS = 0x040B, 0x040A, 0x07D0, 0x0BB7


def resource(kind: int, value: bytes, name: bytes = b"", signature: bytes = b"8BIM") -> bytes:
    pascal = bytes([len(name)]) + name
    pascal += bytes(len(pascal) % 2)
    return (
        signature
        + struct.pack(">H", kind)
        + pascal
        + struct.pack(">L", len(value))
        + value
        + bytes(len(value) % 2)
    )


KEPT = {URL: b"https://archive.test/1911", FLAG: b"\1", PATH: b"\0\6" + bytes(24), CLIPS: b"\5Mill1"}
PLAIN = b"".join(resource(kind, value, b"Mill1" if kind == PATH else b"") for kind, value in KEPT.items())
RECORDS = b"\x1c\x02\x05\0\4Mill"
ALL = (
    PLAIN
    + resource(0x0404, RECORDS)
    + resource(0x040C, b"a thumbnail")
    + resource(1, b"x", signature=b"MeSa")
)


def source(form: str, resources: bytes = ALL, **options: Any) -> bytes:
    if form == "JPEG":
        return jpeg_with(0xED, b"Photoshop 3.0\0" + resources, pil(RGB, "JPEG", **options))
    if form == "PNG":
        info = PngInfo()
        info.add_text("Raw profile type 8bim", f"\n8bim\n{len(resources):8}\n{resources.hex()}\n", zip=True)
        return pil(RGB, "PNG", pnginfo=info, **options)
    if form == "JPEG2000":
        jp2 = pil(RGB, "JPEG2000", irreversible=False)
        at = jp2.index(b"jp2c") - 4
        uuid = b"uuid" + bytes.fromhex("2c4c0100850440b9a03e562148d6dfeb")
        return jp2[:at] + struct.pack(">L", 24 + len(resources)) + uuid + resources + jp2[at:]
    return tif(RGB, photometric="rgb", extratags=[(34377, 1, len(resources), resources, True)], metadata=None)


def found_by_pillow(data: bytes) -> bytes | dict[int, bytes]:
    with Image.open(io.BytesIO(data)) as image:
        if image.format == "JPEG":
            return image.info["photoshop"]  # type: ignore[no-any-return]
        if image.format == "TIFF":
            return image.tag_v2[34377]  # type: ignore[attr-defined, no-any-return]
        text = image.text["Raw profile type 8bim"]  # type: ignore[attr-defined]
        return bytes.fromhex("".join(text.split()[2:]))


@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "JPEG2000"])
@pytest.mark.parametrize("target", ["png", "tiff", "jpeg"])
def test_they_go_from_format_to_format(form: str, target: str) -> None:
    picture = decode(source(form))
    encoded = encode(picture, target, 90)
    assert picture.iptc == RECORDS and encoded.dropped == ()
    found = found_by_pillow(encoded.data)
    if target == "jpeg":
        assert {kind: found[kind] for kind in KEPT} == KEPT  # type: ignore[index]
        assert found.keys() - KEPT.keys() == {0x0404, 1} or found.keys() - KEPT.keys() == {0x0404}  # type: ignore[union-attr]
    else:
        assert found == PLAIN + resource(1, b"x", signature=b"MeSa")
    assert decode(encoded.data).photoshop == picture.photoshop
    assert encode(picture, "webp", 90).dropped == ("iptc", "photoshop")


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_places_in_a_picture_that_was_turned_are_named(form: str) -> None:
    picture = decode(source(form, exif=exif(6)))
    assert picture.dropped == ("clipping paths",)
    assert picture.photoshop == photoshop.read(
        resource(URL, KEPT[URL]) + resource(FLAG, b"\1")
    ).kept + resource(1, b"x", signature=b"MeSa")


def test_places_in_a_picture_that_grows_are_named() -> None:
    picture = decode(source("TIFF", PLAIN + resource(0x0408, b"guides") + resource(0x041A, b"slices")))
    assert picture.dropped == ()
    larger = extended(picture, (9, 0, 0, 9), 100)
    assert set(larger.dropped) == {"clipping paths", "guides", "slices"}
    assert larger.photoshop == resource(URL, KEPT[URL]) + resource(FLAG, b"\1")


def test_the_resolution_counts_where_nothing_else_states_one() -> None:
    stated = resource(0x03ED, struct.pack(">LHHLHH", 300 << 16, 1, 1, 600 << 16, 1, 1))
    picture = decode(source("JPEG", stated))
    assert picture.resolution == Resolution(300, 600) and picture.photoshop == stated
    assert decode(source("JPEG", stated, dpi=(72, 72))).resolution == Resolution(72, 72)
    turned = decode(source("JPEG", stated, exif=exif(6)))
    assert (turned.resolution, turned.photoshop, turned.dropped) == (Resolution(600, 300), None, ())


def test_what_cannot_be_followed_or_is_a_copy_is_named() -> None:
    cut = PLAIN + resource(URL, b"cut short")[:-3]
    picture = decode(source("TIFF", cut))
    assert (picture.photoshop, picture.dropped) == (PLAIN, ("part of photoshop",))
    copies = resource(0x040F, srgb()) + resource(0x0422, exif()) + resource(0x0424, b"<x/>")
    assert decode(source("TIFF", copies)).dropped == ("photoshop icc", "photoshop exif", "photoshop xmp")
    many = decode(source("TIFF", resource(5, b"") * 10_001))
    assert many.dropped == ("part of photoshop",) and many.photoshop == resource(5, b"") * 10_000


def test_long_resources_go_on_in_further_segments_of_a_jpeg() -> None:
    long = resource(URL, b"u" * 150_000) + resource(FLAG, b"\1")
    encoded = encode(decode(source("TIFF", long)), "jpeg", 90)
    assert encoded.dropped == () and decode(encoded.data).photoshop == long
    assert same(decode(encoded.data).pixels, decode(encode(decode(pil(RGB, "PNG")), "jpeg", 90).data).pixels)


def test_layers_of_a_tiff_are_named() -> None:
    tagged = tif(RGB, photometric="rgb", extratags=[(37724, 7, 9, b"a layer  ", True)], metadata=None)
    assert decode(tagged).dropped == ("photoshop layers",)


def test_a_thumbnail_holds_neither_them_nor_iptc() -> None:
    picture = decode(source("JPEG"))
    assert picture.iptc and b"Photoshop" not in thumbnail(picture)
