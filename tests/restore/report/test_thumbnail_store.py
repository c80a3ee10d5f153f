"""Thumbnail store: the thumbnails of the worst photos are kept, and never more than there is room for."""

from __future__ import annotations

import gc
import random
import weakref
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from restore.outcome import SET_AT_COMMIT, Figures, Outcome, Thumbs, outcome_schema
from restore.report.thumbnail_store import ThumbnailStore
from tests.support.runs import failure, outcome, stream


def with_bytes(one: Outcome) -> Outcome:
    name = one.item_id.encode()
    after = None if one.status == "failed" else b"after " + name
    return replace(one, thumbs=Thumbs(b"before " + name, after, after))


def fed(album: ThumbnailStore, outcomes: list[Outcome]) -> int:
    return sum(table.num_rows for table in album.watch(stream([with_bytes(one) for one in outcomes], 7)))


def test_the_most_suspicious_are_kept_whatever_their_order() -> None:
    outcomes = [outcome(number) for number in range(200)]
    random.Random(0).shuffle(outcomes)
    with ThumbnailStore(pictured=20) as album:
        assert fed(album, outcomes) == 200
        kept = {one.item_id for one in outcomes if album.pictures(one.item_id)}
        assert kept == {outcome(number).item_id for number in range(180, 200)}
        worst = outcome(199).item_id
        assert tuple(album.pictures(worst)) == ("before", "after", "damage")
        assert album.pictures(worst)["before"] == f"before {worst}".encode()


def test_the_folder_holds_what_is_kept_and_is_removed_at_the_end() -> None:
    with ThumbnailStore(pictured=5, failed=3) as album:
        folder = Path(album._folder.name)
        for start in range(0, 300, 50):
            fed(album, [outcome(n) for n in range(start, start + 50)])
            fed(album, [failure(1000 + n) for n in range(start, start + 50)])
            assert len(list(folder.iterdir())) == 5 * 3 + 3
    assert not folder.exists()


def test_failed_photos_take_no_room_of_the_others_and_the_first_stay() -> None:
    with ThumbnailStore(pictured=2, failed=2) as album:
        fed(album, [failure(n) for n in range(5)] + [outcome(n) for n in range(10, 13)])
        assert [bool(album.pictures(failure(n).item_id)) for n in range(5)] == [
            True,
            True,
            False,
            False,
            False,
        ]
        assert tuple(album.pictures(failure(0).item_id)) == ("before",)
        assert [bool(album.pictures(outcome(n).item_id)) for n in (10, 11, 12)] == [False, True, True]


def test_photos_without_a_suspicion_fill_the_room_that_is_left() -> None:
    copied = outcome(50, status="copied", figures=Figures(), suspicion=None)
    with ThumbnailStore(pictured=2) as album:
        fed(album, [copied, outcome(1)])
        assert album.pictures(copied.item_id)
        fed(album, [outcome(2)])
        assert not album.pictures(copied.item_id) and album.pictures(outcome(1).item_id)


def test_rows_go_on_without_their_pictures() -> None:
    with ThumbnailStore() as album:
        (table,) = album.watch(stream([with_bytes(outcome(1))]))
        expected = [name for name in outcome_schema(["x_title"]).names if name not in SET_AT_COMMIT]
        assert table.schema.names == expected


def test_rows_that_wait_keep_no_pictures_in_memory() -> None:
    (table,) = stream([with_bytes(outcome(1))])
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    block = np.frombuffer(sink.getvalue(), np.uint8).copy()  # one block of memory, as a table arrives
    alive = weakref.ref(block)
    with ThumbnailStore() as album:
        (rows,) = album.watch(iter([pa.ipc.open_stream(pa.py_buffer(block)).read_all()]))
        del block
        gc.collect()
        assert alive() is None and rows.num_rows == 1


def test_a_closed_store_keeps_nothing_new() -> None:
    with ThumbnailStore() as album:
        fed(album, [outcome(1)])
        album.close()
        assert fed(album, [outcome(2)]) == 1
        assert album.pictures(outcome(1).item_id) and not album.pictures(outcome(2).item_id)


def test_a_disk_that_fails_costs_pictures_and_no_row(caplog: pytest.LogCaptureFixture) -> None:
    with ThumbnailStore() as album:
        fed(album, [outcome(1)])
        album._folder.cleanup()  # as a cleaner of temporary folders does
        assert fed(album, [outcome(2), outcome(3)]) == 2
        assert not album.pictures(outcome(3).item_id)
    assert "report" in caplog.text
