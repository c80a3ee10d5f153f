"""Listings of S3 that no right server gives: cut off, without versions, endless, or with doubled entries."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from restore.errors import StorageConfigError
from restore.storage import retry, versions
from restore.storage.inputs import photographs
from tests.support.proxies import serving

MODIFIED = "<LastModified>2026-02-02T02:02:02.000Z</LastModified>"
ENTRY = "<Contents><Key>scans/{}</Key><Size>1</Size>{}" + MODIFIED + "</Contents>"
ETAG = "<ETag>&quot;0123&quot;</ETag>"
NAMES = ["a.png", "b.png", "c.png", "d.png"]


class Strange(BaseHTTPRequestHandler):
    """Answers each listing with `pages` in turn, the last one again and again."""

    pages: list[str]

    def do_GET(self) -> None:
        body = f"<ListBucketResult>{self.pages[0]}</ListBucketResult>".encode()
        if len(self.pages) > 1:
            self.pages.pop(0)
        self.send_response_only(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None: ...


def page(names: list[str], token: str = "", more: bool = False, etag: str = ETAG) -> str:
    token = f"<NextContinuationToken>{token}</NextContinuationToken>" if token else ""
    return f"<IsTruncated>{str(more).lower()}</IsTruncated>{token}" + "".join(
        ENTRY.format(name, etag) for name in names
    )


@pytest.fixture
def strange(
    s3: Any, connect: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> Iterator[type[Strange]]:
    monkeypatch.setattr(retry, "MAX_SECONDS", 0.5)
    with serving(Strange) as endpoint:
        connect(AWS_ENDPOINT_URL=endpoint)
        yield Strange


def nothing(name: str) -> bool:
    """No name is passed over."""
    return False


@pytest.mark.parametrize(
    ("pages", "words"),
    [
        ([page(NAMES, more=True)], "nothing names its next page"),
        ([page(NAMES, etag="")], "has no ETag"),
        ([page(NAMES, "t", more=True)], "gives the same page again"),
        ([page(NAMES, "t", more=True), page(NAMES, "u", more=True)], "gives the same page again"),
    ],
)
def test_a_listing_that_cannot_be_whole_is_refused(
    strange: type[Strange], pages: list[str], words: str
) -> None:
    strange.pages = list(pages)
    with pytest.raises(StorageConfigError, match=words):
        list(photographs("s3://bucket/scans", nothing))
    strange.pages = list(pages)
    with pytest.raises(StorageConfigError, match=words):
        versions([f"s3://bucket/scans/{name}" for name in (*NAMES, "e.png")])


def test_a_listing_is_read_until_all_that_is_asked_for_was_found(strange: type[Strange]) -> None:
    """A folder may have a million objects behind those of a few rows."""
    strange.pages = [page(NAMES[:2], "t", more=True), page(NAMES[2:], "u", more=True)]
    strange.pages += [page(["e.png"], "v", more=True), page(["f.png"])]
    found = versions([f"s3://bucket/scans/{name}" for name in NAMES[:3]])
    assert set(found.values()) == {"0123"} and len(strange.pages) == 2, "the third page was not asked for"


def test_doubled_entries_come_once(strange: type[Strange]) -> None:
    strange.pages = [page(NAMES[:2] * 2, "t", more=True), page(NAMES[1:])]
    assert sorted(entry.path for entry in photographs("s3://bucket/scans", nothing)) == NAMES
