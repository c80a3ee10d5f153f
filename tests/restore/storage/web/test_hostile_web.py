"""Inputs from web servers that are broken, hostile or away."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from restore.errors import ErrorCode, ItemError
from restore.storage import fetch, retry, versions
from restore.storage.web import host_breaker, http
from tests.support.proxies import serving
from tests.support.servers import free_port
from tests.support.stores import MISSING, code_of

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


def endless(start: bytes, again: bytes, seconds: float = 0.0) -> Callable[[socket.socket], None]:
    def send(connection: socket.socket) -> None:
        connection.sendall(start)
        while True:
            connection.sendall(again)
            time.sleep(seconds)

    return send


def at_once(data: bytes) -> Callable[[socket.socket], None]:
    return lambda connection: connection.sendall(data)


MALFORMED = {
    "status-line": at_once(b"HTTP/9.9 banana\r\n\r\n"),
    "garbage": at_once(bytes(range(128, 256)) * 100),
    "no-colon": at_once(OK + b"this is no header\r\n\r\n"),
    "nul": at_once(OK + b"ETag: a\0b\r\n\r\nx"),
    "long-header": at_once(OK + b"X: " + b"x" * 1_000_000 + b"\r\n\r\n"),
    "endless-headers": endless(OK, b"X-Y: z\r\n" * 1000),
    "dripping-headers": endless(OK, b"X: y\r\n", 0.05),
    "endless-continue": endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.01),
    "silence": lambda connection: time.sleep(30),
    "hang-up": lambda connection: None,
    "chunks": at_once(CHUNKED + b"zz\r\nabc\r\n0\r\n\r\n"),
    "cut-chunks": at_once(CHUNKED + b"ff\r\nabc"),
    "round": at_once(b"HTTP/1.1 302 Found\r\nLocation: /round\r\nContent-Length: 0\r\n\r\n"),
    "nowhere": at_once(b"HTTP/1.1 302 Found\r\nLocation: http://[bad\r\nContent-Length: 0\r\n\r\n"),
    "short": at_once(OK + b"Content-Length: 100\r\n\r\nabc"),
    "negative": at_once(OK + b"Content-Length: -1\r\n\r\nabc"),
    "dripping-body": endless(OK + b"\r\n", b"x", 0.05),
    "gzip": at_once(OK + b"Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc"),
    "empty": at_once(OK + b"Content-Length: 0\r\n\r\n"),
}
GOOD = at_once(OK + b'ETag: "v1"\r\nContent-Length: 5\r\n\r\nbytes')


@contextmanager
def raw_server() -> Iterator[str]:
    """A server that answers each path in its own way."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_accept, args=(listener,), daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def _accept(listener: socket.socket) -> None:
    with suppress(OSError):
        while True:
            connection = listener.accept()[0]
            threading.Thread(target=_answer, args=(connection,), daemon=True).start()


def _answer(connection: socket.socket) -> None:
    with connection, suppress(OSError):
        name = connection.recv(65536).split(b" ")[1].decode().lstrip("/")
        MALFORMED.get(name, GOOD)(connection)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "_BREAKER", host_breaker.HostBreaker())
    for name in ("ANSWER_SECONDS", "LOOK_UP_SECONDS"):
        monkeypatch.setattr(http, name, 0.5)
    monkeypatch.setattr(retry, "PATIENCE", 0.5)
    monkeypatch.setattr(retry, "MAX_SECONDS", 0.5)


def test_a_malformed_answer_ends_its_own_row() -> None:
    with raw_server() as site:
        began = time.monotonic()
        uris = [f"{site}/{name}" for name in (*MALFORMED, "good")]
        found = versions(uris)
        assert found[f"{site}/good"] == "v1"
        for name in MALFORMED:
            with pytest.raises(ItemError) as raised:
                fetch(f"{site}/{name}", version=None, missing=MISSING)
            assert raised.value.code in (ErrorCode.STORAGE_UNAVAILABLE, ErrorCode.STORAGE_DENIED), name
            assert fetch(f"{site}/good", version="v1", missing=MISSING).data == b"bytes"
        assert time.monotonic() - began < 40


def test_a_dead_host_is_asked_a_few_times_whatever_the_number_of_its_rows() -> None:
    dead = f"http://127.0.0.1:{free_port()}"
    began = time.monotonic()
    assert set(versions([f"{dead}/{number}.png" for number in range(200)]).values()) == {None}
    assert time.monotonic() - began < 10
    with code_of(ErrorCode.STORAGE_UNAVAILABLE) as raised:
        fetch(f"{dead}/201.png", version=None, missing=MISSING)
    assert f"{dead} did not answer 4 times in a row" in str(raised.value)


def test_a_silent_host_is_left_alone_and_asked_again_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_breaker, "REST_SECONDS", 1.0)
    with raw_server() as site:
        for number in range(4):
            with code_of(ErrorCode.STORAGE_UNAVAILABLE):
                MALFORMED[f"{number}"] = MALFORMED["silence"]
                fetch(f"{site}/{number}", version=None, missing=MISSING)
        with code_of(ErrorCode.STORAGE_UNAVAILABLE) as raised:
            fetch(f"{site}/good", version=None, missing=MISSING)
        assert site in str(raised.value)
        time.sleep(1.1)
        assert fetch(f"{site}/good", version=None, missing=MISSING).data == b"bytes"
    for number in range(4):
        MALFORMED.pop(f"{number}")


def test_a_redirect_leads_to_no_other_server_of_this_machine() -> None:
    class Leading(BaseHTTPRequestHandler):
        to = ""

        def do_GET(self) -> None:
            self.send_response_only(302)
            self.send_header("Location", self.to)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None: ...

    with raw_server() as site, serving(Leading) as leading:
        port = site.rpartition(":")[2]
        for host in ("127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0.0.0.0"):
            Leading.to = f"http://{host}:{port}/good"
            with code_of(ErrorCode.STORAGE_DENIED) as raised:
                fetch(f"{leading}/a.png", version=None, missing=MISSING)
            assert "loopback addresses are not allowed" in str(raised.value) and raised.value.own
        for address in ("169.254.169.254", "[fe80::1]", "100.100.100.200"):
            Leading.to = f"http://{address}/latest/meta-data"
            with code_of(ErrorCode.STORAGE_DENIED):
                fetch(f"{leading}/a.png", version=None, missing=MISSING)
