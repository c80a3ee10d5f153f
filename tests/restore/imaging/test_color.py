"""sRGB: every mode and depth to 8-bit sRGB and back, held against LittleCMS through another library."""

from __future__ import annotations

import io
import struct

import numpy as np
import numpy.typing as npt
import pytest
import pyvips
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms
from skimage import data

from restore.imaging import color as srgb
from restore.imaging.color import Range, from_srgb
from restore.imaging.pixels import Mode, Pixels

RGB = np.ascontiguousarray(data.astronaut()[100:180, 180:300])
GRAY = np.ascontiguousarray(RGB[..., 1])
ALPHA = np.arange(GRAY.size, dtype=np.uint8).reshape(GRAY.shape)
KNOWN = np.ones(GRAY.shape, bool)


def to_srgb(
    window: Pixels, known: npt.NDArray[np.bool_], mode: Mode, icc: bytes | None
) -> tuple[npt.NDArray[np.uint8], Range]:
    """A window with the stretch that suits it."""
    tones = srgb.range_of(window, known, mode, icc)
    return srgb.to_srgb(window, mode, icc, tones), tones


def profile(name: str) -> bytes:
    """One of the profiles that libvips carries: p3, cmyk, srgb."""
    return bytes(pyvips.Operation.call("profile_load", name))


def gray_profile(gamma: float) -> bytes:
    """A minimal gray profile, ICC.1:2001-04."""
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)
    white = b"XYZ " + bytes(4) + struct.pack(">3i", 63190, 65536, 54061)
    text = b"desc" + bytes(4) + struct.pack(">I", 5) + b"gray\0" + bytes(78 + 3)
    tags, body, offset = b"", b"", 128 + 4 + 3 * 12
    for name, value in ((b"desc", text), (b"wtpt", white), (b"kTRC", curve)):
        tags += name + struct.pack(">II", offset + len(body), len(value))
        body += value
    head = struct.pack(">I4sI4s4s4s", offset + len(body), b"lcms", 0x02400000, b"mntr", b"GRAY", b"XYZ ")
    head += (
        struct.pack(">6H", 2020, 1, 1, 0, 0, 0)
        + b"acsp"
        + bytes(28)
        + struct.pack(">3i", 63190, 65536, 54061)
    )
    return head.ljust(128, b"\0") + struct.pack(">I", 3) + tags + body


def converted(pixels: npt.NDArray[np.uint8], icc: bytes, mode: str) -> npt.NDArray[np.uint8]:
    """To sRGB by Pillow's LittleCMS."""
    image = Image.fromarray(pixels, mode)
    done = ImageCms.profileToProfile(
        image,
        ImageCms.ImageCmsProfile(io.BytesIO(icc)),
        ImageCms.createProfile("sRGB"),
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        outputMode="RGB",
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    return np.asarray(done)


@pytest.mark.parametrize("icc", [None, profile("srgb"), b"x" * 16 + b"CMYK" + bytes(200)])
def test_plain_rgb_goes_both_ways_bit_for_bit(icc: bytes | None) -> None:
    painted, tones = to_srgb(RGB, KNOWN, "RGB", icc)
    assert np.array_equal(painted, RGB) and tones == Range()
    assert painted is not RGB and not np.shares_memory(painted, RGB)
    assert np.array_equal(from_srgb(painted, RGB, "RGB", icc, tones), RGB)


def test_gray_is_the_same_in_all_channels_and_comes_back() -> None:
    painted, tones = to_srgb(GRAY, KNOWN, "L", None)
    assert np.array_equal(painted, np.dstack([GRAY] * 3))
    assert np.array_equal(from_srgb(painted, GRAY, "L", None, tones), GRAY)


@pytest.mark.parametrize(
    ("mode", "window"), [("RGBA", np.dstack([RGB, ALPHA])), ("LA", np.dstack([GRAY, ALPHA]))]
)
def test_alpha_is_not_shown_and_taken_over(mode: Mode, window: Pixels) -> None:
    painted, tones = to_srgb(window, KNOWN, mode, None)
    assert painted.shape == (*GRAY.shape, 3)
    back = from_srgb(255 - painted, window, mode, None, tones)
    assert np.array_equal(back[..., -1], ALPHA) and np.array_equal(back[..., :-1], 255 - window[..., :-1])


@pytest.mark.parametrize("low,high", [(0, 65535), (200, 3000), (30000, 34000)])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_sixteen_bits_are_stretched_over_eight(mode: Mode, low: int, high: int) -> None:
    eight = (RGB if mode == "RGB" else GRAY).astype(np.float64)
    deep = (low + eight / 255 * (high - low)).astype(np.uint16)
    painted, tones = to_srgb(deep, KNOWN, mode, None)
    back = from_srgb(painted, deep, mode, None, tones)
    assert back.dtype == np.uint16 and back.shape == deep.shape
    step = max((high - low) * 1.1, 0.055 * 65535) / 255
    error = np.abs(back.astype(int) - deep.astype(int))
    assert np.quantile(error, 0.995) <= step / 2 + 1
    assert len(np.unique(painted)) > min(100, (high - low) / 65535 / 0.055 * 250 * 0.5)


def test_a_dark_scan_uses_the_levels() -> None:
    dark = RGB // 8
    painted, tones = to_srgb(dark, KNOWN, "RGB", None)
    assert painted.max() > 200 and tones.high < 0.2
    assert np.array_equal(from_srgb(painted, dark, "RGB", None, tones), dark)


def test_the_damage_has_no_say_in_the_stretch() -> None:
    deep = (RGB.astype(np.uint16) * 10) + 5
    known = KNOWN.copy()
    known[20:40] = False
    white = deep.copy()
    white[20:40] = 65535
    assert to_srgb(white, known, "RGB", None)[1] == to_srgb(deep, known, "RGB", None)[1]
    assert to_srgb(deep, ~KNOWN, "RGB", None)[1] == Range()


@pytest.mark.parametrize(
    ("mode", "window", "icc"),
    [("RGB", RGB, profile("p3")), ("L", GRAY, gray_profile(1.0)), ("L", GRAY, gray_profile(1.8))],
)
def test_colours_go_through_the_profile(mode: Mode, window: npt.NDArray[np.uint8], icc: bytes) -> None:
    painted, tones = to_srgb(window, KNOWN, mode, icc)
    expected = converted(window, icc, mode)
    tones_only = (painted / 255 * (tones.high - tones.low) + tones.low) * 255
    assert np.abs(tones_only - expected).max() <= 2
    plain, _ = to_srgb(window, KNOWN, mode, None)
    assert np.abs(tones_only - plain.astype(int)).max() > 4, "the profile says something"
    back = from_srgb(painted, window, mode, icc, tones)
    inside = ((expected > 3) & (expected < 252)).all(axis=2)  # sRGB is the smaller space
    assert np.abs(back.astype(int) - window)[inside].max() <= 3


@pytest.mark.parametrize("icc", [None, profile("cmyk")])
def test_ink_comes_back_as_ink_of_the_same_colour(icc: bytes | None) -> None:
    cmyk = np.asarray(Image.fromarray(RGB).convert("CMYK"))
    painted, tones = to_srgb(cmyk, KNOWN, "CMYK", icc)
    assert np.abs(painted.astype(int) - converted(cmyk, profile("cmyk"), "CMYK")).max() <= 3
    back = from_srgb(painted, cmyk, "CMYK", icc, tones)
    assert back.shape == cmyk.shape and back.dtype == np.uint8
    again, _ = to_srgb(back, KNOWN, "CMYK", icc)
    assert np.abs(again.astype(int) - painted).mean() < 2


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(["L", "LA", "RGB", "RGBA", "CMYK"]), st.booleans(), st.integers(0, 99))
def test_every_mode_and_depth_keeps_its_shape_and_the_input(mode: Mode, deep: bool, seed: int) -> None:
    dtype = np.uint16 if deep else np.uint8
    channels = {"L": (), "LA": (2,), "RGB": (3,), "RGBA": (4,), "CMYK": (4,)}[mode]
    rng = np.random.default_rng(seed)
    window = rng.integers(0, int(np.iinfo(dtype).max) + 1, (9, 7, *channels), dtype)
    window.flags.writeable = False
    painted, tones = to_srgb(window, np.ones((9, 7), bool), mode, None)
    assert painted.shape == (9, 7, 3) and painted.dtype == np.uint8
    assert 0 <= tones.low < tones.high <= 1
    back = from_srgb(painted, window, mode, None, tones)
    assert back.shape == window.shape and back.dtype == dtype


