"""Ray heads of our own for tests, with ports, folder and token that meet no other Ray of this machine."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.servers import free_port

ROOT = Path(__file__).resolve().parents[1]
RAY = str(Path(sys.executable).with_name("ray"))


@dataclass(frozen=True)
class Head:
    """A running Ray head.

    Attributes:
        env: what its clients need.
        folder: holds its session.
        address: what a driver joins.
        metrics: the URL that Prometheus reads.
    """

    env: dict[str, str]
    folder: Path
    address: str
    metrics: str

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


@contextmanager
def started_head() -> Iterator[Head]:
    """A head with its dashboard and agent, ended with all that it started."""
    with tempfile.TemporaryDirectory(prefix="sp-", ignore_cleanup_errors=True) as folder:
        gcs, dashboard, metrics = free_port(), free_port(), free_port()
        env = {
            name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "PYTHONPATH"))
        }
        env |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": uuid.uuid4().hex}
        process = subprocess.Popen(
            start_command(folder, gcs, dashboard, metrics),
            env=env,
            cwd=folder,
            **quiet(),
            start_new_session=True,
        )
        env["RAY_API_SERVER_ADDRESS"] = f"http://127.0.0.1:{dashboard}"
        try:
            found = Head(env, Path(folder), f"127.0.0.1:{gcs}", f"http://127.0.0.1:{metrics}/metrics")
            wait_for(lambda: found.ray("job", "list").returncode == 0 or process.poll() is not None)
            assert process.poll() is None, "the head ended"
            yield found
        finally:
            stop(process)


def start_command(folder: str, gcs: int, dashboard: int, metrics: int) -> list[str]:
    ports = [f"--port={gcs}", f"--metrics-export-port={metrics}", f"--ray-client-server-port={free_port()}"]
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
