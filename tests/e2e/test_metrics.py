"""Metrics of the main job as Prometheus meets them: a real head, its agent's own endpoint, a real run."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest

from manifests.catalog.rows import read_committed
from restore.run.metrics import FALLBACK_STEPS, METRICS, STAGES
from restore.storage import OutStore
from tests.support.archives import make_archive, read_manifest_rows
from tests.support.heads import ROOT, Head, started_head, wait_for
from tests.support.queries import queries, selectors
from tests.support.scrapes import OURS, Scrape, scrape

PHOTOS = 12

pytestmark = pytest.mark.heavy


@pytest.fixture(scope="module")
def head() -> Iterator[Head]:
    with started_head() as head:
        yield head


@pytest.fixture(scope="module")
def run(head: Head, tmp_path_factory: pytest.TempPathFactory) -> tuple[Scrape, Path]:
    """The last value of each series that a run of the main job has exported, and its folder. A photo is
    missing, one has a mask that cannot be.
    """
    folder = tmp_path_factory.mktemp("run")
    rows = read_manifest_rows(make_archive(folder / "in", PHOTOS, 800, 600))
    (folder / "in" / rows[3]["image"]).unlink()
    (folder / "in" / rows[7]["mask"]).write_bytes(b"no picture")
    job = [sys.executable, "-m", "jobs.restore_archive", "--manifest", str(folder / "in/manifest.csv")]
    wait_for(lambda: answers(head))
    process = subprocess.Popen(
        [*job, "--output", str(folder / "out"), "--max-failed", "0.5"],
        cwd=ROOT,
        env={**head.env, "RAY_ADDRESS": head.address},
        stdout=subprocess.DEVNULL,
    )
    seen = Scrape({}, {})
    while process.poll() is None:
        seen |= scrape(head.metrics)
        time.sleep(0.5)
    assert process.returncode == 3, "two of the photos fail"
    return seen | scrape(head.metrics), folder


def answers(head: Head) -> bool:
    try:
        scrape(head.metrics)
    except URLError:
        return False
    return True


def rows(folder: Path) -> list[dict[str, Any]]:
    return list(read_committed(OutStore.open(str(folder / "out"))).to_pylist())


def record(folder: Path) -> dict[str, Any]:
    [path] = (folder / "out/runs").iterdir()
    return dict(json.loads(path.read_text()))


def test_every_metric_is_exported_as_it_is_declared(run: tuple[Scrape, Path]) -> None:
    kinds = {metric.name.removesuffix("_total"): metric.kind for metric in METRICS}
    assert run[0].kinds == {f"ray_{name}": kind for name, kind in kinds.items()}
    for metric in METRICS:
        name = f"ray_{metric.name}{'_bucket' * (metric.kind == 'histogram')}"
        for labels, _ in run[0].series(name):
            assert {"SessionName", "NodeAddress", "WorkerId", *metric.labels} <= set(labels), name


def test_dashboard_and_alerts_name_what_is_exported(run: tuple[Scrape, Path]) -> None:
    asked = {name for query in queries().values() for name, _ in selectors(query) if name.startswith(OURS)}
    assert asked
    for query in queries().values():
        for name, labels in selectors(query):
            if name.startswith(OURS):
                found = [set(series) for series, _ in run[0].series(name)]
                assert found, f"{name} is asked for and not exported"
                assert all(labels <= series for series in found), f"{name} has not all of {labels}"


def test_photos_rows_and_stages_are_those_of_the_rows(run: tuple[Scrape, Path]) -> None:
    seen, committed = run[0], rows(run[1])
    photos = seen.by("ray_silverprint_photos_total", "status", "code")
    expected = Counter((row["status"], row["error_code"] or "") for row in committed)
    assert {series: count for series, count in photos.items() if count} == expected
    assert expected[("failed", "image_not_found")] == expected[("failed", "mask_unreadable")] == 1
    assert photos[("failed", "out_of_memory")] == photos[("copied", "")] == 0, "a series begins at 0"
    assert seen.one("ray_silverprint_committed_rows_total") == len(committed) == PHOTOS
    counts = seen.by("ray_silverprint_stage_seconds_count", "stage")
    for stage in STAGES:
        reached = [row["seconds"][stage] for row in committed if row["seconds"][stage]]
        assert counts[(stage,)] == len(reached) >= PHOTOS - 2, stage
    steps = seen.by("ray_silverprint_engine_steps_total", "step")
    assert steps == {(step,): 0 for step in FALLBACK_STEPS}


def test_work_is_that_of_the_rows(run: tuple[Scrape, Path]) -> None:
    seen, committed = run[0], rows(run[1])
    restored = [row for row in committed if row["status"] == "restored"]
    windows = seen.by("ray_silverprint_windows_painted_total", "engine")
    assert windows == {("ns",): sum(len(row["windows"]) for row in restored)}
    assert seen.by("ray_silverprint_painted_tflop_total", "engine") == {("ns",): 0}
    [busy] = seen.by("ray_silverprint_paint_busy_seconds_total", "device").values()
    [there] = seen.by("ray_silverprint_paint_actor_seconds_total", "device").values()
    assert sum(row["seconds"]["paint"] for row in restored) <= busy < there
    tried = [row["image"] for row in committed]
    tried += [row["mask"] for row in committed if row["error_code"] != "image_not_found"]
    sizes = [path.stat().st_size for path in map(Path, tried) if path.exists()]
    assert seen.one("ray_silverprint_read_bytes_total") == sum(sizes)
    assert seen.one("ray_silverprint_written_bytes_total") == sum(row["output_bytes"] for row in restored)


def test_the_run_is_seen_while_it_is_on_and_only_then(head: Head, run: tuple[Scrape, Path]) -> None:
    seen, saved = run[0], record(run[1])
    gauges = {f"ray_{metric.name}": metric for metric in METRICS if metric.kind == "gauge"}
    assert seen.one("ray_silverprint_photos_planned") == PHOTOS
    assert seen.one("ray_silverprint_photos_left") == 0
    assert seen.one("ray_silverprint_lease_epoch") == saved["epoch"]
    began, ended = (datetime.fromisoformat(saved[name]).timestamp() for name in ("started_at", "ended_at"))
    since = seen.one("ray_silverprint_lease_since_timestamp_seconds")
    assert began - 60 < since <= began, "taken before the run began, in whole seconds"
    assert began < seen.one("ray_silverprint_last_commit_timestamp_seconds") < ended
    wait_for(lambda: not any(True for name in gauges for _ in scrape(head.metrics).series(name)))
    still = scrape(head.metrics)
    assert sum(still.by("ray_silverprint_photos_total", "status").values()) == PHOTOS, "counters stay"
