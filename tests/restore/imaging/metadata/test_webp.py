"""WebP chunks: alpha."""

import struct

import numpy as np

from restore.imaging.codec import decode, encode
from tests.support.pictures import GRAY, RGB, by_pillow, pil, same


def test_webp_at_quality_100_is_exact_under_transparent_pixels() -> None:
    clear = np.dstack([RGB, np.zeros_like(GRAY)])
    encoded = encode(decode(pil(clear, "PNG")), "webp", 100)
    assert encoded.proof == "exact"
    assert same(by_pillow(encoded.data), clear)


def test_opaque_alpha_survives_webp() -> None:
    opaque = np.dstack([RGB, np.full_like(GRAY, 255)])
    assert same(decode(encode(decode(pil(opaque, "PNG")), "webp", 100).data).pixels, opaque)


def test_chunks_that_are_not_read_are_named() -> None:
    webp = pil(RGB, "WEBP", lossless=True, xmp=b"<x/>")
    more = (
        b"C2PA"
        + struct.pack("<L", 2)
        + b"ab"
        + b"XMP "
        + struct.pack("<L", 4)
        + b"<y/>"
        + b"\xff\0\0\1"
        + bytes(4)
    )
    picture = decode(b"RIFF" + struct.pack("<L", len(webp) - 8 + len(more)) + webp[8:] + more)
    assert (picture.xmp, picture.dropped) == (b"<x/>", ("further xmp", "C2PA chunk", "unknown chunk"))
