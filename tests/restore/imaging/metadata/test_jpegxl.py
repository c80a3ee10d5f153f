"""JPEG XL: what its head states, its boxes, and the colours that it is refused for."""

from __future__ import annotations

import struct

import imagecodecs
import numpy as np
import pytest

from restore.errors import ErrorCode, ItemError
from restore.imaging.codec import decode, encode, read_header
from tests.support.pictures import DEEP, LA, RGB, RGBA, UPRIGHT_XMP, XMP, exif, same

PLAIN = bytes(imagecodecs.jpegxl_encode(RGB, lossless=True))


def refusal(data: bytes) -> ItemError:
    with pytest.raises(ItemError) as caught:
        decode(data)
    return caught.value


def box(kind: bytes, payload: bytes) -> bytes:
    return struct.pack(">L4s", len(payload) + 8, kind) + payload


def boxed(stream: bytes, *more: bytes) -> bytes:
    start = box(b"JXL ", b"\r\n\x87\n") + box(b"ftyp", b"jxl \0\0\0\0jxl ")
    return start + b"".join(more) + box(b"jxlc", stream)


@pytest.mark.parametrize("pixels", [RGB, RGB[..., 1].copy(), RGBA, LA], ids=["RGB", "L", "RGBA", "LA"])
def test_the_head_says_what_decodes(pixels: np.ndarray) -> None:
    data = bytes(imagecodecs.jpegxl_encode(pixels, lossless=True))
    header, picture = read_header(data), decode(data)
    assert (header.width, header.height, header.mode) == (83, 61, picture.mode)
    assert same(picture.pixels, pixels) and picture.lossless and header.decoder_bytes > header.bytes


@pytest.mark.parametrize("shape", [(8, 8), (16, 24), (256, 256), (300, 400), (90, 160), (37, 2100)])
def test_every_way_of_writing_a_size_is_read(shape: tuple[int, int]) -> None:
    """Multiples of eight, ratios of sides, and numbers of each length."""
    data = bytes(imagecodecs.jpegxl_encode(np.zeros(shape, np.uint8), lossless=True))
    header = read_header(data)
    assert (header.height, header.width) == shape == decode(data).pixels.shape


def test_lossy_is_stored_as_a_png() -> None:
    encoded = encode(decode(bytes(imagecodecs.jpegxl_encode(RGB, level=90))), "source", 95)
    assert (encoded.extension, encoded.proof) == ("png", "exact")


def test_metadata_of_its_boxes_survives() -> None:
    data = boxed(PLAIN, box(b"Exif", bytes(4) + exif(6)[6:]), box(b"xml ", XMP))
    picture = decode(data)
    assert same(picture.pixels, RGB), "EXIF alone turns nothing"
    assert picture.xmp == UPRIGHT_XMP and picture.exif is not None and b"Linhof" in picture.exif
    again = decode(encode(picture, "source", 95).data)
    assert again.xmp == UPRIGHT_XMP and b"Linhof" in (again.exif or b"")


def brob(kind: bytes, payload: bytes) -> bytes:
    return box(b"brob", kind + imagecodecs.brotli_encode(payload))


def test_boxes_that_are_compressed_are_read() -> None:
    picture = decode(boxed(PLAIN, brob(b"Exif", bytes(4) + exif(6)[6:]), brob(b"xml ", XMP)))
    assert picture.dropped == () and picture.xmp == UPRIGHT_XMP and b"Linhof" in (picture.exif or b"")


def test_boxes_that_are_not_read_are_named() -> None:
    bomb = brob(b"xml ", bytes(100 << 20))
    for more in (box(b"brob", b"Exif" + bytes(9)), bomb, brob(b"jumb", b"a"), box(b"jumb", b"a")):
        picture = decode(boxed(PLAIN, more))
        assert (picture.dropped, picture.xmp, picture.exif) == (("boxes",), None, None)
    assert decode(boxed(PLAIN, box(b"xml ", XMP), brob(b"xml ", b"<x/>"))).dropped == ("boxes",)


def test_a_codestream_in_several_boxes_is_one() -> None:
    parts = [PLAIN[:100], PLAIN[100:]]
    split = boxed(b"")[:-8] + b"".join(
        box(b"jxlp", struct.pack(">L", n) + part) for n, part in enumerate(parts)
    )
    assert same(decode(split).pixels, RGB)


def oriented(stream: bytes, orientation: int) -> bytes:
    """The stream with another orientation in its head: after the size, not all default, extra fields."""
    bits = "".join(f"{byte:08b}"[::-1] for byte in stream[2:40])
    head = bits.index("0", 0)  # the size of 83 x 61: not small, 9 bits, ratio 0, 9 bits
    at = head + 1 + 2 + 9 + 3 + 2 + 9
    assert bits[at] == "0" and bits[at + 1] == "0"
    changed = bits[: at + 1] + "1" + f"{orientation - 1:03b}"[::-1] + "000" + bits[at + 2 :]
    changed = changed[: len(changed) // 8 * 8]
    return stream[:2] + bytes(int(changed[i : i + 8][::-1], 2) for i in range(0, len(changed), 8))


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_the_way_up_of_the_head_is_heeded(orientation: int) -> None:
    header = read_header(oriented(PLAIN, orientation))
    assert header.orientation == orientation
    assert (header.width, header.height) == ((61, 83) if orientation > 4 else (83, 61))


def test_colours_and_depths_that_are_not_accepted_are_named() -> None:
    floats = (RGB / 255).astype(np.float32)
    several = np.stack([RGB, RGB[::-1]])
    cases = {
        "colours other than sRGB": imagecodecs.jpegxl_encode(DEEP, lossless=True),
        "32-bit floating point": imagecodecs.jpegxl_encode(floats, lossless=True),
        "2 pages": imagecodecs.jpegxl_encode(several, lossless=True, photometric="rgb"),
    }
    for name, data in cases.items():
        error = refusal(bytes(data))
        assert error.code == ErrorCode.UNSUPPORTED_FORMAT and name in error.message, (name, error.message)


def test_a_bomb_is_refused_by_its_head() -> None:
    bits = "0" + "11" + f"{59_999:030b}"[::-1] + "100" + "1"  # a square, all default
    bits = bits.ljust(80, "0")
    head = b"\xff\x0a" + bytes(int(bits[i : i + 8][::-1], 2) for i in range(0, 80, 8))
    assert refusal(head + bytes(200)).code == ErrorCode.IMAGE_TOO_LARGE


def test_every_cut_is_damage() -> None:
    for data in (PLAIN, boxed(PLAIN)):
        for end in (*range(40, len(data), len(data) // 40), len(data) - 1):
            assert refusal(data[:end]).code == ErrorCode.IMAGE_UNREADABLE
