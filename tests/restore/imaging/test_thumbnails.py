"""Thumbs: small, true to what a screen would show, without metadata, and cheap."""

from __future__ import annotations

import io
import time

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms
from skimage import data

from restore.imaging.color import Range, from_srgb
from restore.imaging.picture import Picture
from restore.imaging.thumbnails import LONG_SIDE, damage_overlay, thumbnail


def opened(jpeg: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(jpeg))
    assert image.format == "JPEG"
    return image


def large(width: int = 1280, height: int = 1664) -> np.ndarray:
    return cv2.resize(data.astronaut(), (width, height))


@pytest.mark.parametrize("size", [(1280, 1664), (4001, 1333), (481, 300), (480, 480), (9, 3), (3000, 2)])
def test_the_long_side_is_bounded_and_the_proportion_kept(size: tuple[int, int]) -> None:
    width, height = opened(thumbnail(Picture(large(*size), "RGB", "png", True))).size
    assert max(width, height) == min(LONG_SIDE, max(size))
    assert height == pytest.approx(size[1] * width / size[0], abs=1)


def test_it_shows_the_photo() -> None:
    small = np.asarray(opened(thumbnail(Picture(large(), "RGB", "png", True)))).astype(int)
    expected = np.asarray(Image.fromarray(large()).resize(small.shape[1::-1], Image.Resampling.BOX))
    assert np.abs(small - expected).mean() < 5


def test_every_mode_and_depth_shows_the_same_photo() -> None:
    rgb = large(700, 600)
    gray = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    opaque = np.full(gray.shape, 255, np.uint8)
    same = [
        (gray, "L"),
        (np.dstack([gray, opaque]), "LA"),
        (gray.astype(np.uint16) * 257, "L"),
        (np.dstack([gray] * 3), "RGB"),
        (np.dstack([gray, gray, gray, opaque]).astype(np.uint16) * 257, "RGBA"),
        ((gray / 255).astype(np.float32), "L"),
        (from_srgb(np.dstack([gray] * 3), np.zeros_like(rgb), "LAB", None, Range()), "LAB"),
    ]
    pictures = [Picture(px, mode, "tiff", True) for px, mode in same]
    infrared = np.dstack([gray, gray, gray, gray // 2])
    pictures.append(Picture(infrared, "RGBA", "tiff", True, alpha="unspecified"))
    pictures.append(Picture(np.dstack([gray, opaque]), "LA", "tiff", True, alpha="premultiplied"))
    shown = [np.asarray(opened(thumbnail(picture)).convert("L")) for picture in pictures]
    for picture, one in zip(pictures, shown, strict=True):
        limit = 0.6 if picture.mode != "LAB" else 0.8  # whose lightness is averaged, and not its light
        assert np.abs(one.astype(int) - shown[0]).mean() < limit, (picture.mode, picture.pixels.dtype)


def test_transparent_corners_are_white_and_cmyk_is_srgb() -> None:
    clear = np.zeros((600, 600, 4), np.uint8)
    assert np.asarray(opened(thumbnail(Picture(clear, "RGBA", "png", True)))).min() == 255
    ink = np.zeros((600, 600, 4), np.uint8)
    ink[:300, :, 1:3] = 255  # magenta and yellow print red
    shown = opened(thumbnail(Picture(ink, "CMYK", "tiff", True)))
    assert shown.mode == "RGB"
    red, white = shown.getpixel((240, 100)), shown.getpixel((240, 400))
    assert red[0] > 180 and max(red[1:]) < 90 and min(white) > 245


def test_a_small_profile_stays_and_a_large_one_is_applied() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    photo = large(700, 600)
    small = opened(thumbnail(Picture(photo, "RGB", "png", True, icc=profile)))
    assert small.info["icc_profile"] == profile
    padded = len(profile) + 8000
    grown = padded.to_bytes(4, "big") + profile[4:] + bytes(8000)
    applied = opened(thumbnail(Picture(photo, "RGB", "png", True, icc=grown)))
    assert "icc_profile" not in applied.info
    assert np.abs(np.asarray(applied).astype(int) - np.asarray(small)).mean() < 3


def test_a_gray_photo_with_a_profile_of_colours_is_shown() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    shown = opened(thumbnail(Picture(data.camera(), "L", "png", True, icc=profile)))
    assert shown.mode == "L" and "icc_profile" not in shown.info


def test_no_metadata_goes_with_it() -> None:
    exif = Image.Exif()
    exif[0x010E] = "where grandmother lives"
    picture = Picture(large(600, 500), "RGB", "jpeg", False, exif=exif.tobytes()[6:], xmp=b"<x:xmpmeta/>")
    jpeg = thumbnail(picture)
    assert b"grandmother" not in jpeg and b"xmpmeta" not in jpeg and not opened(jpeg).getexif()


def test_the_overlay_is_transparent_but_for_the_damage() -> None:
    damage = np.zeros((3000, 4000), np.bool_)
    damage[1000:1002, 500:3500] = True  # a hair on a large scan
    layer = np.asarray(Image.open(io.BytesIO(damage_overlay(damage))))
    assert layer.shape == (360, 480, 4)
    row = layer[118:123, 100:380, 3].max(axis=0)
    assert row.min() > 80, "two pixels of 3000 can still be seen"
    assert layer[:100, :, 3].max() == 0 and layer[140:, :, 3].max() == 0


def test_all_three_are_cheap_on_two_megapixels() -> None:
    photo = Picture(large(), "RGB", "png", True)
    damage = np.zeros((1664, 1280), np.bool_)
    damage[300:500, 200:260] = True
    cv2.setNumThreads(1)

    def spent() -> float:
        began = time.process_time()
        thumbnail(photo), thumbnail(photo), damage_overlay(damage)
        return time.process_time() - began

    spent()
    assert min(spent() for _ in range(5)) < 0.1  # 13 ms of one core as measured
