"""The second reader: rare kinds of TIFF, decoded exactly; what would cost memory or time is refused."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Callable

import imagecodecs
import numpy as np
import pytest

from restore.errors import ErrorCode, ItemError
from restore.imaging.codec import decode, encode, read_header, strips
from tests.support import tiffs
from tests.support.corpus import tag_set
from tests.support.pictures import same
from tests.support.second_decoder import second
from tests.support.tiffs import Mix, tiff, truth

RARE = [
    Mix(planar=True, tile=True, compression="LZW", predictor=2),
    Mix("CMYK", bits=16, planar=True, tile=True),
    Mix(compression="Zstd", bits=16, predictor=2),
    Mix(compression="LZMA"),
    Mix(bits=4),
    Mix("gray", bits=12, order=">"),
    Mix(bits=10, tile=True, compression="Deflate"),
    Mix(bits=14, fill_order=2),
    Mix("CIELAB", bits=16, order=">"),
    Mix("CIELAB", planar=True),
    Mix(bits=32, sample_format="float", predictor=3, compression="Deflate", order=">"),
    Mix("gray", bits=16, sample_format="float"),
    Mix("white is zero", alpha="alpha", planar=True),
]


def refusal(data: bytes, **options: float) -> ItemError:
    with pytest.raises(ItemError) as caught:
        decode(data, **options)
    assert caught.value.message
    return caught.value


@pytest.mark.parametrize("mix", RARE, ids=lambda mix: mix.name)
def test_rare_samples_survive_in_their_own_depth(mix: Mix) -> None:
    data = tiff(mix)
    header, picture = read_header(data), decode(data)
    assert (header.width, header.height, header.mode) == (picture.width, picture.height, picture.mode)
    assert (header.bit_depth, header.floating) == (picture.bit_depth, picture.floating)
    assert picture.pixels.nbytes == header.bytes and header.decoder_bytes
    whole = np.concatenate([part for _, part in strips(data)])
    assert same(whole, picture.pixels)
    encoded = encode(picture, "source", 95)
    before, after = second(data), second(encoded.data)
    assert encoded.proof == "exact" and same(before.shown(), after.shown())
    assert after.bits == max(before.bits, 8)
    assert same(decode(encoded.data).pixels, picture.pixels)


@pytest.mark.parametrize("mix", RARE, ids=lambda mix: mix.name)
def test_damage_is_an_item_error(mix: Mix) -> None:
    data, rng = tiff(mix), random.Random(mix.name)
    for _ in range(60):
        rotten = bytearray(data)
        for _ in range(rng.choice((1, 1, 4, 20))):
            rotten[rng.randrange(len(rotten))] ^= 1 << rng.randrange(8)
        try:
            picture = decode(bytes(rotten), max_megapixels=1)
        except ItemError:
            continue
        encode(picture, "source", 90)
    for part in (0.1, 0.5, 0.9):
        assert refusal(data[: int(len(data) * part)]).code == ErrorCode.IMAGE_UNREADABLE


def test_numbers_that_are_none_are_refused_by_name() -> None:
    mix = Mix("gray", bits=32, sample_format="float")
    samples = truth(mix)
    for value in (np.nan, np.inf):
        samples[5, 5] = value
        error = refusal(tiff(mix, samples))
        assert error.code == ErrorCode.UNSUPPORTED_FORMAT and "no finite numbers" in error.message


def test_values_beyond_white_are_kept() -> None:
    mix = Mix("gray", bits=32, sample_format="float")
    samples = truth(mix) * 40 - 3
    encoded = encode(decode(tiff(mix, samples)), "source", 95)
    assert same(second(encoded.data).samples, samples)


def test_what_other_formats_cannot_hold_is_named() -> None:
    cases = {
        Mix(bits=12): (("12-bit",), "exact"),
        Mix("CIELAB"): (("cielab",), "lossy"),
        Mix(bits=32, sample_format="float"): (("floating point",), "lossy"),
    }
    for mix, wanted in cases.items():
        encoded = encode(decode(tiff(mix)), "png", 95)
        assert (encoded.dropped, encoded.proof) == wanted
    deep = decode(encode(decode(tiff(Mix(bits=12))), "png", 95).data)
    assert same(deep.pixels, np.rint(truth(Mix(bits=12)) * (65535 / 4095)).astype(np.uint16))
    assert encode(decode(tiff(Mix(bits=12))), "jpeg", 95).dropped == ("12-bit",)


def test_giant_tiles_and_missing_ones_are_damage() -> None:
    tiled = tiff(Mix(planar=True, tile=True, compression="Zstd"))
    for data in (
        tag_set(tag_set(tiled, 322, 60_000), 323, 60_000),
        tag_set(tiled, 322, 0),
        tag_set(tiled, 323, 1),
        tag_set(tiff(Mix(bits=12)), 257, 90),
    ):
        tracemalloc.start()
        assert refusal(data, max_megapixels=400).code == ErrorCode.IMAGE_UNREADABLE
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
        tracemalloc.stop()


def test_a_bomb_is_refused_by_its_header() -> None:
    for mix in RARE:
        if mix.order == "<":
            data = tag_set(tag_set(tiff(mix), 256, 40_000), 257, 40_000)
            assert refusal(data).code == ErrorCode.IMAGE_TOO_LARGE


@pytest.mark.parametrize(
    ("name", "pack"),
    [
        ("Zstd", imagecodecs.zstd_encode),
        ("LZMA", imagecodecs.lzma_encode),
        ("Deflate", imagecodecs.zlib_encode),
    ],
)
def test_a_strip_that_unpacks_to_far_more_is_cut_off(
    name: str, pack: Callable[[bytes], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 200 MB: only what the strip can hold is unpacked."""
    bomb = pack(bytes(200_000_000))
    monkeypatch.setattr(tiffs, "CODECS", {name: lambda _: bomb})
    data = tiff(Mix(planar=True, tile=True, compression=name))
    tracemalloc.start()
    try:
        assert decode(data).pixels.max() == 0
    except ItemError as error:
        assert error.code == ErrorCode.IMAGE_UNREADABLE
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000_000
