"""Flow: the pipeline's promises that need a real Ray, on few photos."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import ray

from restore import flow, identity, photo
from restore.errors import EngineError
from restore.meters import METRICS
from restore.outcome import READ_BYTES, THUMBS, outcome_schema
from restore.recipe import Models
from restore.weights import Weights
from tests.plans import CHOICE, make_job, write_plan

POOL = flow.Pool(actors=1, cpus=0, gpus=0, photos_per_block=2)


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.fixture
def job(tmp_path: Path) -> photo.Job:
    return make_job(tmp_path)


def test_every_row_of_the_plan_comes_out_once(cluster: None, job: photo.Job, tmp_path: Path) -> None:
    ids = [f"photo {number}" for number in range(9)]
    write_plan(tmp_path / "in", tmp_path / "out", ids)
    (tmp_path / "in/images/004.jpg").unlink()
    tables = list(flow.outcomes(job, "plans/run.parquet", ["x_box"], CHOICE, POOL))
    assert len(tables) > 1, "outcomes stream, they do not come all at the end"
    table = pa.concat_tables(tables)
    assert sorted(table["item_id"].to_pylist()) == sorted(ids)
    expected = [f for f in outcome_schema(["x_box"]) if f.name not in ("row_id", "committed_at")]
    assert table.drop_columns([*THUMBS, READ_BYTES]).schema.equals(pa.schema(expected))
    rows = {row["x_box"]: row for row in table.to_pylist()}
    assert rows["4"]["error_code"] == "image_not_found"
    assert all(row["status"] == "restored" for box, row in rows.items() if box != "4")
    assert all(row["thumb_after"] is not None for box, row in rows.items() if box != "4")
    assert rows["1"]["engine"] == "telea" and rows["2"]["engine"] == "ns"


def test_a_fault_of_ours_costs_one_photo(cluster: None, job: photo.Job, tmp_path: Path) -> None:
    write_plan(tmp_path / "in", tmp_path / "out", "abcd")
    broken = replace(job, engine_hashes={"auto": identity.classical_hash()})  # `telea` is missing: a KeyError
    table = pa.concat_tables(flow.outcomes(broken, "plans/run.parquet", ["x_box"], CHOICE, POOL))
    rows = {row["x_box"]: row for row in table.to_pylist()}
    assert rows["1"]["error_code"] == "worker_crashed" and "KeyError" in rows["1"]["error_message"]
    assert sum(row["status"] == "restored" for row in rows.values()) == 3


def test_after_its_time_nothing_is_begun_and_what_is_decided_stays(
    cluster: None, job: photo.Job, tmp_path: Path
) -> None:
    write_plan(tmp_path / "in", tmp_path / "out", "abcd")
    late = time.time() - 1
    assert not sum(
        table.num_rows for table in flow.outcomes(job, "plans/run.parquet", ["x_box"], CHOICE, POOL, late)
    )
    assert not list(job.store.list("images"))
    (tmp_path / "in/images/002.jpg").unlink()
    rows = pq.read_table(tmp_path / "out/plans/run.parquet")
    desk = flow.open_desk(60)
    prepared = flow.prepare(rows, job, desk)
    done = flow.finish(flow.Painter(CHOICE, desk, late)(prepared), job, desk, ["x_box"])
    assert done["error_code"].to_pylist() == ["image_not_found"]


def test_a_broken_world_is_raised_as_itself(cluster: None, job: photo.Job, tmp_path: Path) -> None:
    write_plan(tmp_path / "in", tmp_path / "out", "ab")
    gone = Weights("vae", "somewhere/else", "", "", "digest")
    world = replace(CHOICE, models=Models(vae=str(tmp_path / "gone")), weights={"vae": gone})
    with pytest.raises(EngineError, match=r"models\.vae.*no such directory"):
        list(flow.outcomes(job, "plans/run.parquet", ["x_box"], world, POOL))


def test_ray_takes_every_metric_and_the_zero_of_a_counter(cluster: None) -> None:
    for metric in METRICS:
        flow.instrument(metric)(0, dict.fromkeys(metric.labels, "some"))


def test_the_cluster_is_seen(cluster: None) -> None:
    seen = flow.cluster()
    assert (seen.count, seen.cpus, seen.gpus) == (1, 2.0, 0.0)


def test_ray_data_knows_the_settings_that_it_is_given(cluster: None, job: photo.Job, tmp_path: Path) -> None:
    write_plan(tmp_path / "in", tmp_path / "out", "a")
    list(flow.outcomes(job, "plans/run.parquet", ["x_box"], CHOICE, POOL))
    from ray.data._internal.cluster_autoscaler.rate_based_cluster_autoscaler import RateBasedClusterAutoscaler

    assert RateBasedClusterAutoscaler.AUTOSCALING_REQUEST_EXPIRE_TIME_S == 20
    assert RateBasedClusterAutoscaler.DEFAULT_CLUSTER_SCALING_UP_MAX_RESOURCE_DELTA.gpu == 0
    names = [one["ActorClassName"] for one in ray._private.state.actors().values()]
    assert 0 < sum("FooterReader" in name for name in names) < 8, "one for each run, of some 32 by itself"


@pytest.mark.parametrize(("gpus", "most"), [(0, 2), (1, float("inf"))])
def test_only_actors_that_hold_gpus_become_more(gpus: float, most: float) -> None:
    strategy = flow._actors(replace(POOL, actors=2, gpus=gpus))
    assert (strategy.min_size, strategy.initial_size, strategy.max_size) == (2, 2, most)
