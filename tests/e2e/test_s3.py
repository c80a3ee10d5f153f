"""The main job against an S3 server over HTTP: the whole archive there, or only part of it."""

from __future__ import annotations

import io
import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from jobs.run_spec import load_run_spec
from jobs.settings import RestoreSettings
from manifests.catalog.rows import read_committed
from restore.identity import output_name, sha256_bytes
from restore.storage import OutStore
from tests.conftest import S3Server
from tests.support.archives import make_archive, read_manifest_rows, write_manifest
from tests.support.proxies import Fault, Flaky, Proxy, serving
from tests.support.schemas import check_event, check_record

ROOT = Path(__file__).resolve().parents[2]
PHOTOS = 12


def start(manifest: str, out: str, *more: str, **env: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "jobs.restore_archive", "--manifest", manifest, "--output", out, *more]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, cwd=ROOT, env={**os.environ, **env}, text=True, **pipes)


def run(manifest: str, out: str, *more: str, **env: str) -> tuple[int, str, str]:
    job = start(manifest, out, *more, **env)
    stdout, stderr = job.communicate(timeout=200)
    return job.returncode, stdout, stderr


def upload(s3: S3Server, folder: Path, bucket: str) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            s3.client.put_object(
                Bucket=bucket, Key=f"scans/{path.relative_to(folder)}", Body=path.read_bytes()
            )


def rows(out: str) -> list[dict[str, Any]]:
    return list(read_committed(OutStore.open(out)).to_pylist())


@pytest.fixture(scope="module")
def flaky(s3: S3Server) -> Iterator[type[Flaky]]:
    class Server(Flaky):
        target = s3.endpoint.removeprefix("http://")
        chance = random.Random(11)
        seen: list[str] = []  # noqa: RUF012
        faults: Counter[Fault] = Counter()  # noqa: RUF012

    with serving(Server) as endpoint:
        Server.endpoint = endpoint
        yield Server


def test_an_archive_on_a_flaky_s3_is_restored_whole_then_only_what_changed(
    s3: S3Server, flaky: type[Flaky], tmp_path: Path
) -> None:
    bucket, out = s3.fresh_bucket(), f"s3://{s3.fresh_bucket()}/deep/out"
    manifest = f"s3://{bucket}/scans/manifest.csv"
    make_archive(tmp_path, PHOTOS)
    upload(s3, tmp_path, bucket)
    for number in range(120):  # so that listing the images takes several pages
        s3.client.put_object(Bucket=bucket, Key=f"scans/images/0-{number:03}.txt", Body=b"no photo")

    first = start(manifest, out, AWS_ENDPOINT_URL=flaky.endpoint)
    store = OutStore.open(out)
    while not store.names("lease"):
        assert first.poll() is None, first.communicate()
        time.sleep(0.1)
    holder = json.loads(store.read("lease/000001.json"))
    code, _, stderr = run(manifest, out)
    assert code == 5 and f"process {holder['pid']} on {holder['host']}" in stderr, stderr
    stdout, stderr = first.communicate(timeout=200)
    assert first.returncode == 0, stderr
    assert f"{PHOTOS} new" in stdout and f"{PHOTOS} restored" in stdout
    assert store.names("lease") == []
    assert len(flaky.faults) >= 6, f"too few kinds of faults were met: {flaky.faults}"
    check_store(store, s3, bucket)

    check_changes(s3, bucket, manifest, out)


def check_store(store: OutStore, s3: S3Server, bucket: str) -> None:
    """Rows, objects, versions and the run record agree with one another."""
    (name,) = store.names("runs")
    record = check_record(store.read(f"runs/{name}"))
    assert (record["verdict"], record["committed"]) == ("complete", PHOTOS)
    listed = {entry.path for entry in store.list("images")}
    committed = rows(store.root)
    assert listed == {row["output"] for row in committed} and len(listed) == PHOTOS
    for row in committed:
        assert sha256_bytes(store.read(row["output"])) == row["output_sha256"]
        head = s3.client.head_object(Bucket=bucket, Key=row["image"].partition(f"{bucket}/")[2])
        assert row["image_version"] == head["ETag"].strip('"')


