"""What is the same is not painted again: rows of a run for pictures that an earlier run has made."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from datetime import datetime

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from manifests.catalog.rows import Rows
from manifests.query import sql
from manifests.query.spool import SpooledTable, register
from restore.errors import StorageConfigError
from restore.item import EXTRA_PREFIX
from restore.outcome import OUTCOME_SCHEMA, SET_AT_COMMIT, TOUCHED

_FROM_RUN = ("run_id", "started_at", "software_version")
_FROM_PLAN = (
    "item_id",
    "image",
    "image_version",
    "mask",
    "mask_version",
    "work_key",
    "reason",
    "reused_from",
)
_FROM_READING = (*_FROM_RUN, *_FROM_PLAN, "attempts", "seconds")
"""What the outcome of a touched photo says itself; all else is its former row's."""


def reused_outcomes(
    reused: Rows, committed: Rows, *, run_id: str, started_at: datetime, software_version: str
) -> pa.Table:
    """The earlier rows, repeated as rows of this run.

    Args:
        reused: `Plan.reused`: rows of the plan, each with the `row_id` it takes its picture from.

    Returns:
        Outcomes of `OUTCOME_SCHEMA` and the plan's `x_*`, without the columns that are set at commit.
    """
    extra = [name for name in reused.schema.names if name.startswith(EXTRA_PREFIX)]
    fields = [field for field in OUTCOME_SCHEMA if field.name not in SET_AT_COMMIT]
    schema = pa.schema([*fields, *(pa.field(name, pa.string()) for name in extra)])
    with sql.connection() as con:
        register(con, "reused", reused)
        register(con, "committed", committed)
        columns = ", ".join(_source(field.name) for field in schema)
        query = f"""
            SELECT {columns} FROM reused
            JOIN (SELECT DISTINCT ON (row_id) * FROM committed
                  WHERE row_id IN (SELECT reused_from FROM reused)) AS earlier
            ON reused.reused_from = earlier.row_id
        """
        values = {"run_id": run_id, "started_at": started_at, "software_version": software_version}
        return con.sql(query, params=values).to_arrow_table().cast(schema)


def _source(column: str) -> str:
    if column in _FROM_RUN:
        return f"${column} AS {column}"
    if column == "seconds":  # nothing was painted: the time is the earlier row's
        return "NULL AS seconds"
    return _either(column, "reused", _FROM_PLAN)


def _either(column: str, newer: str, own: Collection[str]) -> str:
    table = newer if column in own or column not in OUTCOME_SCHEMA.names else "earlier"
    return f"{table}.{sql.name(column)} AS {sql.name(column)}"


def completed(stream: Iterable[pa.Table], todo: SpooledTable, committed: Rows) -> Iterator[pa.Table]:
    """A run's stream of outcomes, those of touched photos filled in from the rows that they point at.

    Args:
        todo: `Plan.todo`, which names all rows that may be pointed at.

    Raises:
        StorageConfigError: when such a row is missing since the run was planned.
    """
    with sql.connection() as con:
        known = False
        for outcomes in stream:
            is_touched = pc.equal(outcomes["reason"], TOUCHED)
            if not pc.any(is_touched).as_py():
                yield outcomes
                continue
            if not known:
                _keep_formers(con, todo, committed)
                known = True
            filled = _fill_from_former(con, outcomes.filter(is_touched))
            yield pa.concat_tables([outcomes.filter(pc.invert(is_touched)), filled])


def _keep_formers(con: duckdb.DuckDBPyConnection, todo: SpooledTable, committed: Rows) -> None:
    """One look at the committed rows for all photos: a look for each would take the night."""
    register(con, "todo", todo)
    register(con, "committed", committed)
    con.execute("""
        CREATE TEMP TABLE formers AS SELECT DISTINCT ON (row_id) * FROM committed
        WHERE row_id IN (SELECT former FROM todo WHERE former IS NOT NULL)
    """)


def _fill_from_former(con: duckdb.DuckDBPyConnection, outcomes: pa.Table) -> pa.Table:
    """The outcomes of touched photos, whole. `outcomes` may have columns that no row has: their own."""
    columns = ", ".join(_either(name, "outcomes", _FROM_READING) for name in outcomes.schema.names)
    con.register("outcomes", outcomes)
    filled = con.sql(f"""
        SELECT {columns} FROM outcomes JOIN formers AS earlier ON outcomes.reused_from = earlier.row_id
    """).to_arrow_table()
    con.unregister("outcomes")
    if filled.num_rows < outcomes.num_rows:
        missing = set(outcomes["item_id"].to_pylist()) - set(filled["item_id"].to_pylist())
        raise StorageConfigError(
            f"the committed row of {min(missing)!r} is missing since this run was planned; run it again"
        )
    return filled.cast(outcomes.schema)
