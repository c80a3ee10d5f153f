"""How busy the pipeline keeps its accelerators, against a plain script with one loop per accelerator.

The accelerator is simulated: an engine that holds its device, sleeping, for a set time per window and
takes no CPU. The store is a real S3 server (moto) of this machine behind a proxy that makes every request
wait. The job is the real one: `python -m jobs.restore_archive --profile gpu` on a Ray of this machine that
believes in two GPUs; only the diffusion engine is replaced in its workers, and the checkpoints are tiny.
All of it, with the store's server, runs on two cores. Ray counts two more for the actors, which sleep.

    python -m tests.bench feeding
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import cv2
import numpy as np
import psutil
from PIL import Image

from restore.methods import sizes_of
from restore.photo.routing import assign_engines
from restore.recipe import Recipe
from restore.repair.mask import dilate
from restore.repair.windows import plan_windows
from tests.bench.device import SPANS, WINDOW_SECONDS, Device
from tests.bench.throughput import make_inputs
from tests.conftest import REGION, moto_server
from tests.support.proxies import Proxy, serving

ROOT = Path(__file__).resolve().parents[2]
PHOTOS, DEVICES, CORES = 200, 2, 2
LATENCY = 0.1  # seconds that the store takes before it answers
PHOTO_SECONDS = 0.5  # that a photo holds a device, on average


@dataclass(frozen=True)
class Figures:
    """Attributes:
    busy: the part of the time from the first paint to the last in which the devices were busy.
    rate: photos a second in that time.
    cpu: seconds of user and system time per photo, of the job with Ray and all its workers.
    """

    busy: float
    rate: float
    cpu: float

    def text(self) -> str:
        return f"busy {self.busy:6.1%}, {self.rate:.2f} photos/s, {self.cpu:.2f} CPU seconds a photo"


def figures(spans: Path, cpu: float) -> Figures:
    spans_of_work = [tuple(map(float, line.split())) for file in spans.iterdir() for line in file.open()]
    span = max(end for _, end in spans_of_work) - min(began for began, _ in spans_of_work)
    busy = sum(end - began for began, end in spans_of_work)
    return Figures(busy / span / DEVICES, PHOTOS / span, cpu / PHOTOS)


def run(command: Sequence[str], env: Mapping[str, str], spans: Path) -> Figures:
    """Run a script to its end."""
    spans.mkdir()
    full = {**os.environ, **env, SPANS: str(spans), "PYTHONPATH": str(ROOT)}
    job = subprocess.Popen([sys.executable, *command], cwd=ROOT, env=full, stdout=subprocess.DEVNULL)
    used: dict[int, float] = {}
    while job.poll() is None:
        used |= cpu_seconds(job.pid)
        time.sleep(0.5)
    assert job.returncode == 0
    return figures(spans, sum(used.values()))


def cpu_seconds(pid: int) -> dict[int, float]:
    """Of a process and all below it, by their ids."""
    used = {}
    try:
        parent = psutil.Process(pid)
        for process in (parent, *parent.children(recursive=True)):
            times = process.cpu_times()
            used[process.pid] = times.user + times.system
    except psutil.NoSuchProcess:
        pass
    return used


def silverprint(folder: Path, env: Mapping[str, str], settings: Sequence[str], windows: float) -> Figures:
    """The real job."""
    hook = {"runtime_env": {"worker_process_setup_hook": "tests.bench.device.simulate"}}
    full = {
        **env,
        WINDOW_SECONDS: str(PHOTO_SECONDS / windows),
        "SILVERPRINT_WEIGHTS": str(folder / "weights"),
        "RAY_JOB_CONFIG_JSON_ENV_VAR": json.dumps(hook),
        "RAY_OVERRIDE_RESOURCES": json.dumps({"CPU": CORES + DEVICES, "GPU": DEVICES}),
    }
    command = ["-m", "jobs.restore_archive", "--manifest", "s3://scans/manifest.csv"]
    command += ["--output", "s3://restored/out", "--profile", "gpu", "--set", *settings]
    return run(command, full, folder / "spans")


def plain(folder: Path, env: Mapping[str, str]) -> Figures:
    """The usual script: a process per device that does one thing after the other."""
    return run(["-m", "tests.bench.feeding"], env, folder / "plain")


def loop(number: int) -> None:
    """One process of the plain script."""
    cv2.setNumThreads(1)
    store, device = boto3.client("s3", region_name=REGION), Device(0, Path(os.environ[SPANS]))
    for name in (f"{photo:04d}" for photo in range(number, PHOTOS, DEVICES)):
        image, mask = (
            np.asarray(Image.open(io.BytesIO(store.get_object(Bucket="scans", Key=key)["Body"].read())))
            for key in (f"images/{name}.jpg", f"masks/{name}.png")
        )
        device.hold(PHOTO_SECONDS)
        restored, file = np.where(mask[..., None] > 0, np.uint8(128), image), io.BytesIO()
        Image.fromarray(restored).save(file, "png", compress_level=1)
        store.put_object(Bucket="restored", Key=f"plain/{name}.png", Body=file.getvalue())


@contextmanager
def slow_store() -> Iterator[tuple[dict[str, str], str]]:
    """What a process needs to reach an S3 server whose every answer takes `LATENCY`; its quick endpoint."""

    class Slow(Proxy):
        seen: list[str] = []  # noqa: RUF012
        spoil: list[Any] = []  # noqa: RUF012

        def pass_on(self) -> None:
            time.sleep(LATENCY)
            super().pass_on()

        do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = pass_on  # noqa: N815

    keys = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing-secret"}
    with moto_server() as server:
        Slow.target = server.removeprefix("http://")
        with serving(Slow) as slow:
            yield {**keys, "AWS_ENDPOINT_URL": slow, "AWS_DEFAULT_REGION": REGION}, server


def upload(folder: Path, endpoint: str) -> None:
    store = boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id="testing",
        aws_secret_access_key="testing-secret",
    )
    for bucket in ("scans", "restored"):
        store.create_bucket(Bucket=bucket)
    for path in folder.rglob("*.*"):
        store.put_object(Bucket="scans", Key=str(path.relative_to(folder)), Body=path.read_bytes())


def windows_a_photo(masks: Path) -> float:
    """How many windows the job gives to the device, on average."""
    recipe, found = Recipe(), 0
    for path in masks.iterdir():
        damage = np.asarray(Image.open(path)) > 127
        dilated = dilate(damage, recipe.dilate_kernel, recipe.dilate_iterations)
        for method, part in assign_engines(damage, dilated, recipe, "sdxl"):
            if sizes := sizes_of(method):
                context, reach = recipe.window_context, recipe.feather
                found += len(plan_windows(part, context=context, reach=reach, sizes=sizes))
    return found / PHOTOS


def main() -> None:
    from tests.support.tiny_checkpoints import (
        make_checkpoints,  # and torch, which the plain script does not need
    )

    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    with tempfile.TemporaryDirectory() as name, slow_store() as (env, quick):
        folder = Path(name)
        upload(make_inputs(folder / "in", PHOTOS).parent, quick)
        windows = windows_a_photo(folder / "in/masks")
        settings = ["dtype=float32", *make_checkpoints(folder).settings()]
        print(
            f"{PHOTOS} photos, {DEVICES} devices held {PHOTO_SECONDS:g} s a photo ({windows:.2f} windows), "
            f"{LATENCY * 1000:.0f} ms a request, {CORES} cores, load before {os.getloadavg()[0]:.1f}",
            flush=True,
        )
        print(f"one loop per device: {plain(folder, env).text()}", flush=True)
        print(f"silverprint:         {silverprint(folder, env, settings, windows).text()} (target 95%)")


if __name__ == "__main__":
    with ProcessPoolExecutor(DEVICES) as pool:
        list(pool.map(loop, range(DEVICES)))
