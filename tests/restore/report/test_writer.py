"""Report: the files that are written for a run or an archive, and that they hold data and no code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pytest

from restore.outcome import Figures, outcome_schema
from restore.report import writer
from restore.report.thumbnail_store import ThumbnailStore
from restore.report.writer import write_archive_report, write_report
from restore.storage import OutStore
from tests.support.runs import NEXT_RUN, RUN, STARTED, committed, failure, outcome, pictured, reported


@pytest.fixture
def store(tmp_path: Path) -> OutStore:
    return OutStore.open(str(tmp_path / "out"))


def given(store: OutStore, name: str, report: str = RUN) -> Any:
    """The value that a data script gives to the page."""
    text = store.read(f"reports/{report}/data/{name}.js").decode("ascii")
    prefix = f'silverprint.put("{name}",'
    assert text.startswith(prefix) and text.endswith(");\n")
    return json.loads(json.loads(text[len(prefix) : -3]))


def test_the_page_its_data_and_its_pictures_are_stored(store: OutStore) -> None:
    path = reported(store, [pictured(outcome(1), 1), failure(2)])
    assert path == f"reports/{RUN}/index.html"
    names = set(store.names(f"reports/{RUN}"))
    assert {"index.html", "style.css", "data.js", "data", "thumbs", "vendor"} <= names
    assert store.names(f"reports/{RUN}/thumbs") == [
        "000000-after.jpg",
        "000000-before.jpg",
        "000000-damage.png",
    ]
    libraries = store.names(f"reports/{RUN}/vendor")
    assert libraries and all("LICENSE" in store.names(f"reports/{RUN}/vendor/{one}") for one in libraries)
    index = given(store, "index")["columns"]
    assert index["item_id"] == [outcome(1).item_id, failure(2).item_id]
    assert index["pictures"] == [["before", "after", "damage"], []]
    assert given(store, "run")["counts"]["status"] == {"restored": 1, "failed": 1}
    assert given(store, "run")["record"]["verdict"] == "some_failed"
    row = given(store, "rows-00000")[0]
    assert row["windows"][0]["width"] == 200 and row["figures"]["seam"] == 0.51


def test_every_failure_and_the_worst_others_are_listed(
    store: OutStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "LISTED", 30)
    unmeasured = [outcome(900 + n, status="copied", figures=Figures(), suspicion=None) for n in range(3)]
    rows = [outcome(n) for n in range(200)] + [failure(500 + n) for n in range(150)] + unmeasured
    reported(store, rows)
    columns = given(store, "index")["columns"]
    assert columns["status"].count("failed") == 150
    others = {
        i for i, status in zip(columns["item_id"], columns["status"], strict=True) if status != "failed"
    }
    assert others == {outcome(n).item_id for n in range(170, 200)}
    assert sum(given(store, "run")["counts"]["status"].values()) == 353
    files = store.names(f"reports/{RUN}/data")
    listed = [row["item_id"] for name in files if name.startswith("rows") for row in given(store, name[:-3])]
    assert listed == columns["item_id"]


def test_a_run_that_only_failed_or_only_copied_has_a_page(store: OutStore, tmp_path: Path) -> None:
    reported(store, [failure(n, code) for n, code in enumerate(("mask_full", "timed_out"))])
    assert given(store, "run")["figures"] == {}
    other = OutStore.open(str(tmp_path / "other"))
    reported(other, [outcome(1, status="copied", figures=Figures(), windows=(), engine=None)])
    assert given(other, "index")["columns"]["seam"] == [None]


NASTY = "</script><script>alert(1)</script>\u2028\"\\'`${1}<!--"


def test_a_script_holds_text_and_no_code(store: OutStore) -> None:
    reported(store, [outcome(1, item_id=NASTY, extra={"x_title": NASTY}), failure(2, message=NASTY)])
    for name in ("index", "rows-00000"):
        raw = store.read(f"reports/{RUN}/data/{name}.js")
        assert b"<" not in raw and raw.isascii()
    assert given(store, "index")["columns"]["item_id"][0] == NASTY
    assert given(store, "rows-00000")[0]["x_title"] == NASTY


@pytest.mark.parametrize(
    ("uri", "text", "link"),
    [
        ("/data/A b%é#1.tif", "/data/A b%é#1.tif", "file:///data/A%20b%25%C3%A9%231.tif"),
        ("s3://bucket/a b.tif", "s3://bucket/a b.tif", None),
        ("https://host/a.jpg", "https://host/a.jpg", "https://host/a.jpg"),
        ("https://me:secret@host/a.jpg", "https://…:…@host/…", None),
        ("https://host/a.jpg?X-Amz-Signature=secret", "https://host/…?signature=…", None),
        ("javascript:alert(1)", "javascript:alert(1)", "file://javascript%3Aalert%281%29"),
    ],
)
def test_links_go_where_a_browser_can_and_hold_no_credentials(
    store: OutStore, uri: str, text: str, link: str | None
) -> None:
    reported(store, [outcome(1, image=uri)])
    row = given(store, "rows-00000")[0]
    assert row["image"] == text and row["links"].get("image") == link
    assert "secret" not in store.read(f"reports/{RUN}/data/rows-00000.js").decode()


def test_the_output_is_linked_from_the_page(store: OutStore) -> None:
    path = f"images/a b#1/ü%.{'0' * 12}.png"
    store.create(path, b"picture")
    reported(store, [outcome(1, output=path)])
    link = given(store, "rows-00000")[0]["links"]["output"]
    assert link == "../../images/a%20b%231/%C3%BC%25.000000000000.png"


def test_a_picture_that_was_lost_leaves_no_page(store: OutStore) -> None:
    with ThumbnailStore() as album:
        parts = committed(store, [pictured(outcome(1), 1)], album)
        album._folder.cleanup()
        with pytest.raises(FileNotFoundError):
            write_report(store, RUN, parts, album, {"manifest": "m", "started_at": ""})
    assert "index.html" not in store.names(f"reports/{RUN}"), "the entry comes last"


FIRST_ROW = "000001-00000-000000"


def test_a_reused_photo_is_counted_apart_and_shows_its_former_thumbnails(store: OutStore) -> None:
    painted = pictured(outcome(1), 1)
    reported(store, [painted])
    again = outcome(1, run_id=NEXT_RUN, reason="reused", reused_from=FIRST_ROW)
    reported(store, [again, failure(2)], run_id=NEXT_RUN)
    counts = given(store, "run", NEXT_RUN)["counts"]
    assert counts["result"] == {"reused": 1, "failed": 1} and counts["status"] == {"restored": 1, "failed": 1}
    index = given(store, "index", NEXT_RUN)["columns"]
    assert index["pictures"] == [["before", "after", "damage"], []]
    assert index["reused"] == [True, False] and index["status"] == ["restored", "failed"]
    assert store.read(f"reports/{NEXT_RUN}/thumbs/000000-after.jpg") == painted.thumbs.after


def newest_rows(store: OutStore) -> list[pa.RecordBatch]:
    """The last row of each item, of all runs."""
    rows = ds.dataset(f"{store.root}/metadata", format="parquet").to_table().to_pylist()
    newest = {row["item_id"]: row for row in sorted(rows, key=lambda row: row["row_id"])}
    return pa.Table.from_pylist(list(newest.values()), schema=outcome_schema(["x_title"])).to_batches()


def test_the_archives_report_shows_the_pictures_of_all_runs(store: OutStore) -> None:
    reported(store, [pictured(outcome(1), 1), outcome(2), failure(3)])
    reported(store, [pictured(outcome(2, output_bytes=500), 2), outcome(4, output_bytes=70)], run_id=NEXT_RUN)
    path = write_archive_report(store, newest_rows(store), STARTED)
    assert path == "reports/archive/index.html" and "index.html" in store.names("reports/archive")
    run = given(store, "run", "archive")
    assert run["archive"] == {
        "output": store.root,
        "generated_at": "2026-01-01T00:00:00+00:00",
        "items": 4,
        "outdated": 0,
    }
    assert run["counts"]["status"] == {"restored": 3, "failed": 1} and run["output_bytes"] == 570
    assert run["throughput"] is None and sum(run["figures"]["seam"]["counts"]) == 3
    index = given(store, "index", "archive")["columns"]
    pictures = dict(zip(index["item_id"], map(len, index["pictures"]), strict=True))
    assert pictures == {
        outcome(1).item_id: 3,
        outcome(2).item_id: 3,
        outcome(3).item_id: 0,
        outcome(4).item_id: 0,
    }


def test_an_item_that_failed_last_is_counted_twice_and_listed_once(store: OutStore) -> None:
    reported(store, [pictured(outcome(1), 1), outcome(2)])
    reported(store, [failure(1)], run_id=NEXT_RUN)
    every = ds.dataset(f"{store.root}/metadata", format="parquet").to_table()
    write_archive_report(store, every.to_reader(max_chunksize=1), STARTED)
    run = given(store, "run", "archive")
    assert (run["archive"]["items"], run["archive"]["outdated"]) == (2, 1)
    assert run["counts"]["status"] == {"restored": 2, "failed": 1}
    index = given(store, "index", "archive")["columns"]
    listed = dict(zip(index["item_id"], index["status"], strict=True))
    assert listed == {outcome(1).item_id: "failed", outcome(2).item_id: "restored"}
    assert len(index["item_id"]) == 2


def test_a_new_report_on_the_archive_replaces_the_old_one_whole(store: OutStore) -> None:
    reported(store, [pictured(outcome(n), n) for n in range(3)])
    write_archive_report(store, newest_rows(store), STARTED)
    assert len(store.names("reports/archive/thumbs")) == 9
    write_archive_report(store, [newest_rows(store)[0].slice(2)], STARTED)
    assert len(store.names("reports/archive/thumbs")) == 3
    assert given(store, "run", "archive")["archive"]["items"] == 1
    write_archive_report(store, [], STARTED)
    assert store.names("reports/archive/data") == ["index.js", "run.js"]
    assert len(store.names(f"reports/{RUN}/thumbs")) == 9, "the reports of runs stay"


def test_a_bucket_knows_the_media_type_of_each_file(s3: Any) -> None:
    bucket = s3.fresh_bucket()
    store = OutStore.open(f"s3://{bucket}/out")
    reported(store, [pictured(outcome(1), 1)])

    def media_type(name: str) -> str:
        head = s3.client.head_object(Bucket=bucket, Key=f"out/reports/{RUN}/{name}")
        return str(head["ContentType"])

    assert media_type("index.html") == "text/html"
    assert media_type("style.css") == "text/css"
    assert media_type("data/run.js") in ("text/javascript", "application/javascript")
    assert media_type("thumbs/000000-before.jpg") == "image/jpeg"
