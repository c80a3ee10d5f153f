"""Which pixels a mask file marks, in all the ways in which people paint masks."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from skimage import data

from restore.errors import ErrorCode, ItemError
from restore.imaging.picture import Picture
from restore.repair.mask_reading import damage_from

MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
STROKES = cv2.line(np.zeros((60, 80), np.uint8), (10, 10), (70, 50), 1, 7) > 0
BLACK, WHITE, RED, YELLOW, BLUE = (0, 0, 0), (255, 255, 255), (220, 20, 30), (250, 240, 40), (30, 40, 230)


def picture(pixels: np.ndarray, *, mode: str | None = None, orientation: int = 1) -> Picture:
    pixels = pixels.copy()
    pixels.flags.writeable = False
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    return Picture(pixels, mode or MODES[channels], "png", True, orientation)


def read(mask: Picture, *, polarity: str = "white_is_damage", threshold: int = 128, orientation: int = 1):
    return damage_from(mask, mask.pixels.shape[:2], orientation, polarity=polarity, threshold=threshold)


def painted(ground: tuple[int, ...], brush: tuple[int, ...]) -> np.ndarray:
    """One colour on another, RGB or RGBA."""
    return np.where(STROKES[..., None], np.uint8(brush), np.uint8(ground))


def soft(pixels: np.ndarray) -> np.ndarray:
    return cv2.GaussianBlur(pixels, (0, 0), 1.0)


def refused(mask: Picture, words: str, **more: object) -> None:
    with pytest.raises(ItemError, match=words) as caught:
        read(mask, **more)
    assert caught.value.code == ErrorCode.MASK_UNREADABLE


@pytest.mark.parametrize("threshold", [1, 127, 128, 255])
def test_a_value_at_the_threshold_is_white(threshold):
    values = np.arange(256, dtype=np.uint8).reshape(16, 16)
    white = read(picture(values), threshold=threshold)
    black = read(picture(values), threshold=threshold, polarity="black_is_damage")
    assert white.dtype == np.bool_
    assert np.array_equal(white, values >= threshold)
    assert np.array_equal(black, values < threshold)


def test_luma_is_pillows():
    rgb = data.astronaut()[100:250, 100:250].astype(np.int32)
    rgb = np.uint8(np.clip(rgb.mean(axis=2, keepdims=True) + rgb % 40, 0, 255))  # nearly gray, as a scan
    assert np.array_equal(read_values(rgb), np.asarray(Image.fromarray(rgb).convert("L")))


def read_values(rgb: np.ndarray) -> np.ndarray:
    """The luma that `damage_from` judges, found by asking at every threshold."""
    crop = picture(rgb)
    return sum(read(crop, threshold=t).astype(np.int32) for t in range(1, 256))


def test_sixteen_bit_is_scaled_and_white_is_white():
    values = np.array([[0, 257 * 127, 257 * 128, 65535]], np.uint16)
    assert read(picture(values)).tolist() == [[False, False, True, True]]
    colour = np.repeat(values[..., None], 3, axis=2)
    assert read(picture(colour), threshold=255).tolist() == [[False, False, False, True]]


@pytest.mark.parametrize("polarity", ["white_is_damage", "black_is_damage"])
@pytest.mark.parametrize(
    ("largest", "dtype", "factor"), [(1, np.uint8, 255), (1, np.uint16, 65535), (255, np.uint16, 257)]
)
def test_a_mask_too_dark_to_be_meant_is_refused_with_the_fix(largest, dtype, factor, polarity):
    values = np.zeros((8, 8), dtype)
    values[2:4] = largest
    with pytest.raises(ItemError, match=f"multiply it by {factor}") as caught:
        read(picture(values), polarity=polarity)
    assert caught.value.code == ErrorCode.MASK_UNREADABLE


def test_an_all_zero_mask_is_no_damage_and_an_all_white_one_is_all():
    assert not read(picture(np.zeros((5, 7), np.uint8))).any()
    assert read(picture(np.full((5, 7), 255, np.uint8))).all()


def test_a_cmyk_mask_is_refused():
    with pytest.raises(ItemError, match="save it as grayscale"):
        read(picture(np.zeros((4, 4, 4), np.uint8), mode="CMYK"))


def test_another_size_is_refused_naming_both():
    mask = picture(np.zeros((30, 20), np.uint8))
    with pytest.raises(ItemError, match="20x30 pixels but the photo is 40x30") as caught:
        damage_from(mask, (30, 40), 1, polarity="white_is_damage", threshold=128)
    assert caught.value.code == ErrorCode.MASK_SIZE_MISMATCH
    assert "side" not in caught.value.message
    with pytest.raises(ItemError, match="lies on its side"):
        damage_from(mask, (20, 30), 6, polarity="white_is_damage", threshold=128)


@pytest.mark.parametrize(
    ("mask_tag", "photo_tag", "accepted"), [(1, 6, True), (6, 6, True), (6, 1, False), (3, 8, False)]
)
def test_only_an_upright_mask_or_one_with_the_photos_tag_is_accepted(mask_tag, photo_tag, accepted):
    mask = picture(np.zeros((4, 4), np.uint8), orientation=mask_tag)
    if accepted:
        assert not read(mask, orientation=photo_tag).any()
        return
    with pytest.raises(
        ItemError, match=f"Orientation {mask_tag} but the photo carries {photo_tag}"
    ) as caught:
        read(mask, orientation=photo_tag)
    assert caught.value.code == ErrorCode.MASK_UNREADABLE


@pytest.mark.parametrize("polarity", ["white_is_damage"])
@pytest.mark.parametrize(
    ("ground", "brush"),
    [
        ((0, 0, 0, 0), (*RED, 255)),
        ((0, 0, 0, 0), (*BLACK, 255)),
        ((255, 255, 255, 0), (*BLACK, 255)),
        ((255, 255, 255, 0), (*WHITE, 255)),
        ((0, 0, 0, 0), (*WHITE, 255)),
        ((90, 200, 40, 0), (*YELLOW, 200)),
        ((0, 0, 0, 0), (*RED, 140)),
    ],
)
def test_strokes_on_a_transparent_layer_are_the_damage(ground, brush, polarity):
    assert np.array_equal(read(picture(painted(ground, brush)), polarity=polarity), STROKES)


def test_a_transparent_layer_of_gray_strokes_too():
    layer = np.dstack([np.where(STROKES, 0, 255), np.where(STROKES, 255, 0)]).astype(np.uint8)
    assert np.array_equal(read(picture(layer)), STROKES)
    assert np.array_equal(read(picture(layer), polarity="black_is_damage"), ~STROKES), "what was erased"


def test_a_soft_brush_has_one_colour():
    alpha = soft(STROKES.astype(np.uint8) * 255)
    colour = np.where(alpha[..., None] > 0, np.uint8(RED), np.uint8(WHITE)).astype(np.int32)
    colour = np.clip(colour + np.random.default_rng(1).integers(-9, 9, colour.shape), 0, 255)
    assert np.array_equal(read(picture(np.dstack([colour, alpha]).astype(np.uint8))), alpha >= 128)


@pytest.mark.parametrize("alpha", [255, 254, 120])
def test_alpha_that_hardly_varies_or_is_the_same_everywhere_says_nothing(alpha):
    mask = np.dstack([STROKES * np.uint8(255), np.full(STROKES.shape, alpha, np.uint8)])
    mask[0, 0, 1] = max(alpha, 251) if alpha > 250 else alpha
    assert np.array_equal(read(picture(mask)), STROKES)


def test_a_mask_that_is_transparent_everywhere_marks_nothing():
    assert not read(picture(painted((0, 0, 0, 0), (*WHITE, 0)))).any()
    assert not read(picture(painted((0, 0, 0, 0), (*WHITE, 0))), polarity="black_is_damage").any()


def test_a_photograph_with_erased_holes_is_no_mask():
    photo = data.astronaut()[60:180, 140:300]
    alpha = np.where(cv2.circle(np.zeros(photo.shape[:2], np.uint8), (80, 60), 30, 1, -1), 0, 255)
    refused(picture(np.dstack([photo, alpha]).astype(np.uint8)), "colours and its transparency vary")


@pytest.mark.parametrize("polarity", ["white_is_damage", "black_is_damage"])
def test_a_photograph_is_no_mask(polarity):
    photo = data.astronaut()[60:180, 140:300].copy()
    refused(picture(photo), "many colours", polarity=polarity)
    photo[50:60] = RED
    refused(picture(photo), "many colours", polarity=polarity)


@pytest.mark.parametrize("polarity", ["white_is_damage", "black_is_damage"])
@pytest.mark.parametrize(
    ("ground", "brush"), [(BLACK, RED), (WHITE, YELLOW), (BLACK, BLUE), ((20, 20, 20), RED)]
)
def test_one_colour_on_another_means_the_strokes(ground, brush, polarity):
    """Where luma separates, polarity decides, as it always has."""
    mask = painted(ground, brush)
    luma = np.asarray(Image.fromarray(mask).convert("L"))
    white = luma >= 128
    assert white.all() or not white.any()
    assert np.array_equal(read(picture(mask), polarity=polarity), STROKES)


def test_red_on_white_is_dark_on_white():
    mask = picture(painted(WHITE, RED))
    assert np.array_equal(read(mask, polarity="black_is_damage"), STROKES)
    assert np.array_equal(read(mask), ~STROKES)


def test_strokes_with_soft_edges_and_of_a_jpeg():
    mask = soft(painted(BLACK, RED))
    mask = cv2.imdecode(cv2.imencode(".jpg", mask, [cv2.IMWRITE_JPEG_QUALITY, 80])[1], cv2.IMREAD_COLOR)
    found = read(picture(np.ascontiguousarray(mask)))
    assert np.count_nonzero(found != STROKES) < 0.15 * np.count_nonzero(STROKES)


def test_the_colour_is_the_stroke_even_where_it_covers_most():
    mask = np.where(STROKES[..., None], np.uint8(BLACK), np.uint8(RED))
    assert np.array_equal(read(picture(mask)), ~STROKES)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (STROKES * np.uint8(100), "largest value is 100 of 255, and none reaches mask_threshold 128; lower"),
        (STROKES * np.uint16(4095), r"largest value is 4095 of 65535.*multiply it by 16"),
        (STROKES * np.uint8(20), "multiply it by 12"),
        (np.dstack([STROKES | True, STROKES * 0.4]) * 255, "largest alpha is 102 of 255"),
    ],
)
def test_a_mask_that_says_something_and_reaches_no_threshold_is_refused(values, words):
    mask = values if values.dtype == np.uint16 else values.astype(np.uint8)
    refused(picture(mask), words)


def test_black_that_is_not_dark_enough_is_refused():
    values = np.where(STROKES, 200, 255).astype(np.uint8)
    refused(picture(values), "smallest value is 200 of 255, and none is below", polarity="black_is_damage")
    assert np.array_equal(read(picture(values), polarity="black_is_damage", threshold=220), STROKES)


@pytest.mark.parametrize("level", [0, 100, 127])
@pytest.mark.parametrize("mode", ["L", "RGB", "red"])
def test_only_a_constant_mask_marks_nothing(level, mode):
    values = np.full((6, 8), level, np.uint8)
    mask = {"L": values, "RGB": np.dstack([values] * 3), "red": np.dstack([values, values * 0, values * 0])}
    assert not read(picture(mask[mode])).any()


@settings(deadline=None, max_examples=60)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from(["L", "LA", "RGB", "RGBA"]),
    st.sampled_from(["white_is_damage", "black_is_damage"]),
    st.sampled_from([np.uint8, np.uint16]),
)
def test_a_mask_without_damage_has_one_value_wherever_it_is_visible(seed, mode, polarity, dtype):
    """Nothing that a mask says is passed over in silence."""
    draw = np.random.default_rng(seed)
    channels = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4}[mode]
    levels = draw.integers(0, np.iinfo(dtype).max, (2, channels), endpoint=True)
    pixels = np.where(STROKES[..., None], levels[0], levels[1]).astype(dtype)
    pixels = pixels[..., 0] if mode == "L" else pixels
    before = pixels.copy()
    try:
        damage = read(picture(pixels), polarity=polarity)
    except ItemError as error:
        assert error.code == ErrorCode.MASK_UNREADABLE
        return
    assert np.array_equal(pixels, before)
    if not damage.any():
        samples = pixels.reshape(-1, channels)
        seen = samples if mode in ("L", "RGB") else samples[samples[:, -1] > 0]
        assert len(np.unique(seen, axis=0)) <= 1


def test_alpha_that_is_opaque_but_for_rounding_says_nothing() -> None:
    """Some editors write 254 where they mean 255."""
    strokes = np.zeros((30, 40), np.uint8)
    strokes[10:14] = 255
    alpha = np.full((30, 40), 255, np.uint8)
    alpha[::3] = 253
    layered = np.dstack([strokes, strokes, strokes, alpha])
    assert np.array_equal(read(picture(layered, mode="RGBA")), strokes > 0)
