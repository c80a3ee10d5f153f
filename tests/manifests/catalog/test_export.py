"""export.py: the table and the tree, read by others' tools."""

from __future__ import annotations

import csv
import json
import subprocess
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from manifests.__main__ import main
from manifests.catalog.export import export
from restore.storage import OutStore
from tests.conftest import S3Server
from tests.support.runs import failure
from tests.support.stores import pictured, written


@pytest.fixture
def store(tmp_path: Path) -> OutStore:
    store = OutStore.open(str(tmp_path / "out"))
    written(store, [[pictured(store, number) for number in range(4)], [failure(2), failure(9)]])
    return store


@pytest.mark.parametrize("extension", ["parquet", "csv", "jsonl"])
def test_the_table_has_a_row_for_each_picture(store: OutStore, tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"current.{extension}"
    for _ in range(2):  # the second takes the first one's place
        assert main(["current", store.root, "--out", str(path)]) == 0
    if extension == "parquet":
        rows = pq.read_table(path).to_pylist()
    elif extension == "csv":
        with path.open(newline="") as file:
            rows = [{**row, "windows": json.loads(row["windows"])} for row in csv.DictReader(file)]
    else:
        rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [row["item_id"] for row in rows] == sorted(f"box-{n % 3}/photo {n:05d}" for n in range(4))
    assert rows[0]["x_title"] == "Photo 0" and rows[0]["windows"][0]["paint_width"] == 200
    assert {row["status"] for row in rows} == {"restored"}


def test_a_table_of_another_kind_is_a_usage_error(store: OutStore, tmp_path: Path) -> None:
    assert main(["current", store.root, "--out", str(tmp_path / "current.xls")]) == 2


def test_a_tree_that_sha256sum_accepts(store: OutStore, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    assert main(["export", store.root, "--to", str(tree)]) == 0
    subprocess.run(["sha256sum", "-c", "--strict", "--quiet", "SHA256SUMS"], cwd=tree, check=True)
    files = sorted(str(path.relative_to(tree)) for path in tree.rglob("*") if path.is_file())
    assert files == ["SHA256SUMS", *sorted(f"box-{n % 3}/photo {n:05d}.png" for n in range(4))]


def test_a_stopped_export_goes_on_and_overwrites_nothing(
    store: OutStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tree = tmp_path / "tree"
    assert main(["export", store.root, "--to", str(tree)]) == 0
    (tree / "box-0/photo 00000.png").unlink()
    (tree / "box-1/photo 00001.png").write_bytes(b"mine")
    store.overwrite("images/box-2/photo 00002.0123456789ab.png", b"rotten")
    store.remove("images/box-0/photo 00003.0123456789ab.png")
    capsys.readouterr()
    assert main(["export", store.root, "--to", str(tree)]) == 3
    said = capsys.readouterr().out
    assert "box-1/photo 00001.png: is there with other bytes" in said
    assert (
        "photo 00002.0123456789ab.png differs" in said and "photo 00003.0123456789ab.png is missing" in said
    )
    assert (tree / "box-1/photo 00001.png").read_bytes() == b"mine"
    assert (tree / "SHA256SUMS").read_text().split("  ")[1:] == ["box-0/photo 00000.png\n"]


def test_an_export_between_stores(store: OutStore, s3: S3Server) -> None:
    target = OutStore.open(f"s3://{s3.fresh_bucket()}/tree")
    done = export(store, target)
    assert (done.pictures, done.faults) == (4, [])
    sums = dict(reversed(line.split("  ")) for line in target.read("SHA256SUMS").decode().splitlines())
    assert len(sums) == 4 and set(target.names()) == {"SHA256SUMS", "box-0", "box-1", "box-2"}


def test_the_report_of_the_archive_is_written(store: OutStore, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):  # the second takes the first one's place
        assert main(["report", store.root]) == 0
    assert f"report: {store.root}/reports/archive/index.html" in capsys.readouterr().out
    assert "index.html" in store.names("reports/archive")
