"""A folder as people keep it: odd names are restored, what is left out is counted, and no picture is lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
from PIL import Image

from restore.report.files import script_value
from tests.support.archives import damage, damaged, write_manifest
from tests.support.schemas import check_record

ROOT = Path(__file__).resolve().parents[2]
ODD = {"IMG#12": "IMG%2312", "box [2]/what?": "box %5B2%5D/what%3F", "100%": "100%", "a\\b\n": "a%5Cb%0A"}


def run(module: str, *words: str | Path) -> str:
    """What a command that ends well said."""
    command = [sys.executable, "-m", module, *map(str, words)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def put(photos: Path, masks: Path, stem: str, number: int) -> None:
    for path, pixels in (
        (photos / f"{stem}.jpg", damaged(number, 320, 240)),
        (masks / f"{stem}.png", damage(number, 320, 240)),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)


def last_record(out: Path) -> dict[str, Any]:
    return check_record(max((out / "runs").iterdir()).read_bytes())


def items(out: Path) -> dict[str, dict[str, Any]]:
    """The newest row of each item."""
    rows = ds.dataset(out / "metadata", format="parquet").to_table().sort_by("row_id").to_pylist()
    return {row["item_id"]: row for row in rows}


def test_a_folder_as_people_keep_it(tmp_path: Path) -> None:
    photos, masks, out = tmp_path / "photos", tmp_path / "masks", tmp_path / "out"
    for number, stem in enumerate((*ODD, "twice", "@eaDir/a.jpg/SYNOPHOTO_THUMB", "taken away")):
        put(photos, masks, stem, number)
    # An earlier version restored thumbnails of the storage, and a photo that somebody takes away later.
    names = ("@eaDir/a.jpg/SYNOPHOTO_THUMB", "taken away")
    rows = [{"item_id": name, "image": f"photos/{name}.jpg", "mask": f"masks/{name}.png"} for name in names]
    manifest = write_manifest(tmp_path / "manifest.csv", rows)
    assert ": complete: 2 restored" in run("jobs", "restore", "--manifest", manifest, "-o", out)
    assert (last_record(out)["left_out"], last_record(out)["listed"]) == (0, None)

    (photos / "taken away.jpg").unlink()
    (photos / "twice.png").write_bytes(b"another")
    (photos / "letter.pdf").write_bytes(b"no photo")
    (photos / os.fsdecode(b"gr\xfc\xdfe.jpg")).write_bytes(b"not UTF-8")
    night = ("--images", photos, "--masks", masks, "--output", out, "--prune", "--grace", "0")
    first = run("jobs.nightly", *night)
    check_restored(photos, out)
    check_counted(first, out)

    # Its name may be any photo's of the folder, so nothing there counts as missing while it is there.
    assert "removed since" not in run("jobs.nightly", *night)
    (photos / os.fsdecode(b"gr\xfc\xdfe.jpg")).unlink()
    assert "taken away" in run("jobs.nightly", *night)
    assert "1 of them are pruned" in run("jobs.nightly", *night)
    assert items(out)["taken away"]["status"] == "removed"
    thumbnail = items(out)["@eaDir/a.jpg/SYNOPHOTO_THUMB"]
    assert thumbnail["status"] == "restored" and (out / thumbnail["output"]).exists(), (
        "passed over, not missing"
    )


def check_restored(photos: Path, out: Path) -> None:
    """Photos whose names no id may hold are restored under an encoded one, and keep their names."""
    rows = items(out)
    assert set(ODD.values()) == {item for item, row in rows.items() if row["run_id"] == max_run(rows)}
    for stem, item in ODD.items():
        assert rows[item]["status"] == "restored" and rows[item]["image"] == f"{photos}/{stem}.jpg"
        assert (out / rows[item]["output"]).exists() and (photos / f"{stem}.jpg").exists()


def max_run(rows: dict[str, dict[str, Any]]) -> str:
    return max(row["run_id"] for row in rows.values())


def check_counted(said: str, out: Path) -> None:
    """The exit message, the record and the report say how many were left out, and the first of them."""
    assert ": complete, 4 files left out: 4 restored" in said
    end = said[said.index(": complete") :]
    assert "twice: 2 photos: twice.jpg, twice.png" in end and "(1): letter.pdf" in end
    assert "gr\\xfc\\xdfe.jpg: is not UTF-8" in end
    record = last_record(out)
    assert (record["verdict"], record["left_out"]) == ("complete", 4)
    assert record["listed"]["other_files"]["first"] == ["letter.pdf"]
    assert record["listed"]["passed_over"]["first"] == ["@eaDir"] * 2, "of both folders"
    shown = script_value((out / f"reports/{record['run_id']}/data/run.js").read_bytes())["record"]
    assert shown["listed"] == json.loads(json.dumps(record["listed"])) and shown["left_out"] == 4
