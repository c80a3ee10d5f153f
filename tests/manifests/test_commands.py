"""`python -m manifests`: what each command prints and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from jobs.run_spec import load_run_spec
from jobs.settings import RestoreSettings
from manifests.__main__ import COMMANDS, main


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    path = tmp_path / "m.csv"
    path.write_text("item_id,image,mask,seed,x_box\na,a.jpg,a.png,3,one\nb,b.jpg,,,two\n")
    return path


def test_validate_says_that_there_are_no_faults(manifest: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", str(manifest)]) == 0
    assert "2 rows, no faults" in capsys.readouterr().out


def test_validate_lists_all_faults_and_ends_with_2(
    manifest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest.write_text("item_id,image,mas\n../a,a.jpg,\nb,b.jpg,\nb,,\n")
    assert main(["validate", str(manifest)]) == 2
    said = capsys.readouterr().err
    assert all(words in said for words in ("line 2", "line 4", "did you mean mask", "'b'"))


def test_validate_names_rows_that_a_run_would_fail(
    manifest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest.write_text("item_id,image,seed,dilate_kernel\na,a.jpg,3,5\nb,b.jpg,x,5\nc,c.jpg,3,4\n")
    assert main(["validate", str(manifest)]) == 3
    said = capsys.readouterr().out
    assert "row 3: b: invalid_row: seed='x'" in said and "row 4: c: invalid_row: dilate_kernel=4" in said
    assert "3 rows; a run would fail 2 invalid_row" in said


def test_validate_measures_rows_against_the_recipe(
    manifest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest.write_text("item_id,image,strength\na,a.jpg,0.5\n")
    assert main(["validate", str(manifest)]) == 0
    assert main(["validate", str(manifest), "--set", "high_noise_frac=0.3"]) == 3
    assert "leaves the base no step" in capsys.readouterr().out


def test_validate_reads_the_files_if_asked_to(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sizes = {"a.png": (8, 6), "m.png": (8, 6), "other.png": (6, 8), "half.png": (4, 3)}
    for name, size in sizes.items():
        Image.new("L", size).save(tmp_path / name)
    (tmp_path / "broken.png").write_bytes(b"no picture")
    manifest = tmp_path / "m.csv"
    rows = ["good,a.png,m.png", "size,a.png,other.png", "broken,broken.png,m.png", "mask,a.png,broken.png"]
    rows += ["lost,none.png,m.png", "bare,a.png,", "half,a.png,half.png"]
    manifest.write_text("\n".join(["item_id,image,mask", *rows]))
    assert main(["validate", str(manifest)]) == 0
    capsys.readouterr()
    assert main(["validate", str(manifest), "--probe"]) == 3
    said = capsys.readouterr().out
    for item, code in {
        "size": "mask_size_mismatch: the mask is 6x8 and the photo 8x6",
        "broken": "image_unreadable",
        "mask": "mask_unreadable",
        "lost": "image_not_found",
        "bare": "mask_not_found",
        "half": "mask_size_mismatch",
    }.items():
        assert f"{item}: {code}" in said, said
    assert "good:" not in said and "7 rows; a run would fail" in said
    assert main(["validate", str(manifest), "--probe", "--copy-unmasked"]) == 3
    assert "bare:" not in capsys.readouterr().out
    assert main(["validate", str(manifest), "--probe", "--fit-masks"]) == 3
    said = capsys.readouterr().out
    assert "half:" not in said and "size:" in said


def test_show_tells_what_a_run_would_read(manifest: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", str(manifest), "--rows", "1"]) == 0
    said = capsys.readouterr().out
    assert "2 rows, 1 without a mask, 0 with a version" in said
    assert "seed, x_box" in said
    assert f"image={manifest.parent}/a.jpg" in said and '{"seed":3}' in said and "b.jpg" not in said


def test_build_tells_what_it_found_and_its_manifest_is_valid(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a.jpg", "a-m.png", "b.tif", *(f"{n}::.jpg" for n in range(12)), "notes.txt"):
        (tmp_path / name).write_bytes(b"")
    out = str(tmp_path / "built.parquet")
    argv = ["build", "--images", str(tmp_path), "--out", out, "--mask-pattern", "{stem}-m.*"]
    assert main(argv) == 0
    said = capsys.readouterr()
    assert "2 rows of 14 photos" in said.out
    assert "--copy-unmasked: 1\n  b\n" in said.err
    assert "rename them: 12\n" in said.err and "and 2 more" in said.err
    assert main([*argv, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["rows"], found["illegal"]["count"], len(found["illegal"]["first"])) == (2, 12, 12)
    assert found["left_out"] == 14, "the photos that are no rows, notes.txt and the manifest itself"
    assert main(["validate", out]) == 0


def test_names_of_files_send_no_commands_to_a_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a.jpg", "\x1b]0;title\x07.txt", "\x1b[2J::.jpg"):
        (tmp_path / name).write_bytes(b"")
    assert main(["build", "--images", str(tmp_path), "--out", str(tmp_path / "m.parquet")]) == 0
    said = capsys.readouterr()
    assert "\\x1b]0;title\\x07.txt" in said.err and "\x1b" not in said.out + said.err
    assert main(["build", "--images", str(tmp_path), "--out", str(tmp_path / "m.parquet"), "--json"]) == 0
    assert "\x1b]0;title\x07.txt" in json.loads(capsys.readouterr().out)["other_files"]["first"]


def test_build_refuses_what_cannot_be_meant(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["build", "--images", str(tmp_path), "--out", "m.parquet"]) == 2
    assert "no photos among 0 files" in capsys.readouterr().err


@pytest.mark.parametrize("argv", [[], ["restore"]])
def test_an_unknown_command_lists_the_known_ones(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(argv)
    said = capsys.readouterr().err
    assert caught.value.code == 2 and all(name in said for name in COMMANDS)


def test_diff_of_two_manifests(manifest: Path, capsys: pytest.CaptureFixture[str]) -> None:
    newer = manifest.with_name("newer.csv")
    newer.write_text(manifest.read_text() + "c,c.jpg,,,three\n")
    assert main(["diff", str(manifest), str(newer)]) == 0
    assert capsys.readouterr().out.split() == ["1", "added", "c", "2", "unchanged"]


def test_diff_against_a_store_and_the_run_of_what_it_says(
    manifest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, todo = manifest.parent / "out", manifest.parent / "todo.parquet"
    for name in ("a.jpg", "a.png", "b.jpg"):
        (manifest.parent / name).write_text("no photo")
    assert main(["diff", "--store", str(out), str(manifest), "--json", "--out", str(todo)]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert (printed["counts"], printed["first"]) == ({"new": 2}, {"new": ["a", "b"]})
    assert (printed["manifests"], printed["store"]) == ([str(manifest)], str(out))
    assert not out.exists()
    keys = [
        load_run_spec(RestoreSettings(manifest=str(uri), output=str(out))).plan().todo.to_table()["work_key"]
        for uri in (manifest, todo)
    ]
    assert len(keys[0]) == 2 and keys[0] == keys[1]


@pytest.mark.parametrize("more", [[], ["other.csv", "--store", "out"], ["b.csv", "c.csv"]])
def test_diff_wants_two_things(manifest: Path, more: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", str(manifest), *more]) == 2
    assert "two manifests, or one and --store" in capsys.readouterr().err
