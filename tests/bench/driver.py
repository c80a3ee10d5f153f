"""What the driver itself does for each photo: Ray Data's blocks, rows into parts, pictures for the report.

The photos are not there, so that workers have next to nothing to do; the driver's work is the same. Its
CPU seconds bound the rows that one driver can take in a second, whatever the cluster.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from threading import Event

import pyarrow as pa
import pyarrow.parquet as pq
import ray

from cluster.profiles import GPU
from restore.item import PLAN_SCHEMA
from restore.pipeline import flow
from restore.report.thumbnail_store import ThumbnailStore
from restore.run.lease import acquire
from restore.run.ledger import Ledger, collect
from tests.support.plans import SELECTION, make_job
from tests.support.runs import outcome, pictured, stream

ROWS, PER_BLOCK = 4000, GPU.photos_per_block


def write_plan(folder: Path) -> str:
    rows = [
        {
            "item_id": f"box/{number:06d}",
            "image": str(folder / f"in/{number:06d}.jpg"),
            "image_pinned": False,
            "mask_pinned": False,
            "overrides": "{}",
            "work_key": f"{number:064d}",
            "reason": "new",
            "attempts": 0,
        }
        for number in range(ROWS)
    ]
    (folder / "out/plans").mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows, schema=PLAN_SCHEMA), folder / "out/plans/run.parquet")
    return "plans/run.parquet"


def as_restored(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Rows of restored photos with their pictures, as many as come."""
    (like,) = stream([pictured(outcome(1), 1)])
    like = like.drop_columns(["x_title"])
    for table in tables:
        rows = pa.concat_tables([like] * table.num_rows)
        at = rows.schema.get_field_index("item_id")
        yield rows.set_column(at, "item_id", table["item_id"]).select([*rows.schema.names])


def main() -> None:
    with tempfile.TemporaryDirectory() as name, ThumbnailStore() as album:
        folder = Path(name)
        plan, job = write_plan(folder), make_job(folder)
        ray.init(include_dashboard=False, log_to_driver=False)
        pool = flow.Pool(actors=1, cpus=0, gpus=0, photos_per_block=PER_BLOCK)
        with acquire(job.store) as lease:
            ledger = Ledger(job.store, lease, "run", [], max_failed=1)
            began, worked = time.perf_counter(), time.process_time()
            arrived = as_restored(flow.outcomes(job, plan, [], SELECTION, pool))
            collect(album.watch(arrived), ledger, lambda tally: None, Event())
            spent, worked = time.perf_counter() - began, time.process_time() - worked
        ray.shutdown()
    assert ledger.committed == ROWS
    print(f"{ROWS} rows in blocks of {PER_BLOCK}: {ROWS / spent:.0f} rows/s on {os.cpu_count()} cores")
    each = f"{1000 * worked / ROWS:.1f} CPU-ms a row, {ROWS / worked:.0f} rows per CPU-second"
    print(f"the driver's own work: {each}")
