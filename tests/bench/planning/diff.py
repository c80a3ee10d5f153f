"""The plan for 1, 3 and 10 million rows: time, work and peak memory, beside a bare join of the same rows.

Each case runs in a process of its own, whose peak memory is then its own.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds

from manifests.planning.plan import plan
from manifests.query import sql
from manifests.query.spool import spool
from manifests.reading.schema import NORMAL_SCHEMA
from restore.identity import PIPELINE_VERSION, engine_hash
from restore.outcome import OUTCOME_SCHEMA

MILLIONS = (1, 3, 10)
CASES = ("night", "overrides", "new")
PARTS = 20
RECIPE = "r" * 64
ENGINES = {"auto": engine_hash("ns"), "ns": engine_hash("ns")}


def make(folder: Path, millions: int) -> None:
    """A manifest as a listing writes it, the same with overrides, and the rows of the runs that did both.

    One photo in a hundred has changed since.
    """
    (folder / "metadata").mkdir(parents=True)
    with sql.connection() as con:
        for name, overrides in (("plain", ""), ("overrides", ", 1.5 + i % 9 AS guidance_scale, i AS seed")):
            con.execute(f"""
                COPY (SELECT 'box-' || i // 1000 || '/photo-' || i AS item_id,
                    's3://archive/box-' || i // 1000 || '/photo-' || i || '.tif' AS image,
                    md5('i' || i) AS image_version,
                    's3://archive/masks/box-' || i // 1000 || '/photo-' || i || '.png' AS mask,
                    md5('m' || i) AS mask_version {overrides}
                FROM range({millions} * 1000000) AS t(i)) TO '{folder}/{name}.parquet'
            """)
    for name in ("plain", "overrides"):
        _commit(folder, name, millions * 1_000_000)


def _commit(folder: Path, name: str, rows: int) -> None:
    """What a run leaves that has done it all, in parts."""
    todo = _plan(_wanted(folder / f"{name}.parquet"), OUTCOME_SCHEMA.empty_table()).todo
    (folder / "metadata" / name).mkdir()
    with sql.connection() as con:
        con.execute(f"CREATE VIEW todo AS FROM read_parquet('{todo.path}', file_row_number = true)")
        for part in range(PARTS):
            con.execute(f"""
                COPY (SELECT printf('%06d-%05d-%06d', 1, {part}, file_row_number) AS row_id, item_id,
                    'run' AS run_id, 'restored' AS status, NULL::VARCHAR AS error_code,
                    NULL::VARCHAR AS error_message, work_key, reason,
                    if(file_row_number % 100 = 0, 'older', image_version) AS image_version,
                    sha256(item_id) AS image_sha256, mask_version, sha256(work_key) AS mask_sha256,
                    '{RECIPE}' AS recipe_hash, overrides, {PIPELINE_VERSION}::INTEGER AS pipeline_version,
                    '{ENGINES["auto"]}' AS engine_hash
                FROM todo WHERE file_row_number % {PARTS} = {part}
                ) TO '{folder}/metadata/{name}/part-{part:05d}.parquet'
            """)
    _age(folder / "metadata" / name)


def _age(folder: Path) -> None:
    """The work keys of the changed photos were others."""
    with sql.connection() as con:
        for part in folder.iterdir():
            con.execute(f"""
                COPY (SELECT * REPLACE (if(image_version = 'older', sha256(work_key), work_key) AS work_key)
                FROM '{part}') TO '{part}.new' (FORMAT parquet)
            """)
            Path(f"{part}.new").replace(part)


def _plan(wanted: Any, committed: Any) -> Any:
    return plan(wanted, committed, recipe_hash=RECIPE, engine_hashes=ENGINES, engine="auto")


def measured(folder: Path, case: str) -> None:
    """One case, in a process of its own: prints seconds, CPU seconds, peak bytes and the counts."""
    name = "overrides" if case == "overrides" else "plain"
    committed = ds.dataset(folder / "metadata" / name) if case != "new" else OUTCOME_SCHEMA.empty_table()
    wanted = _wanted(folder / f"{name}.parquet")
    began, worked = time.perf_counter(), time.process_time()
    counts = dict(_plan(wanted, committed).counts)
    _tell(time.perf_counter() - began, time.process_time() - worked, counts)


def _wanted(manifest: Path) -> Any:
    """The manifest as a run's order holds it, made without the memory that reading and checking it take."""
    schema = NORMAL_SCHEMA
    for pinned in ("image_pinned", "mask_pinned"):
        schema = schema.append(pa.field(pinned, pa.bool_()))
    names = duckdb.sql(f"DESCRIBE FROM '{manifest}'").fetchall()
    overrides = "'{}'"
    if any(name == "seed" for name, *_ in names):
        overrides = """'{"guidance_scale":' || guidance_scale || ',"seed":' || seed || '}'"""
    with sql.connection() as con:
        query = f"""
            SELECT file_row_number + 1 AS row, * EXCLUDE (file_row_number), NULL::VARCHAR AS reference,
                NULL::DOUBLE AS priority, true AS image_pinned, true AS mask_pinned, {overrides} AS overrides
            FROM read_parquet('{manifest}', file_row_number = true)
        """
        return spool(con, f"SELECT {sql.names(schema.names)} FROM ({query})", schema)


def bare(folder: Path, case: str) -> None:
    """DuckDB alone: a full outer join by item_id, with a sha256 of each side's inputs."""
    began, worked = time.perf_counter(), time.process_time()
    with sql.connection() as con:
        found = con.execute(f"""
            SELECT count(*) FILTER (a.key = b.key) FROM
            (SELECT item_id, sha256(image_version || mask_version) AS key FROM '{folder}/plain.parquet') AS a
            FULL OUTER JOIN
            (SELECT item_id, sha256(image_version || mask_version) AS key
             FROM '{folder}/metadata/plain/*.parquet') AS b USING (item_id)
        """).fetchone()
    _tell(time.perf_counter() - began, time.process_time() - worked, {"same": found[0] if found else 0})


def _tell(seconds: float, worked: float, counts: dict[str, int]) -> None:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"seconds": seconds, "worked": worked, "peak": peak, "counts": counts}))


def main() -> None:
    times: dict[str, list[float]] = {}
    for millions in MILLIONS:
        with tempfile.TemporaryDirectory() as name:
            subprocess.run(
                [sys.executable, "-m", __spec__.name, "make", name + "/x", str(millions)], check=True
            )
            for case in (*CASES, "bare"):
                command = [sys.executable, "-m", __spec__.name, case, name + "/x"]
                found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
                times.setdefault(case, []).append(found["seconds"] / millions)
                print(
                    f"{millions:3d} million, {case:9}: {found['seconds']:6.1f} s, {found['worked']:6.1f} "
                    f"CPU-s, peak {found['peak'] / 2**30:.2f} GiB, {found['counts']}",
                    flush=True,
                )
    for case, per_million in times.items():
        ratio = per_million[-1] / per_million[0]
        print(f"{case}: a row of {MILLIONS[-1]} million takes {ratio:.2f} of one of {MILLIONS[0]}")


if __name__ == "__main__":
    what, where, *more = sys.argv[1:]
    if what == "make":
        make(Path(where), int(more[0]))
    elif what == "bare":
        bare(Path(where), what)
    else:
        measured(Path(where), what)
