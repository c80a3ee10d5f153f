"""Leaves web hosts alone that do not answer, so that each row of a dead host does not wait for it anew."""

from __future__ import annotations

import time
from collections import defaultdict
from threading import Lock

from restore.errors import ErrorCode, ItemError

FAILURES = 4
"""Failures in a row after which a host is left alone."""
REST_SECONDS = 60.0
"""Time for which it is left alone."""


class HostBreaker:
    """Counts each host's failures in a row. One per process; safe for several threads.

    A connection that fails counts each time: it concerns the host. A slow answer may concern its URL only,
    and counts once for each URL.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._failures: dict[str, set[object]] = defaultdict(set)
        self._resting: dict[str, float] = {}

    def check(self, host: str) -> None:
        """Raise ItemError `storage_unavailable` while `host` is left alone."""
        with self._lock:
            until = self._resting.get(host, 0.0)
        if time.monotonic() < until:
            raise ItemError(
                ErrorCode.STORAGE_UNAVAILABLE,
                f"{host} did not answer {FAILURES} times in a row and is not asked for {REST_SECONDS:g} s; "
                "run again when it answers",
            )

    def unreachable(self, host: str) -> None:
        """Count a connection that failed."""
        self._count(host, object())

    def slow(self, host: str, url: str) -> None:
        """Count an answer that did not come in time."""
        self._count(host, url)

    def answered(self, host: str) -> None:
        """Forget the failures: the host answers, whatever it says."""
        with self._lock:
            self._failures.pop(host, None)
            self._resting.pop(host, None)

    def _count(self, host: str, failure: object) -> None:
        with self._lock:
            self._failures[host].add(failure)
            if len(self._failures[host]) >= FAILURES:
                self._resting[host] = time.monotonic() + REST_SECONDS
