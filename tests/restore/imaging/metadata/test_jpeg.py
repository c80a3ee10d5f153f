"""JPEG segments: long values, and what has no place."""

import io
import re
import struct

import pytest
from PIL import Image

from restore.errors import ErrorCode, ItemError
from restore.imaging.codec import decode, encode
from restore.imaging.metadata import jpeg as jpeg_metadata
from restore.imaging.picture import Picture
from tests.support.corpus import ARITHMETIC
from tests.support.pictures import RGB, by_pillow, pil, same, srgb


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


JPEGS = {
    "baseline": pil(RGB, "JPEG", quality=80),
    "4:4:4": pil(RGB, "JPEG", quality=80, subsampling=0),
    "gray": pil(RGB[..., 1].copy(), "JPEG"),
    "restarts": pil(RGB, "JPEG", restart_marker_blocks=3),
    "progressive": pil(RGB, "JPEG", progressive=True),
    "arithmetic": ARITHMETIC,
}


def scans(jpeg: bytes) -> list[int]:
    """Where each scan begins."""
    return [match.start() for match in re.finditer(rb"\xff\xda", jpeg)]


@pytest.mark.parametrize("name", JPEGS)
def test_a_jpeg_without_its_last_bytes_is_whole_or_unreadable(name: str) -> None:
    """Of all lengths: a picture that lacks pixels, or their finer scans, is never restored."""
    jpeg = JPEGS[name]
    true, read = by_pillow(jpeg), 0
    first = scans(jpeg)[0]
    for end in {*range(first, len(jpeg), 7), *range(len(jpeg) - 40, len(jpeg)), *scans(jpeg)}:
        try:
            picture = decode(jpeg[:end])
        except ItemError as error:
            assert error.code == ErrorCode.IMAGE_UNREADABLE
        else:
            read += 1
            assert same(picture.pixels, true), f"{end} of {len(jpeg)} bytes"
    assert read >= (name != "arithmetic"), "all but the end marker is there"


def test_a_progressive_jpeg_that_ends_between_its_scans_says_so() -> None:
    jpeg = JPEGS["progressive"]
    for start in scans(jpeg)[1:]:
        with pytest.raises(ItemError, match=r"pixels are missing|before its last scan"):
            decode(jpeg[:start])


def test_the_message_tells_missing_pixels_from_changed_ones_and_from_the_header() -> None:
    jpeg = JPEGS["restarts"]
    changed = bytearray(jpeg)
    at = changed.index(b"\xff\xd2")
    changed[at : at + 2] = b"\0\0"
    table = jpeg.index(b"\xff\xc4") + 5
    header = jpeg[:table] + b"\xff" * 12 + jpeg[table + 12 :]
    for data, words in ((jpeg[:-60], "missing"), (bytes(changed), "pixels are damaged"), (header, "header")):
        with pytest.raises(ItemError, match=words):
            decode(data)


@pytest.mark.parametrize("noise", [b"\0\0\0", b"\xff\0", b"\xff\xff\xff", b"\xff\xd0\xff\x01", b"text" * 99])
def test_noise_between_the_segments_of_a_header_is_passed_over(noise: bytes) -> None:
    jpeg = pil(RGB, "JPEG", icc_profile=srgb(), comment=b"Station")
    starts = [start for _, start, _ in jpeg_metadata._places(jpeg)]
    noisy = jpeg
    for start in reversed(starts[1:]):  # a JPEG is known by a segment that follows at once
        noisy = noisy[:start] + noise + noisy[start:]
    picture = decode(noisy)
    assert same(picture.pixels, by_pillow(jpeg)) and picture.icc == srgb()


def test_odd_numbers_of_a_header_are_no_damage() -> None:
    jpeg = pil(RGB, "JPEG")
    revision = jpeg.replace(b"JFIF\0\1\1", b"JFIF\0\2\7")
    scan = scans(jpeg)[0]
    spectrum = jpeg[: scan + 11] + b"\0\0\0" + jpeg[scan + 14 :]
    adobe = jpeg[:2] + b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0\x09" + jpeg[20:]
    for odd in (revision, spectrum, adobe):
        assert odd != jpeg and same(decode(odd).pixels, by_pillow(jpeg))


def test_processes_that_are_not_decoded_are_named() -> None:
    jpeg = pil(RGB, "JPEG")
    for marker, name in ((0xC3, "lossless JPEG"), (0xC5, "hierarchical JPEG"), (0xCD, "hierarchical JPEG")):
        with pytest.raises(ItemError, match=name) as caught:
            decode(jpeg.replace(b"\xff\xc0", bytes([0xFF, marker]), 1))
        assert caught.value.code == ErrorCode.UNSUPPORTED_FORMAT
    at = jpeg.index(b"\xff\xc0")
    late = jpeg[: at + 5] + b"\0\0" + jpeg[at + 7 : -2] + b"\xff\xdc\0\4\0\x3d\xff\xd9"
    with pytest.raises(ItemError, match="DNL"):
        decode(late)
