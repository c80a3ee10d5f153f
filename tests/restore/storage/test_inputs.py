"""Inputs: bytes with their versions, on real stores."""

from __future__ import annotations

from typing import Any

import pytest

from restore.errors import ErrorCode
from restore.storage import OutStore, fetch, versions
from tests.support.stores import MISSING, code_of


def test_versions_and_fetch_agree(store: OutStore) -> None:
    names = [f"{folder}/{number}.png" for folder in ("a", "b") for number in range(5)]
    for name in names:
        store.create(name, name.encode())
    uris = [f"{store.root}/{name}" for name in names]
    found = versions([*uris, f"{store.root}/a/none.png", f"{store.root}/none/x.png"])
    missing = {uri for uri, version in found.items() if version is None}
    assert missing == {f"{store.root}/a/none.png", f"{store.root}/none/x.png"}
    for uri in uris:
        assert fetch(uri, version=None, missing=MISSING).version == found[uri] == versions([uri])[uri]


def test_changed_between_listing_and_fetch(store: OutStore) -> None:
    store.create("a.png", b"old")
    uri = f"{store.root}/a.png"
    listed = versions([uri])[uri]
    store.overwrite("a.png", b"new!")
    with code_of(ErrorCode.CHANGED_DURING_RUN) as raised:
        fetch(uri, version=listed, missing=MISSING)
    assert str(listed) in str(raised.value) and str(versions([uri])[uri]) in str(raised.value)


def test_a_pin_may_keep_the_quotes_of_its_etag(s3: Any) -> None:
    store = OutStore.open(f"s3://{s3.fresh_bucket()}")
    store.create("a", b"x")
    uri = f"{store.root}/a"
    assert fetch(uri, version=f'"{versions([uri])[uri]}"', missing=MISSING).data == b"x"


def test_missing_and_too_large(store: OutStore) -> None:
    store.create("a", bytes(100))
    for name in ("none", "a/below a file", "x" * 3000):
        with code_of(ErrorCode.MASK_NOT_FOUND):
            fetch(f"{store.root}/{name}", version=None, missing=ErrorCode.MASK_NOT_FOUND)
    with code_of(ErrorCode.IMAGE_TOO_LARGE):
        fetch(f"{store.root}/a", version=None, missing=MISSING, max_bytes=99)
    assert len(fetch(f"{store.root}/a", version=None, missing=MISSING, max_bytes=100).data) == 100


@pytest.mark.parametrize("uri", ["s3://no-such-bucket/a.png", "s3://Not A Bucket/a", "s3://bucket-only"])
def test_a_place_that_does_not_exist(s3: Any, uri: str) -> None:
    with code_of(MISSING):
        fetch(uri, version=None, missing=MISSING)
    assert versions([uri, f"{uri}/b", f"{uri}/c", f"{uri}/d", f"{uri}/e"])[uri] is None
