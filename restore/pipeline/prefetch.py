"""Reads the inputs of a block's photos before their turn, so that a block waits for a store's latency once.

Otherwise a worker is idle for the latency of every request: at 0.1 s a request, that is twice the time of
the photo's decoding.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

from restore import storage
from restore.errors import ErrorCode, ItemError, SystemicError
from restore.item import Item
from restore.storage import AccessPolicy, Fetched, is_local

MAX_BYTES = 32 * 2**20
"""Size of an input that is read ahead. A larger one waits for its turn: reading it takes longer than a
request's latency, and a block of such inputs would fill the worker's memory."""

READERS = 8
"""Inputs that are read at the same time."""


class Prefetcher:
    """Starts to read the inputs of `items`. A context manager; `fetch` returns each of them.

    It leaves local files alone, since the system reads them ahead.
    """

    def __init__(self, items: Iterable[Item], access: AccessPolicy) -> None:
        self._access = access
        self._pool = ThreadPoolExecutor(READERS)
        self._early: dict[tuple[str, str | None], Future[Fetched | None]] = {}
        for item in items:
            for uri, version in ((item.image, item.image_version), (item.mask, item.mask_version)):
                if uri is not None and not is_local(uri):
                    self._early[uri, version] = self._pool.submit(self._read, uri, version)

    def fetch(
        self,
        uri: str,
        *,
        version: str | None,
        missing: ErrorCode,
        max_bytes: int | None = None,
        access: AccessPolicy | None = None,
    ) -> Fetched:
        """As `restore.storage.fetch`, but without waiting where the input has been read."""
        early = self._early.pop((uri, version), None)
        found = early.result() if early is not None else None
        if found is None or (max_bytes is not None and len(found.data) > max_bytes):
            return storage.fetch(uri, version=version, missing=missing, max_bytes=max_bytes, access=access)
        return found

    def _read(self, uri: str, version: str | None) -> Fetched | None:
        """One attempt. A large, forbidden or failing input is left to `fetch`, which reports the error."""
        try:
            self._access.check(uri)
            return storage.fetch(
                uri, version=version, missing=ErrorCode.IMAGE_NOT_FOUND, max_bytes=MAX_BYTES, attempts=1
            )
        except (ItemError, SystemicError):
            return None

    def __enter__(self) -> Prefetcher:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
