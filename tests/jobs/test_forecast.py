"""Forecast: the hours of a run, and the source of its rate."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from jobs.forecast import FEWEST, on_cores, on_gpus
from jobs.restore_archive import main
from jobs.settings import Cards
from manifests.catalog.history import COLUMNS
from restore.engines.cost import RATES, window_tflop
from restore.photo.estimate import Estimate
from restore.recipe import Recipe
from restore.report.thumbnail_store import ThumbnailStore
from restore.run.ledger import write_record
from restore.storage import OutStore
from tests.support.archives import make_archive
from tests.support.runs import RUN, committed, outcome

WINDOW = {"x": 0, "y": 0, "width": 1024, "height": 1024, "paint_width": 1024, "paint_height": 1024}
SMALL = {**WINDOW, "paint_width": 220, "paint_height": 600}
STEPS = ("fetch", "prepare", "wait", "paint", "finish", "upload")
FOUND = Estimate(photos=3_600, sampled=12, windows={"sdxl": 3_600}, tflop=3_600 * 400.0)


def rows(count: int = FEWEST, *, device: str = "NVIDIA L40S", engine: str = "ns+sdxl") -> pa.Table:
    """Photos of one 1024 x 1024 window and one for the classical engine, painted in 4 s each."""
    row = {
        "run_id": "20260101T000000Z-000001",
        "device": device,
        "engine": engine,
        "windows": [WINDOW, SMALL],
        "recipe": Recipe().model_dump_json(),
        "seconds": dict(zip(STEPS, (9.0, 0.5, 9.0, 4.0, 1.5, 9.0), strict=True)),
    }
    return pa.Table.from_pylist([row]).select(list(COLUMNS)).take(pa.array([0] * count, pa.int64()))


def estimate(past: pa.Table, asked: Cards | None) -> str:
    return "\n".join(on_gpus(FOUND, past, asked))


def test_a_measured_card_uses_its_measurement() -> None:
    rate = window_tflop((1024, 1024), Recipe(), "sdxl") / 4.0
    hours = FOUND.tflop / rate / 3600
    for asked in (None, Cards(1, "L40S")):
        text = estimate(rows(), asked)
        assert text.startswith(f"NVIDIA L40S: {hours:.2g} GPU-hours: {hours:.2g} h on 1 GPU;")
        assert f"{rate:,.0f} TFLOP/s, measured in run 20260101T000000Z-000001 over {FEWEST} photos" in text
    assert f"h on 1 GPU, {hours / 8:.2g} h on 8;" in estimate(rows(), Cards(8, "L40S"))


@pytest.mark.parametrize("past", [rows(), rows(FEWEST - 1, device="NVIDIA L4"), rows(0)])
def test_another_card_uses_the_table(past: pa.Table) -> None:
    text = estimate(past, Cards(4, "L4"))  # an L40S is no L4
    hours = FOUND.tflop / RATES["L4"] / 3600
    assert text.startswith(f"L4: {hours:.2g} GPU-hours: {hours:.2g} h on 1 GPU, {hours / 4:.2g} h on 4;")
    assert "by the table, an estimate" in text and "measured in run" not in text
    assert "by the table, measured" in estimate(past, Cards(1, "H200"))


def test_without_a_card_and_a_measurement_all_cards_are_listed() -> None:
    text = estimate(rows(0), None)
    assert all(f"{name} {FOUND.tflop / rate / 3600:.2g}" in text for name, rate in RATES.items())


def test_cores_use_a_run_of_this_store() -> None:
    past = rows(device="cpu", engine="ns")
    text = on_cores(FOUND, past, {"photos_per_second": 2.0})
    assert text.startswith("6 CPU-hours, 0.5 h at its 2.00 photos/s; measured in run 20260101T000000Z-000001")
    assert "photos/s" not in on_cores(FOUND, past, {}), "another profile's clock tells nothing"
    assert "unknown until" in on_cores(FOUND, rows(FEWEST - 1), {})


@pytest.mark.parametrize(("profile", "clock"), [("local", True), ("gpu", False)])
def test_a_dry_run_tells_what_a_run_before_took(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], profile: str, clock: bool
) -> None:
    manifest, store = make_archive(tmp_path / "in", 3, 320, 240), OutStore.open(str(tmp_path / "out"))
    job = ["--manifest", str(manifest), "--output", store.root, "--dry-run"]
    assert main(job) == 0
    text = capsys.readouterr().out
    assert "from 3 of 3 photos: windows" in text and "CPU-hours: unknown until" in text
    with ThumbnailStore() as album:
        committed(store, [outcome(number, engine="ns", device="cpu") for number in range(FEWEST)], album)
    write_record(store, RUN, {"profile": profile, "photos_per_second": 2.0})
    assert main(job) == 0
    text = capsys.readouterr().out
    assert f"measured in run {RUN} over {FEWEST} photos on cpu" in text
    assert ("h at its 2.00 photos/s" in text) == clock, "another profile has other resources"


def test_an_empty_plan_has_no_estimate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = tmp_path / "manifest.csv"
    manifest.write_text("item_id,image,mask\n")
    assert main(["--manifest", str(manifest), "--output", str(tmp_path / "out"), "--dry-run"]) == 0
    assert "hours" not in capsys.readouterr().out
