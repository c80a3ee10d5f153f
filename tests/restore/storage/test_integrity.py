"""Bytes against what the store says of them: those that are read, and those that it says it keeps."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from restore.errors import ErrorCode
from restore.storage import OutStore, fetch, local, retry
from tests.support.proxies import CUT, EMPTY, FLIPPED, SHORTENED, Fault, Proxy, serving
from tests.support.stores import MEGABYTE, MISSING, code_of

BODY = bytes(range(256)) * 100


@pytest.fixture
def google(gcs: Any, connect: Callable[..., None]) -> Iterator[type[Proxy]]:
    class Spoiling(Proxy):
        target = gcs.endpoint.removeprefix("http://")
        spoil: list[tuple[str, Fault | None]] = []  # noqa: RUF012
        seen: list[str] = []  # noqa: RUF012
        composite = False

        def answer(self, status: int, headers: Any, data: bytes, fault: Fault | None = None) -> None:
            """What is composite has no MD5."""
            without = re.sub(rb'"md5Hash":"[^"]*",', b"", data) if self.composite else data
            super().answer(status, headers, without, fault)

        def fault(self) -> Fault | None:
            """Spoils no answer about an object, only its bytes."""
            return None if self.command == "GET" and "alt=media" not in self.path else super().fault()

        def shortened(self, body: bytes) -> bytes:
            """The form of an upload without the last of its bytes."""
            end = b"\n--==0==--"
            return body.removesuffix(end)[:-1000] + end

    with serving(Spoiling) as endpoint:
        connect(STORAGE_EMULATOR_HOST=endpoint)
        yield Spoiling


@pytest.mark.parametrize("fault", [EMPTY, FLIPPED])
def test_a_body_without_its_bytes_is_asked_for_again(s3: Any, proxy: type[Proxy], fault: str) -> None:
    store = OutStore.open(f"s3://{s3.fresh_bucket()}")
    store.create("a.png", BODY)
    proxy.spoil += [("GET", fault)] * 2
    assert fetch(f"{store.root}/a.png", version=None, missing=MISSING).data == BODY
    proxy.spoil += [("GET", fault)]
    assert store.read("a.png") == BODY and not proxy.spoil


@pytest.mark.parametrize("size", [1000, 101 * MEGABYTE])  # its ETag is an MD5, and that of parts
def test_a_body_that_stays_empty_is_the_stores_fault(
    s3: Any, proxy: type[Proxy], monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    store = OutStore.open(f"s3://{s3.fresh_bucket()}")
    store.create("a.png", bytes(size))
    monkeypatch.setattr(retry, "MAX_SECONDS", 0.3)
    proxy.spoil += [("GET", EMPTY)] * 10
    with code_of(ErrorCode.STORAGE_UNAVAILABLE) as raised:
        fetch(f"{store.root}/a.png", version=None, missing=MISSING)
    assert ("MD5" if size == 1000 else "0 bytes came") in str(raised.value)
    proxy.spoil.clear()
    store.create("empty.png", b"")
    assert fetch(f"{store.root}/empty.png", version=None, missing=MISSING).data == b"", "it is empty"


@pytest.mark.parametrize("fault", [EMPTY, FLIPPED, CUT])
def test_a_body_without_its_bytes_on_google(google: type[Proxy], gcs: Any, fault: str) -> None:
    store = OutStore.open(f"gs://{gcs.fresh_bucket()}")
    store.create("a.png", BODY)
    google.spoil += [("GET", fault)]
    assert fetch(f"{store.root}/a.png", version=None, missing=MISSING).data == BODY
    assert not google.spoil


@pytest.mark.parametrize("fault", [FLIPPED, CUT])
def test_a_composite_object_of_google_has_another_checksum(
    google: type[Any], gcs: Any, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = OutStore.open(f"gs://{gcs.fresh_bucket()}")
    store.create("a.png", BODY)
    monkeypatch.setattr(google, "composite", True)
    google.spoil += [("GET", fault)]
    assert fetch(f"{store.root}/a.png", version=None, missing=MISSING).data == BODY
    assert not google.spoil


def test_a_store_that_keeps_less_than_it_was_sent(s3: Any, proxy: type[Proxy]) -> None:
    store = OutStore.open(f"s3://{s3.fresh_bucket()}")
    proxy.spoil += [("PUT", SHORTENED)]
    assert store.create("images/a.png", BODY).existing is None
    assert store.read("images/a.png") == BODY, "the wrong object was ours, removed and written again"
    proxy.spoil += [("PUT", SHORTENED)] * 3
    with code_of(ErrorCode.VERIFY_FAILED) as raised:
        store.create("images/b.png", BODY)
    assert "in 3 writes" in str(raised.value) and not proxy.spoil
    assert store.names("images") == ["a.png"]


def test_without_the_right_to_delete_the_wrong_object_stays(s3: Any, proxy: type[Proxy]) -> None:
    store = OutStore.open(f"s3://{s3.fresh_bucket()}")
    proxy.spoil += [("PUT", SHORTENED), ("DELETE", (403, "AccessDenied"))]
    with code_of(ErrorCode.VERIFY_FAILED):
        store.create("images/a.png", BODY)
    assert store.create("images/a.png", BODY).existing == BODY[:100], "for the caller to refuse"


def test_large_outputs_are_held_by_their_size(s3: Any, proxy: type[Proxy]) -> None:
    store = OutStore.open(f"s3://{s3.fresh_bucket()}")
    store.create("large.tif", bytes(101 * MEGABYTE))
    assert "HEAD" in proxy.seen


def test_google_that_keeps_less_than_it_was_sent(google: type[Proxy], gcs: Any) -> None:
    store = OutStore.open(f"gs://{gcs.fresh_bucket()}")
    google.spoil += [("POST", SHORTENED)]
    assert store.create("images/a.png", BODY).existing is None
    assert store.read("images/a.png") == BODY
    google.spoil += [("POST", SHORTENED)] * 3
    with code_of(ErrorCode.VERIFY_FAILED):
        store.create("images/b.png", BODY)
    assert not google.spoil and store.names("images") == ["a.png"]


def test_a_disk_that_keeps_less_than_it_was_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.fsync

    def losing(descriptor: int) -> None:
        real(descriptor)
        if os.fstat(descriptor).st_size > 100:
            os.truncate(descriptor, 100)

    monkeypatch.setattr(local.os, "fsync", losing)
    store = OutStore.open(str(tmp_path))
    with code_of(ErrorCode.VERIFY_FAILED) as raised:
        store.create("images/a.png", BODY)
    assert "keeps 100" in str(raised.value)
    assert list(store.list()) == [], "nothing is left, neither the name nor the unfinished file"
