"""JPEG segments: long values, and what has no place."""

import hashlib
import io
import re
import struct
from xml.etree import ElementTree as ET

import pytest
from PIL import Image

from restore.errors import ErrorCode, ItemError
from restore.imaging.codec import decode, encode
from restore.imaging.metadata import jpeg as jpeg_metadata
from restore.imaging.picture import Picture
from restore.imaging.resolution import Resolution
from tests.support.corpus import ARITHMETIC, jpeg_with
from tests.support.pictures import RGB, by_pillow, exif, pil, same, srgb


def test_what_a_jpeg_segment_cannot_hold_is_named() -> None:
    picture = decode(pil(RGB, "PNG"))
    long = Picture(
        picture.pixels, "RGB", "png", True, xmp=b"<x/>" * 20_000, icc=srgb(), resolution=Resolution(1e6, 1e6)
    )
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


EXTENSION = b"http://ns.adobe.com/xmp/extension/\0"
NOTE = "http://ns.adobe.com/xmp/note/"
LONG = "a crack, from edge to edge; " * 6_000


def packet_of(*properties: str, prefixes: str = "") -> bytes:
    rdf = 'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"'
    inner = f"<rdf:RDF {rdf} {prefixes}>{''.join(properties)}</rdf:RDF>"
    return f'<x:xmpmeta xmlns:x="adobe:ns:meta/">{inner}</x:xmpmeta>'.encode()


def extended(order: list[int], keep: int = 100, name: bytes | None = None) -> bytes:
    """A JPEG whose packet goes on in further segments, in an order, of which some are kept."""
    more = packet_of(
        f"<rdf:Description n:about='{LONG}'/>", "<rdf:Description/>", prefixes='xmlns:n="urn:notes"'
    )
    guid = hashlib.md5(more).hexdigest().upper()
    prefixes = f'xmlns:xmpNote="{NOTE}" xmlns:n="urn:other"'
    main = packet_of(f'<rdf:Description {prefixes} n:by="A. S." xmpNote:HasExtendedXMP="{guid}"/>')
    parts = [
        (name or guid.encode()) + struct.pack(">2L", len(more), at) + more[at : at + 60_000]
        for at in range(0, len(more), 60_000)
    ]
    jpeg = pil(RGB, "JPEG")
    for number in reversed([number for number in order if number < keep]):
        jpeg = jpeg_with(0xE1, EXTENSION + parts[number], jpeg)
    return jpeg_with(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + main, jpeg)


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 0, 1]])
@pytest.mark.parametrize("target", ["png", "tiff", "webp"])
def test_a_packet_of_several_segments_is_joined(order: list[int], target: str) -> None:
    picture = decode(extended(order))
    encoded = encode(picture, target, 100)
    assert encoded.dropped == ()
    with Image.open(io.BytesIO(encoded.data)) as image:
        xmp = image.tag_v2[700] if target == "tiff" else image.info["xmp"]  # type: ignore[attr-defined]
    stated = {
        name: value
        for each in ET.fromstring(xmp)[0]
        for name, value in each.attrib.items()
        if each.tag.endswith("}Description")
    }
    assert stated == {"{urn:other}by": "A. S.", "{urn:notes}about": LONG}


@pytest.mark.parametrize(
    "jpeg",
    [extended([0, 1, 2], keep=2), extended([2, 1]), extended([0, 0, 1]), extended([0, 1, 2], name=b"F" * 32)],
    ids=["no end", "no start", "twice and not all", "of another packet"],
)
def test_an_extension_that_is_not_whole_is_named(jpeg: bytes) -> None:
    picture = decode(jpeg)
    assert picture.dropped == ("extended xmp",)
    assert picture.xmp and b"A. S." in picture.xmp and b"crack" not in picture.xmp


def test_an_extension_that_would_grow_without_end_is_named() -> None:
    prefixes = " ".join(f'xmlns:p{n}="urn:{n}"' for n in range(1000))
    more = packet_of("<rdf:Description/>" * 2000, prefixes=prefixes)
    main = packet_of(f'<rdf:Description xmlns:n="{NOTE}" n:HasExtendedXMP="{"A" * 32}"/>')
    part = EXTENSION + b"A" * 32 + struct.pack(">2L", len(more), 0) + more
    jpeg = jpeg_with(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + main, jpeg_with(0xE1, part))
    assert decode(jpeg).dropped == ("extended xmp",)


def test_a_second_packet_is_named() -> None:
    mark = b"http://ns.adobe.com/xap/1.0/\0"
    jpeg = jpeg_with(0xE1, mark + packet_of(), jpeg_with(0xE1, mark + packet_of("<rdf:Description/>")))
    assert (decode(jpeg).xmp, decode(jpeg).dropped) == (packet_of(), ("further xmp",))


def test_segments_that_are_not_read_are_named() -> None:
    jpeg = pil(RGB, "JPEG")
    for marker, payload in ((0xEC, b"Ducky\0"), (0xEB, b"JP c2pa"), (0xE2, b"FPXR\0"), (0xE1, b"FLIR\0")):
        jpeg = jpeg_with(marker, payload, jpeg)
    assert decode(jpeg).dropped == ("APP1 segment", "APP2 segment", "APP11 segment")
    two = jpeg_with(0xE1, b"Exif\0\0" + exif(1).removeprefix(b"Exif\0\0"), pil(RGB, "JPEG", exif=exif(6)))
    assert (decode(two).orientation, decode(two).dropped) == (1, ("further exif",))
