"""Rows on disk as queries meet them."""

from __future__ import annotations

import io
import random
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.fs
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from manifests.query import sql
from manifests.query.spool import register, spool

ROOT = Path(__file__).resolve().parents[3]
PARTS, ROWS = 8, 8


def table(part: int) -> pa.Table:
    numbers = [ROWS * part + row for row in range(ROWS)]
    return pa.table({"number": numbers, "name": [f"photo {number}" for number in numbers]})


@pytest.fixture
def rows(tmp_path: Path) -> ds.Dataset:
    for part in range(PARTS):
        pq.write_table(table(part), tmp_path / f"{part}.parquet")
    return ds.dataset(tmp_path)


def test_a_dataset_is_read_as_queries_ask(rows: ds.Dataset) -> None:
    with sql.connection() as con:
        register(con, "t", rows)
        for _ in range(2):  # as often as they like
            assert con.sql("SELECT count(*), sum(number) FROM t").fetchall() == [(64, 64 * 63 // 2)]
        twice = "SELECT name FROM t WHERE number = (SELECT max(number) - 1 FROM t)"
        assert con.sql(twice).fetchall() == [("photo 62",)]
        assert con.sql("FROM t LIMIT 0").columns == ["number", "name"]


def test_a_table_and_spooled_rows_are_queried_alike(rows: ds.Dataset) -> None:
    with sql.connection() as con:
        register(con, "t", rows)
        kept = spool(con, "SELECT * FROM t WHERE number < 3 ORDER BY number", rows.schema)
        for name, some in (("spooled", kept), ("loaded", kept.to_table())):
            register(con, name, some)
            assert con.sql(f"SELECT sum(number) FROM {name}").fetchall() == [(3,)]
    assert kept.take(range(1, 3))["name"].to_pylist() == ["photo 1", "photo 2"]


def file(part: int) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table(part), sink)
    return sink.getvalue()


FILES = {f"/{part}": file(part) for part in range(PARTS)}


class SlowFile(io.BytesIO):
    """As a store's objects are: every read waits, and lets others run."""

    def read(self, size: int | None = -1) -> bytes:
        time.sleep(random.choice((0.001, 0.003)))
        return super().read(size)


class SlowStore(MemoryFileSystem):
    cachable = False

    def _open(self, path: str, *_: Any, **__: Any) -> SlowFile:  # type: ignore[override]
        time.sleep(random.choice((0.001, 0.003, 0.006)))
        return SlowFile(FILES[path])


class Handler(pyarrow.fs.FSSpecHandler):
    def open_input_file(self, path: str) -> pa.PythonFile:
        return pa.PythonFile(self.fs.open(path, "rb"), mode="r")


def scan_slow_parts(_: int) -> None:
    """A query over parts of a store that is reached through Python, as every one but the local disk is."""
    store, form = pyarrow.fs.PyFileSystem(Handler(SlowStore())), ds.ParquetFileFormat()
    parts = [form.make_fragment(path, store) for path in FILES]
    for part in parts:
        part.ensure_complete_metadata()  # as `committed_rows` does
    with sql.connection() as con:
        register(con, "t", ds.FileSystemDataset(parts, table(0).schema, form, store))
        assert con.sql("SELECT count(*) FROM t").fetchall() == [(PARTS * ROWS,)]


def scan_often() -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(scan_slow_parts, range(400)))


def test_a_scan_begins_without_pythons_lock() -> None:
    """Else Arrow's threads and the scan wait for each other, for ever, in one of some hundred scans."""
    code = "from tests.manifests.query.test_spool import scan_often; scan_often()"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, timeout=100)
