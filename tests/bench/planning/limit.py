"""The plan of `--limit 10` over a million photos of a local disk without versions: time and memory.

1,000 folders hold 1,000 empty files each and one mask. Each case runs in a process of its own, whose peak
memory is then its own: nothing done yet, the first 1,000 photos done, and no limit.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from jobs.run_spec import load_run_spec
from jobs.settings import RestoreSettings
from manifests.query import sql
from restore.identity import PIPELINE_VERSION, recipe_hash
from restore.outcome import OUTCOME_SCHEMA

FOLDERS, PHOTOS = 1_000, 1_000
DONE = 1_000
CASES = {"nothing done": ("out", 10), "1,000 photos done": ("done", 10), "no limit": ("out", None)}


def make(folder: Path) -> None:
    """The photos, their manifest, and a store in which the first photos are done."""
    for box in range(FOLDERS):
        (folder / f"box-{box:03d}").mkdir(parents=True)
        for name in ("mask.png", *(f"{number:03d}.jpg" for number in range(PHOTOS))):
            (folder / f"box-{box:03d}" / name).touch()
    with sql.connection() as con:
        con.execute(f"""
            COPY (SELECT printf('box-%03d/%03d', i // {PHOTOS}, i % {PHOTOS}) AS item_id,
                item_id || '.jpg' AS image, printf('box-%03d/mask.png', i // {PHOTOS}) AS mask
            FROM range({FOLDERS * PHOTOS}) AS t(i)) TO '{folder}/m.parquet'
        """)
    for store in ("out", "done"):
        (folder / store / "metadata/run=r").mkdir(parents=True)
    _commit(folder)


def _commit(folder: Path) -> None:
    """What a run leaves that has done the first photos."""
    todo = load_run_spec(_settings(folder, "out", DONE)).plan().todo.to_table()
    values = {name: todo[name] for name in todo.column_names if name in OUTCOME_SCHEMA.names}
    rows = len(todo)
    values |= {
        "row_id": pa.array([f"000001-00000-{n:06d}" for n in range(rows)]),
        "pipeline_version": [PIPELINE_VERSION] * rows,
    }
    values |= {name: [value] * rows for name, value in (("status", "restored"), ("run_id", "r"))}
    spec = load_run_spec(_settings(folder, "out", 0))
    values |= {"recipe_hash": [recipe_hash(spec.recipe)] * rows}
    values |= {"engine_hash": [spec.engines.hashes[spec.recipe.engine]] * rows}
    pq.write_table(pa.table(values), folder / "done/metadata/run=r/part-00000.parquet")


def _settings(folder: Path, store: str, limit: int | None) -> RestoreSettings:
    return RestoreSettings(manifest=f"{folder}/m.parquet", output=f"{folder}/{store}", limit=limit)


def measured(folder: Path, case: str) -> None:
    """One case, in a process of its own: prints seconds, peak bytes and the counts."""
    began = time.perf_counter()
    counts = dict(load_run_spec(_settings(folder, *CASES[case])).plan().counts)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps([time.perf_counter() - began, peak, counts]))


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        run = [sys.executable, "-m", __spec__.name]
        subprocess.run([*run, f"{name}/in"], check=True)
        for case in CASES:
            ran = subprocess.run([*run, f"{name}/in", case], check=True, stdout=subprocess.PIPE)
            seconds, peak, counts = json.loads(ran.stdout)
            print(f"{case:18} {seconds:6.1f} s, peak {peak / 2**30:.2f} GiB, {counts}", flush=True)


if __name__ == "__main__":
    where, *case = sys.argv[1:]
    if case:
        measured(Path(where), case[0])
    else:
        make(Path(where))
