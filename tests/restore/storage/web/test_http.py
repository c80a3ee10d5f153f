"""Inputs over http from a real server."""

from __future__ import annotations

from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from typing import Any

from restore.errors import ErrorCode
from restore.storage import fetch, versions
from tests.support.proxies import (
    serving,
)
from tests.support.stores import MEGABYTE, MISSING, code_of


class Site(BaseHTTPRequestHandler):
    """A few pages; `/away` leads to a metadata service, `/round` to itself."""

    flaky = 1

    def do_GET(self) -> None:
        away = {
            "/away": "http://169.254.169.254/latest/meta-data",
            "/round": "/round",
            "/file": "file:///etc/passwd",
        }
        if self.path in away:
            self.send_response_only(302)
            self.send_header("Location", away[self.path])
        elif self.path == "/a.png":
            self.send_response_only(200)
            self.send_header("ETag", '"v1"')
            self.send_header("Content-Length", "5")
        elif self.path == "/plain" and Site.flaky:
            Site.flaky -= 1
            self.send_response_only(503)
        elif self.path == "/plain":
            self.send_response_only(200)
            self.send_header("Last-Modified", "Mon, 02 Feb 2026 02:02:02 GMT")
            self.send_header("Content-Length", "5")
        elif self.path == "/endless":
            self.send_response_only(200)
        else:
            self.send_response_only(int(self.path[1:]))
        self.end_headers()
        with suppress(OSError):  # the client goes away
            while self.path == "/endless":
                self.wfile.write(bytes(MEGABYTE))
        if self.path in {"/a.png", "/plain"}:
            self.wfile.write(b"bytes")

    def log_message(self, format: str, *args: Any) -> None: ...


def test_http_inputs() -> None:
    with serving(Site) as site:
        assert fetch(f"{site}/a.png", version="v1", missing=MISSING).data == b"bytes"
        found = versions([f"{site}/{name}" for name in ("a.png", "404", "plain", "away", "403")])
        assert [found[f"{site}/{name}"] for name in ("a.png", "404", "away", "403")] == [
            "v1",
            None,
            None,
            None,
        ]
        assert fetch(f"{site}/plain", version=found[f"{site}/plain"], missing=MISSING).data == b"bytes"
        for path, code in {
            "a.png": ErrorCode.CHANGED_DURING_RUN,
            "404": MISSING,
            "403": ErrorCode.STORAGE_DENIED,
            "away": ErrorCode.STORAGE_DENIED,
            "round": ErrorCode.STORAGE_DENIED,
            "file": ErrorCode.STORAGE_DENIED,
        }.items():
            with code_of(code):
                fetch(f"{site}/{path}", version="v0", missing=MISSING)
        with code_of(ErrorCode.IMAGE_TOO_LARGE):
            fetch(f"{site}/a.png", version=None, missing=MISSING, max_bytes=4)
        with code_of(ErrorCode.IMAGE_TOO_LARGE):  # no length is announced, and the body has no end
            fetch(f"{site}/endless", version=None, missing=MISSING, max_bytes=4 * MEGABYTE)
