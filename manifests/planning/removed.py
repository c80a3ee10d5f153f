"""What the archive shows and the manifest no longer names: since when, and how it goes for good."""

from __future__ import annotations

import io
import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from manifests.catalog.rows import SHOWS, SUCCESS, Rows
from manifests.query import sql
from manifests.query.spool import register
from restore.outcome import REMOVED, SET_AT_COMMIT, outcome_schema
from restore.storage import OutStore

log = logging.getLogger(__name__)

MEMORY = "removed.parquet"
"""Below OUT: the items that the last night found removed, and the first and last listing that missed each."""

_TIME = pa.timestamp("us", tz="UTC")
_MEMORY = pa.schema([("item_id", pa.string()), ("since", _TIME), ("until", _TIME)])

COUNTED_GAP = timedelta(days=7)
"""Most of the time between two listings that counts as missing: a clock may jump, and a store lie idle."""

_KEPT = (
    *("item_id", "work_key", "image", "image_version", "image_sha256", "mask", "mask_version", "mask_sha256"),
    *("width", "height", "bit_depth", "color_mode", "recipe_hash", "recipe", "overrides", "pipeline_version"),
    *("engine", "engine_hash", "attempts"),
)
"""What the row of a pruned item says again of the picture that went."""


def removed(wanted: Rows, committed: Rows, present: Rows | None = None) -> pa.Table:
    """Items that have a picture and are not in the manifest.

    Args:
        present: names that the listing found, of `listing.build.PRESENT`. An item among them, or below a
            folder among them, may be left out of the manifest, but is not removed.

    Returns:
        `item_id`, and `shown`, the time of its newest row; sorted.
    """
    with sql.connection() as con:
        register(con, "manifest", wanted)
        register(con, "committed", committed)
        register(con, "present", _NO_NAMES if present is None else present)
        return con.sql(f"""
            WITH missing AS (
                SELECT item_id, max(committed_at) AS shown FROM committed ANTI JOIN manifest USING (item_id)
                GROUP BY item_id
                HAVING arg_max(status, row_id) FILTER (status IN {sql.texts(SHOWS)}) <> '{REMOVED}'
            ), folder AS (
                SELECT item_id, unnest({_FOLDERS}) AS folder FROM missing
            )
            SELECT item_id, shown FROM missing
            ANTI JOIN (FROM present WHERE NOT below) USING (item_id)
            ANTI JOIN (
                SELECT folder.item_id FROM folder
                SEMI JOIN (SELECT item_id AS folder FROM present WHERE below) USING (folder)
            ) USING (item_id) ORDER BY item_id
        """).to_arrow_table()


_NO_NAMES = pa.table({"item_id": pa.array([], pa.string()), "below": pa.array([], pa.bool_())})

# The folder of all, named by no text, is the first.
_FOLDERS = """list_transform(
    range(0, len(string_split(item_id, '/'))),
    lambda depth: array_to_string(string_split(item_id, '/')[:depth], '/'))"""


def since(store: OutStore, items: pa.Table, now: datetime) -> pa.Table:
    """Since when each of tonight's removed items is missing: remembered from earlier nights, else `now`.

    A remembered time that lies in the future, or before the item's newest row, comes from a wrong clock and
    is not believed. Of the time between two listings `COUNTED_GAP` counts at most.

    Args:
        items: from `removed`.

    Returns:
        `item_id`, `since`, `until` (`now`) and `again`, whether an earlier listing missed it too; ordered by
        item_id.
    """
    with sql.connection() as con:
        con.register("items", items)
        con.register("memory", _remembered(store))
        query = """
            SELECT item_id, if(counted BETWEEN coalesce(shown, counted) AND $now, counted, $now) AS since,
                $now AS until, coalesce(again, false) AS again
            FROM items LEFT JOIN (
                SELECT item_id, true AS again,
                    max(since) + greatest($now - max(until) - $gap, INTERVAL 0 SECOND) AS counted
                FROM memory GROUP BY item_id
            ) USING (item_id) ORDER BY item_id
        """
        found = con.sql(query, params={"now": now, "gap": COUNTED_GAP}).to_arrow_table()
        return found.cast(pa.schema([*_MEMORY, ("again", pa.bool_())]))


def to_prune(found: pa.Table, now: datetime, grace: timedelta) -> pa.Table:
    """Those rows of `since` that two listings missed at least, and for longer than `grace`."""
    long_enough = pc.less_equal(found["since"], pa.scalar(now - grace, _TIME))
    return found.filter(pc.and_(found["again"], long_enough))


def _remembered(store: OutStore) -> pa.Table:
    """The table of the last night. Without it, missing photos count from tonight, so none goes too soon."""
    try:
        table = pq.read_table(io.BytesIO(store.read(MEMORY)))
        if "until" not in table.column_names:  # an older version wrote no more than this
            table = table.append_column("until", table["since"])
        return table.select(_MEMORY.names).cast(_MEMORY)
    except FileNotFoundError:
        return _MEMORY.empty_table()
    except (pa.ArrowException, KeyError) as error:
        log.warning("%s/%s says nothing (%s); missing photos count from tonight", store.root, MEMORY, error)
        return _MEMORY.empty_table()


def remember(store: OutStore, found: pa.Table) -> None:
    """Keep the rows of `since` for the next night. Photos that are listed again are dropped."""
    sink = io.BytesIO()
    pq.write_table(found.select(_MEMORY.names), sink, compression="zstd")
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
    """The outputs that these items' rows name from before they were pruned: paths below OUT.

    Without those that a file system may take for an output of another item: `IMG` and `img` may be one file.
    """
    with sql.connection() as con:
        con.register("items", items)
        register(con, "committed", committed)
        found = con.sql(f"""
            WITH pruned AS (
                SELECT DISTINCT output, {sql.alike("output")} AS alike FROM (
                    SELECT output, row_id,
                        max(row_id) FILTER (status = '{REMOVED}') OVER (PARTITION BY item_id) AS pruned_at
                    FROM committed SEMI JOIN items USING (item_id)
                ) WHERE row_id < pruned_at AND output IS NOT NULL
            )
            SELECT output FROM pruned WHERE alike NOT IN (
                SELECT {sql.alike("output")} AS found FROM committed ANTI JOIN items USING (item_id)
                WHERE found IN (SELECT alike FROM pruned)
            ) ORDER BY output
        """)
        return [output for (output,) in found.fetchall()]
