"""JPEG 2000: what its boxes say is kept; what its channels are is believed, or refused by name."""

from __future__ import annotations

import re
import struct

import imagecodecs
import numpy as np
import pytest

from restore.errors import ErrorCode, ItemError
from restore.imaging.codec import decode, encode, read_header
from tests.support.corpus import cmyk_profile, poked
from tests.support.pictures import RGB, UPRIGHT_XMP, XMP, exif, pil, same, srgb
from tests.support.second_decoder import second

XMP_ID = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
IPTC_ID = bytes.fromhex("33c7a4d2b81d4723a0baf1a3e097ad38")
RECORDS = b"\x1c\2\x69\0\7Station"
SRGB, GRAY, CMYK, SYCC = 16, 17, 12, 18


def box(kind: bytes, payload: bytes) -> bytes:
    return struct.pack(">L4s", len(payload) + 8, kind) + payload


def enumerated(number: int) -> bytes:
    return box(b"colr", struct.pack(">3BL", 1, 0, 0, number))


def jp2(samples: np.ndarray, *inner: bytes, outer: bytes = b"", behind: bytes = b"") -> bytes:
    """A JP2 with boxes of one's own in its header, before its codestream and behind it."""
    stream = imagecodecs.jpeg2k_encode(samples, level=0, reversible=True, codecformat="J2K")
    height, width = samples.shape[:2]
    channels = 1 if samples.ndim == 2 else samples.shape[2]
    head = box(b"ihdr", struct.pack(">2LH4B", height, width, channels, 8 * samples.itemsize - 1, 7, 0, 0))
    start = box(b"jP  ", b"\r\n\x87\n") + box(b"ftyp", b"jp2 \0\0\0\0jp2 ")
    return start + box(b"jp2h", head + b"".join(inner)) + outer + box(b"jp2c", bytes(stream)) + behind


def refusal(data: bytes) -> ItemError:
    with pytest.raises(ItemError) as caught:
        decode(data)
    return caught.value


def test_metadata_survives_into_a_tiff() -> None:
    resolution = struct.pack(">4H2b", 11811, 1, 11811, 1, 0, 0)  # a metre, 300 an inch
    data = jp2(
        RGB,
        box(b"colr", b"\2\0\0" + srgb()),
        box(b"res ", box(b"resc", resolution)),
        outer=box(b"uuid", XMP_ID + XMP),
        behind=box(b"uuid", b"JpgTiffExif->JP2" + exif()[6:]) + box(b"uuid", IPTC_ID + RECORDS),
    )
    picture = decode(data)
    assert same(picture.pixels, RGB) and picture.dropped == ()
    assert (picture.icc, picture.xmp, picture.iptc) == (srgb(), UPRIGHT_XMP, RECORDS)
    assert picture.resolution and picture.resolution.dpi == pytest.approx((300, 300), abs=0.01)
    assert picture.exif is not None and b"Linhof" in picture.exif
    again = decode(encode(picture, "source", 95).data)
    assert (again.format, again.icc, again.xmp, again.iptc) == ("tiff", srgb(), UPRIGHT_XMP, RECORDS)
    assert b"Linhof" in (again.exif or b"")


def test_boxes_that_nothing_reads_are_named() -> None:
    assert decode(jp2(RGB, enumerated(SRGB), behind=box(b"xml ", b"<mets/>"))).dropped == ("boxes",)


@pytest.mark.parametrize(
    ("kind", "alpha", "code"), [(0xFFFF, "unspecified", 0), (1, "straight", 2), (2, "premultiplied", 1)]
)
def test_a_channel_beside_the_colours_is_what_the_definition_says(kind: int, alpha: str, code: int) -> None:
    rgba = np.dstack([RGB, RGB[..., 0]])
    entries = [(0, 0, 1), (1, 0, 2), (2, 0, 3), (3, kind, 0)]
    definition = box(
        b"cdef", struct.pack(">H", 4) + b"".join(struct.pack(">3H", *entry) for entry in entries)
    )
    picture = decode(jp2(rgba, enumerated(SRGB), definition))
    assert (picture.mode, picture.alpha) == ("RGBA", alpha)
    assert second(encode(picture, "source", 95).data).extra == (code,)


def test_cmyk_stays_cmyk() -> None:
    inks = np.dstack([RGB, RGB[..., 0]])
    for colours in (enumerated(CMYK), box(b"colr", b"\2\0\0" + cmyk_profile())):
        picture = decode(jp2(inks, colours))
        assert picture.mode == "CMYK" and same(picture.pixels, inks)
        assert second(encode(picture, "source", 95).data).photometric == 5


def test_the_header_alone_says_what_decodes() -> None:
    data = jp2(RGB.astype(np.uint16) * 257, enumerated(SRGB))
    header, picture = read_header(data), decode(data)
    assert (header.width, header.height, header.mode, header.bit_depth) == (83, 61, "RGB", 16)
    assert header.bytes == picture.pixels.nbytes and header.decoder_bytes > header.bytes


def test_features_that_are_not_accepted_are_named() -> None:
    swapped = box(b"cdef", struct.pack(">10H", 3, 0, 0, 3, 1, 0, 2, 2, 0, 1))
    plain = jp2(RGB, enumerated(SRGB))
    steps = plain.index(b"\xff\x4f\xff\x51") + 8 + 34
    cases = {
        "sYCC": jp2(RGB, enumerated(SYCC)),
        "channels in another order": jp2(RGB, enumerated(SRGB), swapped),
        "a palette": jp2(RGB[..., 0].copy(), enumerated(SRGB), box(b"pclr", b"\0\2\3\7\7\7" + bytes(6))),
        "channels of different depths": poked(plain, steps, ">B", 8),
        "subsampled channels": poked(plain, steps + 4, ">2B", 2, 2),
        "RGB in 2 channels": jp2(RGB[..., :2].copy(), enumerated(SRGB)),
        "2 pages": jp2(RGB, enumerated(SRGB), behind=box(b"jp2c", b"")),
    }
    for name, data in cases.items():
        error = refusal(data)
        assert error.code == ErrorCode.UNSUPPORTED_FORMAT and name in error.message, (name, error.message)


def test_every_cut_is_damage() -> None:
    data = jp2(RGB, enumerated(SRGB))
    for end in (*range(30, len(data), len(data) // 40), len(data) - 2):
        assert refusal(data[:end]).code == ErrorCode.IMAGE_UNREADABLE


def test_a_tile_that_is_missing_is_damage() -> None:
    """The decoder leaves it black and says nothing."""
    whole = pil(RGB, "JPEG2000", tile_size=(32, 32), irreversible=False, no_jp2=True)
    starts = [match.start() for match in re.finditer(rb"\xff\x90\0\x0a", whole)]
    assert len(starts) == 6 and same(decode(whole).pixels, RGB)
    lacking = whole[: starts[2]] + whole[starts[3] :]
    with pytest.raises(ItemError, match="5 of its 6 tiles") as caught:
        decode(lacking)
    assert caught.value.code == ErrorCode.IMAGE_UNREADABLE
