"""The demo archive holds what it promises, the same for the same seed, and its masks tell the truth."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import skimage
import tifffile
from PIL import ExifTags, Image, ImageOps

from jobs.demo.archive import PHOTOS, Photo, make_archive
from restore.recipe import Recipe, override_kinds, with_overrides

Rows = dict[str, dict[str, str]]
LOSSLESS = {"png", "png_oval", "png_palette", "tiff", "tiff_deep", "webp"}


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_archive(tmp_path_factory.mktemp("demo") / "archive", seed=1).parent


@pytest.fixture(scope="module")
def rows(archive: Path) -> Rows:
    with (archive / "manifest.csv").open(encoding="utf-8", newline="") as file:
        return {row["item_id"]: row for row in csv.DictReader(file)}


def upright(path: Path) -> np.ndarray:
    if path.suffix == ".tif":
        return np.asarray(tifffile.imread(path))
    with Image.open(path) as image:
        whole = ImageOps.exif_transpose(image)
    return np.asarray(whole.convert("RGB") if whole.mode == "P" else whole)


whole = pytest.mark.parametrize(
    "photo", [p for p in PHOTOS if p.file != "jpeg_broken"], ids=lambda p: p.item_id
)


def test_every_photo_has_a_row_with_its_files_and_credit(archive: Path, rows: Rows) -> None:
    assert set(rows) == {photo.item_id for photo in PHOTOS} and len(rows) == len(PHOTOS) >= 12
    for row in rows.values():
        for column in ("image", "mask", "reference"):
            assert not row[column].startswith("/") and (archive / row[column]).stat().st_size > 0
        assert row["x_title"] and row["x_credit"]
        assert any(word in row["x_credit"].lower() for word in ("cc0", "public domain", "no known copyright"))


def test_the_manifest_has_no_column_that_a_run_would_refuse(rows: Rows) -> None:
    known = {"item_id", "image", "mask", "reference", *override_kinds()}
    overridden = 0
    for row in rows.values():
        assert all(name in known or name.startswith("x_") for name in row)
        overrides = {name: row[name] for name in override_kinds() if row.get(name)}
        with_overrides(Recipe(), overrides)
        overridden += bool(overrides)
    assert 1 <= overridden < len(rows) / 2


def test_every_picture_ships_with_scikit_image(rows: Rows) -> None:
    shipped = {path.stem for path in (Path(skimage.__file__).parent / "data").iterdir()}
    assert {photo.source for photo in PHOTOS} <= shipped


@whole
def test_image_mask_and_reference_share_one_frame(photo, archive: Path, rows: Rows) -> None:
    row = rows[photo.item_id]
    image, mask, reference = (upright(archive / row[name]) for name in ("image", "mask", "reference"))
    assert image.shape == reference.shape and image.dtype == reference.dtype
    assert mask.shape == image.shape[:2] and max(mask.shape) == photo.long_side
    assert set(np.unique(mask)) <= {0, 255}
    assert (mask.max() == 255) == bool(photo.models)
    assert (mask > 0).mean() < 0.1


@whole
def test_the_mask_covers_all_that_was_damaged(photo: Photo, archive: Path, rows: Rows) -> None:
    row = rows[photo.item_id]
    image, mask, reference = (upright(archive / row[name]) for name in ("image", "mask", "reference"))
    difference = np.abs(image.astype(float) - reference) / np.iinfo(image.dtype).max * 255
    difference = difference if difference.ndim == 2 else difference.max(axis=2)
    outside, inside = difference[mask == 0], difference[mask > 0]
    assert outside.max() <= (0 if photo.file in LOSSLESS else 40)  # JPEG spreads a block's error over it
    assert outside.mean() < 2
    assert not photo.models or inside.mean() > 10


def test_the_archive_holds_the_kinds_of_file_that_archives_hold(archive: Path, rows: Rows) -> None:
    files = {photo.item_id: archive / rows[photo.item_id]["image"] for photo in PHOTOS}
    assert {path.suffix for path in files.values()} == {".jpg", ".png", ".tif", ".webp"}
    assert upright(files["deep-field"]).dtype == np.uint16 and upright(files["retina"]).shape[2] == 3
    assert np.unique(upright(files["deep-field"]) % 257).size > 200, "sixteen real bits, not eight stretched"
    modes = {name: Image.open(path).mode for name, path in files.items() if path.suffix == ".png"}
    assert modes["astronaut-oval"] == "RGBA" and modes["launch-pad"] == "P" and modes["cameraman"] == "L"


def test_the_broken_file_cannot_be_decoded_though_its_mask_can(archive: Path, rows: Rows) -> None:
    row = rows["cameraman-broken"]
    with Image.open(archive / row["image"]) as image, pytest.raises(OSError, match="truncated"):
        image.load()
    assert upright(archive / row["mask"]).max() == 255


def test_the_turned_photo_opens_upright_and_fits_its_mask(archive: Path, rows: Rows) -> None:
    row = rows["cat"]
    with Image.open(archive / row["image"]) as image:
        stored, orientation = image.size, image.getexif()[ExifTags.Base.Orientation]
    mask = upright(archive / row["mask"])
    assert orientation == 6 and stored == mask.shape
    assert upright(archive / row["image"]).shape[:2] == mask.shape
    with Image.open(archive / row["reference"]) as reference:
        assert reference.size == mask.shape[::-1] and ExifTags.Base.Orientation not in reference.getexif()


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = tuple(photo for photo in PHOTOS if photo.item_id in ("astronaut-oval", "cat"))
    monkeypatch.setattr("jobs.demo.archive.PHOTOS", few)
    make_archive(tmp_path / "again", seed=1)
    make_archive(tmp_path / "other", seed=2)
    for name in ("images/astronaut-oval.png", "masks/astronaut-oval.png", "images/cat.jpg", "masks/cat.png"):
        assert (tmp_path / "again" / name).read_bytes() == (archive / name).read_bytes()
        assert (tmp_path / "other" / name).read_bytes() != (archive / name).read_bytes()
