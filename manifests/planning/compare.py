"""What `diff` tells: a manifest against a store or an older manifest, and what is to be done of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from manifests.catalog.rows import Rows
from manifests.planning.plan import FIRST, Plan
from manifests.planning.removed import removed
from manifests.query import sql
from manifests.query.spool import SpooledTable, register, spool
from manifests.reading.schema import Manifest
from restore.errors import ManifestError
from restore.storage import OutStore
from restore.storage.uris import redact, resolve

REMOVED, UNCHANGED = "removed", "unchanged"


@dataclass(frozen=True, slots=True)
class Changes:
    """What a diff found.

    Attributes:
        counts: rows per reason. Those that are to be done come with `todo`.
        first: for some reasons the ids of their first rows.
        todo: `item_id` and `reason` of the rows that are to be done.
    """

    counts: Mapping[str, int]
    first: Mapping[str, Sequence[str]]
    todo: SpooledTable

    def text(self) -> str:
        """For people: a line per reason."""
        lines = []
        for reason, count in sorted(self.counts.items()):
            named = self.first.get(reason, ())
            more = ", ..." if count > len(named) > 0 else ""
            lines.append(f"{count:>10,} {reason:18}{', '.join(named)}{more}".rstrip())
        return "\n".join(lines) or "         0 rows"

    def summary(self) -> dict[str, object]:
        """For machines."""
        return {"counts": dict(self.counts), "first": {name: list(ids) for name, ids in self.first.items()}}


def against_store(planned: Plan, wanted: Rows, committed: Rows) -> Changes:
    """A plan and what the manifest no longer names."""
    missing = removed(wanted, committed)["item_id"]
    counts, first = dict(planned.counts), dict(planned.first)
    if len(missing):
        counts[REMOVED], first[REMOVED] = len(missing), missing.slice(0, FIRST).to_pylist()
    with sql.connection() as con:
        register(con, "todo", planned.todo)
        register(con, "reused", planned.reused)
        query = "SELECT item_id, reason FROM todo UNION ALL SELECT item_id, reason FROM reused"
        return Changes(counts, first, spool(con, query, _TODO))


_TODO = pa.schema([("item_id", pa.string()), ("reason", pa.string())])

# Versions are compared where both manifests give one; a manifest alone cannot know more.
_COMPARED = f"""
    CREATE TEMP TABLE compared AS
    SELECT coalesce(new.item_id, old.item_id) AS item_id, coalesce(new.row, old.row) AS row,
        CASE
            WHEN old.item_id IS NULL THEN 'added'
            WHEN new.item_id IS NULL THEN '{REMOVED}'
            WHEN new.image <> old.image OR new.image_version <> old.image_version THEN 'image_changed'
            WHEN new.mask IS DISTINCT FROM old.mask OR new.mask_version <> old.mask_version
                THEN 'mask_changed'
            WHEN new.overrides <> old.overrides THEN 'overrides_changed'
            ELSE '{UNCHANGED}'
        END AS reason
    FROM old FULL OUTER JOIN new USING (item_id)
"""


def between(old: Rows, new: Rows) -> Changes:
    """Two manifests: rows that were added, removed, or are no longer the same. The first difference counts.

    Args:
        old, new: rows of `NORMAL_SCHEMA`.
    """
    with sql.connection() as con:
        register(con, "old", old)
        register(con, "new", new)
        con.execute(_COMPARED)
        counts = dict(con.sql("SELECT reason, count(*) FROM compared GROUP BY reason").fetchall())
        first = dict(
            con.sql(f"""
                SELECT reason, min_by(item_id, row, {FIRST}) FROM compared
                WHERE reason <> '{UNCHANGED}' GROUP BY reason
            """).fetchall()
        )
        query = f"SELECT item_id, reason FROM compared WHERE reason NOT IN ('{REMOVED}', '{UNCHANGED}')"
        return Changes(counts, first, spool(con, query, _TODO))


def write_todo(changes: Changes, manifest: Manifest, wanted: Rows, uri: str) -> None:
    """Write the rows to be done as a manifest with all that theirs has, in Parquet, to any store.

    Args:
        wanted: the manifest's rows, with the versions that are to be restored: they become pins.

    Raises:
        ManifestError: when `uri` does not name a Parquet file.
    """
    if not uri.endswith(".parquet"):
        raise ManifestError(f"out={redact(uri)}: name it .parquet")
    given = ("item_id", "image", "image_version", "mask", "mask_version", "reference")
    columns = {name: sql.name(name) for name in (*given, *manifest.extra)}
    columns |= {name: _override(name) for name in manifest.overrides}
    fields = [pa.field(name, pa.string()) for name in columns]
    fields += [pa.field("priority", pa.float64()), pa.field("reason", pa.string())]
    with sql.connection() as con:
        register(con, "manifest", wanted)
        register(con, "todo", changes.todo)
        listed = ", ".join(f"{value} AS {sql.name(name)}" for name, value in columns.items())
        query = f"SELECT {listed}, priority, reason FROM manifest JOIN todo USING (item_id) ORDER BY row"
        rows = spool(con, query, pa.schema(fields))
    folder, _, name = resolve(uri, f"{Path.cwd()}/").rpartition("/")
    OutStore.open(folder or "/").overwrite(name, rows.path.read_bytes())


def _override(name: str) -> str:
    """SQL: a recipe column's value as text, which reads back as the same value."""
    return f"""json_extract_string(overrides, {sql.text(f'$."{name}"')})"""
