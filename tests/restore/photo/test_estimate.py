"""Estimate: the cost of a run, from a sample of its photos."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data

from restore import identity
from restore.engines.cost import window_tflop
from restore.item import Item
from restore.photo.estimate import SAMPLE_PHOTOS, estimate, sample
from restore.photo.state import Job
from restore.recipe import Recipe
from restore.storage import AccessPolicy, OutStore


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(
        run_id="dry run",
        recipe=Recipe(engine="sdxl"),
        auto="sdxl",
        engine_hashes={"sdxl": "one", "ns": identity.engine_hash("ns")},
        store=OutStore.open(str(tmp_path / "out")),
        access=AccessPolicy((str(tmp_path),)),
        software_version="0",
    )


def item(folder: Path, name: str, holes: int, overrides: str = "{}") -> Item:
    mask = np.zeros((512, 512), np.uint8)
    for number in range(holes):
        mask[100 + 250 * number : 130 + 250 * number, 200:240] = 255
    Image.fromarray(data.astronaut()).save(folder / f"{name}.png")
    Image.fromarray(mask).save(folder / f"{name}-mask.png")
    image, mask_path = str(folder / f"{name}.png"), str(folder / f"{name}-mask.png")
    return Item(name, image, "0" * 16, mask=mask_path, overrides=overrides)


def test_windows_and_work_are_those_of_the_run(job: Job, tmp_path: Path) -> None:
    items = [
        item(tmp_path, "hole", 1),
        item(tmp_path, "classical", 1, '{"engine":"ns"}'),
        item(tmp_path, "nothing", 0),
        Item("missing", str(tmp_path / "missing.png"), "0" * 16),
    ]
    found = estimate(items, 4, job)
    assert (found.photos, found.sampled) == (4, 4) and found.windows == {"sdxl": 1, "ns": 1}
    assert found.tflop == pytest.approx(window_tflop((1024, 1024), Recipe(), "sdxl"))
    assert not (tmp_path / "out").exists(), "not even the copy of the photo with nothing to repair"
    assert "1 by ns, 1 by sdxl" in found.text() and f"{found.tflop:,.0f} TFLOP" in found.text()
    native = estimate(items[1:2], 1, job)
    assert "1 by ns" in native.text() and "TFLOP" not in native.text(), "no GPU is needed"


def test_coverage_and_failures_of_the_sample_are_named(job: Job, tmp_path: Path) -> None:
    inverted = item(tmp_path, "inverted", 1, '{"mask_polarity":"black_is_damage"}')
    found = estimate([item(tmp_path, "hole", 1), inverted, item(tmp_path, "nothing", 0)], 900, job)
    hole = 30 * 40 / 512**2
    assert found.coverage == {"hole": hole, "inverted": 1 - hole, "nothing": 0.0}
    first, coverage, failed = found.text().splitlines()
    assert "from 3 of 900 photos: windows 300 by sdxl" in first
    assert coverage == "their masks mark 0.46% of a photo in the median, 99.54% at most: inverted"
    assert failed.startswith(
        "1 of these 3 would fail, such as inverted: mask_too_large: the mask marks 99.5%"
    )


def test_a_sample_stands_for_all(job: Job, tmp_path: Path) -> None:
    one = item(tmp_path, "hole", 1)
    found = estimate([one, one], 1000, job)
    assert found.sampled == 2 and found.windows == {"sdxl": 1000}
    assert found.tflop == pytest.approx(1000 * estimate([one], 1, job).tflop)


@pytest.mark.parametrize(
    "photos", [1, *(SAMPLE_PHOTOS + step for step in (-1, 0, 1)), 5 * SAMPLE_PHOTOS - 1, 1_000_000]
)
def test_the_sample_is_small_and_spread(photos: int) -> None:
    chosen = sample(photos)
    assert min(photos, SAMPLE_PHOTOS // 2) <= len(chosen) <= SAMPLE_PHOTOS
    assert chosen[0] == 0 and photos - chosen[-1] <= chosen.step


def test_an_empty_plan_takes_nothing(job: Job) -> None:
    assert len(sample(0)) == 0
    assert estimate([], 0, job).tflop == 0 and "none" in estimate([], 0, job).text()
