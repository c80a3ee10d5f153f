"""The nightly job as a scheduler runs it: the same command every night, real Ray, a real S3 server."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from PIL import Image

from manifests.catalog.rows import committed_rows, current_pictures
from restore.storage import OutStore
from tests.conftest import S3Server
from tests.support.archives import damage, damaged

ROOT = Path(__file__).resolve().parents[2]


def start(store: str, out: str, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "jobs.nightly", "--images", f"{store}/images", "--masks"]
    return subprocess.Popen(
        [*command, f"{store}/masks", "--output", out, *more],
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def night(store: str, out: str, *more: str) -> str:
    """One night that ends well; what it said."""
    job = start(store, out, *more)
    stdout, stderr = job.communicate(timeout=250)
    assert job.returncode == 0, stdout + stderr
    return stdout


def picture(number: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(damaged(number)).save(buffer, "jpeg", quality=92)
    return buffer.getvalue()


def drawn(number: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(damage(number)).save(buffer, "png")
    return buffer.getvalue()


def last(out: str, folder: str) -> str:
    return f"{folder}/{OutStore.open(out).names(folder)[-1]}"


def plan(out: str) -> dict[str, str]:
    """What the newest night set out to do: item and reason."""
    table = pq.read_table(io.BytesIO(OutStore.open(out).read(last(out, "plans"))))
    return dict(zip(table["item_id"].to_pylist(), table["reason"].to_pylist(), strict=True))


def record(out: str) -> dict[str, Any]:
    return dict(json.loads(OutStore.open(out).read(last(out, "runs"))))


def shown(out: str) -> dict[str, str]:
    """The current pictures: item and sha256, each read back."""
    store = OutStore.open(out)
    rows = current_pictures(committed_rows(store), ("item_id", "output", "output_sha256")).to_pylist()
    for row in rows:
        store.read(row["output"])
    return {row["item_id"]: row["output_sha256"] for row in rows}


def test_nights_do_what_is_new_and_two_at_once_are_one(tmp_path: Path) -> None:
    store, out, notified = tmp_path / "scans", str(tmp_path / "out"), tmp_path / "summary.json"
    for folder in ("images/box", "masks/box"):
        (store / folder).mkdir(parents=True)
    for number in range(6):
        (store / f"images/box/{number}.jpg").write_bytes(picture(number))
        (store / f"masks/box/{number}.png").write_bytes(drawn(number))
    (store / "images/box/broken.jpg").write_bytes(picture(7)[:5000])
    (store / "masks/box/broken.png").write_bytes(drawn(7))

    assert "7 new" in night(str(store), out, "--dry-run") and not Path(out).exists()
    first = start(str(store), out, "--max-photos", "5", "--notify", f"tee {notified}")
    while not (Path(out) / "lease").exists() or not list((Path(out) / "lease").iterdir()):
        assert first.poll() is None
        time.sleep(0.05)
    second = start(str(store), out)
    assert second.wait(60) == 5 and f"process {first.pid}" in (second.stderr or io.StringIO()).read()
    stdout, stderr = first.communicate(timeout=250)
    assert first.returncode == 0, stderr
    assert len(plan(out)) == 5 and record(out)["reasons"] == {"new": 5, "over_limit": 2}
    summary = json.loads(notified.read_text())
    assert summary["verdict"] == "complete" and summary["removed"]["count"] == 0
    assert summary["run_id"] in stdout

    (store / "images/box/0.jpg").unlink()
    rest = night(str(store), out)
    assert set(plan(out)) == {"box/5", "box/broken"}, rest
    assert record(out)["verdict"] == "some_failed" and record(out)["exit_code"] == 0
    assert "removed since: 1 photos (box/0)" in rest and set(shown(out)) == {f"box/{n}" for n in range(6)}
    check_pruning(store, out)


def check_pruning(store: Path, out: str) -> None:
    """A missing photo loses its picture once it has been missing for the grace period, and only then.

    Meanwhile the name of a photo becomes ambiguous, another takes a name that no photo has, and a third is
    away for one night: their pictures stay.
    """
    photos = store / "images/box"
    (photos / "5.png").write_bytes((photos / "5.jpg").read_bytes())
    (photos / "4.jpg").rename(photos / "4.heic")
    (picture_of_it,) = Path(out).glob("images/box/0.*")
    night(str(store), out, "--prune")
    assert picture_of_it.exists(), "it was missed an instant ago"
    assert "1 of them are pruned" in night(str(store), out, "--prune", "--grace", "0", "--dry-run")
    assert picture_of_it.exists()
    (photos / "3.jpg").rename(store / "3.jpg")
    night(str(store), out, "--prune", "--grace", "0")
    (store / "3.jpg").rename(photos / "3.jpg")
    assert not picture_of_it.exists() and record(out)["status"] == {"removed": 1}
    assert set(shown(out)) == {f"box/{n}" for n in range(1, 6)}
    assert "removed since" not in night(str(store), out, "--prune", "--grace", "0")
    (photos / "5.png").unlink()
    (photos / "4.heic").rename(photos / "4.jpg")
    (store / "images/box/0.jpg").write_bytes(picture(0))
    night(str(store), out)
    assert plan(out) == {"box/0": "new"} and "box/0" in shown(out)


@pytest.mark.heavy
def test_what_does_not_fit_into_the_night_is_the_next_ones(tmp_path: Path) -> None:
    store, out = tmp_path / "scans", str(tmp_path / "out")
    for folder in ("images", "masks"):
        (store / folder).mkdir(parents=True)
    for number in range(300):
        (store / f"images/{number:03}.jpg").write_bytes(picture(number))
        (store / f"masks/{number:03}.png").write_bytes(drawn(number))
    began = time.monotonic()
    said = night(str(store), out, "--max-hours", str(20 / 3600))
    spent, seen = time.monotonic() - began, record(out)
    assert spent < 60, "the run ends soon after its time"
    assert seen["verdict"] == "out_of_time" and seen["exit_code"] == 0, said
    assert seen["committed"] < 300 and f"{300 - seen['committed']} photos remain" in seen["message"]
    assert len(shown(out)) == seen["committed"], "what was begun was finished and committed"
    night(str(store), out, "--max-photos", "3")
    assert record(out)["reasons"].get("done", 0) == seen["committed"]


class Bucket:
    """The scans' bucket, changed by the day."""

    def __init__(self, s3: S3Server) -> None:
        self.s3, self.name = s3, s3.fresh_bucket()
        self.uri = f"s3://{self.name}/scans"

    def put(self, key: str, body: bytes) -> None:
        self.s3.client.put_object(Bucket=self.name, Key=f"scans/{key}", Body=body)

    def photo(self, number: int, seed: int | None = None) -> None:
        self.put(f"images/{number:02}.jpg", picture(number if seed is None else seed))
        self.put(f"masks/{number:02}.png", drawn(number))

    def touch(self, key: str) -> None:
        """The same bytes again, as multipart: another ETag."""
        client, where = self.s3.client, {"Bucket": self.name, "Key": f"scans/{key}"}
        before = client.get_object(**where)
        upload = client.create_multipart_upload(**where)["UploadId"]
        part = client.upload_part(**where, UploadId=upload, PartNumber=1, Body=before["Body"].read())
        parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
        after = client.complete_multipart_upload(**where, UploadId=upload, MultipartUpload=parts)
        assert after["ETag"] != before["ETag"]

    def delete(self, number: int) -> None:
        for key in (f"images/{number:02}.jpg", f"masks/{number:02}.png"):
            self.s3.client.delete_object(Bucket=self.name, Key=f"scans/{key}")


