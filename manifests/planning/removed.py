"""What the archive shows and the manifest no longer names: since when, and how it goes for good."""

from __future__ import annotations

import io
import logging
from collections.abc import Sequence
from datetime import datetime

import pyarrow as pa
import pyarrow.parquet as pq

from manifests.catalog.rows import SHOWS, SUCCESS, Rows
from manifests.query import sql
from manifests.query.spool import register
from restore.outcome import REMOVED, SET_AT_COMMIT, outcome_schema
from restore.storage import OutStore

log = logging.getLogger(__name__)

MEMORY = "removed.parquet"
"""Below OUT: the items that the last night found removed, each with the time when it was found first."""

_MEMORY = pa.schema([pa.field("item_id", pa.string()), pa.field("since", pa.timestamp("us", tz="UTC"))])

_KEPT = (
    *("item_id", "work_key", "image", "image_version", "image_sha256", "mask", "mask_version", "mask_sha256"),
    *("width", "height", "bit_depth", "color_mode", "recipe_hash", "recipe", "overrides", "pipeline_version"),
    *("engine", "engine_hash", "attempts"),
)
"""What the row of a pruned item says again of the picture that went."""


def removed(wanted: Rows, committed: Rows) -> pa.Table:
    """Items that have a picture and are not in the manifest.

    Returns:
        One column, `item_id`, sorted.
    """
    with sql.connection() as con:
        register(con, "manifest", wanted)
        register(con, "committed", committed)
        return con.sql(f"""
            SELECT item_id FROM committed ANTI JOIN manifest USING (item_id)
            WHERE status IN {sql.texts(SHOWS)} GROUP BY item_id
            HAVING arg_max(status, row_id) <> '{REMOVED}' ORDER BY item_id
        """).to_arrow_table()


def since(store: OutStore, items: pa.Table, now: datetime) -> pa.Table:
    """When each of tonight's removed items was found to be: remembered from earlier nights, else `now`.

    Args:
        items: from `removed`.

    Returns:
        `item_id` and `since`, ordered by item_id.
    """
    with sql.connection() as con:
        con.register("items", items)
        con.register("memory", _remembered(store))
        query = "SELECT item_id, coalesce(since, $now) AS since FROM items LEFT JOIN memory USING (item_id)"
        found = con.sql(f"{query} ORDER BY item_id", params={"now": now})
        return found.to_arrow_table().cast(_MEMORY)


def _remembered(store: OutStore) -> pa.Table:
    """The table of the last night. Without it, missing photos count from tonight, so none goes too soon."""
    try:
        table = pq.read_table(io.BytesIO(store.read(MEMORY)))
        return table.select(_MEMORY.names).cast(_MEMORY)
    except FileNotFoundError:
        return _MEMORY.empty_table()
    except (pa.ArrowException, KeyError) as error:
        log.warning("%s/%s says nothing (%s); missing photos count from tonight", store.root, MEMORY, error)
        return _MEMORY.empty_table()


def remember(store: OutStore, found: pa.Table) -> None:
    """Keep the rows of `since` for the next night. Photos that are listed again are dropped."""
    sink = io.BytesIO()
    pq.write_table(found, sink, compression="zstd")
    store.overwrite(MEMORY, sink.getvalue())


def removed_outcomes(
    items: pa.Table,
    committed: Rows,
    *,
    run_id: str,
    started_at: datetime,
    software_version: str,
    extra: Sequence[str] = (),
) -> pa.Table:
    """A row for each item that says that it shows no picture any more.

    Args:
        items: a column `item_id`: items with a picture.
        extra: `x_*` columns of the run that is to commit the rows.

    Returns:
        Outcomes of `OUTCOME_SCHEMA` and `extra` without the columns that are set at commit.
    """
    schema = pa.schema([field for field in outcome_schema(extra) if field.name not in SET_AT_COMMIT])
    values = {"run_id": run_id, "started_at": started_at, "software_version": software_version}
    values |= {"status": REMOVED, "reason": REMOVED}
    with sql.connection() as con:
        con.register("items", items)
        register(con, "committed", committed)
        columns = ", ".join(_column_sql(name, values) for name in schema.names)
        query = f"""
            SELECT {columns} FROM (
                SELECT item_id, arg_max(picture, row_id) AS picture
                FROM committed AS picture JOIN items USING (item_id)
                WHERE status IN {sql.texts(SUCCESS)} GROUP BY item_id
            ) ORDER BY item_id
        """
        return con.sql(query, params=values).to_arrow_table().cast(schema)


def _column_sql(name: str, values: dict[str, object]) -> str:
    if name in values:
        return f"${name} AS {name}"
    return f"picture.{sql.name(name)} AS {name}" if name in _KEPT else f"NULL AS {name}"


def pruned_pictures(items: pa.Table, committed: Rows) -> Sequence[str]:
    """The outputs that these items' rows name from before they were pruned: paths below OUT."""
    with sql.connection() as con:
        con.register("items", items)
        register(con, "committed", committed)
        found = con.sql(f"""
            SELECT DISTINCT output FROM (
                SELECT output, row_id,
                    max(row_id) FILTER (status = '{REMOVED}') OVER (PARTITION BY item_id) AS pruned_at
                FROM committed SEMI JOIN items USING (item_id)
            ) WHERE row_id < pruned_at AND output IS NOT NULL ORDER BY output
        """)
        return [output for (output,) in found.fetchall()]
