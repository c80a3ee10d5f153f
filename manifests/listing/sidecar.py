"""What a person says of single photos beside their files: prompts, overrides, priorities, by item_id."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pyarrow as pa

from manifests.listing.names import item_id
from manifests.query import sql
from manifests.reading.chunks import Chunk
from manifests.reading.faults import FAULTS_LISTED, Faults
from manifests.reading.formats import read_chunks
from manifests.reading.limits import Total
from manifests.reading.schema import plain, resolved, unknown_column
from restore.item import EXTRA_PREFIX
from restore.recipe import override_kinds
from restore.storage.uris import resolve

KNOWN = ("item_id", "priority", "reference")
LISTED = ("image", "mask", "image_version", "mask_version")

FAULTY = f"""
    SELECT min(row), item_id, count(*) FROM sidecar
    GROUP BY item_id HAVING count(*) > 1 OR item_id IS NULL ORDER BY 1 LIMIT {FAULTS_LISTED}
"""


def load_sidecar(con: duckdb.DuckDBPyConnection, uri: str | None) -> tuple[str, ...]:
    """Makes the table `sidecar` of `row`, `item_id` and the other columns, all as text.

    An id may be written as the file is named: it becomes the id that the listing gives such a file.

    References are made absolute against the sidecar's folder.

    Args:
        uri: a CSV, JSON Lines or Parquet file in any store; None makes the table empty.

    Returns:
        The other columns.

    Raises:
        ManifestError: every fault with its row number, the first hundred in full.
        StorageConfigError: the store does not let us read it.
    """
    con.execute("CREATE TABLE sidecar (row BIGINT, item_id VARCHAR)")
    if uri is None:
        return ()
    uri = resolve(uri, f"{Path.cwd()}/")
    chunks, faults = read_chunks(uri)
    columns: dict[str, None] = {}
    total = Total(faults)
    for chunk in chunks:
        known = _known(chunk, uri, columns, faults)
        total.add(known)
        _insert(con, known)
    if "item_id" in columns:
        for row, item_id, times in con.sql(FAULTY).fetchall():
            comes = f"comes {times} times; keep one row for a photo" if item_id else "is empty"
            faults.add(row, f"item_id {item_id or ''} {comes}")
    elif not faults.total:
        faults.add_once("column item_id is missing; it says which photo a row is about")
    if faults.total:
        raise faults.error()
    return tuple(name for name in columns if name != "item_id")


def _known(chunk: Chunk, uri: str, seen: dict[str, None], faults: Faults) -> pa.Table:
    """The columns that a sidecar may have; the others are faults."""
    kept = {"row": chunk.numbers}
    names = chunk.columns.column_names
    for name, column in zip(names, chunk.columns.columns, strict=True):
        if names.count(name) > 1 or name.lower() in {other.lower() for other in {*seen, *names} - {name}}:
            faults.add_once(f"column {name} comes twice (upper and lower case are the same); rename one")
        elif name in LISTED:
            faults.add_once(f"column {name}: the listing says this; remove it from the sidecar")
        elif name not in {*KNOWN, *override_kinds()} and not name.startswith(EXTRA_PREFIX):
            faults.add_once(unknown_column(name, [*KNOWN, *override_kinds()]))
        else:
            kept[name] = _absolute(plain(column), uri) if name == "reference" else plain(column)
            seen[name] = None
    return pa.table(kept)


def _insert(con: duckdb.DuckDBPyConnection, chunk: pa.Table) -> None:
    con.register("chunk", chunk)
    present = {name for name, *_ in con.sql("DESCRIBE sidecar").fetchall()}
    for name in chunk.column_names:
        if name not in present:
            con.execute(f"ALTER TABLE sidecar ADD COLUMN {sql.name(name)} VARCHAR")
    ids = {"item_id": item_id("nullif(item_id::VARCHAR, '')")}
    values = ", ".join(ids.get(name, sql.name(name)) for name in chunk.column_names)
    con.execute(f"INSERT INTO sidecar ({sql.names(chunk.column_names)}) SELECT {values} FROM chunk")


def _absolute(references: pa.ChunkedArray, base: str) -> pa.Array:
    texts = references.cast(pa.string()).to_pylist()
    return pa.array([text and resolved(text, base) for text in texts], pa.string())
