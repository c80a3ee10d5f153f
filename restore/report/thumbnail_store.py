"""The thumbnails of a run for its report, on the driver's own disk and bounded in number."""

from __future__ import annotations

import heapq
import logging
from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from types import TracebackType

import numpy as np
import pyarrow as pa

from restore.outcome import THUMBS

log = logging.getLogger(__name__)

PICTURED = 2000
"""Photos whose thumbnails are kept: the most suspicious ones."""
FAILED_PICTURED = 500
"""Failed photos whose thumbnail of the source is kept: the first ones."""


class ThumbnailStore:
    """Takes the thumbnails out of a stream of outcomes. A context manager that removes its folder at the end.

    A full disk costs the report its thumbnails and never the run.
    """

    def __init__(self, pictured: int = PICTURED, failed: int = FAILED_PICTURED) -> None:
        self._folder = TemporaryDirectory(prefix="silverprint-", ignore_cleanup_errors=True)
        self._worst, self._failed = _TopN(pictured), _TopN(failed)
        self._kept: dict[str, tuple[str, ...]] = {}
        self._numbers = count()
        self._lock = Lock()  # the stream is drawn in one thread and the report written in another
        self._open = True

    def watch(self, stream: Iterable[pa.Table]) -> Iterator[pa.Table]:
        """Yield the tables without their thumbnails, and keep those of the worst photos so far."""
        for table in stream:
            self._keep(table)
            # A copy: the rows wait for their commit, and a slice of a table keeps the whole table in memory.
            yield table.drop_columns(list(THUMBS)).take(np.arange(table.num_rows))

    def close(self) -> None:
        """Keep nothing from here on, so that the kept thumbnails do not change."""
        with self._lock:
            self._open = False

    def pictures(self, item_id: str) -> dict[str, bytes]:
        """The kept thumbnails of a photo by name: of "before", "after" and "damage"."""
        stem, *names = self._kept.get(item_id, ("",))
        return {name: self._path(stem, name).read_bytes() for name in names}

    def _keep(self, table: pa.Table) -> None:
        with self._lock:
            if not self._open:
                return
            try:
                for row in _pictured(table):
                    self._offer(*row)
            except OSError as error:
                self._open = False
                log.warning("the report will lack thumbnails: %s", error)

    def _offer(self, item_id: str, suspicion: float | None, failed: bool, pictures: dict[str, bytes]) -> None:
        ranking, number = (self._failed if failed else self._worst), next(self._numbers)
        dropped = ranking.put(_rank(suspicion, failed, number), item_id)
        if dropped == item_id:
            return
        for name, data in pictures.items():
            self._path(f"{number:09d}", name).write_bytes(data)
        self._kept[item_id] = (f"{number:09d}", *pictures)
        if dropped is not None:
            stem, *names = self._kept.pop(dropped)
            for name in names:
                self._path(stem, name).unlink()

    def _path(self, stem: str, name: str) -> Path:
        return Path(self._folder.name, f"{stem}-{name}")

    def __enter__(self) -> ThumbnailStore:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self.close()
        self._folder.cleanup()


class _TopN:
    """The `room` items with the highest ranks."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._heap: list[tuple[float, str]] = []

    def put(self, rank: float, item_id: str) -> str | None:
        """Add an item. Returns the item that is dropped for it, perhaps itself; None while there is room."""
        if len(self._heap) < self._room:
            heapq.heappush(self._heap, (rank, item_id))
            return None
        return heapq.heappushpop(self._heap, (rank, item_id))[1]


def _rank(suspicion: float | None, failed: bool, number: int) -> float:
    """Rank of a photo: failed photos by arrival; others by their suspicion, those without one last."""
    if failed:
        return float(-number)
    return -1.0 if suspicion is None else suspicion


def _pictured(table: pa.Table) -> Iterator[tuple[str, float | None, bool, dict[str, bytes]]]:
    """Id, suspicion, whether it failed, and the thumbnails of each row that has any."""
    ids, status = table["item_id"].to_pylist(), table["status"].to_pylist()
    suspicions = table["suspicion"].to_pylist()
    columns = [table[name].to_pylist() for name in THUMBS]
    for item_id, suspicion, outcome, *pictures in zip(ids, suspicions, status, *columns, strict=True):
        present = {name: data for name, data in zip(THUMBS.values(), pictures, strict=True) if data}
        if present:
            yield item_id, suspicion, outcome == "failed", present
