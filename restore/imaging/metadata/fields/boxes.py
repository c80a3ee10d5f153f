"""Boxes of the ISO base media file format (ISO/IEC 14496-12, 4.2), in which JPEG 2000 and AVIF files lie."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

_MAX_BOXES = 10_000  # side by side; walking millions of empty ones would take minutes


@dataclass(frozen=True, slots=True)
class Box:
    """One box; its payload is `data[start:end]`."""

    kind: bytes
    start: int
    end: int


def boxes(data: bytes, start: int = 0, end: int | None = None) -> Iterator[Box]:
    """The boxes that lie side by side from `start` to `end`, by default all of the file's.

    Raises:
        ValueError: one goes beyond the end.
    """
    end = len(data) if end is None else end
    for _ in range(_MAX_BOXES):
        if start + 8 > end:
            return
        size, kind = struct.unpack_from(">L4s", data, start)
        head = 8
        if size == 1 and start + 16 <= end:
            (size,), head = struct.unpack_from(">Q", data, start + 8), 16
        size = end - start if size == 0 else size
        if size < head or start + size > end:
            raise ValueError(f"its box {kind!r} goes beyond the end")
        yield Box(kind, start + head, start + size)
        start += size
    raise ValueError(f"more than {_MAX_BOXES} boxes")
