"""Inputs over http and https, from hosts that may be broken or hostile. No retries here."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from yarl import URL

from restore.errors import ErrorCode, ItemError
from restore.storage.access import is_loopback_address, is_metadata_address
from restore.storage.base import BeforeRead, Fetched
from restore.storage.integrity import require_announced
from restore.storage.retry import Answered, Broken, Damaged, Refused, patience
from restore.storage.web.host_breaker import HostBreaker

CONNECT_SECONDS, READ_SECONDS = 5, 30
ANSWER_SECONDS, LOOK_UP_SECONDS = 30, 10
"""Until the headers of the last answer are read, all redirects included: of a photo, and of its version."""
REDIRECTS = 10
"""Redirects followed for one URL."""
PART = 2**20

_BREAKER = HostBreaker()


class HttpStore:
    """Read-only. A version is the ETag, else what the server says of size and date."""

    def get(self, path: str, check_before_read: BeforeRead) -> Fetched:
        """Read one URL; bytes and version come with one response."""
        return asyncio.run(_get(path, check_before_read))

    def version(self, path: str) -> str | None:
        """The version of one URL; None when the server says there is nothing."""
        try:
            return asyncio.run(_version(path))
        except FileNotFoundError:
            return None


async def _get(url: str, check_before_read: BeforeRead) -> Fetched:
    async with _answer(url, ANSWER_SECONDS) as response:
        version = _token(response)
        check_before_read(response.content_length or 0, version)
        data = await _body(response, check_before_read, version)
    packed = response.headers.get("Content-Encoding", "identity") != "identity"
    require_announced(url, data, size=None if packed else response.content_length)
    if not data:  # no photograph is empty, and a server that lost a body may say that it has no bytes
        raise Damaged(None, "the body is empty", url)
    return Fetched(data, version)


async def _body(response: aiohttp.ClientResponse, check_before_read: BeforeRead, version: str) -> bytes:
    """The whole body, refused as soon as it is larger than it may be or comes too slowly."""
    data, began = bytearray(), asyncio.get_running_loop().time()
    try:
        async with asyncio.timeout_at(began + patience(0)) as limit:
            async for part in response.content.iter_chunked(PART):
                data += part
                check_before_read(len(data), version)
                limit.reschedule(began + patience(len(data)))
    except TimeoutError as error:
        raise Broken(None, f"the body comes too slowly: {len(data)} bytes", str(response.url)) from error
    return bytes(data)


async def _version(url: str) -> str:
    async with _answer(url, LOOK_UP_SECONDS) as response:  # GET, its body left unread: not all answer HEAD
        return _token(response)


@asynccontextmanager
async def _answer(url: str, seconds: float) -> AsyncIterator[aiohttp.ClientResponse]:
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=READ_SECONDS)
    guard = _Guard(url)
    connector = aiohttp.TCPConnector(socket_factory=guard.socket)
    # Unpacked bodies only: a packed one has another length and, at some servers, another ETag.
    headers = {"Accept-Encoding": "identity"}
    async with (
        aiohttp.ClientSession(connector=connector, timeout=timeout, headers=headers) as session,
        await _last_answer(session, url, guard, seconds) as response,
    ):
        _require_ok(response, url)
        yield response


async def _last_answer(
    session: aiohttp.ClientSession, url: str, guard: _Guard, seconds: float
) -> aiohttp.ClientResponse:
    """The answer at the end of all redirects. The host's breaker learns whether there was one."""
    host = _origin(url)
    _BREAKER.check(host)
    try:
        async with asyncio.timeout(seconds):
            response = await _followed(session, url, guard)
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
        _BREAKER.unreachable(host)
        raise
    except TimeoutError as error:
        _BREAKER.slow(host, url)
        raise Broken(None, f"no answer within {seconds:g} s", url) from error
    except aiohttp.ClientResponseError as error:
        _BREAKER.answered(host)
        raise Broken(None, "the answer is not valid HTTP", url) from error
    _BREAKER.answered(host)
    return response


async def _followed(session: aiohttp.ClientSession, url: str, guard: _Guard) -> aiohttp.ClientResponse:
    for _ in range(REDIRECTS + 1):
        try:
            response = await session.get(url, allow_redirects=False)
        except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError) as error:
            raise _astray(url) from error
        if response.status not in {301, 302, 303, 307, 308} or "Location" not in response.headers:
            return response
        response.close()
        url = _target(url, response.headers["Location"])
        guard.redirect(url)
    raise _astray(url)


def _target(url: str, location: str) -> str:
    try:
        target = URL(url).join(URL(location))
    except ValueError as error:
        raise _astray(url) from error
    if target.scheme not in {"http", "https"} or not target.host:
        raise _astray(url)
    return str(target)


def _astray(url: str) -> PermissionError:
    return PermissionError(errno.EACCES, "leads nowhere that may be read", url)


def _origin(url: str) -> str:
    """Scheme, host and port; the URL itself where it has none that are valid."""
    try:
        return str(URL(url).origin())
    except ValueError:
        return url


class _Guard:
    """Decides at the moment of connecting which addresses one URL may lead to."""

    def __init__(self, url: str) -> None:
        self._first = _origin(url)
        self._elsewhere = False

    def redirect(self, url: str) -> None:
        """Note that the next connection is for a redirect to `url`."""
        self._elsewhere = _origin(url) != self._first

    def socket(self, address: tuple[Any, ...]) -> socket.socket:
        """A socket for one address: redirects and rebound names come by here."""
        family, kind, protocol, _, target = address
        if is_metadata_address(str(target[0])):
            raise _denied(f"a URL led to {target[0]}; link-local and metadata addresses are not allowed")
        if self._elsewhere and is_loopback_address(str(target[0])):
            raise _denied(f"a redirect led to {target[0]}; loopback addresses are not allowed there")
        return socket.socket(family, kind, protocol)


def _denied(message: str) -> ItemError:
    return ItemError(ErrorCode.STORAGE_DENIED, message, own=True)


def _require_ok(response: aiohttp.ClientResponse, url: str) -> None:
    if response.status in {404, 410}:
        raise FileNotFoundError(errno.ENOENT, "the server says there is nothing", url)
    if 400 <= response.status < 500 and response.status not in {408, 425, 429}:
        raise Refused(url, response.status)
    if response.status >= 300:
        raise Answered(url, response.status)


def _token(response: aiohttp.ClientResponse) -> str:
    tag = response.headers.get("ETag")
    return tag.strip('"') if tag else f"{response.content_length}-{response.headers.get('Last-Modified')}"
