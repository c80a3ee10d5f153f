"""Thumbnails of photos that an earlier run made: from its report, else made from the stored picture."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from threading import Lock
from typing import Any

from restore.errors import ItemError
from restore.imaging.codec import decode
from restore.imaging.thumbnails import thumbnail
from restore.report.files import script_value, thumbnail_path
from restore.storage import OutStore

log = logging.getLogger(__name__)

MAX_MADE = 200
"""Thumbnails that one report makes from stored pictures. Each one costs a download and a decoding."""
MAX_PICTURE_BYTES = 64 * 2**20
MAX_MEGAPIXELS = 100.0
"""A picture above this size gets no thumbnail: the driver would need a gigabyte to decode it."""

EPOCH_DIGITS = 6
"""A row id begins with its run's epoch, and a run id ends with it."""


class EarlierThumbnails:
    """Finds the thumbnails of rows whose pictures were made before this report.

    Args:
        wanted: row ids of the photos that get thumbnails; this bounds the work.
    """

    def __init__(self, store: OutStore, wanted: Collection[str]) -> None:
        self._store = store
        self._wanted = frozenset(wanted)
        self._reports = {name[-EPOCH_DIGITS:]: name for name in store.names("reports")} if wanted else {}
        self._indexes: dict[str, dict[str, tuple[int, list[str]]]] = {}
        self._made = 0
        self._index_lock = Lock()
        self._decode_lock = Lock()  # one picture in memory at a time

    def read(self, row: Mapping[str, Any]) -> dict[str, bytes]:
        """Thumbnails of a row's photo by name; none where there is nothing to take them from."""
        if row["row_id"] not in self._wanted:
            return {}
        for row_id in filter(None, (row["row_id"], row["reused_from"])):
            if copied := self._copied(row_id[:EPOCH_DIGITS], row["item_id"]):
                return copied
        return self._made_from_picture(row)

    def _copied(self, epoch: str, item_id: str) -> dict[str, bytes]:
        if epoch not in self._reports:
            return {}
        position, names = self._index(self._reports[epoch]).get(item_id, (0, []))
        folder = f"reports/{self._reports[epoch]}"
        found = {name: self._read(f"{folder}/{thumbnail_path(position, name)}") for name in names}
        return {name: data for name, data in found.items() if data}

    def _index(self, report: str) -> dict[str, tuple[int, list[str]]]:
        """Position and thumbnails of each photo that a report pictures; empty where it has no index."""
        with self._index_lock:
            if report not in self._indexes:
                data = self._read(f"reports/{report}/data/index.js")
                columns = script_value(data)["columns"] if data else {}
                photos = zip(columns.get("item_id", ()), columns.get("pictures", ()), strict=True)
                self._indexes[report] = {
                    item_id: (position, names) for position, (item_id, names) in enumerate(photos) if names
                }
            return self._indexes[report]

    def _read(self, path: str) -> bytes | None:
        try:
            return self._store.read(path)
        except FileNotFoundError:
            return None

    def _made_from_picture(self, row: Mapping[str, Any]) -> dict[str, bytes]:
        """The thumbnail of a row's stored picture, where the picture is small enough."""
        if not row["output"] or (row["output_bytes"] or 0) > MAX_PICTURE_BYTES:
            return {}
        with self._decode_lock:
            if self._made >= MAX_MADE:
                return {}
            self._made += 1
            try:
                picture = decode(self._store.read(row["output"]), max_megapixels=MAX_MEGAPIXELS)
                return {"after": thumbnail(picture)}
            except (FileNotFoundError, ItemError) as error:
                log.warning("%s: the report has no thumbnail of %s: %s", row["item_id"], row["output"], error)
                return {}
