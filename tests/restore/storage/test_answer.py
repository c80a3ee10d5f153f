"""A store at which nobody answers is named within seconds, whatever its library would wait."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from restore.storage.filesystems import ANSWER_SECONDS

AZURE_KEY = "bm8gc2VjcmV0"
STORES = {
    "s3://nowhere/out": lambda host: {
        "AWS_ENDPOINT_URL": f"http://{host}",
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
    },
    "gs://nowhere/out": lambda host: {"STORAGE_EMULATOR_HOST": f"http://{host}"},
    "az://nowhere/out": lambda host: {
        "AZURE_STORAGE_CONNECTION_STRING": "DefaultEndpointsProtocol=http;AccountName=a;"
        f"AccountKey={AZURE_KEY};BlobEndpoint=http://{host}/a"
    },
}


@pytest.fixture
def hosts() -> Iterator[list[str]]:
    """A server that accepts and says nothing, a port that nobody listens at, a name that nobody has."""
    with socket.create_server(("127.0.0.1", 0), backlog=50) as silent:
        with socket.create_server(("127.0.0.1", 0)) as closed:
            port = closed.getsockname()[1]
        yield [f"127.0.0.1:{silent.getsockname()[1]}", f"127.0.0.1:{port}", f"nobody.invalid:{port}"]


def checked(uri: str, host: str) -> subprocess.Popen[str]:
    """A process that checks the output store `uri`, where the environment names `host`."""
    code = (
        "import sys, time; from restore.storage import OutStore; began = time.monotonic()\n"
        f"try: OutStore({uri!r}).check()\n"
        "except Exception as error: print(time.monotonic() - began, error)\n"
    )
    env = {**os.environ, **STORES[uri](host), "NO_PROXY": "*"}
    return subprocess.Popen([sys.executable, "-c", code], env=env, stdout=subprocess.PIPE, text=True)


def test_a_store_at_which_nobody_answers_is_named_within_seconds(hosts: list[str]) -> None:
    tries = [(uri, checked(uri, host)) for uri in STORES for host in hosts]
    for uri, process in tries:
        said = process.communicate(timeout=120)[0]
        seconds, _, message = said.partition(" ")
        assert message.startswith(f"{uri}: nobody answers there"), said
        assert "check the endpoint" in message
        assert float(seconds) < ANSWER_SECONDS + 5, "libraries have waits of their own"