@pytest.mark.heavy
@pytest.mark.timeout(900)
def test_a_week(s3: S3Server) -> None:
    bucket, out = Bucket(s3), f"s3://{s3.fresh_bucket()}/out"
    same_as_fresh: Callable[[], None] = lambda: check_against_fresh(bucket, s3, out)  # noqa: E731

    for number in range(6):  # Monday
        bucket.photo(number)
    night(bucket.uri, out)
    assert plan(out) == {f"{n:02}": "new" for n in range(6)}

    for number in (6, 7):  # Tuesday: two photos come
        bucket.photo(number)
    night(bucket.uri, out)
    assert plan(out) == {"06": "new", "07": "new"}

    bucket.put("masks/02.png", drawn(52))  # Wednesday: a mask is redrawn
    night(bucket.uri, out)
    assert plan(out) == {"02": "mask_changed"}

    before = shown(out)  # Thursday: one photo is scanned again, one only copied, one taken away
    bucket.put("images/03.jpg", picture(53))
    bucket.touch("images/04.jpg")
    bucket.delete(5)
    said = night(bucket.uri, out)
    assert plan(out) == {"03": "image_changed", "04": "image_changed"}
    rows = {row["item_id"]: row for row in newest(out, 2)}
    assert rows["04"]["reason"] == "touched" and rows["04"]["reused_from"] and not rows["03"]["reused_from"]
    assert {item for item, sha in shown(out).items() if sha != before[item]} == {"03"}
    assert "removed since: 1 photos (05)" in said and "05" in shown(out), "its picture stays"
    same_as_fresh()

    night(bucket.uri, out, "--set", "feather=8")  # Friday: another recipe
    assert plan(out) == {f"{n:02}": "recipe_changed" for n in range(8) if n != 5}

    for number in range(8, 128):  # Saturday: many photos come, and the machine dies in the night
        bucket.photo(number)
    job = start(bucket.uri, out, "--set", "feather=8")
    store, parts = OutStore.open(out), len(list(OutStore.open(out).list("metadata")))
    while len(list(store.list("metadata"))) == parts:
        assert job.poll() is None, "it dies in the middle"
        time.sleep(0.1)
    os.killpg(job.pid, signal.SIGKILL)
    job.communicate()
    done = len(shown(out)) - 8
    assert 0 < done < 120
    night(bucket.uri, out, "--set", "feather=8")
    assert len(plan(out)) == 120 - done and set(plan(out).values()) == {"new"}

    night(bucket.uri, out, "--set", "feather=8")  # Sunday: nothing
    assert plan(out) == {}
    check_against_fresh(bucket, s3, out, "--set", "feather=8")


def newest(out: str, count: int) -> list[dict[str, Any]]:
    table = committed_rows(OutStore.open(out)).to_table().sort_by("row_id")
    return list(table.slice(table.num_rows - count).to_pylist())


def check_against_fresh(bucket: Bucket, s3: S3Server, out: str, *more: str) -> None:
    """The current pictures are those of one run over what the bucket holds now, and of what was removed."""
    fresh = f"s3://{s3.fresh_bucket()}/fresh"
    night(bucket.uri, fresh, *more)
    now = shown(out)
    now.pop("05", None)
    assert now == shown(fresh)
