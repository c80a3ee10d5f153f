"""Objects a second and peak memory of `manifests build` over 10,000 and 100,000 objects of an S3 server."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import REGION, moto_server

COUNTS = (10_000, 100_000)
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
    """Seconds and peak resident megabytes of the command's process."""
    command = [sys.executable, "-m", "manifests", "build", "--out", str(out)]
    command += ["--images", f"s3://{bucket}/images", "--masks", f"s3://{bucket}/masks"]
    began, peak = time.perf_counter(), 0
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    process = psutil.Process(child.pid)
    while child.poll() is None:
        peak = max(peak, process.memory_info().rss)
        time.sleep(0.02)
    assert child.returncode == 0
    return time.perf_counter() - began, peak / 1e6


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
