"""audit.py: every kind of difference is found, and a whole store has none."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from manifests.__main__ import main
from manifests.catalog.verify import Audit, verify
from restore.identity import sha256_bytes
from restore.run.ledger import write_record
from restore.storage import OutStore
from tests.support.runs import RUN, failure
from tests.support.stores import pictured, written


@pytest.fixture
def store(tmp_path: Path) -> OutStore:
    return OutStore.open(str(tmp_path / "out"))


def differences(store: OutStore) -> dict[str, str]:
    return {one.place: one.what for one in verify(store, Audit())}


def test_a_whole_store_has_no_differences(store: OutStore, capsys: pytest.CaptureFixture[str]) -> None:
    written(store, [[pictured(store, 1), pictured(store, 2)], [failure(3)]])
    assert main(["verify", store.root]) == 0
    assert "2 pictures looked at" in capsys.readouterr().out


def test_what_is_not_as_its_row_says_is_found(store: OutStore, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [pictured(store, number) for number in range(6)]
    rows[4] = replace(rows[4], width=65, color_mode="RGBA")
    broken = b"\x89PNG\r\n\x1a\n"
    rows[5] = replace(rows[5], output_sha256=sha256_bytes(broken), output_bytes=len(broken))
    written(store, [rows])
    paths = [row.output or "" for row in rows]
    store.remove(paths[1])
    store.overwrite(paths[2], store.read(paths[2]) + b"x")
    data = store.read(paths[3])
    store.overwrite(paths[3], data[:-1] + bytes([data[-1] ^ 1]))
    store.overwrite(paths[5], broken)
    found = differences(store)
    assert set(found) == set(paths[1:])
    assert found[paths[1]] == "is missing" and "bytes, its row says" in found[paths[2]]
    assert "has sha256" in found[paths[3]] and "does not decode" in found[paths[5]]
    assert found[paths[4]] == "decodes to width 64, its row says 65; color_mode RGB, its row says RGBA"
    assert main(["verify", store.root]) == 3
    assert "5 differences" in capsys.readouterr().out


def test_doubled_rows_and_wrong_counts_are_found(store: OutStore) -> None:
    written(store, [[pictured(store, 1)]])
    part = f"metadata/run={RUN}/part-00000.parquet"
    table = pq.read_table(io.BytesIO(store.read(part)))
    store.create(f"metadata/run={RUN}/compact-00000-00000.parquet", store.read(part))
    assert differences(store) == {}, "a row that comes twice from compaction is one row"
    attempts = pc.add(table["attempts"], 1).cast("int32")
    other = table.set_column(
        table.schema.get_field_index("attempts"), table.schema.field("attempts"), attempts
    )
    sink = io.BytesIO()
    pq.write_table(other, sink)
    store.create(f"metadata/run={RUN}/part-00001.parquet", sink.getvalue())
    write_record(store, "r2", {"run_id": "r2", "committed": 7})
    store.create("runs/odd.json", b"[]")
    found = differences(store)
    assert found == {
        table["row_id"][0].as_py(): "2 rows of different content have this row_id",
        "runs/r2.json": "says that 7 rows are committed; the run's parts hold 0",
        "runs/odd.json": "is no run record",
    }


def test_a_sample_is_the_same_each_time_and_others_by_other_seeds(store: OutStore) -> None:
    rows = [pictured(store, number) for number in range(40)]
    written(store, [rows])
    for row in rows:
        store.remove(row.output or "")
    chosen = [{one.place for one in verify(store, Audit(), 0.5, seed)} for seed in (0, 0, 1)]
    assert chosen[0] == chosen[1] != chosen[2]
    assert all(8 <= len(some) <= 32 for some in chosen)
    assert list(verify(store, Audit(), 0.0)) == []
    assert main(["verify", store.root, "--sample", "1.5"]) == 2
