"""Report: what is written for a run, and that nothing of it can be more than data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from restore.outcome import Figures
from restore.report import writer
from restore.report.thumbnail_store import ThumbnailStore
from restore.report.writer import write_report
from restore.storage import OutStore
from tests.support.runs import RUN, committed, failure, outcome, pictured, reported


@pytest.fixture
def store(tmp_path: Path) -> OutStore:
    return OutStore.open(str(tmp_path / "out"))


def given(store: OutStore, name: str) -> Any:
    """What a data script hands to the page."""
    text = store.read(f"reports/{RUN}/data/{name}.js").decode("ascii")
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
    unmeasured = [outcome(900 + n, status="copied", figures=Figures()) for n in range(3)]
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


def test_a_bucket_is_told_what_the_files_are(s3: Any) -> None:
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
