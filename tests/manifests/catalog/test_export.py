"""export.py: the table and the tree, read by others' tools."""

from __future__ import annotations

import csv
import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from manifests.__main__ import main
from manifests.catalog.export import export
from manifests.reading.schema import read_manifest
from restore.storage import OutStore
from tests.conftest import S3Server
from tests.support.runs import failure, outcome
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


def test_no_cell_of_a_csv_is_a_formula_and_its_ids_come_back(tmp_path: Path) -> None:
    """A person opens the file in a spreadsheet, and makes the next manifest of it."""
    ids = ['=HYPERLINK("x","y")', "@home", "-box 1", "+49 30", "'=quoted", "-5"]
    store = OutStore.open(str(tmp_path / "odd"))
    titles = ["=1", "-3.5", None, "it's", "\t@x", "'+1"]
    rows = [
        outcome(n, item_id=one, output=f"images/{n}.0123.png", extra={"x_title": title})
        for n, (one, title) in enumerate(zip(ids, titles, strict=True))
    ]
    written(store, [rows])
    path = tmp_path / "current.csv"
    assert main(["current", store.root, "--out", str(path)]) == 0
    with path.open(newline="") as file:
        table = list(csv.DictReader(file))
    formulas = [cell for row in table for cell in row.values() if cell[:1] in set("=+-@\t\r\n")]
    assert sorted(formulas) == ["-3.5", "-5"], "numbers stay numbers"
    assert {row["item_id"] for row in table} >= {"'@home", "'-box 1", "''=quoted"}
    with (manifest := tmp_path / "next.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ("item_id", "image", "x_title"), extrasaction="ignore")
        writer.writeheader()
        writer.writerows(table)
    read = read_manifest(str(manifest)).table
    assert dict(zip(read["item_id"].to_pylist(), read["x_title"].to_pylist(), strict=True)) == dict(
        zip(ids, titles, strict=True)
    )


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


CLASHES = ("a", "a.png/b", "a.png/c/d", "a.tif/e", "SHA256SUMS/x", "SHA256SUMS")


@pytest.fixture
def clashing(tmp_path: Path) -> OutStore:
    """Pictures that an output store can hold, and a tree on a disk cannot."""
    store = OutStore.open(str(tmp_path / "clashing"))
    rows = []
    for number, item_id in enumerate(CLASHES):
        one = pictured(store, number)
        output = f"images/{item_id}.0123456789a{number}.png"
        store.create(output, store.read(one.output or ""))
        rows.append(replace(one, item_id=item_id, output=output))
    written(store, [rows])
    return store


def test_a_file_that_must_be_a_folder_is_named_and_the_rest_exported(
    clashing: OutStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tree = tmp_path / "tree"
    for _ in range(2):  # the second finds all there, and comes to the same end
        assert main(["export", clashing.root, "--to", str(tree)]) == 3
        assert capsys.readouterr().out.splitlines()[:2] == [
            "SHA256SUMS/x.png: SHA256SUMS must be a file, the list of sums; rename the item",
            "a.png: must be a folder, for the item a.png/b; rename one of the two items",
        ]
    subprocess.run(["sha256sum", "-c", "--strict", "--quiet", "SHA256SUMS"], cwd=tree, check=True)
    files = sorted(str(path.relative_to(tree)) for path in tree.rglob("*") if path.is_file())
    assert files == ["SHA256SUMS", "SHA256SUMS.png", "a.png/b.png", "a.png/c/d.png", "a.tif/e.png"]


def test_an_object_store_holds_a_file_and_a_folder_of_one_name(clashing: OutStore, s3: S3Server) -> None:
    target = OutStore.open(f"s3://{s3.fresh_bucket()}/tree")
    done = export(clashing, target)
    assert (done.pictures, done.faults) == (6, [])
    assert {entry.path for entry in target.list()} == {"SHA256SUMS", *(f"{name}.png" for name in CLASHES)}


@pytest.mark.parametrize(
    "command", [["current", "--out", "x.csv"], ["export", "--to", "x"], ["gc"], ["verify"]]
)
def test_a_file_is_no_store(tmp_path: Path, command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"")
    assert main([command[0], str(tmp_path / "photo.jpg"), *command[1:]]) == 1
    assert "photo.jpg holds no rows; name the --output of a run" in capsys.readouterr().err


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