def check_changes(s3: S3Server, bucket: str, manifest: str, out: str) -> None:
    """Three images change; of the new outputs one name holds the same picture, one something else."""
    images = {row["item_id"]: row["output"] for row in rows(out)}
    for number in (2, 3, 4):
        key = f"scans/images/{number:03}.jpg"
        body = s3.client.get_object(Bucket=bucket, Key=key)["Body"].read()
        s3.client.put_object(Bucket=bucket, Key=key, Body=body + b"\0")  # the same pixels, another ETag
    todo = {row["item_id"]: row for row in planned(manifest, out)}
    assert len(todo) == 3 and {row["reason"] for row in todo.values()} == {"image_changed"}
    store = OutStore.open(out)
    same, other = "box-2/photo 002", "box-0/photo 003"
    recoded = reencoded(store.read(images[same]))
    names = {item: output_name(item, row["work_key"], "png") for item, row in todo.items()}
    assert store.create(names[same], recoded).existing is None
    assert store.create(names[other], b"not a picture").existing is None

    code, stdout, stderr = run(manifest, out)
    assert code == 3 and f"{PHOTOS - 3} done, 3 image_changed" in stdout, stdout + stderr
    newest = {row["item_id"]: row for row in rows(out)[PHOTOS:]}
    assert Counter(row["status"] for row in newest.values()) == {"restored": 2, "failed": 1}
    assert newest[other]["error_code"] == "verify_failed"
    assert store.read(names[other]) == b"not a picture", "never replaced"
    assert newest[same]["output_sha256"] == sha256_bytes(recoded), "adopted as it is"
    assert (newest[same]["output_bytes"], store.read(names[same])) == (len(recoded), recoded)

    code, stdout, _ = run(manifest, out, "--dry-run")
    assert code == 0 and f"{PHOTOS - 1} done, 1 failed_before" in stdout


def planned(manifest: str, out: str) -> list[dict[str, Any]]:
    order = load_run_spec(RestoreSettings(manifest=manifest, output=out))
    return list(order.plan().todo.to_pylist())


def reencoded(png: bytes) -> bytes:
    """The same pixels in other bytes."""
    picture, buffer = Image.open(io.BytesIO(png)), io.BytesIO()
    picture.save(buffer, "png", compress_level=1)
    assert buffer.getvalue() != png
    return buffer.getvalue()


def test_a_photo_that_is_uploaded_again_is_not_painted_again(s3: S3Server, tmp_path: Path) -> None:
    bucket, out = s3.fresh_bucket(), f"s3://{s3.fresh_bucket()}/out"
    make_archive(tmp_path, 3)
    upload(s3, tmp_path, bucket)
    manifest = f"s3://{bucket}/scans/manifest.csv"
    assert run(manifest, out)[0] == 0
    before = {row["item_id"]: row for row in rows(out)}
    in_parts(s3, bucket, "scans/images/000.jpg", (tmp_path / "images/000.jpg").read_bytes())
    in_parts(s3, bucket, "scans/masks/001.png", (tmp_path / "masks/001.png").read_bytes())
    in_parts(s3, bucket, "scans/images/002.jpg", (tmp_path / "images/002.jpg").read_bytes() + b"\0")

    code, stdout, stderr = run(manifest, out)
    assert code == 0 and "2 image_changed, 1 mask_changed" in stdout, stderr
    after = {row["item_id"]: row for row in rows(out)[3:]}
    assert [row["reason"] for _, row in sorted(after.items())] == ["touched", "touched", "image_changed"]
    for name, row in sorted(after.items())[:2]:
        old = before[name]
        assert row["reused_from"] == old["row_id"] and row["work_key"] != old["work_key"]
        assert (row["image_version"], row["mask_version"]) != (old["image_version"], old["mask_version"])
        columns = ("status", "output", "output_sha256", "windows", "figures", "image_sha256", "engine_hash")
        assert all(row[column] == old[column] for column in columns)
    assert len(list(OutStore.open(out).list("images"))) == 4, "one of three was painted again"
    assert "3 done" in run(manifest, out, "--dry-run")[1]


def in_parts(s3: S3Server, bucket: str, key: str, body: bytes) -> None:
    """Upload so that the ETag is that of a multipart upload, whatever the bytes."""
    name = {"Bucket": bucket, "Key": key}
    upload_id = s3.client.create_multipart_upload(**name)["UploadId"]
    part = s3.client.upload_part(**name, UploadId=upload_id, PartNumber=1, Body=body)
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    s3.client.complete_multipart_upload(**name, UploadId=upload_id, MultipartUpload=parts)


