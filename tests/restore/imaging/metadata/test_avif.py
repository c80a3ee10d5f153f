"""AVIF: the way up that the file states, metadata, grids; other HEIFs and colours are refused by name."""

from __future__ import annotations

import io
import struct
import time

import imagecodecs
import numpy as np
import pytest
from PIL import Image, ImageOps

from restore.errors import ErrorCode, ItemError
from restore.imaging.codec import decode, encode, read_header
from tests.support.corpus import poked
from tests.support.pictures import RGB, RGBA, UPRIGHT_XMP, XMP, exif, pil, same, srgb

PLAIN = bytes(imagecodecs.avif_encode(RGB, level=100))


def refusal(data: bytes) -> ItemError:
    with pytest.raises(ItemError) as caught:
        decode(data)
    return caught.value


def box(kind: bytes, payload: bytes, version: int | None = None, flags: int = 0) -> bytes:
    full = b"" if version is None else struct.pack(">L", version << 24 | flags)
    return struct.pack(">L4s", len(payload) + len(full) + 8, kind) + full + payload


def test_metadata_survives_into_a_png() -> None:
    data = pil(RGB, "AVIF", exif=exif(1), icc_profile=srgb(), xmp=XMP, quality=95)
    picture = decode(data)
    assert (picture.icc, picture.xmp) == (srgb(), UPRIGHT_XMP)
    assert picture.exif is not None and b"Linhof" in picture.exif
    encoded = encode(picture, "source", 95)
    again = decode(encoded.data)
    assert (encoded.extension, encoded.proof, again.icc, again.xmp) == ("png", "exact", srgb(), UPRIGHT_XMP)
    assert same(again.pixels, picture.pixels)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_way_up_is_the_files_own(orientation: int) -> None:
    """Pillow writes rotation and mirroring for EXIF's number, and reads them back."""
    data = pil(RGB, "AVIF", exif=exif(orientation), quality=95)
    picture, header = decode(data), read_header(data)
    upright = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    assert same(picture.pixels, upright) and picture.orientation == orientation
    assert (header.width, header.height) == (picture.width, picture.height)


def test_exif_alone_turns_nothing() -> None:
    """Pillow leaves Orientation out of the block, so it takes the place of the block's first tag."""
    data = pil(RGB, "AVIF", exif=exif(1), quality=95)
    turned = poked(data, data.index(b"MM\0*") + 10, ">2HL2H", 0x0112, 3, 1, 6, 0)
    assert same(decode(turned).pixels, decode(data).pixels) and decode(turned).orientation == 1


def test_alpha_is_read() -> None:
    picture = decode(bytes(imagecodecs.avif_encode(RGBA, level=100)))
    assert picture.mode == "RGBA" and same(picture.pixels, RGBA)


