"""The run record: its schema, for a run with nothing to do; the ends of real runs check theirs by it too."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from jobs.restore_archive import main
from restore.identity import recipe_hash
from restore.recipe import Recipe
from tests.support.schemas import check_event, check_record


def test_the_record_of_a_run_has_this_schema(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest, out = tmp_path / "manifest.csv", tmp_path / "out"
    manifest.write_text("item_id,image,mask\n")
    assert main(["--manifest", str(manifest), "--output", str(out), "--log", "json"]) == 0
    (path,) = (out / "runs").iterdir()
    record = check_record(path.read_bytes())
    assert path.stem == record["run_id"] and re.fullmatch(r"\d{8}T\d{6}Z-000001", record["run_id"])
    assert (record["epoch"], record["verdict"], record["planned"], record["parts"]) == (1, "complete", 0, [])
    assert record["recipe_hash"] == recipe_hash(Recipe())
    printed = capsys.readouterr()
    events = [check_event(line) for line in printed.out.splitlines()]
    assert [event["event"] for event in events] == ["plan", "end"]
    assert {event["run_id"] for event in events} == {record["run_id"]}
    assert "complete: nothing to do" in printed.err, "lines for people go elsewhere"


def test_text_is_the_default(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = tmp_path / "manifest.csv"
    manifest.write_text("item_id,image,mask\n")
    assert main(["--manifest", str(manifest), "--output", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr()
    assert printed.err == "" and "complete: nothing to do" in printed.out and "{" not in printed.out


def test_a_dry_run_tells_the_plan_and_has_no_record(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = tmp_path / "manifest.csv"
    manifest.write_text("item_id,image,mask\na,a.png,m.png\n")
    assert (
        main(["--manifest", str(manifest), "--output", str(tmp_path / "out"), "--dry-run", "--log", "json"])
        == 0
    )
    (event,) = [check_event(line) for line in capsys.readouterr().out.splitlines() if '"plan"' in line]
    assert (event["run_id"], event["todo"], event["reasons"]) == (None, 1, {"new": 1})
    assert not (tmp_path / "out").exists()


def test_a_dry_run_names_the_rows_that_would_fail(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = tmp_path / "manifest.csv"
    (tmp_path / "a.png").write_bytes(b"a photo")
    rows = ["a,a.png,,3", "b,none.png,a.png,3", "c,a.png,a.png,three", "d,a.png,a.png,3"]
    manifest.write_text("\n".join(["item_id,image,mask,seed", *rows]))
    assert main(["--manifest", str(manifest), "--output", str(tmp_path / "out"), "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "3 would fail: " in said
    for words in ("1 invalid_row", "1 image_not_found", "1 mask_not_found", "  c: invalid_row: seed='three'"):
        assert words in said, said


def test_an_output_store_among_the_originals_is_warned_about(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    manifest = tmp_path / "manifest.csv"
    manifest.write_text("item_id,image,mask\na,a.png,m.png\n")
    words = ["--manifest", str(manifest), "--dry-run", "--output"]
    assert main([*words, str(tmp_path / "elsewhere/out")]) == 0
    assert "share a folder" in caplog.text, "the photo lies in the folder above"
    caplog.clear()
    assert main([*words, str(tmp_path)]) == 0
    assert f"{tmp_path}/a.png share a folder" in caplog.text
