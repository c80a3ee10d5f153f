"""A Ray head that takes jobs and shows its metrics, for tests of what a cluster is asked from outside."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.nodes import RAY, ROOT, ray_head, wait_for
from tests.support.servers import free_port


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
    """A head with its dashboard and agent and two CPUs, ended with all that it started."""
    dashboard, metrics = free_port(), free_port()
    with ray_head(dashboard=dashboard, metrics=metrics, cpus=2) as nodes:
        env = {**nodes.env, "RAY_API_SERVER_ADDRESS": f"http://127.0.0.1:{dashboard}"}
        found = Head(env, nodes.folder, nodes.address, f"http://127.0.0.1:{metrics}/metrics")
        wait_for(lambda: found.ray("job", "list").returncode == 0)
        yield found
