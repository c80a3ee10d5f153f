"""Plans of small archives, for tests that run the pipeline without the job around it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from restore import identity
from restore.engines import EngineConfig
from restore.engines.selection import select_engines
from restore.item import PLAN_SCHEMA
from restore.photo.state import Job
from restore.recipe import Recipe
from restore.storage import AccessPolicy, OutStore
from tests.support.archives import make_archive, read_manifest_rows

SELECTION = select_engines(["auto", "telea"], "ns", Recipe(), EngineConfig(batch=4))


def make_job(folder: Path) -> Job:
    """Inputs below `in`, the output store in `out`."""
    return Job(
        run_id="run",
        recipe=Recipe(),
        auto="ns",
        engine_hashes={"auto": identity.engine_hash("ns"), "telea": identity.engine_hash("ns")},
        store=OutStore.open(str(folder / "out")),
        access=AccessPolicy((str(folder / "in"),)),
        software_version="0",
    )


def write_plan(folder: Path, out: Path, ids: Sequence[str]) -> str:
    """Photos under these ids in `folder` and their plan in `out`; the second is to be painted by Telea.

    Returns the plan's path below `out`.
    """
    manifest = make_archive(folder, len(ids), 320, 240)
    rows = [
        {
            "item_id": item,
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
        for number, (item, row) in enumerate(zip(ids, read_manifest_rows(manifest), strict=True))
    ]
    schema = PLAN_SCHEMA.append(pa.field("x_box", pa.string()))
    (out / "plans").mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), out / "plans/run.parquet")
    return "plans/run.parquet"
