"""How many photos are begun and have not reached the driver."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray

from restore.pipeline import flow
from restore.pipeline.in_flight import BLOCKS_PER_ACTOR, BLOCKS_PER_CPU
from tests.support.plans import SELECTION, make_job, write_plan

CPUS, PHOTOS = 2, 160
POOL = flow.Pool(actors=1, cpus=0, gpus=0, photos_per_block=2)


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    ray.init(num_cpus=CPUS, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


def test_few_photos_are_under_way_however_small_they_are(cluster: None, tmp_path: Path) -> None:
    """A killed run begins these again. Without a limit, two of three photos were begun at once."""
    write_plan(tmp_path / "in", tmp_path / "out", [f"photo {number}" for number in range(PHOTOS)])
    began, arrived = list[float](), list[float]()
    for table in flow.outcomes(make_job(tmp_path), "plans/run.parquet", ["x_box"], SELECTION, POOL):
        began += [moment.timestamp() for moment in table["started_at"].to_pylist()]
        arrived += [time.time()] * table.num_rows
    assert len(began) == PHOTOS
    under_way = [
        sum(start < now < end for start, end in zip(began, arrived, strict=True))
        for now in sorted(set(arrived))
    ]
    # Blocks that finish has returned are no longer under way, and may wait for the driver.
    blocks = BLOCKS_PER_CPU * CPUS + BLOCKS_PER_ACTOR + CPUS
    assert max(under_way) <= blocks * POOL.photos_per_block, under_way
