"""Retry: a proxy that fails on purpose, before a real S3 server."""

from __future__ import annotations

import time
from typing import Any

import pytest

from restore.errors import ErrorCode, StorageConfigError
from restore.storage import OutStore, fetch, open_input, retry, versions
from tests.support.proxies import (
    CUT,
    DRIP,
    DRIP_SECONDS,
    EXPIRED,
    INTERNAL,
    RESET,
    SLOW_DOWN,
    Proxy,
)
from tests.support.stores import MISSING, code_of


def test_passing_errors_are_waited_out(s3: Any, proxy: type[Proxy]) -> None:
    bucket = s3.fresh_bucket()
    s3.client.put_object(Bucket=bucket, Key="a.png", Body=b"bytes")
    proxy.spoil += [("GET", 503), ("GET", 500)]
    assert fetch(f"s3://{bucket}/a.png", version=None, missing=MISSING).data == b"bytes"
    proxy.spoil += [("GET", None)]  # the connection is cut instead of an answer
    assert OutStore.open(f"s3://{bucket}").names() == ["a.png"]
    proxy.spoil += [("HEAD", 503), ("HEAD", 429)]
    assert versions([f"s3://{bucket}/a.png"])[f"s3://{bucket}/a.png"]
    assert not proxy.spoil


def test_bodies_that_break_off_and_tokens_that_expire_are_waited_out(s3: Any, proxy: type[Proxy]) -> None:
    bucket, body = s3.fresh_bucket(), bytes(range(256)) * 4000
    s3.client.put_object(Bucket=bucket, Key="a.png", Body=body)
    uri = f"s3://{bucket}/a.png"
    for fault in (RESET, CUT, EXPIRED, SLOW_DOWN, INTERNAL):
        proxy.spoil += [("GET", fault)]
        assert fetch(uri, version=None, missing=MISSING).data == body
        proxy.spoil += [("GET", fault)]
        assert open_input(uri).read() == body, "pyarrow reads on too"
    # botocore itself asks the bucket's region by another HEAD, and the object again when it knows that
    proxy.spoil += [("HEAD", EXPIRED), ("HEAD", EXPIRED), ("GET", EXPIRED)]
    assert versions([uri])[uri], "an answer to HEAD cannot say why it is refused: the next GET does"
    assert not proxy.spoil


def test_a_body_that_drips_is_given_up_and_asked_for_again(
    s3: Any, proxy: type[Proxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = s3.fresh_bucket()
    s3.client.put_object(Bucket=bucket, Key="a.png", Body=b"x" * 1000)
    monkeypatch.setattr(retry, "PATIENCE", 0.3)
    proxy.spoil += [("GET", DRIP)]
    began = time.monotonic()
    assert fetch(f"s3://{bucket}/a.png", version=None, missing=MISSING).data == b"x" * 1000
    assert time.monotonic() - began < DRIP_SECONDS and proxy.seen.count("GET") == 2


def test_credentials_that_stay_expired_stop_the_run(
    s3: Any, proxy: type[Proxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "MAX_SECONDS", 0.5)
    proxy.spoil += [("GET", EXPIRED), ("PUT", EXPIRED)] * 20
    bucket = s3.fresh_bucket()
    with pytest.raises(StorageConfigError, match="no longer valid \\(ExpiredToken\\); renew them"):
        fetch(f"s3://{bucket}/a", version=None, missing=MISSING)
    with pytest.raises(StorageConfigError, match="ExpiredToken"):
        OutStore.open(f"s3://{bucket}").create("a", b"x")
    proxy.spoil.clear()


def test_a_create_whose_answer_was_lost_is_our_own(s3: Any, proxy: type[Proxy]) -> None:
    store = OutStore.open(f"s3://{s3.fresh_bucket()}")
    proxy.spoil += [("PUT", None)]
    assert store.create("lease/7.json", b"mine").existing is None
    assert proxy.seen.count("PUT") >= 2 and not proxy.spoil
    proxy.spoil += [("PUT", 409), ("PUT", 503)]
    assert store.create("lease/7.json", b"another's").existing == b"mine"
    assert not proxy.spoil


def test_refusals_are_not_waited_out(s3: Any, proxy: type[Proxy]) -> None:
    uri = f"s3://{s3.fresh_bucket()}/a.png"
    for status in (403, 400):
        proxy.spoil += [("GET", status)]
        with code_of(ErrorCode.STORAGE_DENIED) as raised:
            fetch(uri, version=None, missing=MISSING)
        assert str(status) in str(raised.value)
    assert proxy.seen.count("GET") == 2


def test_where_listing_is_denied_objects_are_asked_one_by_one(s3: Any, proxy: type[Proxy]) -> None:
    store = OutStore.open(f"s3://{s3.fresh_bucket()}")
    uris = [f"{store.root}/{number}.png" for number in range(5)]
    for uri in uris[:4]:
        store.create(uri.rpartition("/")[2], b"x")
    listed = versions(uris)
    for status in (403, 400):
        proxy.spoil += [("GET", status)]
        assert versions(uris) == listed and listed[uris[4]] is None
    assert proxy.seen.count("HEAD") == 10
    proxy.spoil += [("HEAD", 403)]
    assert versions(uris[:1]) == {uris[0]: None}, "its fetch will say why"


def test_waiting_ends(s3: Any, proxy: type[Proxy], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "MAX_SECONDS", 0.5)
    proxy.spoil += [("GET", 503)] * 50
    with code_of(ErrorCode.STORAGE_UNAVAILABLE) as raised:
        fetch(f"s3://{s3.fresh_bucket()}/a", version=None, missing=MISSING)
    assert "503" in str(raised.value) and len(proxy.seen) < 6
