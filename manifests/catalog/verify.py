"""Whether OUT still holds what its rows say: pictures read again, rows counted again."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from manifests.catalog.rows import committed_rows, current_batches
from manifests.query import sql
from manifests.query.spool import register
from restore.errors import ItemError
from restore.identity import sha256_bytes
from restore.imaging import codec
from restore.storage import OutStore

_COLUMNS = (
    *("item_id", "output", "output_sha256", "output_bytes"),
    *("width", "height", "bit_depth", "color_mode", "proof"),
)


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that is not as its row or record says. `place` is a path below OUT, or a `row_id`."""

    place: str
    what: str


@dataclass(slots=True)
class Audit:
    """What was looked at so far."""

    pictures: int = 0
    bytes: int = 0


def verify(store: OutStore, audit: Audit, sample: float = 1.0, seed: int = 0) -> Iterator[Difference]:
    """Differences between OUT and its rows, as they are found; `audit` counts along.

    Args:
        sample: fraction of the items whose pictures are read, chosen by the hash of `seed` and item_id:
            one seed always chooses the same items, other seeds others.
    """
    yield from _rows(store)
    yield from _pictures(store, audit, sample, seed)


def _rows(store: OutStore) -> Iterator[Difference]:
    with sql.connection() as con:
        register(con, "committed", committed_rows(store))
        doubled = con.sql("""
            SELECT row_id, count(DISTINCT content)
            FROM (SELECT row_id, hash(whole) AS content FROM committed AS whole)
            GROUP BY row_id HAVING count(DISTINCT content) > 1 ORDER BY row_id
        """)
        for row_id, count in doubled.fetchall():
            yield Difference(row_id, f"{count} rows of different content have this row_id")
        counted = con.sql("""
            SELECT run_id, status, count(*) FROM (SELECT DISTINCT row_id, run_id, status FROM committed)
            GROUP BY run_id, status
        """)
        found: dict[str, dict[str, int]] = {}
        for run_id, status, count in counted.fetchall():
            found.setdefault(run_id, {})[status] = count
    for name in store.names("runs"):
        yield from _record(store, f"runs/{name}", found)


def _record(store: OutStore, path: str, found: Mapping[str, Mapping[str, int]]) -> Iterator[Difference]:
    """A run record's counts against the rows of its run. A run that was killed has none, and no fault."""
    try:
        record = json.loads(store.read(path))
        run_id, committed = record["run_id"], record["committed"]
    except (ValueError, KeyError, TypeError):
        yield Difference(path, "is no run record")
        return
    rows = sum(found.get(run_id, {}).values())
    if rows != committed:
        yield Difference(path, f"says that {committed} rows are committed; the run's parts hold {rows}")


def _pictures(store: OutStore, audit: Audit, sample: float, seed: int) -> Iterator[Difference]:
    # 48 bits of the hash, which a double holds exactly.
    chance = f"('0x' || sha256({sql.text(f'{seed}:')} || item_id)[:12])::UBIGINT / {2**48}.0"
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for batch in current_batches(committed_rows(store), _COLUMNS, f"{chance} < {sample:.12f}"):
            rows = batch.to_pylist()
            audit.pictures += len(rows)
            audit.bytes += sum(row["output_bytes"] or 0 for row in rows)
            for row, what in zip(rows, pool.map(lambda row: _fault(store, row), rows), strict=True):
                if what:
                    yield Difference(row["output"] or row["item_id"], what)


def _fault(store: OutStore, row: Mapping[str, Any]) -> str | None:
    """What is wrong with the picture of a row, or None."""
    if row["output"] is None:
        return "the row names no output"
    try:
        data = store.read(row["output"])
    except FileNotFoundError:
        return "is missing"
    except ItemError as error:
        return f"cannot be read: {error.message}"
    if len(data) != row["output_bytes"]:
        return f"has {len(data)} bytes, its row says {row['output_bytes']}"
    if sha256_bytes(data) != row["output_sha256"]:
        return f"has sha256 {sha256_bytes(data)}, its row says {row['output_sha256']}"
    return _shown_otherwise(data, row)


def _shown_otherwise(data: bytes, row: Mapping[str, Any]) -> str | None:
    try:
        picture = codec.decode(data, max_megapixels=math.inf)
    except ItemError as error:
        return f"does not decode: {error.message}"
    shown: dict[str, int | str] = {"width": picture.width, "height": picture.height}
    if row["proof"] == "exact":  # else a format was asked for that may hold another depth or mode
        shown |= {"bit_depth": picture.bit_depth, "color_mode": picture.mode}
    wrong = [
        f"{name} {value}, its row says {row[name]}" for name, value in shown.items() if value != row[name]
    ]
    return f"decodes to {'; '.join(wrong)}" if wrong else None