def test_cielab_is_the_one_of_white_d50_both_ways() -> None:
    """By LittleCMS' own Lab profile, which Pillow makes for white D50."""
    lab = from_srgb(RGB, np.zeros_like(RGB), "LAB", None, Range())
    stored = lab ^ np.uint8([0, 128, 128])  # Pillow holds a* and b* as two's complement
    shown = ImageCms.profileToProfile(
        Image.fromarray(stored, "LAB"),
        ImageCms.createProfile("LAB", 5003),
        ImageCms.createProfile("sRGB"),
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        outputMode="RGB",
    )
    assert np.abs(np.asarray(shown).astype(int) - RGB).mean() < 1.5
    assert np.abs(srgb.lab_to_srgb(lab).astype(int) - RGB).mean() < 1
    deep = from_srgb(RGB, np.zeros(RGB.shape, np.uint16), "LAB", None, Range())
    assert np.abs(srgb.lab_to_srgb(deep, 8).astype(int) - RGB).max() <= 1
    assert srgb.fits(b"\0" * 16 + b"Lab ", "LAB")


def test_gray_in_cielab_has_no_colour() -> None:
    gray = np.repeat(GRAY[..., None], 3, axis=2)
    assert (
        np.abs(from_srgb(gray, np.zeros_like(gray), "LAB", None, Range())[..., 1:].astype(int) - 128).max()
        <= 1
    )


@pytest.mark.parametrize("icc", [None, profile("p3")])
def test_floating_point_windows_come_back(icc: bytes | None) -> None:
    window = RGB.astype(np.float32) / 255
    shown, tones = to_srgb(window, KNOWN, "RGB", icc)
    again = from_srgb(shown, window, "RGB", icc, tones)
    assert again.dtype == np.float32 and np.abs(again - window).mean() < 1 / 255


def test_floating_point_beyond_white_is_stretched_and_comes_back() -> None:
    window = GRAY.astype(np.float32) / 40 - 1
    shown, tones = to_srgb(window, KNOWN, "L", None)
    assert (tones.low < 0, tones.high > 5) == (True, True) and np.ptp(shown) > 200
    assert np.abs(from_srgb(shown, window, "L", None, tones) - window).mean() < 0.05


def test_native_levels_of_floating_point_come_back_to_a_65535th() -> None:
    for window in (GRAY.astype(np.float32) * 7 - 300, np.full((4, 5), 0.25, np.float32)):
        tones = srgb.range_of_levels(window)
        levels = srgb.to_levels(window, tones)
        assert levels.dtype == np.uint16
        assert np.abs(srgb.from_levels(levels, tones) - window).max() <= (tones.high - tones.low) / 65535
