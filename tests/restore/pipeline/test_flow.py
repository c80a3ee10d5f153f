"""Flow: the pipeline's promises that need a real Ray, on few photos."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Event, Lock, Semaphore
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import ray

from restore import identity
from restore.engines.prefill import prefill
from restore.errors import EngineError, ErrorCode, ItemError
from restore.identity import sha256_bytes
from restore.outcome import OWN_FAULT, READ_BYTES, THUMBS, outcome_schema
from restore.photo import finish
from restore.photo.prepare import prepare
from restore.photo.state import Job, PaintedPhoto, Prepared
from restore.pipeline import flow
from restore.recipe import Models, Recipe
from restore.run.metrics import METRICS
from restore.weights.cache import Weights
from tests.support.plans import SELECTION, make_job, write_plan

POOL = flow.Pool(actors=1, cpus=0, gpus=0, photos_per_block=2)


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return make_job(tmp_path)


def test_every_row_of_the_plan_comes_out_once(cluster: None, job: Job, tmp_path: Path) -> None:
    ids = [f"photo {number}" for number in range(9)]
    write_plan(tmp_path / "in", tmp_path / "out", ids)
    (tmp_path / "in/images/004.jpg").unlink()
    tables = list(flow.outcomes(job, "plans/run.parquet", ["x_box"], SELECTION, POOL))
    assert len(tables) > 1, "outcomes stream, they do not come all at the end"
    table = pa.concat_tables(tables)
    assert sorted(table["item_id"].to_pylist()) == sorted(ids)
    expected = [f for f in outcome_schema(["x_box"]) if f.name not in ("row_id", "committed_at")]
    assert table.drop_columns([OWN_FAULT, *THUMBS, READ_BYTES]).schema.equals(pa.schema(expected))
    rows = {row["x_box"]: row for row in table.to_pylist()}
    assert rows["4"]["error_code"] == "image_not_found"
    assert all(row["status"] == "restored" for box, row in rows.items() if box != "4")
    assert all(row["thumb_after"] is not None for box, row in rows.items() if box != "4")
    assert rows["1"]["engine"] == "telea" and rows["2"]["engine"] == "ns"


def test_an_unexpected_error_costs_one_photo(cluster: None, job: Job, tmp_path: Path) -> None:
    write_plan(tmp_path / "in", tmp_path / "out", "abcd")
    # `telea` is missing: a KeyError
    broken = replace(job, engine_hashes={"auto": identity.engine_hash("ns")})
    table = pa.concat_tables(flow.outcomes(broken, "plans/run.parquet", ["x_box"], SELECTION, POOL))
    rows = {row["x_box"]: row for row in table.to_pylist()}
    assert rows["1"]["error_code"] == "worker_crashed" and "KeyError" in rows["1"]["error_message"]
    assert sum(row["status"] == "restored" for row in rows.values()) == 3


def test_after_its_time_nothing_is_begun_and_what_is_decided_stays(
    cluster: None, job: Job, tmp_path: Path
) -> None:
    write_plan(tmp_path / "in", tmp_path / "out", "abcd")
    late = time.time() - 1
    assert not sum(
        table.num_rows for table in flow.outcomes(job, "plans/run.parquet", ["x_box"], SELECTION, POOL, late)
    )
    assert not list(job.store.list("images"))
    (tmp_path / "in/images/002.jpg").unlink()
    rows = pq.read_table(tmp_path / "out/plans/run.parquet")
    tracker = flow.open_crash_tracker(60)
    prepared = flow.prepare_block(rows, job, tracker)
    done = flow.finish_block(flow.Painter(SELECTION, tracker, late)(prepared), job, tracker, ["x_box"])
    assert done["error_code"].to_pylist() == ["image_not_found"]


def test_a_broken_world_is_raised_as_itself(
    cluster: None, job: Job, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    write_plan(tmp_path / "in", tmp_path / "out", "ab")
    missing = Weights("vae", "somewhere/else", "", "", "digest")
    world = replace(SELECTION, models=Models(vae=str(tmp_path / "missing")), weights={"vae": missing})
    with pytest.raises(EngineError, match=r"models\.vae.*no such directory") as raised:
        list(flow.outcomes(job, "plans/run.parquet", ["x_box"], world, POOL))
    assert str(raised.value).endswith("that every node can read"), "Ray Data appends advice"
    assert "Traceback" not in capfd.readouterr().err
    assert not any(handler.level for handler in logging.getLogger().handlers), "the caller's own handlers"


def test_ray_takes_every_metric_and_the_zero_of_a_counter(cluster: None) -> None:
    for metric in METRICS:
        flow.instrument(metric)(0, dict.fromkeys(metric.labels, "some"))


def test_the_cluster_is_seen(cluster: None) -> None:
    seen = flow.cluster()
    assert (seen.count, seen.cpus, seen.gpus) == (1, 2.0, 0.0)


def test_ray_data_knows_the_settings_that_it_is_given(cluster: None, job: Job, tmp_path: Path) -> None:
    write_plan(tmp_path / "in", tmp_path / "out", "a")
    list(flow.outcomes(job, "plans/run.parquet", ["x_box"], SELECTION, POOL))
    from ray.data._internal.cluster_autoscaler.rate_based_cluster_autoscaler import RateBasedClusterAutoscaler

    assert RateBasedClusterAutoscaler.AUTOSCALING_REQUEST_EXPIRE_TIME_S == 20
    assert RateBasedClusterAutoscaler.DEFAULT_CLUSTER_SCALING_UP_MAX_RESOURCE_DELTA.gpu == 0
    names = [actor["ActorClassName"] for actor in ray._private.state.actors().values()]
    assert 0 < sum("FooterReader" in name for name in names) < 8, "one for each run, of some 32 by itself"


@pytest.mark.parametrize(("gpus", "most"), [(0, 2), (1, float("inf"))])
def test_only_actors_that_hold_gpus_become_more(gpus: float, most: float) -> None:
    strategy = flow._actors(replace(POOL, actors=2, gpus=gpus))
    assert (strategy.min_size, strategy.initial_size, strategy.max_size) == (2, 2, most)


def test_a_block_is_unpacked_while_another_is_painted_and_only_one_is(
    cluster: None, job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_plan(tmp_path / "in", tmp_path / "out", "abcd")
    tracker = flow.open_crash_tracker(60)
    prepared = flow.prepare_block(pq.read_table(tmp_path / "out/plans/run.parquet"), job, tracker)
    painter, unpacked, at_work = flow.Painter(SELECTION, tracker), Semaphore(0), Lock()
    real_paint, real_split = flow.paint, flow._split_by_end

    def split_by_end(rows: pa.Table) -> Any:
        found = real_split(rows)
        unpacked.release()
        return found

    def alone(*given: Any) -> Any:
        assert at_work.acquire(blocking=False), "two blocks at a time"
        try:
            assert unpacked.acquire(timeout=30) and unpacked.acquire(timeout=30), "the other waits packed"
            unpacked.release(2)
            return real_paint(*given)
        finally:
            at_work.release()

    monkeypatch.setattr(flow, "_split_by_end", split_by_end)
    monkeypatch.setattr(flow, "paint", alone)
    with ThreadPoolExecutor(2) as threads:
        blocks = list(threads.map(painter, (prepared.slice(0, 2), prepared.slice(2, 2))))
    values = [value for block in blocks for value in flow._unpack(block)]
    assert len(values) == 4 and all(isinstance(value, PaintedPhoto) for value in values)


def test_windows_are_filled_before_they_wait_for_a_device(
    cluster: None, job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_plan(tmp_path / "in", tmp_path / "out", "a")
    sized = replace(job, recipe=Recipe(engine="sdxl"), engine_hashes={"sdxl": "hash"})
    plan = pq.read_table(tmp_path / "out/plans/run.parquet")
    ready = flow._unpack(flow.prepare_block(plan, sized, flow.open_crash_tracker(60)))
    assert len(ready) == 1 and all(isinstance(one, Prepared) for one in ready), ready
    for one in ready:
        assert one.tasks and all(task.filled for task in one.tasks)
        unfilled = prepare(one.item, sized)
        assert isinstance(unfilled, Prepared) and not any(task.filled for task in unfilled.tasks)
        assert one.draft.seconds.prepare > 0 and one.ready_at > 0
        for task, raw in zip(one.tasks, unfilled.tasks, strict=True):
            assert np.array_equal(task.window, prefill(raw.window, raw.mask))
            assert not np.array_equal(task.window, raw.window)


def test_a_picture_is_stored_while_the_next_is_composed(
    cluster: None, job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_plan(tmp_path / "in", tmp_path / "out", "abc")
    tracker = flow.open_crash_tracker(60)
    painted = flow.Painter(SELECTION, tracker)(
        flow.prepare_block(pq.read_table(tmp_path / "out/plans/run.parquet"), job, tracker)
    )
    composed, all_composed, real_compose, real_create = [], Event(), flow.compose, finish._create

    def compose(one: PaintedPhoto, job: Job) -> Any:
        made = real_compose(one, job)
        composed.append(made)
        if len(composed) == 3:
            all_composed.set()
        return made

    def create(output: str, data: bytes, job: Job) -> Any:
        assert all_composed.wait(30), "the others wait for its upload"
        if output.startswith("images/b."):
            raise ItemError(ErrorCode.STORAGE_UNAVAILABLE, "on purpose")
        return real_create(output, data, job)

    monkeypatch.setattr(flow, "compose", compose)
    monkeypatch.setattr(finish, "_create", create)
    done = {row["item_id"]: row for row in flow.finish_block(painted, job, tracker, ["x_box"]).to_pylist()}
    codes = {item: row["error_code"] for item, row in done.items()}
    assert codes == {"a": None, "b": "storage_unavailable", "c": None} and done["b"]["output"] is None
    stored = {item: job.store.read(done[item]["output"]) for item in "ac"}
    assert {item: sha256_bytes(data) for item, data in stored.items()} == {
        item: done[item]["output_sha256"] for item in "ac"
    }
