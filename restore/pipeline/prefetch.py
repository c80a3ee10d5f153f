"""Inputs of a block's photos read before their turn, so that a store's latency is waited for once a block.

Without it every request's latency would be a worker's idle time: at 0.1 s a request, twice as long as the
photo's decoding takes.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

from restore import storage
from restore.errors import ErrorCode, ItemError, SystemicError
from restore.item import Item
from restore.storage import AccessPolicy, Fetched, is_local

LIMIT = 32 * 2**20
"""Bytes of an input that is read ahead. A larger one waits for its turn: it takes longer than a request's
latency, and a block of such would fill the worker's memory."""

AT_ONCE = 8


class Prefetcher:
    """Reads the inputs of `items` from now on. A context manager; `fetch` gives them in their turn.

    Local files are left alone: the system reads them ahead.
    """

    def __init__(self, items: Iterable[Item], access: AccessPolicy) -> None:
        self._access = access
        self._pool = ThreadPoolExecutor(AT_ONCE)
        self._early: dict[tuple[str, str | None], Future[Fetched | None]] = {}
        for item in items:
            for uri, version in ((item.image, item.image_version), (item.mask, item.mask_version)):
                if uri is not None and not is_local(uri):
                    self._early[uri, version] = self._pool.submit(self._read, uri, version)

    def fetch(
        self, uri: str, *, version: str | None, missing: ErrorCode, max_bytes: int | None = None
    ) -> Fetched:
        """As `restore.storage.fetch`, at once where the input has been read."""
        early = self._early.pop((uri, version), None)
        found = early.result() if early is not None else None
        if found is None or (max_bytes is not None and len(found.data) > max_bytes):
            return storage.fetch(uri, version=version, missing=missing, max_bytes=max_bytes)
        return found

    def _read(self, uri: str, version: str | None) -> Fetched | None:
        """One try. What is too large, may not be read or goes wrong is left for its turn, which tells."""
        try:
            self._access.check(uri)
            return storage.fetch(
                uri, version=version, missing=ErrorCode.IMAGE_NOT_FOUND, max_bytes=LIMIT, attempts=1
            )
        except (ItemError, SystemicError):
            return None

    def __enter__(self) -> Prefetcher:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
