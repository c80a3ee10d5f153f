"""Pages: the photo is restored and never its preview; what lies beside it is named; raw files are refused."""

from __future__ import annotations

import struct
import time

import pytest

from restore.errors import ErrorCode, ItemError
from restore.imaging.codec import decode, read_header
from tests.support.pictures import same
from tests.support.tiffs import Leaf, Mix, book, tiff, truth

PREVIEW, PAGE, MASK = (254, 4, (1,)), (254, 4, (2,)), (254, 4, (4,))
PHOTO, DEEP = truth(Mix()), truth(Mix(bits=16))
SMALL = PHOTO[::4, ::4]


def refusal(data: bytes) -> ItemError:
    with pytest.raises(ItemError) as caught:
        decode(data)
    return caught.value


def test_a_preview_in_front_of_the_photo_is_not_restored() -> None:
    """As cameras and some scanners write it: the first page is small, the photo lies in its SubIFD."""
    for tag in (PREVIEW, (255, 3, (2,))):
        picture = decode(book(Leaf(Mix(), SMALL, (tag,), subs=(Leaf(Mix(bits=16)),))))
        assert same(picture.pixels, DEEP) and picture.dropped == ("preview page",)
    header = read_header(book(Leaf(Mix(), SMALL, (PREVIEW,), subs=(Leaf(Mix(bits=16)),))))
    assert (header.width, header.height, header.bit_depth) == (53, 37, 16)


def test_a_preview_before_the_photos_page_is_not_restored() -> None:
    picture = decode(book(Leaf(Mix(), SMALL, (PREVIEW,)), Leaf(Mix(bits=16))))
    assert same(picture.pixels, DEEP) and picture.dropped == ("preview page",)


def test_the_tags_of_a_preview_describe_the_photo_behind_it() -> None:
    make = (271, 2, tuple(b"Linhof\0"))
    turned = (274, 3, (6,))
    picture = decode(book(Leaf(Mix(), SMALL, (PREVIEW, make, turned), subs=(Leaf(Mix()),))))
    assert picture.exif is not None and b"Linhof" in picture.exif
    assert (picture.orientation, picture.width) == (6, PHOTO.shape[0])


def test_pages_beside_the_photo_are_named() -> None:
    infrared = Leaf(Mix("gray", bits=16), None, (MASK,))
    cases = {
        ("preview page",): [Leaf(Mix()), Leaf(Mix(), SMALL, (PREVIEW,))],
        ("preview page", "infrared page"): [Leaf(Mix()), Leaf(Mix(), SMALL, (PREVIEW,)), infrared],
        ("mask page",): [Leaf(Mix()), Leaf(Mix("mask", bits=1), None, (MASK,))],
        ("infrared page",): [Leaf(Mix(bits=8)), infrared],
        ("further picture",): [Leaf(Mix(), subs=(Leaf(Mix("gray"), SMALL[..., :1]),))],
    }
    for names, pages in cases.items():
        picture = decode(book(*pages))
        assert same(picture.pixels, PHOTO) and picture.dropped == names
    pyramid = [Leaf(Mix(), PHOTO[::step, ::step], (PREVIEW,)) for step in (2, 4, 8)]
    picture = decode(book(Leaf(Mix(), subs=tuple(pyramid))))
    assert same(picture.pixels, PHOTO) and picture.dropped == ("preview page",)


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
def test_every_layout_of_directories_is_followed(order: str, big: bool) -> None:
    first, second = Mix(order=order, big=big), Mix(bits=16, order=order, big=big)
    picture = decode(
        book(Leaf(first, SMALL, (PREVIEW,), subs=(Leaf(second),)), Leaf(first, SMALL, (PREVIEW,)))
    )
    assert same(picture.pixels, DEEP) and picture.dropped == ("preview page",)


def test_several_photos_are_no_one_photo() -> None:
    for pages in ([Leaf(Mix()), Leaf(Mix())], [Leaf(Mix(), None, (PAGE,)), Leaf(Mix(), SMALL, (PAGE,))]):
        error = refusal(book(*pages))
        assert error.code == ErrorCode.UNSUPPORTED_FORMAT and "2 pages" in error.message
    hidden = book(Leaf(Mix(), SMALL, subs=(Leaf(Mix()),)))
    assert "a larger picture behind its first page" in refusal(hidden).message


def test_a_lone_preview_is_the_photo() -> None:
    assert same(decode(tiff(Mix(), None, PREVIEW)).pixels, PHOTO)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (tiff(Mix(), None, (50706, 1, (1, 4, 0, 0))), "DNG"),
        (book(Leaf(Mix(), SMALL, (PREVIEW,), subs=(Leaf(Mix("CFA", bits=16)),))), "camera raw"),
        (book(Leaf(Mix()), Leaf(Mix("CFA", bits=16))), "camera raw"),
        (book(Leaf(Mix(), SMALL, (PREVIEW,), subs=(Leaf(Mix("LinearRaw", bits=16)),))), "camera raw"),
        (tiff(Mix())[:8] + b"CR\2\0" + tiff(Mix())[12:], "camera raw"),
    ],
    ids=["DNG", "mosaic in a SubIFD", "mosaic in a page", "linear raw", "CR2"],
)  # fmt: skip
def test_raw_files_are_refused_by_name(data: bytes, name: str) -> None:
    error = refusal(data)
    assert (
        error.code == ErrorCode.UNSUPPORTED_FORMAT and name in error.message and "develop it" in error.message
    )


def test_a_thousand_directories_that_share_a_long_value_cost_little() -> None:
    """Each would be 4 MB of values, and all are read before the first is chosen."""
    shared, count = bytes(4_000_000), 900
    body = bytearray(struct.pack("<2sHL", b"II", 42, 8 + len(shared)) + shared)
    for number in range(count):
        at = len(body)
        entries = b"".join(struct.pack("<HHLL", tag, 1, len(shared), 8) for tag in (256, 700, 34675))
        following = at + 2 + len(entries) + 4 if number < count - 1 else 0
        body += struct.pack("<H", 3) + entries + struct.pack("<L", following)
    began = time.perf_counter()
    assert refusal(bytes(body)).code in (ErrorCode.IMAGE_UNREADABLE, ErrorCode.UNSUPPORTED_FORMAT)
    assert time.perf_counter() - began < 2


def test_directories_that_lie_on_one_another_are_damage() -> None:
    """65,535 tags each, beginning 12 bytes apart: looking at a thousand would take minutes."""
    body = bytearray(struct.pack("<2sHL", b"II", 42, 8) + bytes(65_535 * 12 + 40_000))
    for at in range(8, 30_000, 14):
        struct.pack_into("<H", body, at, 60_000)
        struct.pack_into("<L", body, at + 2 + 60_000 * 12, at + 14)
    began = time.perf_counter()
    error = refusal(bytes(body))
    assert error.code == ErrorCode.IMAGE_UNREADABLE and "on top of one another" in error.message
    assert time.perf_counter() - began < 2


def test_sub_directories_out_of_the_file_are_damage() -> None:
    assert refusal(tiff(Mix(), None, (330, 4, (2**31,)))).code == ErrorCode.IMAGE_UNREADABLE
