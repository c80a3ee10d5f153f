"""Fixtures of the stores: a local disk, servers over HTTP, and a proxy that fails on purpose."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from restore.storage import OutStore
from restore.storage import filesystems as connections
from tests.support.proxies import (
    Fault,
    Proxy,
    serving,
)


@pytest.fixture(params=["disk", "s3", "gs", pytest.param("az", marks=pytest.mark.heavy)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> OutStore:
    if request.param == "disk":
        return OutStore.open(str(tmp_path / "out"))
    server = request.getfixturevalue({"s3": "s3", "gs": "gcs", "az": "azurite"}[request.param])
    return OutStore.open(f"{request.param}://{server.fresh_bucket()}/deep/out")


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Reconnect with other settings of the environment until the test ends."""

    def change(**settings: str) -> None:
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        connections._filesystem.cache_clear()

    yield change
    monkeypatch.undo()
    connections._filesystem.cache_clear()


@pytest.fixture
def proxy(s3: Any, connect: Callable[..., None]) -> Iterator[type[Proxy]]:
    class Spoiling(Proxy):
        target = s3.endpoint.removeprefix("http://")
        spoil: list[tuple[str, Fault | None]] = []  # noqa: RUF012
        seen: list[str] = []  # noqa: RUF012

    with serving(Spoiling) as endpoint:
        connect(AWS_ENDPOINT_URL=endpoint)
        yield Spoiling
