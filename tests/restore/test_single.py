"""One picture from Python: arrays, PIL images and files, and the same pixels as a run's."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from skimage import data

import restore
from restore import identity, single
from restore.errors import ErrorCode, ItemError, UsageError
from restore.imaging import codec
from restore.item import Item
from restore.photo.state import Job
from restore.recipe import Recipe
from restore.storage import AccessPolicy, OutStore
from tests.support import photos
from tests.support.diffusion_tasks import grey_levels
from tests.support.tiny_checkpoints import Checkpoints

PHOTO: npt.NDArray[np.uint8] = np.ascontiguousarray(data.astronaut()[:300, :400])
MASK = photos.scratch(PHOTO.shape[:2])
ROOT = Path(__file__).parents[2]


def test_an_array_a_pil_image_and_a_file_give_the_same_picture(tmp_path: Path) -> None:
    photo, mask = photos.save(tmp_path / "a.png", PHOTO), photos.save(tmp_path / "m.png", MASK)
    kept = PHOTO.copy(), MASK.copy()
    first = restore.restore_image(PHOTO, MASK, engine="telea")
    assert np.array_equal(PHOTO, kept[0]) and np.array_equal(MASK, kept[1])
    others: list[tuple[Any, Any]] = [
        (photo, mask),
        (Path(photo), MASK > 0),
        (Image.fromarray(PHOTO), Image.fromarray(MASK)),
        (Image.open(photo), Image.fromarray(MASK > 0)),
    ]
    for image, cover in others:
        assert np.array_equal(np.asarray(restore.restore_image(image, cover, engine="telea")), first.pixels)
    assert first.pixels.shape == PHOTO.shape and first.mode == "RGB" and first.row.status == "restored"
    assert first.row.engine == "telea" and first.row.changed_outside_mask == 0
    assert first.figures.seam is not None
    assert not np.array_equal(first.pixels, PHOTO)


def test_the_pixels_are_a_runs(tmp_path: Path) -> None:
    photo, mask = photos.save(tmp_path / "a.png", PHOTO), photos.save(tmp_path / "m.png", MASK)
    job = Job(
        run_id="run",
        recipe=Recipe(engine="ns", feather=2),
        auto="ns",
        engine_hashes={"ns": identity.engine_hash("ns")},
        store=OutStore.open(str(tmp_path / "out")),
        access=AccessPolicy((str(tmp_path),)),
        software_version="0",
    )
    of_run = photos.restore(Item("a", photo, photos.KEY, mask=mask), job)
    here = restore.restore_image(photo, mask, engine="ns", feather=2)
    assert np.array_equal(codec.decode(photos.output(of_run, job)).pixels, here.pixels)
    same = replace(here.row, recipe_hash=of_run.recipe_hash)
    assert (same.windows, same.mask_coverage) == (of_run.windows, of_run.mask_coverage)


@pytest.mark.parametrize(
    "pixels",
    [
        PHOTO[..., 0],
        PHOTO[..., :1],
        PHOTO[..., 0].astype(np.uint16) * 257,
        PHOTO.astype(np.uint16) * 200,
        np.dstack([PHOTO, np.full(MASK.shape, 255, np.uint8)]),
        PHOTO.astype(np.float32) / 255,
    ],
    ids=["gray", "one channel", "gray 16 bit", "colour 16 bit", "alpha", "floating point"],
)
def test_depth_and_channels_stay(pixels: npt.NDArray[Any]) -> None:
    done = np.asarray(restore.restore_image(pixels, MASK, engine="telea"))
    assert done.dtype == pixels.dtype and done.shape[:2] == pixels.shape[:2]
    columns = slice(0, 30)  # the scratch begins further to the right
    assert np.array_equal(done[:, columns].squeeze(), pixels[:, columns].squeeze())


def test_a_picture_keeps_its_metadata_and_its_file_is_never_replaced(tmp_path: Path) -> None:
    photo = photos.save(tmp_path / "a.png", PHOTO, dpi=(300, 300))
    done = restore.restore_image(photo, MASK, engine="telea")
    done.save(tmp_path / "out.png")
    assert Image.open(tmp_path / "out.png").info["dpi"] == pytest.approx((300, 300), abs=0.1)
    with pytest.raises(FileExistsError):
        done.save(tmp_path / "out.png")


def test_a_turned_pil_image_comes_out_as_its_file_does(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    photo = photos.save(tmp_path / "a.png", PHOTO, exif=exif)
    mask = np.rot90(MASK, -1)
    of_file = restore.restore_image(photo, mask, engine="telea")
    assert np.array_equal(restore.restore_image(Image.open(photo), mask, engine="telea"), of_file)


@pytest.mark.parametrize("polarity", ["white_is_damage", "black_is_damage"])
def test_true_is_damage_whatever_the_polarity(polarity: str) -> None:
    done = restore.restore_image(PHOTO, MASK > 0, engine="telea", mask_polarity=polarity)
    assert done.row.mask_coverage == pytest.approx((MASK > 0).mean())


def test_what_cannot_be_restored_says_why() -> None:
    with pytest.raises(ItemError, match="400x299") as raised:
        restore.restore_image(PHOTO, MASK[1:])
    assert raised.value.code == ErrorCode.MASK_SIZE_MISMATCH
    for image, words in ((PHOTO.astype(int), "int64"), (PHOTO[None], r"\(1, 300, 400, 3\)")):
        with pytest.raises(UsageError, match=words):
            restore.restore_image(image, MASK)
    with pytest.raises(UsageError, match="feathr"):
        restore.restore_image(PHOTO, MASK, feathr=2)
    with pytest.raises(UsageError, match="mode HSV"):
        restore.restore_image(Image.new("HSV", (4, 4)), MASK)


def test_a_trained_engine_is_loaded_once_and_paints_as_a_run_does(checkpoints: Checkpoints) -> None:
    models = {role: str(getattr(checkpoints, role)) for role in ("inpaint", "refiner", "vae")}
    settings: dict[str, Any] = {
        **{"engine": "sdxl", "dtype": "float32", "num_inference_steps": 5, "prompt": "a face"},
        "models": models,
    }
    photo, mask = PHOTO[:96, :128], MASK[:96, :128]
    single._loaded.cache_clear()
    first = restore.restore_image(photo, mask, item_id="box/1", **settings)
    again = restore.restore_image(photo, mask, item_id="box/1", **settings)
    other = restore.restore_image(photo, mask, item_id="box/2", **settings)
    assert np.array_equal(first, again)
    assert grey_levels(first.pixels, other.pixels) > 1, "the noise comes from the id"
    assert single._loaded.cache_info().misses == 1
    assert {model["role"] for model in first.row.models} == {"inpaint", "refiner", "vae"}


def test_the_readmes_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photos.save(tmp_path / "photo.jpg", PHOTO)
    photos.save(tmp_path / "mask.png", MASK)
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "restore/README.md").read_text()
    (example,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    said = io.StringIO()
    exec(compile(example, "README", "exec"), {"print": lambda *words: print(*words, file=said)})
    assert (tmp_path / "restored.png").exists() and said.getvalue()
