"""Objects a second and peak memory of `manifests build` over 10,000 and 100,000 objects of an S3 server.

And over millions that are made up as they are listed, since that server would take hours to be filled.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest

from manifests import __main__ as manifests
from manifests.listing import build as listing
from restore.storage import Entry
from tests.conftest import REGION, moto_server

COUNTS = (10_000, 100_000)
MADE_UP = (100_000, 1_000_000, 10_000_000)
FOLDERS = 50


def fill(client: Any, bucket: str, count: int) -> None:
    """Half photos, half masks."""
    client.create_bucket(Bucket=bucket)

    def put(number: int) -> None:
        name = f"box-{number % FOLDERS:02d}/{number:06d}"
        for key in (f"images/{name}.jpg", f"masks/{name}.png"):
            client.put_object(Bucket=bucket, Key=key, Body=b"")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(put, range(count // 2)))


def build(bucket: str, out: Path) -> tuple[float, float]:
    command = [sys.executable, "-m", "manifests", "build", "--out", str(out)]
    command += ["--images", f"s3://{bucket}/images", "--masks", f"s3://{bucket}/masks"]
    return watched(command)


def watched(command: Sequence[str]) -> tuple[float, float]:
    """Seconds and peak resident megabytes of a command's process."""
    began, peak = time.perf_counter(), 0
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    process = psutil.Process(child.pid)
    while child.poll() is None:
        peak = max(peak, process.memory_info().rss)
        time.sleep(0.02)
    assert child.returncode == 0
    return time.perf_counter() - began, peak / 1e6


def build_made_up(count: int) -> None:
    """The same command over more objects than a store would hold."""
    modified = datetime.now(UTC)

    def photographs(uri: str, pass_over: Any) -> Iterator[Entry]:
        extension = "jpg" if uri.endswith("images") else "png"
        for number in range(count // 2):
            name = f"box-{number % FOLDERS:02d}/{number:08d}.{extension}"
            yield Entry(name, 1000, f"{number:032x}", modified)

    listing.photographs = photographs
    with tempfile.TemporaryDirectory() as name:
        manifests.main(
            ["build", "--images", "s3://b/images", "--masks", "s3://b/masks", "--out", f"{name}/m.parquet"]
        )


def main() -> None:
    import boto3

    with (
        moto_server() as endpoint,
        tempfile.TemporaryDirectory() as name,
        pytest.MonkeyPatch.context() as env,
    ):
        for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            env.setenv(key, "testing")
        env.setenv("AWS_ENDPOINT_URL", endpoint)
        env.setenv("AWS_DEFAULT_REGION", REGION)
        client = boto3.client("s3")
        peaks = []
        for count in COUNTS:
            fill(client, f"bucket-{count}", count)
            seconds, peak = build(f"bucket-{count}", Path(name) / "m.parquet")
            peaks.append(peak)
            print(f"{count:6d} objects: {count / seconds:6.0f} objects/s, peak {peak:.0f} MB", flush=True)
        print(f"ratio of the peaks {peaks[1] / peaks[0]:.2f}")
    for count in MADE_UP:
        seconds, peak = watched([sys.executable, "-m", __spec__.name, str(count)])
        print(f"{count:8d} made up: {count / seconds:6.0f} objects/s, peak {peak:.0f} MB", flush=True)


if __name__ == "__main__":
    build_made_up(int(sys.argv[1]))
