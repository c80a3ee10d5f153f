"""Ahead: a block's inputs are asked for at once, and come as if each had been read in its turn."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from restore.errors import ErrorCode, ItemError
from restore.item import Item
from restore.pipeline import prefetch as module
from restore.pipeline.prefetch import Prefetcher
from restore.storage import AccessPolicy
from restore.storage import filesystems as connections
from tests.conftest import S3Server
from tests.support.proxies import Fault, Proxy, serving

MISSING = ErrorCode.MASK_NOT_FOUND
ANYWHERE = AccessPolicy(())


class Watched(Proxy):
    """A store whose requests are counted."""

    bucket: str


@pytest.fixture
def store(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Watched]]:
    class Server(Watched):
        target = s3.endpoint.removeprefix("http://")
        spoil: list[tuple[str, Fault | None]] = []  # noqa: RUF012
        seen: list[str] = []  # noqa: RUF012
        bucket = s3.fresh_bucket()

    for name in ("a.jpg", "a.png", "b.jpg"):
        s3.client.put_object(Bucket=Server.bucket, Key=name, Body=name.encode())
    with serving(Server) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        connections._filesystem.cache_clear()
        yield Server
    monkeypatch.undo()
    connections._filesystem.cache_clear()


def photo(store: type[Watched], image: str, mask: str | None = None) -> Item:
    uri = f"s3://{store.bucket}/"
    return Item(image, uri + image, "0" * 64, mask=mask and uri + mask)


def read(prefetcher: Prefetcher, store: type[Watched], name: str, **more: Any) -> bytes:
    return prefetcher.fetch(f"s3://{store.bucket}/{name}", version=None, missing=MISSING, **more).data


def settled(store: type[Watched], requests: int) -> None:
    """Return when this number of requests has arrived, and no further one arrives."""
    deadline = time.monotonic() + 60
    while len(store.seen) < requests and time.monotonic() < deadline:
        time.sleep(0.01)
    assert store.seen == ["GET"] * requests


def test_what_a_block_needs_is_asked_for_before_its_turn_and_once(store: type[Watched]) -> None:
    with Prefetcher([photo(store, "a.jpg", "a.png"), photo(store, "b.jpg")], ANYWHERE) as prefetcher:
        settled(store, 3)
        assert [read(prefetcher, store, name) for name in ("a.jpg", "a.png", "b.jpg")] == [
            b"a.jpg",
            b"a.png",
            b"b.jpg",
        ]
        settled(store, 3)


def test_what_goes_wrong_tells_in_its_turn(store: type[Watched]) -> None:
    store.spoil.append(("GET", 503))
    with Prefetcher([photo(store, "a.jpg")], ANYWHERE) as prefetcher:
        settled(store, 1)
        assert read(prefetcher, store, "a.jpg") == b"a.jpg", "tried again"
    with Prefetcher([photo(store, "missing.jpg")], ANYWHERE) as prefetcher, pytest.raises(ItemError) as error:
        read(prefetcher, store, "missing.jpg")
    assert error.value.code is MISSING
    with Prefetcher([photo(store, "a.jpg")], ANYWHERE) as prefetcher, pytest.raises(ItemError) as error:
        read(prefetcher, store, "a.jpg", max_bytes=2)
    assert error.value.code is ErrorCode.IMAGE_TOO_LARGE


def test_a_large_input_waits_for_its_turn(store: type[Watched], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", 4)
    with Prefetcher([photo(store, "a.jpg")], ANYWHERE) as prefetcher:
        settled(store, 1)
        assert read(prefetcher, store, "a.jpg") == b"a.jpg"
        settled(store, 2)


def test_nothing_is_asked_for_that_may_not_be_read() -> None:
    class Site(Proxy):
        seen: list[str] = []  # noqa: RUF012
        spoil: list[tuple[str, Fault | None]] = [("GET", 404), ("GET", 404)]  # noqa: RUF012

    with serving(Site) as site:
        uri = f"{site}/a.jpg"
        with Prefetcher([Item("a", uri, "0" * 64)], ANYWHERE) as prefetcher, pytest.raises(ItemError):
            prefetcher.fetch(uri, version=None, missing=MISSING)
        assert Site.seen == ["GET"], "in its turn, which the photo lets pass or not"


def test_local_files_are_read_in_their_turn(tmp_path: Path) -> None:
    file = tmp_path / "a.jpg"
    file.write_bytes(b"before")
    with Prefetcher([Item("a", str(file), "0" * 64)], AccessPolicy((str(tmp_path),))) as prefetcher:
        time.sleep(0.1)
        file.write_bytes(b"in its turn")
        assert prefetcher.fetch(str(file), version=None, missing=MISSING).data == b"in its turn"
