"""codec: every kind of source through every output format, and everything that must be refused."""

import random
import time

import cv2
import numpy as np
import pytest
from PIL import Image

from restore.errors import ErrorCode, ItemError
from restore.imaging.codec import decode, encode
from restore.imaging.picture import Picture
from tests.support.corpus import jpeg_frame, png_claiming
from tests.support.pictures import CMYK, DEEP, GRAY, RGB, SOURCES, by_pillow, expected, pil, same, srgb, tif

FORMATS = ("source", "png", "tiff", "jpeg", "webp")


@pytest.mark.parametrize("name", SOURCES)
def test_decoded_pixels_are_the_files(name: str) -> None:
    encoded, _, mode, note = SOURCES[name]
    picture = decode(encoded)
    assert same(picture.pixels, expected(name))
    assert picture.mode == mode
    assert picture.dropped == (() if note is None else (note,))
    assert picture.pixels.flags.c_contiguous
    assert not picture.pixels.flags.writeable
    assert picture.lossless is not any(word in name for word in ("jpeg", "JPEG", "lossy"))


@pytest.mark.parametrize("output_format", FORMATS)
@pytest.mark.parametrize("name", SOURCES)
def test_exact_means_exact(name: str, output_format: str) -> None:
    picture = decode(SOURCES[name][0])
    encoded = encode(picture, output_format, 90)
    again = decode(encoded.data)
    assert (again.width, again.height) == (picture.width, picture.height)
    if encoded.proof == "exact":
        assert same(again.pixels, picture.pixels)
        assert (again.mode, again.bit_depth, again.lossless) == (picture.mode, picture.bit_depth, True)
    else:
        assert output_format in ("jpeg", "webp") or "cmyk" in encoded.dropped
    if output_format in ("source", "tiff"):
        assert encoded.proof == "exact"


@pytest.mark.parametrize("output_format", ["png", "tiff"])
def test_16_bits_as_another_decoder_reads_them(output_format: str) -> None:
    encoded = encode(decode(SOURCES["png 16-bit RGB"][0]), output_format, 95).data
    read = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_UNCHANGED)
    assert same(read[..., ::-1], DEEP)


def test_source_formats_that_stay_and_that_do_not() -> None:
    kept = {name: encode(decode(encoded), "source", 95).extension for name, (encoded, *_) in SOURCES.items()}
    for name, extension in kept.items():
        if name == "jpeg cmyk" or "tiff" in name.lower():
            assert extension == "tif", name
        elif name.startswith("webp lossless"):
            assert extension == "webp", name
        else:
            assert extension == "png", name


def test_names_of_what_a_format_cannot_hold() -> None:
    deep = decode(SOURCES["png 16-bit RGBA"][0])
    assert encode(deep, "jpeg", 90).dropped == ("16-bit", "alpha")
    assert encode(deep, "webp", 100).dropped == ("16-bit",)
    assert encode(decode(SOURCES["tiff CMYK"][0]), "png", 90).dropped == ("cmyk",)
    assert encode(decode(SOURCES["png LA"][0]), "webp", 100).dropped == ("gray",)
    assert encode(decode(SOURCES["png palette"][0]), "source", 90).dropped == ("palette",)


def test_alpha_is_laid_on_white_for_jpeg() -> None:
    clear = np.dstack([RGB, np.zeros_like(GRAY)])
    assert by_pillow(encode(decode(pil(clear, "PNG")), "jpeg", 95).data).min() == 255


def test_cmyk_turns_into_the_colours_it_prints() -> None:
    white = np.zeros((8, 8, 4), np.uint8)
    black = np.full((8, 8, 4), 255, np.uint8)
    for ink, low, high in ((white, 250, 255), (black, 0, 40)):
        shown = by_pillow(encode(decode(tif(ink, photometric="separated")), "png", 90).data)
        assert shown.shape == (8, 8, 3)
        assert low <= shown.min() <= shown.max() <= high


def test_a_profile_that_is_not_of_the_pictures_inks_is_left_aside() -> None:
    plain = decode(tif(CMYK, photometric="separated"))
    odd = Picture(plain.pixels, "CMYK", "tiff", True, icc=srgb())
    assert same(by_pillow(encode(odd, "png", 90).data), by_pillow(encode(plain, "png", 90).data))


def refusal(encoded: bytes, **options: float) -> ErrorCode:
    with pytest.raises(ItemError) as caught:
        decode(encoded, **options)
    assert caught.value.message
    return caught.value.code


CUTTABLE = [name for name in SOURCES if name.startswith(("tiff ", "Big", "webp")) or "RGB" in name]
CUTTABLE += ["jpeg 4:2:0", "jpeg progressive"]