def grid(cell: bytes, rows: int, columns: int, shape: tuple[int, int]) -> bytes:
    """A picture of cells that are all alike: item 1 is the grid, whose samples lie in the description."""
    start = cell.index(b"mdat") + 4
    samples = cell[start:]
    at = cell.index(b"av1C")
    config = cell[at - 4 : at - 4 + int.from_bytes(cell[at - 4 : at], "big")]
    count = rows * columns
    height, width = shape
    side = struct.pack(">2L", width // columns, height // rows)
    items = [box(b"infe", struct.pack(">2H4sB", 1, 0, b"grid", 0), 2)]
    items += [box(b"infe", struct.pack(">2H4sB", number, 0, b"av01", 0), 2) for number in range(2, count + 2)]
    shown = box(b"ispe", struct.pack(">2L", width, height), 0)
    part = box(b"ispe", side, 0)
    depth = box(b"pixi", b"\3\x08\x08\x08", 0)
    codes = box(b"colr", b"nclx" + struct.pack(">3HB", 1, 13, 0, 0x80))
    bound = struct.pack(">H4B", 1, 3, 1, 3, 4) + b"".join(
        struct.pack(">H5B", number, 4, 2, 3, 4, 0x85) for number in range(2, count + 2)
    )
    properties = box(
        b"iprp",
        box(b"ipco", shown + part + depth + codes + config)
        + box(b"ipma", struct.pack(">L", count + 1) + bound, 0),
    )
    layout = struct.pack(">4B2H", 0, 0, rows - 1, columns - 1, width, height)
    refers = box(b"iref", box(b"dimg", struct.pack(f">2H{count}H", 1, count, *range(2, count + 2))), 0)

    def described(offset: int) -> bytes:
        places = struct.pack(">4H2L", 1, 1, 0, 1, 0, len(layout))
        for number in range(2, count + 2):
            places += struct.pack(">4H2L", number, 0, 0, 1, offset, len(samples))
        parts = [
            box(b"hdlr", bytes(4) + b"pict" + bytes(13), 0),
            box(b"pitm", struct.pack(">H", 1), 0),
            box(b"iloc", struct.pack(">2BH", 0x44, 0, count + 1) + places, 1),
            box(b"iinf", struct.pack(">H", count + 1) + b"".join(items), 0),
            refers,
            properties,
            box(b"idat", layout),
        ]
        return box(b"ftyp", b"avif\0\0\0\0avifmif1miaf") + box(b"meta", b"".join(parts), 0)

    head = described(0)
    return described(len(head) + 8) + box(b"mdat", samples)


def test_a_grid_of_cells_is_one_picture() -> None:
    cell = np.ascontiguousarray(np.tile(RGB, (2, 2, 1))[:64, :64])
    data = grid(bytes(imagecodecs.avif_encode(cell, level=100)), 2, 2, (128, 128))
    assert same(decode(data).pixels, np.tile(cell, (2, 2, 1)))


def test_features_that_are_not_accepted_are_named() -> None:
    wide = bytes(imagecodecs.avif_encode(RGB, level=100, primaries=9, transfer=16))
    several = pil(
        Image.fromarray(RGB), "AVIF", save_all=True, append_images=[Image.fromarray(RGB[::-1].copy())]
    )
    cases = {
        "HEVC (HEIC)": PLAIN.replace(b"av01", b"hvc1", 1),
        "'jpeg'": PLAIN.replace(b"av01", b"jpeg", 1),
        "clap": PLAIN.replace(b"colr", b"clap", 1),
        "wide or HDR": wide,
        "2 pages": several,
        "a HEIC": b"\0\0\0\x18ftypheic" + bytes(40),
    }
    for name, data in cases.items():
        error = refusal(data)
        assert error.code == ErrorCode.UNSUPPORTED_FORMAT and name in error.message, (name, error.message)


def test_a_frame_larger_than_the_picture_is_never_decoded() -> None:
    large = bytes(imagecodecs.avif_encode(np.zeros((900, 1200, 3), np.uint8)))
    data = poked(large, large.index(b"ispe") + 8, ">2L", 40, 30)
    assert "a frame of 1200 x 900 px" in refusal(data).message
    claimed = poked(PLAIN, PLAIN.index(b"ispe") + 8, ">2L", 60_000, 60_000)
    assert refusal(claimed).code == ErrorCode.IMAGE_TOO_LARGE


def test_a_description_that_lists_too_much_costs_little() -> None:
    """Parts of no bytes take no room in a file, and parts of the whole file take none either."""
    at = PLAIN.index(b"iloc")
    empty = box(b"iloc", struct.pack(">2BH", 0, 0, 65_535) + struct.pack(">3H", 1, 0, 65_535) * 65_535, 0)
    began = time.perf_counter()
    size = int.from_bytes(PLAIN[at - 4 : at], "big")
    listed = PLAIN[: at - 4] + empty + PLAIN[at - 4 + size :]
    meta = listed.index(b"meta")
    grown = int.from_bytes(PLAIN[meta - 4 : meta], "big") + len(empty) - size
    assert refusal(poked(listed, meta - 4, ">L", grown)).code == ErrorCode.IMAGE_UNREADABLE
    assert time.perf_counter() - began < 1


def test_every_cut_is_damage() -> None:
    for end in (*range(30, len(PLAIN), len(PLAIN) // 40), len(PLAIN) - 1):
        assert refusal(PLAIN[:end]).code == ErrorCode.IMAGE_UNREADABLE


def test_a_reference_to_no_item_is_passed_over() -> None:
    stray = box(b"iref", box(b"cdsc", struct.pack(">3H", 77, 1, 1)), 0)
    meta, free = PLAIN.index(b"meta"), PLAIN.index(b"iprp") - 4
    data = PLAIN[:free] + stray + PLAIN[free:]
    data = poked(data, meta - 4, ">L", int.from_bytes(PLAIN[meta - 4 : meta], "big") + len(stray))
    place = data.index(b"iloc") + 4 + 4 + 4 + 2 + 2 + 2
    data = poked(data, place, ">L", int.from_bytes(data[place : place + 4], "big") + len(stray))
    assert same(decode(data).pixels, RGB)
