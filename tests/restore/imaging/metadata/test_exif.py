"""EXIF: what an upright, restored picture keeps of it."""

import io
import struct

import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from restore.errors import ItemError
from restore.imaging.codec import decode, encode
from restore.imaging.metadata import exif
from restore.imaging.resolution import Resolution
from tests.support.pictures import RGB, pil, tif


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


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("target", ["png", "jpeg", "tiff", "webp"])
def test_resolutions_change_places_with_the_sides(form: str, target: str) -> None:
    block = Image.Exif()
    block[0x0112], block[282], block[283], block[296] = 6, 300.0, 600.0, 2
    picture = decode(pil(RGB, form, exif=block.tobytes()))
    assert picture.resolution == Resolution(600, 300)
    with Image.open(io.BytesIO(encode(picture, target, 95).data)) as image:
        found, stated = image.getexif(), image.info.get("dpi", (600, 300))
    assert stated == pytest.approx((600, 300), abs=0.01) and (found[282], found[283]) == (600, 300)


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


Tag = tuple[int, int, int, int]  # number, type, count, value or offset
FAR = 60_000


def directory(order: str, *tags: Tag, following: int = 0) -> bytes:
    records = b"".join(struct.pack(f"{order}HHLL", *tag) for tag in tags)
    return struct.pack(f"{order}H", len(tags)) + records + struct.pack(f"{order}L", following)


def block_of(order: str, corner: Tag | None = None, inner: Tag | None = None, following: int = 0) -> bytes:
    """EXIF of a Copyright, a date in its EXIF directory and a latitude reference, with a bad corner."""
    head = struct.pack(f"{order}2sHL", b"II" if order == "<" else b"MM", 42, 8)
    north = int.from_bytes(b"N\0\0\0", "little" if order == "<" else "big")
    first = [(33432, 2, 12, 200), (34665, 4, 1, 120), (34853, 4, 1, 160)]
    if corner:
        first = sorted([tag for tag in first if tag[0] != corner[0]] + [corner])
    further = sorted([(36867, 2, 20, 220), *([inner] if inner else [])])
    file = bytearray(400)
    file[:8] = head
    for at, tags, link in ((8, first, following), (120, further, 0), (160, [(1, 2, 2, north)], 0)):
        written = directory(order, *tags, following=link)
        file[at : at + len(written)] = written
    file[200:212], file[220:240] = b"The Archive\0", b"1968:07:20 20:17:00\0"
    return bytes(file)


CORNERS = {
    "a wild offset": ({"corner": (271, 2, 40, FAR)}, "exif tag 271"),
    "a value without end": ({"corner": (271, 2, 2**32 - 1, 300)}, "exif tag 271"),
    "an unknown type": ({"corner": (271, 99, 1, 0)}, "exif tag 271"),
    "a maker note that was cut": ({"inner": (37500, 7, 5000, 240)}, "exif tag 37500"),
    "an interoperability directory nowhere": ({"inner": (40965, 4, 1, FAR)}, "interoperability directory"),
    "an interoperability directory that is its parent": (
        {"inner": (40965, 4, 1, 8)},
        "interoperability directory",
    ),
    "no sound place of the GPS": ({"corner": (34853, 4, 1, FAR)}, "gps directory"),
    "a GPS without end": ({"corner": (34853, 4, 1, 200)}, "gps directory"),
    "a GPS that is no number": ({"corner": (34853, 2, 4, 0)}, "gps directory"),
    "a thumbnail's directory nowhere": ({"following": FAR}, None),
}


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("name", CORNERS)
def test_a_bad_corner_loses_only_itself(name: str, order: str) -> None:
    changes, lost = CORNERS[name]
    block = block_of(order, **changes)  # type: ignore[arg-type]
    for form in ("JPEG", "PNG", "WEBP", "AVIF"):
        picture = decode(pil(RGB, form, exif=b"Exif\0\0" + block))
        assert picture.dropped == ((lost,) if lost else ())
        for target in ("png", "tiff", "jpeg", "webp"):
            encoded = encode(picture, target, 90)
            assert [each for each in encoded.dropped if "exif" in each] == [
                each for each in picture.dropped if "exif" in each
            ]
            with Image.open(io.BytesIO(encoded.data)) as image:
                found = image.getexif()
            assert found[33432] == "The Archive" and 271 not in found
            assert found.get_ifd(34665) == {36867: "1968:07:20 20:17:00"}
            assert found.get_ifd(34853) == ({} if lost == "gps directory" else {1: "N"})


