"""`silverprint`: one door to every command, as a newcomer types it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data

from jobs.__main__ import main
from jobs.doctor import BROKEN, MISSING, OK, examine

COMMANDS = ("restore", "nightly", "manifest", "weights", "doctor")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """`photos/a.jpg` with its mask `masks/a.png`."""
    for name in ("photos", "masks"):
        (tmp_path / name).mkdir()
    Image.fromarray(data.astronaut()[:120, :160]).save(tmp_path / "photos/a.jpg", quality=95)
    mask = np.zeros((120, 160), np.uint8)
    mask[50:54, 20:140] = 255
    Image.fromarray(mask).save(tmp_path / "masks/a.png")
    return tmp_path


def picture(folder: Path, out: str, *more: str) -> int:
    return main(
        ["restore", f"{folder}/photos/a.jpg", f"{folder}/masks/a.png", "-o", f"{folder}/{out}", *more]
    )


def test_the_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    said = capsys.readouterr().out
    assert all(f"  {name}:" in said for name in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([command, "--help"])
    assert caught.value.code == 0 and f"silverprint {command}" in capsys.readouterr().out


def test_an_unknown_command_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["restor"])
    said = capsys.readouterr().err
    assert caught.value.code == 2 and 'Did you mean "restore"' in said and said.count("\n") == 1


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0 and capsys.readouterr().out.strip()[0].isdigit()


@pytest.mark.parametrize("words", [["-o", "x"], ["photos", "--manifest", "m.csv", "-o", "x"]])
def test_one_thing_is_restored_at_a_time(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["restore", *words]) == 2
    assert "name a folder of photos, one photo, or a --manifest" in capsys.readouterr().err


def test_one_picture_is_restored_without_ray(folder: Path) -> None:
    code = (
        "import sys; from jobs.__main__ import main; "
        f"files = ['{folder}/photos/a.jpg', '{folder}/masks/a.png']; "
        f"code = main(['restore', *files, '-o', '{folder}/out.png']); "
        "sys.exit(code or 'ray' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    before = np.asarray(Image.open(folder / "photos/a.jpg"))
    after = np.asarray(Image.open(folder / "out.png"))
    changed = np.any(before != after, axis=2)
    assert changed[50:54, 20:140].mean() > 0.9 and not changed[:40].any() and not changed[64:].any()


@pytest.mark.parametrize("name", ["out.tif", "out.webp", "out.jpg"])
def test_the_outputs_name_chooses_its_format(folder: Path, name: str) -> None:
    assert picture(folder, name) == 0
    assert Image.open(folder / name).format == {"tif": "TIFF", "webp": "WEBP", "jpg": "JPEG"}[name[4:]]


def test_an_existing_file_is_not_overwritten(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (folder / "photos/a.jpg").read_bytes()
    assert picture(folder, "photos/a.jpg") == 2
    assert "is not overwritten" in capsys.readouterr().err
    assert (folder / "photos/a.jpg").read_bytes() == before


def test_a_picture_that_fails_says_why_and_leaves_no_file(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(folder / "masks/a.png")
    assert picture(folder, "out.png") == 3
    assert "mask_size_mismatch" in capsys.readouterr().out and not (folder / "out.png").exists()


@pytest.mark.parametrize(("out", "words"), [("out.gif", "must end in"), ("no/out.png", "is not a folder")])
def test_an_output_that_cannot_be_is_named(
    folder: Path, out: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert picture(folder, out) == 2
    assert words in capsys.readouterr().err


def test_a_picture_without_damage_is_not_restored(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.fromarray(np.zeros((120, 160), np.uint8)).save(folder / "masks/a.png")
    assert picture(folder, "out.png") == 2
    assert "no pixel is damaged" in capsys.readouterr().err
    assert picture(folder, "out.jpg") == 0
    assert (folder / "out.jpg").read_bytes() == (folder / "photos/a.jpg").read_bytes()


def test_the_doctor_finds_what_the_classical_engine_needs() -> None:
    states = {finding.name: finding.state for finding in examine()}
    assert states["classical"] == states["images"] == states["ray"] == states["machine"] == OK


def test_the_doctor_says_how_to_get_missing_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SILVERPRINT_WEIGHTS", str(tmp_path))
    missing = [finding for finding in examine() if finding.name == "weights"]
    assert len(missing) == 4 and all(finding.state == MISSING for finding in missing)
    assert "silverprint weights fetch inpaint" in missing[0].way_out


def test_the_doctor_tries_the_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "-o", str(tmp_path)]) == 0
    assert "lists, creates, refuses to overwrite, removes" in capsys.readouterr().out
    (tmp_path / "file").write_text("")
    assert main(["doctor", "-o", str(tmp_path / "file")]) == 1
    assert f"output      {BROKEN}" in capsys.readouterr().out
