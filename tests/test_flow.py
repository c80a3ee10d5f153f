"""Flow: the pipeline's promises that need a real Ray, on few photos."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import ray

from restore import flow, identity, photo
from restore.choice import choose
from restore.engines import EngineConfig
from restore.errors import EngineError
from restore.item import PLAN_SCHEMA
from restore.outcome import THUMBS, outcome_schema
from restore.recipe import Models, Recipe
from restore.storage import AccessPolicy, OutStore
from restore.weights import Weights
from tests.archives import make_archive, read_manifest_rows

CHOICE = choose(["auto", "telea"], "ns", Recipe(), EngineConfig(batch=4))
POOL = flow.Pool(actors=1, cpus=0, gpus=0, photos_per_block=2)


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.fixture
def job(tmp_path: Path) -> photo.Job:
    return photo.Job(
        run_id="run",
        recipe=Recipe(),
        auto="ns",
        engine_hashes={"auto": identity.classical_hash(), "telea": identity.classical_hash()},
        store=OutStore.open(str(tmp_path / "out")),
        access=AccessPolicy((str(tmp_path / "in"),)),
        software_version="0",
    )


def write_plan(folder: Path, out: Path, count: int) -> list[str]:
    manifest = make_archive(folder, count, 320, 240)
    rows = [
        {
            "item_id": row["item_id"],
            "image": str(folder / row["image"]),
            "mask": str(folder / row["mask"]),
            "image_pinned": False,
            "mask_pinned": False,
            "overrides": json.dumps({"engine": "telea"}) if number == 1 else "{}",
            "work_key": f"{number:064d}",
            "reason": "new",
            "attempts": 0,
            "x_box": str(number),
        }
        for number, row in enumerate(read_manifest_rows(manifest))
    ]
    schema = PLAN_SCHEMA.append(pa.field("x_box", pa.string()))
    (out / "plans").mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), out / "plans/run.parquet")
    return [row["item_id"] for row in rows]


def test_every_row_of_the_plan_comes_out_once(cluster: None, job: photo.Job, tmp_path: Path) -> None:
    ids = write_plan(tmp_path / "in", tmp_path / "out", 9)
    (tmp_path / "in/images/004.jpg").unlink()
    tables = list(flow.outcomes(job, "plans/run.parquet", ["x_box"], CHOICE, POOL))
    assert len(tables) > 1, "outcomes stream, they do not come all at the end"
    table = pa.concat_tables(tables)
    assert sorted(table["item_id"].to_pylist()) == sorted(ids)
    expected = [f for f in outcome_schema(["x_box"]) if f.name not in ("row_id", "committed_at")]
    assert table.drop_columns(list(THUMBS)).schema.equals(pa.schema(expected))
    rows = {row["x_box"]: row for row in table.to_pylist()}
    assert rows["4"]["error_code"] == "image_not_found"
    assert all(row["status"] == "restored" for box, row in rows.items() if box != "4")
    assert all(row["thumb_after"] is not None for box, row in rows.items() if box != "4")
    assert rows["1"]["engine"] == "telea" and rows["2"]["engine"] == "ns"


def test_a_fault_of_ours_costs_one_photo(cluster: None, job: photo.Job, tmp_path: Path) -> None:
    write_plan(tmp_path / "in", tmp_path / "out", 4)
    broken = replace(job, engine_hashes={"auto": identity.classical_hash()})  # `telea` is missing: a KeyError
    table = pa.concat_tables(flow.outcomes(broken, "plans/run.parquet", ["x_box"], CHOICE, POOL))
    rows = {row["x_box"]: row for row in table.to_pylist()}
    assert rows["1"]["error_code"] == "worker_crashed" and "KeyError" in rows["1"]["error_message"]
    assert sum(row["status"] == "restored" for row in rows.values()) == 3


def test_after_its_time_nothing_is_begun_and_what_is_decided_stays(
    cluster: None, job: photo.Job, tmp_path: Path
) -> None:
    write_plan(tmp_path / "in", tmp_path / "out", 4)
    late = time.time() - 1
    assert not sum(
        table.num_rows for table in flow.outcomes(job, "plans/run.parquet", ["x_box"], CHOICE, POOL, late)
    )
    assert not list(job.store.list("images"))
    (tmp_path / "in/images/002.jpg").unlink()
    rows = pq.read_table(tmp_path / "out/plans/run.parquet")
    prepared = flow.prepare(rows, job)
    done = flow.finish(flow.Painter(CHOICE, late)(prepared), job, ["x_box"])
    assert done["error_code"].to_pylist() == ["image_not_found"]


def test_a_broken_world_is_raised_as_itself(cluster: None, job: photo.Job, tmp_path: Path) -> None:
    write_plan(tmp_path / "in", tmp_path / "out", 2)
    gone = Weights("vae", "somewhere/else", "", "", "digest")
    world = replace(CHOICE, models=Models(vae=str(tmp_path / "gone")), weights={"vae": gone})
    with pytest.raises(EngineError, match=r"models\.vae.*no such directory"):
        list(flow.outcomes(job, "plans/run.parquet", ["x_box"], world, POOL))


def test_the_cluster_is_seen(cluster: None) -> None:
    seen = flow.cluster()
    assert (seen.count, seen.cpus, seen.gpus) == (1, 2.0, 0.0)
