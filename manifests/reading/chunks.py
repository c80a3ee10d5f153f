"""Chunks of a manifest: some rows, column by column, made of a bounded number of bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized
from dataclasses import dataclass
from typing import TypeVar

import pyarrow as pa

from manifests.reading.limits import CHUNK_BYTES, CHUNK_CELLS, CHUNK_ROWS
from manifests.reading.lines import Meter

Record = TypeVar("Record")


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some rows of a manifest. `numbers` are int64, 1-based, as a person counts them in the file."""

    numbers: pa.Array
    columns: pa.Table


def batches(records: Iterable[Record], columns: Sized, meter: Meter) -> Iterator[list[Record]]:
    """Records in lists, each small enough for a chunk.

    Args:
        columns: of the records so far.
        meter: counts what the records are read from.
    """
    batch: list[Record] = []
    full = meter.read + CHUNK_BYTES
    for record in records:
        batch.append(record)
        rows = len(batch)
        if rows >= CHUNK_ROWS or meter.read >= full or rows * len(columns) >= CHUNK_CELLS:
            yield batch
            batch, full = [], meter.read + CHUNK_BYTES
    if batch:
        yield batch


def numbers(rows: Iterable[int]) -> pa.Array:
    """The `numbers` of a chunk."""
    return pa.array(rows, pa.int64())