def test_a_local_manifest_may_name_images_on_s3(s3: S3Server, tmp_path: Path) -> None:
    bucket, out = s3.fresh_bucket(), tmp_path / "out"
    wanted = read_manifest_rows(make_archive(tmp_path / "in", 4))
    upload(s3, tmp_path / "in", bucket)
    mixed = [{**row, "image": f"s3://{bucket}/scans/{row['image']}"} for row in wanted]
    mixed[3]["image"] = f"s3://{bucket}/scans/images/none.jpg"
    manifest = str(write_manifest(tmp_path / "in/manifest.csv", mixed))
    code, stdout, stderr = run(manifest, str(out), "--log", "json")
    assert code == 3, stderr
    events = [check_event(line) for line in stdout.splitlines()]
    by_name = {event["event"]: event for event in events}
    assert [events[0]["event"], events[-1]["event"]] == ["plan", "end"]
    assert by_name["failed"]["item_id"] == mixed[3]["item_id"] and by_name["part"]["committed"] == 4
    assert "some_failed: 1 failed, 3 restored" in stderr
    committed = rows(str(out))
    assert Counter(row["error_code"] for row in committed) == {None: 3, "image_not_found": 1}
    for row in committed:
        if row["status"] == "restored":
            assert np.asarray(Image.open(out / row["output"])).shape == (480, 640, 3)
            assert row["image"].startswith("s3://") and Path(row["mask"]).is_absolute()


@pytest.mark.parametrize(
    ("manifest", "out", "words"),
    [
        (
            "s3://no-such-bucket/manifest.csv",
            "s3://no-such-bucket/out",
            "no such file; correct the name of the manifest",
        ),
        ("{local}", "s3://no-such-bucket/out", "output s3://no-such-bucket/out: there is no such bucket"),
    ],
)
def test_a_missing_bucket_is_one_clear_line(
    s3: S3Server, tmp_path: Path, manifest: str, out: str, words: str
) -> None:
    local = make_archive(tmp_path / "in", 1)
    code, stdout, stderr = run(manifest.format(local=local), out)
    assert words in stderr and code == (2 if "manifest" in words else 1), stderr
    assert stderr.count("\n") == 1 and stderr.startswith("silverprint: ") and not stdout


def test_a_wrong_key_is_one_clear_line(s3: S3Server, start_moto: Any, tmp_path: Path) -> None:
    local = make_archive(tmp_path / "in", 1)
    with start_moto(INITIAL_NO_AUTH_ACTION_COUNT="0") as endpoint:
        for manifest, words in (
            (str(local), "output s3://archive/out: access denied (InvalidAccessKeyId)"),
            ("s3://archive/m.csv", "s3://archive/m.csv: may not be read (403)"),
        ):
            code, stdout, stderr = run(manifest, "s3://archive/out", AWS_ENDPOINT_URL=endpoint)
            assert code == 1 and words in stderr, stderr
            assert stderr.count("\n") == 1 and not stdout
            assert s3.env["AWS_SECRET_ACCESS_KEY"] not in stderr and s3.env["AWS_ACCESS_KEY_ID"] not in stderr


def test_a_store_that_is_full_in_the_midst_of_a_run(s3: S3Server, tmp_path: Path) -> None:
    """The run stops, no photo is failed for it, and the next run does what is left."""

    class Full(Proxy):
        target = s3.endpoint.removeprefix("http://")
        spoil: list[tuple[str, Fault | None]] = []  # noqa: RUF012
        seen: list[str] = []  # noqa: RUF012
        pictures = 0

        def fault(self) -> Fault | None:
            if self.command != "PUT" or "/images/" not in self.path:
                return None
            Full.pictures += 1
            return (403, "QuotaExceeded") if Full.pictures > 2 else None

    make_archive(tmp_path, PHOTOS)
    out = f"s3://{s3.fresh_bucket()}/out"
    with serving(Full) as endpoint:
        code, _, stderr = run(str(tmp_path / "manifest.csv"), out, AWS_ENDPOINT_URL=endpoint)
    assert code == 1 and "QuotaExceeded" in stderr.splitlines()[-1], stderr
    said = [line for line in stderr.splitlines() if "photos/s" not in line]
    assert "Traceback" not in stderr and len(said) <= 2, stderr
    assert not [row for row in rows(out) if row["status"] == "failed"]
    code, _, stderr = run(str(tmp_path / "manifest.csv"), out)
    assert code == 0, stderr
    assert len({row["item_id"] for row in rows(out) if row["status"] == "restored"}) == PHOTOS
