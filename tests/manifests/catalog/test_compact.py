"""upkeep.py: no row lost or doubled wherever it is killed, no picture removed that a row names."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from manifests.__main__ import main
from manifests.catalog import compact as upkeep
from manifests.catalog.compact import Compaction, compact
from manifests.catalog.gc import garbage, remove
from manifests.catalog.rows import committed_rows, read_committed
from restore.errors import LeaseHeld, StorageConfigError
from restore.storage import OutStore
from tests.conftest import S3Server
from tests.support.runs import RUN, failure, outcome
from tests.support.stores import pictured, written

NOW = timedelta(0)
FOLDER = f"metadata/run={RUN}"


def held() -> None:
    """The lease is ours."""


@pytest.fixture(params=["disk", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> OutStore:
    if request.param == "disk":
        return OutStore.open(str(tmp_path / "out"))
    s3: S3Server = request.getfixturevalue("s3")
    return OutStore.open(f"s3://{s3.fresh_bucket()}/deep/out")


def six_parts(store: OutStore) -> pa.Table:
    """Rows of one run in six parts; all of them."""
    parts = [[outcome(3 * part + row) for row in range(3)] for part in range(5)]
    written(store, [*parts, [failure(99)]])
    return read_committed(store)


def test_parts_are_merged_then_their_sources_go(store: OutStore) -> None:
    rows = six_parts(store)
    assert compact(store, held) == Compaction(written=1, merged=6, removed=0)
    assert committed_rows(store).count_rows() == 2 * len(rows), "sources stay for those that read them"
    assert read_committed(store).equals(rows)
    assert compact(store, held) == Compaction(0, 0, 0), "young merged parts keep their sources"
    assert compact(store, held, NOW) == Compaction(0, 0, 6)
    assert store.names(FOLDER) == ["compact-00000-00005.parquet"]
    assert read_committed(store).equals(rows)
    assert compact(store, held, NOW) == Compaction(0, 0, 0)


def test_few_parts_and_large_ones_stay(store: OutStore, monkeypatch: pytest.MonkeyPatch) -> None:
    written(store, [[outcome(number)] for number in range(3)])
    assert compact(store, held) == Compaction(0, 0, 0)
    monkeypatch.setattr(upkeep, "FEW", 2)
    monkeypatch.setattr(upkeep, "SMALL", 10)
    assert compact(store, held) == Compaction(0, 0, 0)


def test_a_merged_part_has_its_limit(store: OutStore, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = six_parts(store)
    largest = max(entry.size for entry in store.list(FOLDER))
    monkeypatch.setattr(upkeep, "FEW", 2)
    monkeypatch.setattr(upkeep, "FULL", 2 * largest)
    assert compact(store, held) == Compaction(3, 6, 0)
    assert compact(store, held, NOW).removed == 6
    assert len(store.names(FOLDER)) == 3 and read_committed(store).equals(rows)


class Killed(BaseException):
    """As a signal ends a process, between any two steps."""


@pytest.mark.parametrize("method", ["create", "remove"])
@pytest.mark.parametrize("after", [0, 1, 3, 5])
def test_killed_anywhere_no_row_is_lost_or_doubled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str, after: int
) -> None:
    store = OutStore.open(str(tmp_path))
    rows = six_parts(store)
    if method == "remove":
        compact(store, held)
    real: Callable[..., Any] = getattr(OutStore, method)
    calls = []

    def dying(self: OutStore, *args: Any) -> Any:
        if len(calls) == after:
            raise Killed
        calls.append(args)
        return real(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(OutStore, method, dying)
        if method == "create" and after:
            compact(store, held)
        else:
            with pytest.raises(Killed):
                compact(store, held, NOW)
    assert read_committed(store).equals(rows)
    compact(store, held, NOW)
    compact(store, held, NOW)
    assert store.names(FOLDER) == ["compact-00000-00005.parquet"]
    assert read_committed(store).equals(rows)


def test_sources_of_a_merged_part_with_other_rows_stay(tmp_path: Path) -> None:
    store = OutStore.open(str(tmp_path))
    six_parts(store)
    compact(store, held)
    other = store.read(f"{FOLDER}/part-00001.parquet")
    store.remove(f"{FOLDER}/part-00002.parquet")
    store.create(f"{FOLDER}/part-00002.parquet", other)
    with pytest.raises(StorageConfigError, match="does not hold the rows of its sources"):
        compact(store, held, NOW)
    assert len(store.names(FOLDER)) == 7


def test_nothing_changes_without_the_lease(tmp_path: Path) -> None:
    store = OutStore.open(str(tmp_path))
    six_parts(store)

    def lost() -> None:
        raise LeaseHeld("another's")

    with pytest.raises(LeaseHeld):
        compact(store, lost)
    assert len(store.names(FOLDER)) == 6
    compact(store, held)
    with pytest.raises(LeaseHeld):
        compact(store, lost, NOW)
    assert len(store.names(FOLDER)) == 7
    store.create("images/nobody.png", b"x")
    with pytest.raises(LeaseHeld):
        remove(store, garbage(store), lost)
    assert store.read("images/nobody.png") == b"x"


def test_garbage_is_what_no_row_names(store: OutStore) -> None:
    kept = [pictured(store, number) for number in range(3)]
    written(store, [kept])
    store.create("images/box-1/it's old.png", b"orphan")
    found = list(garbage(store))
    assert [(one.kind, one.path, one.size) for one in found] == [("image", "images/box-1/it's old.png", 6)]
    assert abs(found[0].modified - datetime.now(UTC)) < timedelta(minutes=1)
    assert remove(store, found, held) == 1
    assert list(garbage(store)) == []
    assert all(one.output and store.read(one.output) for one in kept)


def test_a_picture_under_another_form_of_its_name_is_no_garbage(tmp_path: Path) -> None:
    """Some disks list a name in another Unicode normal form, or in the case that it was first written in."""
    store = OutStore.open(str(tmp_path))
    one, other = pictured(store, 1), pictured(store, 2)
    rows = [replace(one, output="images/Gr\u00fc\u00dfe.1.png"), replace(other, output="images/img.2.png")]
    written(store, [rows])
    for place in ("images/Gru\u0308\u00dfe.1.png", "images/IMG.2.png", "images/IMG.3.png"):
        store.create(place, b"x")
    unnamed = {one.output, other.output, "images/IMG.3.png"}
    assert {found.path for found in garbage(store)} == unnamed


def test_the_pictures_of_a_pruned_item_are_garbage_until_it_comes_back(store: OutStore) -> None:
    pruned, kept = pictured(store, 1), pictured(store, 2)
    removed = replace(pruned, status="removed", output=None)
    written(store, [[pruned, kept]])
    written(store, [[removed]], "20260102T000000Z-000002")
    assert [one.path for one in garbage(store)] == [pruned.output]
    written(store, [[pruned]], "20260103T000000Z-000003")
    assert list(garbage(store)) == []


def test_images_of_a_store_that_lost_its_rows_stay(store: OutStore) -> None:
    one = pictured(store, 1)
    with pytest.raises(StorageConfigError, match="not one row"):
        remove(store, garbage(store), held)
    assert one.output and store.read(one.output)


def test_unfinished_uploads_are_found_and_dropped(s3: S3Server) -> None:
    bucket, client = s3.fresh_bucket(), s3.client
    store = OutStore.open(f"s3://{bucket}/out")
    written(store, [[pictured(store, 1)]])
    for key in ("out/images/a/b.tif", "out/images/c.tif", "elsewhere/images/d.tif"):
        begun = client.create_multipart_upload(Bucket=bucket, Key=key)
        client.upload_part(Bucket=bucket, Key=key, UploadId=begun["UploadId"], PartNumber=1, Body=b"x")
    found = list(garbage(store))
    assert {(one.kind, one.path) for one in found} == {
        ("upload", "images/a/b.tif"),
        ("upload", "images/c.tif"),
    }
    assert remove(store, found, held) == 2
    assert remove(store, found, held) == 2, "one that has ended since is fine"
    left = client.list_multipart_uploads(Bucket=bucket)["Uploads"]
    assert [upload["Key"] for upload in left] == ["elsewhere/images/d.tif"]


def test_gc_lists_and_removes_only_what_is_old(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = OutStore.open(str(tmp_path))
    written(store, [[pictured(store, 1)]])
    names = ["images/old.png", "images/young.png", "reports/.silverprint-old"]
    for name in names:
        store.create(name, b"x")
    week = time.time() - 8 * 24 * 3600
    for name in (names[0], names[2]):
        os.utime(tmp_path / name, (week, week))
    assert main(["gc", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "old image images/old.png" in said and "young image images/young.png" in said
    assert "old temporary reports/.silverprint-old" in said and "2 that --delete would remove" in said
    assert all((tmp_path / name).exists() for name in names)
    assert main(["gc", str(tmp_path), "--delete"]) == 0
    assert [(tmp_path / name).exists() for name in names] == [False, True, False]
    assert list((tmp_path / "lease").iterdir()) == []


def test_compact_takes_the_lease(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    six_parts(OutStore.open(str(tmp_path)))
    assert main(["compact", str(tmp_path)]) == 0
    assert "6 parts merged into 1; 0 that" in capsys.readouterr().out
    assert main(["compact", str(tmp_path), "--grace", "0"]) == 0
    assert "0 parts merged into 0; 6 that" in capsys.readouterr().out


def test_a_store_without_rows_is_taken_for_a_slip(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("compact", "gc", "verify"):
        assert main([command, str(tmp_path / "none")]) == 1
        assert "holds no rows" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()
