"""The contact sheet shows what it was given, whatever the pixels' mode, and stays small."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data

from jobs.demo.contact_sheet import Panel, contact_sheet

TILE, GAP, MARGIN, HEADER = (320, 240), 8, 36, 54


def flat(colour: tuple[int, ...] | int, dtype: type = np.uint8) -> np.ndarray:
    """A picture of the tile's own proportions, so that it fills the tile."""
    return np.full((480, 640, len(colour)) if isinstance(colour, tuple) else (480, 640), colour, dtype)


def drawn(panels: list[Panel], folder: Path) -> np.ndarray:
    contact_sheet(panels, folder / "sheet.png")
    return np.asarray(Image.open(folder / "sheet.png").convert("RGB")).astype(int)


def tile(sheet: np.ndarray, column: int) -> np.ndarray:
    """One of the first panel's three tiles, without its outermost pixels."""
    left, top = MARGIN + column * (TILE[0] + GAP), MARGIN + HEADER
    return sheet[top + 2 : top + TILE[1] - 2, left + 2 : left + TILE[0] - 2]


def spot() -> np.ndarray:
    mask = np.zeros((480, 640), bool)
    mask[200:280, 280:360] = True
    return mask


@pytest.mark.parametrize(
    ("pixels", "shown"),
    [
        (flat(90), (90, 90, 90)),
        (flat(90 * 257, np.uint16), (90, 90, 90)),
        (flat((90,)), (90, 90, 90)),
        (flat((200, 100, 50)), (200, 100, 50)),
        (flat((200 * 257, 100 * 257, 50 * 257), np.uint16), (200, 100, 50)),
        (flat((200, 100, 50, 255)), (200, 100, 50)),
        (flat((200, 100, 50, 0)), (238, 236, 231)),
        (flat((90, 255)), (90, 90, 90)),
    ],
    ids=["L", "L16", "L of one channel", "RGB", "RGB16", "RGBA", "RGBA, transparent", "LA"],
)
def test_pixels_of_every_mode_are_shown_as_they_are(
    pixels: np.ndarray, shown: tuple[int, int, int], tmp_path: Path
) -> None:
    sheet = drawn([Panel("photo", pixels, spot(), pixels, "restored")], tmp_path)
    for column in (0, 2):
        assert np.abs(tile(sheet, column).mean(axis=(0, 1)) - shown).max() < 3


def test_the_damage_is_marked_red_and_only_the_damage(tmp_path: Path) -> None:
    pixels = flat(128)
    marked = tile(drawn([Panel("photo", pixels, spot(), pixels, "restored")], tmp_path), 1)
    red = (marked[..., 0] - marked[..., 1]) > 100
    assert red[118, 158] and 0.015 < red.mean() < 0.03
    assert not red[:80].any() and not red[:, :120].any()


def test_a_scratch_of_one_pixel_stays_visible_in_a_large_scan(tmp_path: Path) -> None:
    pixels, mask = np.full((1500, 2000), 128, np.uint8), np.zeros((1500, 2000), bool)
    mask[:, 1000] = True
    marked = tile(drawn([Panel("photo", pixels, mask, pixels, "restored")], tmp_path), 1)
    assert ((marked[..., 0] - marked[..., 1]) > 40).any(axis=1).all()


def test_a_failed_photo_is_a_plain_tile_with_its_error(tmp_path: Path) -> None:
    error = "image_unreadable: the JPEG ends in the middle of its picture; copy the file again"
    sheet = drawn([Panel("broken", None, spot(), None, error)], tmp_path)
    labelled = tile(sheet, 2)
    plate = np.array([238, 236, 231])
    written = np.abs(labelled - plate).max(axis=2) > 60
    assert 0.005 < written.mean() < 0.2
    assert (labelled[written][:, 0] > labelled[written][:, 2]).mean() > 0.9, "the error is written in red"
    other = drawn([Panel("broken", None, spot(), None, "mask_full: nothing is left to go by")], tmp_path)
    assert not np.array_equal(tile(other, 2), labelled)


def test_titles_and_captions_are_written_and_long_ones_cut(tmp_path: Path) -> None:
    pixels = flat(128)
    caption = "restored · telea · PSNR 31.4 dB"
    short, long = (
        drawn([Panel(title, pixels, spot(), pixels, caption)], tmp_path)[MARGIN : MARGIN + 26]
        for title in ("astronaut", "archive/box-17/" * 20)
    )
    assert (short.min(axis=2) < 90).any()
    assert not np.array_equal(short, long)
    right = slice(-MARGIN - 120, None)
    assert np.abs(short[:, right] - long[:, right]).max() < 40, "the caption is not written over"


@pytest.mark.parametrize(("count", "across", "down"), [(1, 1, 1), (3, 1, 3), (4, 2, 2), (7, 2, 4)])
def test_photos_stand_in_rows(count: int, across: int, down: int, tmp_path: Path) -> None:
    pixels = flat(128)
    panels = [Panel(f"photo {n}", pixels, spot(), pixels, "restored") for n in range(count)]
    height, width, _ = drawn(panels, tmp_path).shape
    assert width == across * 976 + (across - 1) * 48 + 2 * MARGIN
    assert height == down * 294 + (down - 1) * 30 + 2 * MARGIN


def test_a_sheet_of_real_photographs_is_small_and_not_blank(tmp_path: Path) -> None:
    pictures = [data.astronaut(), data.coffee(), data.retina(), data.camera(), data.brick(), data.grass()]
    panels = [
        Panel(f"photo {n}", picture, picture[..., 0] > 250 if picture.ndim == 3 else None, picture, "copied")
        for n, picture in enumerate([*pictures, *pictures, *pictures])
    ]
    sheet = drawn(panels, tmp_path)
    assert (tmp_path / "sheet.png").stat().st_size < 3_000_000
    assert len(np.unique(sheet @ [65536, 256, 1])) > 100
    assert tile(sheet, 0).std() > 30


@pytest.mark.parametrize(
    ("pixels", "named"),
    [
        (np.zeros((8, 8, 5), np.uint8), "5 channels"),
        (np.zeros((8, 8), np.float32), "float32"),
    ],
)
def test_pixels_that_cannot_be_shown_are_refused_by_name(
    pixels: np.ndarray, named: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=named):
        contact_sheet([Panel("photo", pixels, None, pixels, "restored")], tmp_path / "sheet.png")


def test_no_photo_is_no_sheet(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one"):
        contact_sheet([], tmp_path / "sheet.png")
