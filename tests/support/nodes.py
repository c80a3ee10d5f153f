"""A Ray cluster of several nodes on this machine, each a raylet of its own under `ray start`."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.support.servers import free_port

ROOT = Path(__file__).resolve().parents[2]
RAY = str(Path(sys.executable).with_name("ray"))


@dataclass(frozen=True, eq=False)
class Node:
    """One node. `raylet` is its raylet's process id, the parent of all its workers."""

    process: subprocess.Popen[bytes]
    raylet: int

    def lose(self) -> None:
        """As a spot instance goes: its raylet is killed, and its workers with it, a moment later."""
        os.kill(self.raylet, signal.SIGKILL)

    def workers(self) -> set[int]:
        """Process ids of its workers that are alive."""
        found = set()
        with suppress(psutil.NoSuchProcess):
            for one in psutil.Process(self.raylet).children():
                with suppress(psutil.NoSuchProcess):
                    found |= {one.pid} if one.status() != psutil.STATUS_ZOMBIE else set()
        return found

    def stop(self) -> None:
        """End it and all that it started, and nothing else: `ray stop` would end every Ray here."""
        with suppress(psutil.NoSuchProcess):
            ours = psutil.Process(self.process.pid).children(recursive=True)
            for one in ours:
                with suppress(psutil.NoSuchProcess):
                    one.terminate()
            for one in psutil.wait_procs(ours, timeout=5)[1]:
                with suppress(psutil.NoSuchProcess):
                    one.kill()
        self.process.kill()
        self.process.wait(10)


@dataclass(frozen=True)
class Nodes:
    """A head that runs no tasks, and the nodes that have joined it.

    Attributes:
        env: what every process of this cluster and its clients need.
        folder: the head's sessions and logs.
    """

    env: dict[str, str]
    folder: Path
    address: str
    head: Node
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(2))

    @contextmanager
    def joined(self, cpus: int = 2, gpus: int = 1) -> Iterator[Node]:
        """One more node with its own address; its GPUs are numbers that Ray counts, and no devices."""
        assert self.head.process.poll() is None, "the head has ended"
        ip = f"127.0.0.{next(self._numbers)}"
        command = [RAY, "start", "--block", f"--address={self.address}", f"--node-ip-address={ip}"]
        command += [f"--num-cpus={cpus}", f"--num-gpus={gpus}"]
        node = _start(lambda: [*command, *_ports()], self.env, self.folder)
        try:
            yield node
        finally:
            node.stop()


@contextmanager
def ray_head(
    dashboard: int | None = None, metrics: int | None = None, cpus: int = 0, **env: str
) -> Iterator[Nodes]:
    """A head with ports, folder and token of its own, so that it meets no other Ray of this machine.

    Args:
        dashboard: its port; without it there is none.
        metrics: the port of its agent's metrics; any without it.
        env: for all processes of the cluster.
    """
    with tempfile.TemporaryDirectory(prefix="sp-", ignore_cleanup_errors=True) as folder:
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "PYTHONPATH"))
        }
        full = {**kept, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": uuid.uuid4().hex, **env}
        port = free_port()
        options = [f"--port={port}", f"--ray-client-server-port={free_port()}", f"--temp-dir={folder}"]
        options += ["--node-ip-address=127.0.0.1", f"--num-cpus={cpus}", "--num-gpus=0"]
        options += [f"--include-dashboard={dashboard is not None}", "--dashboard-host=127.0.0.1"]
        options += [f"--dashboard-port={dashboard}"] if dashboard else []
        command = [RAY, "start", "--head", "--block", *options]
        head = _start(lambda: [*command, *_ports(metrics)], full, Path(folder))
        try:
            yield Nodes(full, Path(folder), f"127.0.0.1:{port}", head)
        finally:
            head.stop()


def _ports(metrics: int | None = None) -> list[str]:
    names = ("dashboard-agent-listen", "dashboard-agent-grpc", "metrics-export")
    free = {name: free_port() for name in names} | ({"metrics-export": metrics} if metrics else {})
    ports = [f"--{name}-port={port}" for name, port in free.items()]
    ports += ["--min-worker-port=0", "--max-worker-port=0"]
    return [*ports, "--object-store-memory=200000000", "--disable-usage-stats"]


def _start(command: Callable[[], list[str]], env: dict[str, str], folder: Path) -> Node:
    """A node that has started. A port that was free may be taken by then: a few tries, each with others."""
    for _ in range(3):
        if node := _tried(command(), env, folder):
            return node
    raise RuntimeError(f"{command()} ended thrice; see {folder}/*.started")


def _tried(command: list[str], env: dict[str, str], folder: Path) -> Node | None:
    log = folder / f"{uuid.uuid4().hex}.started"
    with log.open("wb") as file:
        output = {"stdout": file, "stderr": subprocess.STDOUT}
        process = subprocess.Popen(command, env=env, cwd=folder, **output, start_new_session=True)
    try:
        wait_for(lambda: "Ray runtime started" in log.read_text() or process.poll() is not None)
        time.sleep(1)  # a raylet that meets a taken port ends within this time
        return Node(process, _raylet(process)) if process.poll() is None else None
    except BaseException:
        process.kill()  # its children end with it
        raise


def _raylet(process: subprocess.Popen[bytes]) -> int:
    ours = psutil.Process(process.pid).children(recursive=True)
    (found,) = (one.pid for one in ours if one.name() == "raylet")
    return found


def wait_for(come: Callable[[], object], seconds: float = 300) -> None:
    """Return when `come` says so."""
    deadline = time.monotonic() + seconds
    while not come():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)
