"""HTTP servers in this process that stand before a store and fail on purpose."""

from __future__ import annotations

import http.client
import random
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

LOST = "lost"
"""A fault: the request is passed on and done, and the connection cut instead of its answer."""


class Proxy(BaseHTTPRequestHandler):
    """Passes requests on to `target`; `fault` may spoil one, by a status or by losing its answer."""

    protocol_version = "HTTP/1.1"
    target: str
    spoil: list[tuple[str, int | None]]
    lock = threading.Lock()
    seen: list[str]

    def pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        with self.lock:
            self.seen.append(self.command)
            fault = self.fault()
        if isinstance(fault, int):
            self.answer(fault, [], b"")
            return
        connection = http.client.HTTPConnection(self.target)
        connection.request(self.command, self.path, body, dict(self.headers))
        reply = connection.getresponse()
        data = reply.read()
        if fault == LOST:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self.answer(reply.status, reply.getheaders(), data)

    def fault(self) -> int | str | None:
        """What spoils this request: the first of `spoil` that names its method."""
        due = next((entry for entry in self.spoil if entry[0] == self.command), None)
        if due is None:
            return None
        self.spoil.remove(due)
        return due[1] or LOST

    def answer(self, status: int, headers: list[tuple[str, str]], data: bytes) -> None:
        self.send_response_only(status)
        dropped = {"transfer-encoding", "connection"} | ({"content-length"} if data else set())
        for name, value in headers:
            if name.lower() not in dropped:
                self.send_header(name, value)
        if data or not headers:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None: ...

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = pass_on  # noqa: N815


class Flaky(Proxy):
    """One request of ten fails: most are answered 503, of some the answer is lost."""

    chance: random.Random
    faults: list[int | str]

    def fault(self) -> int | str | None:
        roll = self.chance.random()
        fault = LOST if roll < 0.03 else 503 if roll < 0.1 else None
        if fault:
            self.faults.append(fault)
        return fault


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """The endpoint of a server that runs until the block ends."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