@pytest.mark.parametrize("name", CUTTABLE)
def test_a_cut_file_is_unreadable_or_whole(name: str) -> None:
    encoded = SOURCES[name][0]
    for part in (0.03, 0.2, 0.5, 0.8, 0.9):
        assert refusal(encoded[: int(len(encoded) * part)]) == ErrorCode.IMAGE_UNREADABLE
    for cut in (1, 2, 3, 8, 20):
        try:
            picture = decode(encoded[:-cut])
        except ItemError as error:
            assert error.code == ErrorCode.IMAGE_UNREADABLE
        else:
            assert same(picture.pixels, expected(name))


@pytest.mark.parametrize("name", CUTTABLE)
def test_flipped_bits_give_a_picture_or_an_item_error(name: str) -> None:
    rng = random.Random(name)
    for _ in range(40):
        rotten = bytearray(SOURCES[name][0])
        for _ in range(rng.choice((1, 1, 4, 20))):
            rotten[rng.randrange(len(rotten) if rng.random() < 0.5 else min(300, len(rotten)))] ^= (
                1 << rng.randrange(8)
            )
        try:
            picture = decode(bytes(rotten), max_megapixels=1)
        except ItemError:
            continue
        encode(picture, "source", 90)


def test_damage_inside_a_png_is_found_by_its_checksum() -> None:
    rotten = bytearray(SOURCES["png RGB"][0])
    rotten[len(rotten) // 2] ^= 1
    assert refusal(bytes(rotten)) == ErrorCode.IMAGE_UNREADABLE


def test_damage_inside_a_jpeg_is_found_by_its_restart_markers() -> None:
    rotten = bytearray(pil(RGB, "JPEG", restart_marker_blocks=4))
    at = rotten.index(b"\xff\xd2")
    rotten[at : at + 2] = b"\0\0"
    assert refusal(bytes(rotten)) == ErrorCode.IMAGE_UNREADABLE


def test_padding_before_the_end_of_a_jpeg_is_no_damage() -> None:
    encoded = pil(RGB, "JPEG")
    padded = encoded[:-2] + bytes(3) + encoded[-2:] + b"trailing bytes of a camera"
    assert same(decode(padded).pixels, by_pillow(encoded))


def many(form: str) -> bytes:
    first, second = Image.fromarray(RGB), Image.fromarray(RGB[::-1].copy())
    return pil(first, form, save_all=True, append_images=[second])


@pytest.mark.parametrize(
    "encoded",
    [
        many("TIFF"), many("PNG"), many("WEBP"), many("GIF"), pil(RGB, "BMP"),
        b"%PDF-1.7\n", b'<?xml version="1.0"?><svg/>', b"<svg></svg>", b"\n<!DOCTYPE html><html/>",
        b"\0\0\0\x18ftypheic", b"8BPS\0\1", tif(GRAY.astype(np.float64)), tif(GRAY.astype(np.uint32)),
        tif(GRAY.astype(np.int16)),
        tif(np.dstack([CMYK, GRAY]), photometric="separated", extrasamples=["unassalpha"]),
    ],
)  # fmt: skip
def test_other_formats_and_samples_are_unsupported(encoded: bytes) -> None:
    assert refusal(encoded) == ErrorCode.UNSUPPORTED_FORMAT


@pytest.mark.parametrize(
    "encoded", [b"", b"\xff", b"plain text", b"\xff\xd8\xff", b"RIFF\0\0\0\0WEBP", b"II*\0"]
)
def test_what_is_no_picture_is_unreadable(encoded: bytes) -> None:
    assert refusal(encoded) == ErrorCode.IMAGE_UNREADABLE


def test_a_bomb_is_refused_by_its_header() -> None:
    start = time.perf_counter()
    for bomb in (png_claiming(60_000, 60_000), jpeg_frame(5, ">2H", 65_535, 65_535)):
        assert refusal(bomb) == ErrorCode.IMAGE_TOO_LARGE
    assert time.perf_counter() - start < 1


def test_the_limit_is_in_megapixels() -> None:
    encoded, size = SOURCES["png RGB"][0], RGB.shape[0] * RGB.shape[1] / 1e6
    assert decode(encoded, max_megapixels=size).width == RGB.shape[1]
    assert refusal(encoded, max_megapixels=size * 0.99) == ErrorCode.IMAGE_TOO_LARGE


def test_a_picture_longer_than_the_format_allows() -> None:
    long = Picture(np.zeros((1, 16_384), np.uint8), "L", "png", True)
    with pytest.raises(ItemError, match="16384 x 1 is more than the 16383") as caught:
        encode(long, "webp", 90)
    assert caught.value.code == ErrorCode.UNSUPPORTED_FORMAT
