"""HTTP servers in this process that stand before a store and fail on purpose."""

from __future__ import annotations

import http.client
import random
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

LOST, RESET, CUT, DRIP = "lost", "reset", "cut", "drip"
"""Faults. The request is passed on and done. LOST: the connection is cut instead of its answer. RESET: in
the midst of the answer's body. CUT: the body ends early and in peace. DRIP: it comes slowly."""

EMPTY, FLIPPED, SHORTENED = "empty", "flipped", "shortened"
"""Faults. EMPTY: the answer has its headers, and no bytes. FLIPPED: one bit of its body is changed.
SHORTENED: only the start of the request's body is passed on, and the store accepts it. Each without the
checksums of S3's clients, which not all stores know."""

SLOW_DOWN, INTERNAL, EXPIRED = (503, "SlowDown"), (500, "InternalError"), (400, "ExpiredToken")
"""Faults: the store answers so, and nothing is done."""

DRIP_SECONDS = 3.0


Fault = int | str | tuple[int, str]


class Proxy(BaseHTTPRequestHandler):
    """Passes requests on to `target`; `fault` may spoil one, by a status or by losing its answer."""

    protocol_version = "HTTP/1.1"
    target: str
    spoil: list[tuple[str, Fault | None]]
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
        if isinstance(fault, tuple):
            self.refuse(*fault)
            return
        headers = dict(self.headers)
        if fault == SHORTENED:
            body = self.shortened(body)
            headers = without_checksums(headers) | {"Content-Length": str(len(body))}
        connection = http.client.HTTPConnection(self.target)
        connection.request(self.command, self.path, body, headers)
        reply = connection.getresponse()
        data = reply.read()
        if fault == LOST:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        if fault == EMPTY:
            data = b""
        if fault == FLIPPED:
            data = bytes([data[0] ^ 1]) + data[1:]
        answered = dict(reply.getheaders())
        self.answer(
            reply.status,
            [*(without_checksums(answered) if fault in (EMPTY, FLIPPED) else answered).items()],
            data,
            fault,
        )

    def shortened(self, body: bytes) -> bytes:
        """The start of a request's body."""
        return body[:100]

    def fault(self) -> Fault | None:
        """What spoils this request: the first of `spoil` that names its method."""
        due = next((entry for entry in self.spoil if entry[0] == self.command), None)
        if due is None:
            return None
        self.spoil.remove(due)
        return due[1] or LOST

    def refuse(self, status: int, code: str) -> None:
        """S3's own words for an error, without which botocore takes a SlowDown for any other 503."""
        body = f"<Error><Code>{code}</Code><Message>on purpose</Message></Error>".encode()
        self.answer(status, [("Content-Type", "application/xml")], b"" if self.command == "HEAD" else body)

    def answer(
        self, status: int, headers: list[tuple[str, str]], data: bytes, fault: Fault | None = None
    ) -> None:
        self.send_response_only(status)
        spoilt = bool(data) or fault == EMPTY
        dropped = {"transfer-encoding", "connection"} | ({"content-length"} if spoilt else set())
        for name, value in headers:
            if name.lower() not in dropped:
                self.send_header(name, value)
        if spoilt or not headers:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.send_body(data, fault)

    def send_body(self, data: bytes, fault: Fault | None) -> None:
        if fault == DRIP:
            for start in range(0, len(data), len(data) // 20 + 1):
                self.wfile.write(data[start : start + len(data) // 20 + 1])
                time.sleep(DRIP_SECONDS / 20)
        elif fault in (RESET, CUT):
            self.wfile.write(data[: len(data) // 2])
            self.wfile.flush()
            self.close_connection = True
            if fault == RESET:  # closing with nothing lingering sends RST
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
        else:
            self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None: ...

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = pass_on  # noqa: N815


def without_checksums(headers: dict[str, str]) -> dict[str, str]:
    """The headers without those that name S3's checksums."""
    return {name: value for name, value in headers.items() if "checksum" not in name.lower()}


class Flaky(Proxy):
    """One request of ten fails, in all the ways there are: each time in the one that came least so far."""

    chance: random.Random
    faults: Counter[Fault]

    def fault(self) -> Fault | None:
        if self.chance.random() >= self.share():
            return None
        of_bodies = (RESET, CUT, DRIP) if self.command == "GET" else ()
        fault = min((SLOW_DOWN, INTERNAL, EXPIRED, LOST, *of_bodies), key=lambda one: self.faults[one])
        self.faults[fault] += 1
        return fault

    def share(self) -> float:
        """The part of requests that fail now."""
        return 0.1


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
