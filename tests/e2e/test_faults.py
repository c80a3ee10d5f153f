"""The main job against an S3 server that fails: one request of ten, all for a minute, all for good."""

from __future__ import annotations

import itertools
import random
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from restore.identity import sha256_bytes
from restore.storage import OutStore
from tests.conftest import S3Server
from tests.e2e.test_s3 import rows, run, start, upload
from tests.support.archives import make_archive
from tests.support.proxies import INTERNAL, SLOW_DOWN, Fault, Flaky, serving

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(900)]
PHOTOS = 120
MINUTE = 60.0


class Failing(Flaky):
    """Also quite away until a time, by the monotonic clock."""

    away_until = 0.0
    refused = itertools.count()

    def fault(self) -> Fault | None:
        if time.monotonic() < self.away_until:
            return SLOW_DOWN if next(self.refused) % 2 else INTERNAL
        return super().fault()


@pytest.fixture
def failing(s3: S3Server) -> Iterator[type[Failing]]:
    class Server(Failing):
        target = s3.endpoint.removeprefix("http://")
        chance = random.Random(5)
        seen: list[str] = []  # noqa: RUF012
        faults: Counter[Fault] = Counter()  # noqa: RUF012
        refused = itertools.count()

    with serving(Server) as endpoint:
        Server.endpoint = endpoint
        yield Server


@pytest.fixture
def manifest(s3: S3Server, tmp_path: Path) -> str:
    bucket = s3.fresh_bucket()
    make_archive(tmp_path, PHOTOS)
    upload(s3, tmp_path, bucket)
    return f"s3://{bucket}/scans/manifest.csv"


def restored_once(out: str) -> dict[str, Any]:
    """Output and sha256 of each photo; every photo has one successful row and its object."""
    store, good = OutStore.open(out), [row for row in rows(out) if row["status"] == "restored"]
    assert len(good) == len({row["item_id"] for row in good}) == PHOTOS, "lost or doubled"
    assert {entry.path for entry in store.list("images")} == {row["output"] for row in good}
    for row in good:
        assert sha256_bytes(store.read(row["output"])) == row["output_sha256"]
        assert row["changed_outside_mask"] == 0
    return {row["item_id"]: (row["output"], row["output_sha256"]) for row in good}


def test_one_request_of_ten_fails(s3: S3Server, failing: type[Failing], manifest: str) -> None:
    quiet, noisy = (f"s3://{s3.fresh_bucket()}/out" for _ in range(2))
    code, _, stderr = run(manifest, quiet)
    assert code == 0, stderr
    code, stdout, stderr = run(manifest, noisy, AWS_ENDPOINT_URL=failing.endpoint)
    assert code == 0 and f"{PHOTOS} restored" in stdout, stderr
    assert len(rows(noisy)) == PHOTOS
    assert restored_once(noisy) == restored_once(quiet), "the same pictures as without a fault"
    assert len(failing.faults) == 7, failing.faults
    print(f"{failing.faults.total()} faults in {len(failing.seen)} requests: {dict(failing.faults)}")


def begun(job: Any, out: str) -> None:
    """Return when a run has stored its first pictures."""
    store = OutStore.open(out)
    while len(list(store.list("images"))) < 4:
        assert job.poll() is None, job.communicate()
        time.sleep(0.2)


def test_a_store_that_is_away_for_a_minute_is_waited_for(
    s3: S3Server, failing: type[Failing], manifest: str
) -> None:
    out = f"s3://{s3.fresh_bucket()}/out"
    failing.share = lambda self: 0.0
    job = start(manifest, out, AWS_ENDPOINT_URL=failing.endpoint)
    begun(job, out)
    failing.away_until = time.monotonic() + MINUTE
    stdout, stderr = job.communicate(timeout=600)
    assert job.returncode == 0 and f"{PHOTOS} restored" in stdout, stderr
    assert len(rows(out)) == len(restored_once(out)) == PHOTOS
    print(f"{next(failing.refused)} requests were refused")


def test_a_store_that_stays_away_stops_the_run_and_the_next_goes_on(
    s3: S3Server, failing: type[Failing], manifest: str
) -> None:
    out = f"s3://{s3.fresh_bucket()}/out"
    failing.share = lambda self: 0.0
    job = start(manifest, out, AWS_ENDPOINT_URL=failing.endpoint)
    begun(job, out)
    failing.away_until = float("inf")
    _, stderr = job.communicate(timeout=800)
    assert job.returncode in (1, 4) and "Traceback" not in stderr, stderr
    failing.away_until = 0.0
    code, _, stderr = run(manifest, out, AWS_ENDPOINT_URL=failing.endpoint)
    assert code == 0, stderr
    assert len(restored_once(out)) == PHOTOS
