"""What OUT holds: all parts as one, newest rows, and parts that cannot be read."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from manifests.catalog.rows import (
    committed_rows,
    current_pictures,
    last_outcomes,
    present_batches,
    read_committed,
)
from restore.errors import StorageConfigError
from restore.outcome import OUTCOME_SCHEMA, outcome_schema
from restore.storage import OutStore

COLUMNS = ["row_id", "item_id", "status"]


@pytest.fixture
def store(tmp_path: Path) -> OutStore:
    return OutStore.open(str(tmp_path))


def part(*rows: Mapping[str, Any], extra: tuple[str, ...] = (), without: tuple[str, ...] = ()) -> bytes:
    schema = pa.schema([f.with_nullable(True) for f in outcome_schema(extra) if f.name not in without])
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(rows), schema=schema), sink)
    return sink.getvalue()


def rows(*triples: tuple[str, str, str]) -> list[dict[str, str]]:
    return [dict(zip(COLUMNS, triple, strict=True)) for triple in triples]


def test_a_new_store_is_empty(store: OutStore) -> None:
    assert committed_rows(store).schema == OUTCOME_SCHEMA
    for table in (
        read_committed(store),
        last_outcomes(committed_rows(store)),
        current_pictures(committed_rows(store)),
    ):
        assert table.schema.names == OUTCOME_SCHEMA.names and len(table) == 0
        assert table.schema.types == OUTCOME_SCHEMA.types


def test_rows_of_all_runs_once_and_in_order_of_time(store: OutStore) -> None:
    first, second, third = rows(("1-0", "a", "restored"), ("1-1", "b", "failed"), ("2-0", "a", "failed"))
    store.create("metadata/run=zz/part-00000.parquet", part(first, second))
    store.create("metadata/run=aa/part-00000.parquet", part(third))
    store.create("metadata/run=zz/compact-00000.parquet", part(second, first))
    store.create("metadata/run=zz/part-00000.parquet.tmp", b"not a part")
    store.create("metadata/notes/deep/part-00000.parquet", b"not a part")
    assert read_committed(store, COLUMNS).to_pylist() == [first, second, third]


def test_newest_rows(store: OutStore) -> None:
    outcomes = rows(
        ("1-0", "a", "restored"),
        ("1-1", "b", "failed"),
        ("1-2", "c", "copied"),
        ("2-0", "a", "failed"),
        ("3-0", "c", "restored"),
    )
    store.create("metadata/run=1/part-00000.parquet", part(*outcomes[:3]))
    store.create("metadata/run=2/part-00000.parquet", part(*outcomes[3:]))
    store.create("metadata/run=2/compact-00000.parquet", part(*outcomes[3:]))
    dataset = committed_rows(store)
    assert last_outcomes(dataset, COLUMNS).to_pylist() == [outcomes[3], outcomes[1], outcomes[4]]
    assert current_pictures(dataset, COLUMNS).to_pylist() == [outcomes[0], outcomes[4]]
    assert current_pictures(read_committed(store), ["status"]).to_pylist() == [
        {"status": "restored"},
        {"status": "restored"},
    ]


def test_what_the_archive_is_now(store: OutStore) -> None:
    outcomes = rows(
        ("1-0", "a", "restored"),
        ("1-1", "b", "failed"),
        ("1-2", "c", "copied"),
        ("1-3", "d", "restored"),
        ("1-4", "e", "failed"),
        ("2-0", "a", "failed"),
        ("2-1", "c", "restored"),
        ("2-2", "d", "removed"),
        ("2-3", "e", "restored"),
    )
    store.create("metadata/run=1/part-00000.parquet", part(*outcomes[:5]))
    store.create("metadata/run=2/part-00000.parquet", part(*outcomes[5:]))
    store.create("metadata/run=2/compact-00000.parquet", part(*outcomes[5:]))
    present = pa.concat_tables(present_batches(committed_rows(store), COLUMNS)).to_pylist()
    # a's picture and its failure, b's failure, c's and e's newest pictures; nothing of d, which was pruned
    expected = [outcomes[number] for number in (0, 5, 1, 6, 8)]
    assert sorted(present, key=str) == sorted(expected, key=str)


def test_parts_of_other_versions_are_read(store: OutStore) -> None:
    (a, b) = rows(("1-0", "a", "restored"), ("2-0", "b", "restored"))
    store.create("metadata/run=1/part-00000.parquet", part(a, without=("figures", "engine_hash")))
    windows = [{"x": 1, "y": 2, "width": 3, "height": 4, "paint_width": 5, "paint_height": 6}]
    newer = {**b, "x_box": "7", "windows": windows, "seconds": {"fetch": 0.5}}
    store.create("metadata/run=2/part-00000.parquet", part(newer, extra=("x_box",)))
    dataset = committed_rows(store)
    assert dataset.schema.names == [*OUTCOME_SCHEMA.names, "x_box"]
    table = read_committed(store, ["item_id", "x_box", "engine_hash", "windows", "figures"])
    assert table.to_pylist() == [
        {"item_id": "a", "x_box": None, "engine_hash": None, "windows": None, "figures": None},
        {"item_id": "b", "x_box": "7", "engine_hash": None, "windows": windows, "figures": None},
    ]


@pytest.mark.parametrize("kept", [0, 10, -5])
def test_a_part_cut_short_is_named(store: OutStore, kept: int) -> None:
    store.create("metadata/run=1/part-00000.parquet", part(*rows(("1-0", "a", "restored"))))
    store.create("metadata/run=1/part-00001.parquet", part(*rows(("1-1", "b", "restored")))[:kept])
    with pytest.raises(
        StorageConfigError, match=r"metadata/run=1/part-00001\.parquet is not a readable Parquet"
    ):
        committed_rows(store)
