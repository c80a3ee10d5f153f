"""Real servers of object stores over HTTP, for the tests that need one."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.support import servers
from tests.support.servers import free_port, wait_for

REGION = "us-east-1"


@dataclass(frozen=True)
class S3Server:
    """A running server. `env` is what a process needs to reach it; it is set for the test session."""

    endpoint: str
    env: dict[str, str]
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    @property
    def client(self) -> Any:
        """A boto3 client, for what the code under test does not do itself."""
        import boto3

        return boto3.client("s3", endpoint_url=self.endpoint, region_name=REGION)

    def fresh_bucket(self) -> str:
        """The name of a new, empty bucket."""
        name = f"bucket-{os.getpid()}-{next(self._numbers)}"
        self.client.create_bucket(Bucket=name)
        return name


@contextmanager
def moto_server(**settings: str) -> Iterator[str]:
    """A moto server of its own in another process, `settings` in its environment; its endpoint."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, env={**os.environ, **settings}, **quiet)
    try:
        wait_for(port, process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    """A real S3 server, its endpoint and credentials in the environment."""
    # Short pages, so that a listing of some hundred objects has several.
    with moto_server(MOTO_S3_DEFAULT_MAX_KEYS="100") as endpoint, pytest.MonkeyPatch.context() as patch:
        env = {
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing-secret",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        for name, value in env.items():
            patch.setenv(name, value)
        yield S3Server(endpoint, env)


@pytest.fixture(scope="session")
def start_moto() -> Callable[..., AbstractContextManager[str]]:
    """`moto_server`, for a test that needs a server with settings of its own."""
    return moto_server


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Tiny random checkpoints of all diffusion models, made once."""
    import torch

    from tests.support.tiny_checkpoints import make_checkpoints

    torch.set_num_threads(1)
    return make_checkpoints(tmp_path_factory.mktemp("checkpoints"))


@pytest.fixture(scope="session")
def gcs() -> Iterator[servers.Gcs]:
    """A real server of Google's JSON API, its address in the environment."""
    with servers.fake_gcs() as server:
        yield server


@pytest.fixture(scope="session")
def azurite() -> Iterator[servers.Azure]:
    """A real server of Azure Blob Storage, its connection string in the environment."""
    with servers.azurite() as server, pytest.MonkeyPatch.context() as patch:
        for name, value in server.env.items():
            patch.setenv(name, value)
        yield server
