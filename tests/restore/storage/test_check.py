"""The check before a run: stores that cannot serve are named."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from restore.errors import ErrorCode, StorageConfigError
from restore.storage import OutStore, fetch, is_local
from tests.support.proxies import (
    Fault,
    Proxy,
    serving,
)
from tests.support.stores import MISSING, code_of


def test_a_good_store_passes_and_keeps_nothing_of_the_check(store: OutStore) -> None:
    store.check()
    assert list(store.list()) == []
    assert store.is_local == is_local(store.root)


@pytest.mark.parametrize("bucket", ["no-such-bucket", "not a bucket", ""])
def test_a_missing_bucket(s3: Any, bucket: str) -> None:
    with pytest.raises(StorageConfigError, match=f"s3://{bucket}/out: there is no such bucket"):
        OutStore.open(f"s3://{bucket}/out").check()


def test_a_wrong_key(start_moto: Any, s3: Any, connect: Callable[..., None]) -> None:
    with start_moto(INITIAL_NO_AUTH_ACTION_COUNT="0") as endpoint:
        connect(AWS_ENDPOINT_URL=endpoint)
        with pytest.raises(StorageConfigError, match=r"access denied .*InvalidAccessKeyId") as raised:
            OutStore.open("s3://archive/out").check()
        with code_of(ErrorCode.STORAGE_DENIED):
            fetch("s3://archive/a.png", version=None, missing=MISSING)
    assert s3.env["AWS_SECRET_ACCESS_KEY"] not in str(raised.value)


def test_no_credentials(s3: Any, connect: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    connect(AWS_SHARED_CREDENTIALS_FILE="/nonexistent", AWS_CONFIG_FILE="/nonexistent")
    for call in (
        OutStore.open("s3://archive").check,
        lambda: fetch("s3://a/b", version=None, missing=MISSING),
    ):
        with pytest.raises(StorageConfigError, match="no usable credentials"):
            call()


def test_an_endpoint_that_does_not_answer(s3: Any, connect: Callable[..., None]) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused
        connect(AWS_ENDPOINT_URL=f"http://127.0.0.1:{unused.getsockname()[1]}")
        started = time.monotonic()
        with pytest.raises(StorageConfigError, match=r"EndpointConnectionError.*check the endpoint"):
            OutStore.open("s3://archive/out").check()
        assert time.monotonic() - started < 20


def test_an_endpoint_that_is_no_url(s3: Any, connect: Callable[..., None]) -> None:
    connect(AWS_ENDPOINT_URL="storage.example.com")
    with pytest.raises(StorageConfigError, match="AWS_ENDPOINT_URL is not a URL"):
        OutStore.open("s3://archive/out").check()


def test_a_store_that_ignores_conditions(s3: Any, connect: Callable[..., None]) -> None:
    class Careless(Proxy):
        target = s3.endpoint.removeprefix("http://")
        spoil: list[tuple[str, Fault | None]] = []  # noqa: RUF012
        seen: list[str] = []  # noqa: RUF012

        def do_PUT(self) -> None:  # noqa: N802
            del self.headers["If-None-Match"]
            self.pass_on()

    bucket = s3.fresh_bucket()
    with serving(Careless) as endpoint:
        connect(AWS_ENDPOINT_URL=endpoint)
        with pytest.raises(StorageConfigError, match="ignores create-only writes"):
            OutStore.open(f"s3://{bucket}").check()
    assert "Contents" not in s3.client.list_objects_v2(Bucket=bucket)


@pytest.mark.parametrize("place", ["/proc/nowhere/out", "file/out", "file"])
def test_a_folder_that_cannot_be_made(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageConfigError, match=r"output .*: "):
        OutStore.open(str(tmp_path / place)).check()


@pytest.mark.parametrize(
    "uri", ["http://host/out", "ftp://host/out", "s3://key:hunter2@bucket/out", "zip::s3://b/o"]
)
def test_outputs_that_can_never_serve(uri: str) -> None:
    with pytest.raises(StorageConfigError) as raised:
        OutStore.open(uri)
    assert "hunter2" not in str(raised.value)
