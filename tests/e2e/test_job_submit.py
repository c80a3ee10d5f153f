"""`ray job submit` to a head of our own: follow a job, stop it, go on, see one fail."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from manifests.committed import read_committed
from restore.storage import OutStore
from tests.archives import make_archive
from tests.schemas import check_record
from tests.servers import free_port

ROOT = Path(__file__).resolve().parents[2]
RAY = str(Path(sys.executable).with_name("ray"))
PHOTOS = 80

pytestmark = pytest.mark.heavy


@dataclass(frozen=True)
class Head:
    """A running Ray head. `env` is what its clients need; `folder` holds its session."""

    env: dict[str, str]
    folder: Path

    def ray(self, *command: str) -> subprocess.CompletedProcess[str]:
        """One `ray` command, run from the repository as a user runs it."""
        return subprocess.run(
            [RAY, *command],
            cwd=ROOT,
            env=self.env,
            capture_output=True,
            text=True,
            check=False,
            timeout=200,
        )

    def submit(self, name: str, *more: str) -> subprocess.CompletedProcess[str]:
        return self.ray("job", "submit", "--submission-id", name, "--working-dir", ".", *more)

    def status(self, name: str) -> str:
        """The job's last state as Ray words it, such as `was stopped`."""
        said = self.ray("job", "status", name)
        return (said.stdout + said.stderr).partition(f"Job '{name}' ")[2].splitlines()[0]


@pytest.fixture(scope="module")
def head() -> Iterator[Head]:
    """A head with ports, folder and token of its own, so that it meets no other Ray of this machine."""
    with tempfile.TemporaryDirectory(prefix="sp-", ignore_cleanup_errors=True) as folder:
        dashboard = free_port()
        env = {
            name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "PYTHONPATH"))
        }
        env |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": uuid.uuid4().hex}
        process = subprocess.Popen(
            start_command(folder, dashboard), env=env, cwd=folder, **quiet(), start_new_session=True
        )
        try:
            found = Head({**env, "RAY_API_SERVER_ADDRESS": f"http://127.0.0.1:{dashboard}"}, Path(folder))
            wait_for(lambda: found.ray("job", "list").returncode == 0 or process.poll() is not None)
            assert process.poll() is None, "the head ended"
            yield found
        finally:
            stop(process)


def start_command(folder: str, dashboard: int) -> list[str]:
    ports = [f"--{name}={free_port()}" for name in ("port", "ray-client-server-port", "metrics-export-port")]
    ports += [f"--dashboard-agent-{name}-port={free_port()}" for name in ("listen", "grpc")]
    ports += ["--min-worker-port=0", "--max-worker-port=0", f"--dashboard-port={dashboard}"]
    options = ["--include-dashboard=true", "--dashboard-host=127.0.0.1", "--node-ip-address=127.0.0.1"]
    options += ["--num-cpus=2", "--object-store-memory=200000000", "--disable-usage-stats"]
    return [RAY, "start", "--head", "--block", f"--temp-dir={folder}", *ports, *options]


def quiet() -> dict[str, int]:
    return {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


def stop(process: subprocess.Popen[bytes]) -> None:
    """End this head and all that it started, and nothing else: `ray stop` would end every Ray here."""
    ours = psutil.Process(process.pid).children(recursive=True)
    for one in ours:
        one.terminate()
    _, alive = psutil.wait_procs(ours, timeout=5)
    for one in [*alive, psutil.Process(process.pid)]:
        one.kill()
    process.wait(10)


def wait_for(come: Callable[[], object], seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not come():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)


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
    if records := list((out / "runs").glob("*")):  # written within the 3 s that Ray leaves a job
        assert check_record(records[0].read_bytes())["verdict"] == "stopped"
        assert list((out / "lease").iterdir()) == [], "given back"
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


def ids(out: Path) -> set[str]:
    return set(read_committed(OutStore.open(str(out)), ["row_id"])["row_id"].to_pylist())


def check_upload(head: Head) -> None:
    """What was uploaded is the code and little else."""
    found = head.folder.glob("session_latest/runtime_resources/working_dir_files/_ray_pkg_*")
    (package,) = [path for path in found if path.is_dir()]
    files = [path for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    size = sum(path.stat().st_size for path in files)
    assert size < 1_000_000, f"{size} bytes"
    top = {path.relative_to(package).parts[0] for path in files}
    assert {"jobs", "restore", "manifests", "cluster"} <= top
    assert not top & {".git", ".venv", ".readme", "demo", "tests"}


def test_a_job_that_fails_says_why_and_ends_the_client_with_1(head: Head, tmp_path: Path) -> None:
    job = [sys.executable, "-m", "jobs.restore_archive", "--output", str(tmp_path / "out"), "--manifest"]
    failed = head.submit("failing", "--", *job, str(tmp_path / "none.csv"))
    assert failed.returncode == 1 and head.status("failing").startswith("failed")
    assert "none.csv: no such file; correct --manifest" in failed.stdout
    assert not (tmp_path / "out").exists()