def test_a_tiff_whose_tag_points_nowhere_keeps_the_others() -> None:
    tags = [
        (271, 2, 0, "Linhof", True),
        (33432, 2, 0, "The Archive", True),
        (37724, 7, 100, bytes(100), True),
    ]
    source = tif(RGB, photometric="rgb", extratags=tags, metadata=None)
    for tag, lost in ((271, "exif tag 271"), (37724, "photoshop layers")):
        at = source.index(struct.pack("<H", tag) + struct.pack("<H", 2 if tag == 271 else 7))
        picture = decode(source[: at + 8] + struct.pack("<L", 10**6) + source[at + 12 :])
        assert lost in picture.dropped and "exif" not in picture.dropped
        with Image.open(io.BytesIO(encode(picture, "source", 90).data)) as image:
            assert image.getexif()[33432] == "The Archive"
            assert image.getexif().get(271) == (None if tag == 271 else "Linhof")
    at = source.index(struct.pack("<HH", 273, 4))
    with pytest.raises(ItemError, match="tag 273"):
        decode(source[: at + 2] + struct.pack("<H", 99) + source[at + 4 :])


def test_thousands_of_bad_tags_have_few_names() -> None:
    bad = [(number, 2, 40, FAR) for number in range(1000, 2000)]
    head = struct.pack("<2sHL", b"II", 42, 8)
    block = head + directory("<", *bad, (33432, 2, 4, int.from_bytes(b"Us.\0", "little")))
    picture = decode(pil(RGB, "PNG", exif=block))
    assert len(picture.dropped) == 24 and picture.dropped[-1] == "others"
    with Image.open(io.BytesIO(encode(picture, "source", 90).data)) as image:
        assert dict(image.getexif()) == {33432: "Us."}


def test_directories_that_overlap_are_no_exif() -> None:
    block = bytearray(block_of("<"))
    struct.pack_into("<L", block, 8 + 2 + 12 + 8, 24)  # the EXIF directory begins within the first
    struct.pack_into("<H", block, 24, 1)
    picture = decode(pil(RGB, "PNG", exif=bytes(block)))
    assert (picture.exif, picture.dropped) == (None, ("exif",))


def test_text_of_exif_3_is_kept() -> None:
    block = block_of("<", corner=(271, 129, 4, int.from_bytes("ÖÄ".encode(), "little")))
    picture = decode(pil(RGB, "PNG", exif=block))
    assert picture.dropped == () and "ÖÄ".encode() in encode(picture, "source", 90).data
    with tifffile.TiffFile(io.BytesIO(encode(picture, "tiff", 90).data)) as file:
        assert file.pages.first.tags[33432].value == "The Archive"


def test_exif_too_long_for_a_jpeg_loses_its_longest_tags() -> None:
    tags = Image.Exif()
    tags[33432], tags[65000] = "The Archive", b"x" * 70_000
    tags.get_ifd(34665)[37500] = b"maker note" * 100
    encoded = encode(decode(pil(RGB, "PNG", exif=tags.tobytes())), "jpeg", 90)
    assert encoded.dropped == ("exif tag 65000",)
    with Image.open(io.BytesIO(encoded.data)) as image:
        assert image.getexif()[33432] == "The Archive"
        assert bytes(image.getexif().get_ifd(34665)[37500]) == b"maker note" * 100


@given(st.binary(max_size=200), st.integers(0, 250), st.binary(min_size=1, max_size=8))
def test_whatever_a_block_holds(tail: bytes, at: int, change: bytes) -> None:
    block = bytearray(block_of("<") + tail)
    block[at : at + len(change)] = change
    try:
        sound, lost = exif.sound(bytes(block))
    except ValueError:
        return
    assert exif.sound(sound) == (sound, ()) and len(sound) == len(block) and len(lost) < 30
    exif.resized(exif.upright(sound), 9, 9)
    exif.shortened(sound, 100)
