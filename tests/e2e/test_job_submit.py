"""`ray job submit` to a head of this test: follow a job, stop it, resume it, see one fail."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from manifests.catalog.rows import read_committed
from restore.storage import OutStore
from tests.support.archives import make_archive
from tests.support.heads import Head, started_head, wait_for
from tests.support.nodes import ROOT
from tests.support.schemas import check_record

PHOTOS = 80

pytestmark = pytest.mark.heavy


@pytest.fixture(scope="module")
def head() -> Iterator[Head]:
    with started_head() as head:
        yield head


def test_a_job_is_submitted_stopped_and_resumed(head: Head, tmp_path: Path) -> None:
    manifest, out = make_archive(tmp_path / "in", PHOTOS, 1600, 1200), tmp_path / "out"
    job = [sys.executable, "-m", "jobs.restore_archive", "--manifest", str(manifest), "--output", str(out)]

    sent = head.submit("first", "--no-wait", "--", *job)
    assert sent.returncode == 0, sent.stderr
    wait_for(lambda: list(out.glob("metadata/*/part-00000.parquet")))
    stopped = head.ray("job", "stop", "first")
    assert stopped.returncode == 0 and "was stopped" in head.status("first")
    kept = ids(out)
    assert 0 < len(kept) < PHOTOS
    (written,) = (out / "runs").iterdir()
    assert check_record(written.read_bytes())["verdict"] == "stopped"
    assert list((out / "lease").iterdir()) == [], "released"
    said = head.ray("job", "logs", "first").stdout
    assert "Connecting" not in said.partition("to reuse: 0")[2], "nothing joins Ray again after the end"

    resumed = head.submit("second", "--", *job)
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    assert f"{len(kept)} done" in resumed.stdout and ": complete" in resumed.stdout
    assert kept < ids(out)
    painted = Counter(row["item_id"] for row in read_committed(OutStore.open(str(out))).to_pylist())
    assert len(painted) == PHOTOS and set(painted.values()) == {1}, "nothing is lost, nothing done twice"
    record = check_record(max((out / "runs").iterdir()).read_bytes())
    assert (record["verdict"], record["exit_code"]) == ("complete", 0)
    assert list((out / "lease").iterdir()) == []
    check_upload(head)


@pytest.mark.parametrize("seconds", [0.0, 1.5, 4.0])
def test_a_stopped_job_has_a_record_and_no_lease(head: Head, tmp_path: Path, seconds: float) -> None:
    """Ray kills a job 3 s after it asked it to end, whatever the job is doing at that moment."""
    manifest, out = make_archive(tmp_path / "in", PHOTOS, 1600, 1200), tmp_path / "out"
    job = [sys.executable, "-m", "jobs.restore_archive", "--manifest", str(manifest), "--output", str(out)]
    name = f"stopped-after-{seconds:g}"
    assert head.submit(name, "--no-wait", "--", *job).returncode == 0
    wait_for(lambda: list(out.glob("plans/*.parquet")))
    time.sleep(seconds)
    assert head.ray("job", "stop", name).returncode == 0
    (written,) = (out / "runs").iterdir()
    assert check_record(written.read_bytes())["verdict"] == "stopped"
    assert list((out / "lease").iterdir()) == []


def ids(out: Path) -> set[str]:
    return set(read_committed(OutStore.open(str(out)), ["row_id"])["row_id"].to_pylist())


def check_upload(head: Head) -> None:
    """What was uploaded is the code that git tracks, without tests, documents and pictures."""
    found = head.folder.glob("session_latest/runtime_resources/working_dir_files/_ray_pkg_*")
    (package,) = [path for path in found if path.is_dir()]
    files = {path.relative_to(package): path.stat().st_size for path in package.rglob("*") if path.is_file()}
    files = {path: size for path, size in files.items() if "__pycache__" not in path.parts}
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert {str(path) for path in files} <= set(tracked.stdout.splitlines())
    top = {path.parts[0] for path in files}
    assert {"jobs", "restore", "manifests", "cluster"} <= top
    assert not top & {".git", ".venv", ".readme", "demo", "tests"}
    largest = max(files, key=lambda path: files[path])
    assert files[largest] < 100_000, f"{largest} is no code: {files[largest]} bytes"


def test_a_job_that_fails_says_why_and_ends_the_client_with_1(head: Head, tmp_path: Path) -> None:
    job = [sys.executable, "-m", "jobs.restore_archive", "--output", str(tmp_path / "out"), "--manifest"]
    failed = head.submit("failing", "--", *job, str(tmp_path / "none.csv"))
    assert failed.returncode == 1 and head.status("failing").startswith("failed")
    assert "none.csv: no such file; correct the name of the manifest" in failed.stdout
    assert not (tmp_path / "out").exists()
