"""Inputs over http and https, never from link-local or metadata addresses. No retries here."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from restore.errors import ErrorCode, ItemError
from restore.storage.access import is_metadata_address
from restore.storage.base import BeforeRead, Fetched
from restore.storage.integrity import require_announced
from restore.storage.retry import Damaged, Refused

CONNECT_SECONDS, READ_SECONDS = 5, 30
MAX_SECONDS = 600
"""Of one body: its size need not be announced, so that it cannot be given time for its size."""
PART = 2**20

_ASTRAY = (
    aiohttp.InvalidURL,
    aiohttp.NonHttpUrlClientError,
    aiohttp.RedirectClientError,
    aiohttp.TooManyRedirects,
)


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
    async with _answer(url) as response:
        version = _token(response)
        check_before_read(response.content_length or 0, version)
        data = await asyncio.wait_for(_body(response, check_before_read, version), MAX_SECONDS)
        packed = response.headers.get("Content-Encoding", "identity") != "identity"
        require_announced(url, data, size=None if packed else response.content_length)
        if not data:  # no photograph is empty, and a server that lost a body may say that it has no bytes
            raise Damaged(None, "the body is empty", url)
        return Fetched(data, version)


async def _body(response: aiohttp.ClientResponse, check_before_read: BeforeRead, version: str) -> bytes:
    """The whole body, refused as soon as it is larger than it may be, whatever was announced."""
    data = bytearray()
    async for part in response.content.iter_chunked(PART):
        data += part
        check_before_read(len(data), version)
    return bytes(data)


async def _version(url: str) -> str:
    async with _answer(url) as response:  # GET, its body left unread: not every server answers HEAD
        return _token(response)


@asynccontextmanager
async def _answer(url: str) -> AsyncIterator[aiohttp.ClientResponse]:
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=READ_SECONDS)
    connector = aiohttp.TCPConnector(socket_factory=_guarded_socket)
    # Unpacked bodies only: a packed one has another length and, at some servers, another ETag.
    headers = {"Accept-Encoding": "identity"}
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, headers=headers) as session:
        try:
            response = await session.get(url)
        except _ASTRAY as error:
            raise PermissionError(errno.EACCES, "leads nowhere that may be read", url) from error
        async with response:
            _require_ok(response, url)
            yield response


def _guarded_socket(address: tuple[Any, ...]) -> socket.socket:
    """A socket for one address, at the moment of connecting: redirects and rebound names come by here."""
    family, kind, protocol, _, target = address
    if is_metadata_address(str(target[0])):
        raise ItemError(
            ErrorCode.STORAGE_DENIED,
            f"a URL led to {target[0]}; link-local and metadata addresses are not allowed",
        )
    return socket.socket(family, kind, protocol)


def _require_ok(response: aiohttp.ClientResponse, url: str) -> None:
    if response.status in {404, 410}:
        raise FileNotFoundError(errno.ENOENT, "the server says there is nothing", url)
    if 400 <= response.status < 500 and response.status not in {408, 425, 429}:
        raise Refused(url, response.status)
    response.raise_for_status()


def _token(response: aiohttp.ClientResponse) -> str:
    tag = response.headers.get("ETag")
    return tag.strip('"') if tag else f"{response.content_length}-{response.headers.get('Last-Modified')}"
