"""PNG chunks: profiles and text."""

import io
import struct
import time
import tracemalloc
import zlib

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from restore.imaging.codec import decode, encode
from tests.support.corpus import chunk, png_with, zeros
from tests.support.pictures import GRAY, RGB, exif, pil, srgb


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


PACKET = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"/>'
BLOCK = exif(6).removeprefix(b"Exif\0\0")


def profile(name: str, value: bytes, kind: str = "tEXt") -> bytes:
    """A chunk as ImageMagick writes it."""
    text = f"\n{name}\n{len(value):8}\n{value.hex()}\n".encode()
    keyword = f"Raw profile type {name}".encode() + b"\0"
    if kind == "iTXt":
        return chunk(b"iTXt", keyword + bytes(4) + text)
    return chunk(kind.encode(), keyword + (b"\0" + zlib.compress(text) if kind == "zTXt" else text))


@pytest.mark.parametrize("kind", ["tEXt", "zTXt", "iTXt"])
@pytest.mark.parametrize("name", ["exif", "APP1"])
@pytest.mark.parametrize("mark", [b"Exif\0\0", b""])
def test_exif_of_imagemagick_is_read_and_its_orientation(kind: str, name: str, mark: bytes) -> None:
    picture = decode(png_with(profile(name, mark + BLOCK, kind)))
    assert (picture.orientation, picture.width, picture.dropped) == (6, 80, ())
    for target in ("png", "jpeg", "tiff", "webp"):
        encoded = encode(picture, target, 90)
        with Image.open(io.BytesIO(encoded.data)) as image:
            assert image.getexif()[0x8298] == "The Archive" and image.getexif().get(274, 1) == 1
    assert (
        b"eXIf" in encode(picture, "png", 90).data and b"Raw profile" not in encode(picture, "png", 90).data
    )


@pytest.mark.parametrize("kind", ["tEXt", "zTXt", "iTXt"])
def test_xmp_and_a_profile_of_imagemagick_are_read(kind: str) -> None:
    segment = b"http://ns.adobe.com/xap/1.0/\0" + PACKET
    for chunks in ([profile("xmp", PACKET, kind)], [profile("APP1", segment, kind)]):
        encoded = encode(decode(png_with(*chunks, profile("icc", srgb(), kind))), "png", 90)
        assert encoded.dropped == ()
        with Image.open(io.BytesIO(encoded.data)) as image:
            assert image.info["xmp"] == PACKET and image.info["icc_profile"] == srgb()


def test_chunks_of_pngs_own_go_first_and_others_are_named_unless_they_say_the_same() -> None:
    own = [
        chunk(b"eXIf", exif(1).removeprefix(b"Exif\0\0")),
        chunk(b"iTXt", b"XML:com.adobe.xmp" + bytes(5) + PACKET),
    ]
    picture = decode(png_with(profile("exif", exif(6)), profile("xmp", PACKET + b" "), *own))
    assert (picture.orientation, picture.xmp) == (1, PACKET)
    assert picture.dropped == ("further exif", "further xmp")
    assert decode(png_with(profile("exif", exif(1)), profile("xmp", PACKET), *own)).dropped == ()


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\nexif\n",
        b"\nexif\n 8\nzz",
        b"\nexif\n 8\n4d4d",
        b"\nexif\n-1\n4d",
        b"\nexif\n" + b" " * 9**6,
        b"9" * 9**5,
    ],
    ids=["empty", "no length", "no digits", "too short", "negative", "blanks", "digits"],
)
def test_a_malformed_profile_is_named(text: bytes) -> None:
    picture = decode(png_with(chunk(b"tEXt", b"Raw profile type exif\0" + text)))
    assert (picture.exif, picture.dropped) == (None, ("exif",))


def test_bombs_in_profiles_are_inflated_to_64_mb_in_all() -> None:
    bomb = chunk(b"zTXt", b"Raw profile type exif\0\0" + zeros(200))
    half = chunk(b"iTXt", b"Raw profile type xmp\0\1\0\0\0" + zeros(50))
    png = png_with(half, *[bomb] * 500, half)
    tracemalloc.start()
    began = time.monotonic()
    picture = decode(png)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert picture.dropped == ("xmp", "exif") and picture.exif is picture.xmp is None
    assert peak < 300 << 20 and time.monotonic() - began < 10


def test_chunks_that_are_not_read_are_named() -> None:
    odd = [
        chunk(b"cHRM", bytes(32)),
        chunk(b"bKGD", bytes(6)),
        chunk(b"caBX", b"credentials"),
        chunk(b"tIME", bytes(7)),
    ]
    assert decode(png_with(*odd)).dropped == ("primaries", "bKGD chunk", "caBX chunk")
