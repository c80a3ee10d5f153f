"""Going back paints nothing: the rows of a run for pictures that an earlier run has made."""

from __future__ import annotations

from datetime import datetime

import pyarrow as pa

from manifests import sql
from manifests.committed import Rows
from restore.item import EXTRA_PREFIX
from restore.outcome import OUTCOME_SCHEMA, SET_AT_COMMIT

_FROM_RUN = ("run_id", "started_at", "software_version")
_FROM_PLAN = ("item_id", "image", "image_version", "mask", "mask_version", "reason", "reused_from")


def reused_outcomes(
    reused: pa.Table, committed: Rows, *, run_id: str, started_at: datetime, software_version: str
) -> pa.Table:
    """The earlier rows, told again by this run.

    Args:
        reused: `Plan.reused`: rows of the plan, each with the `row_id` it takes its picture from.

    Returns:
        Outcomes of `OUTCOME_SCHEMA` and the plan's `x_*`, without the columns that are set at commit.
    """
    extra = [name for name in reused.schema.names if name.startswith(EXTRA_PREFIX)]
    fields = [field for field in OUTCOME_SCHEMA if field.name not in SET_AT_COMMIT]
    schema = pa.schema([*fields, *(pa.field(name, pa.string()) for name in extra)])
    with sql.connection() as con:
        con.register("reused", reused)
        con.register("committed", committed)
        columns = ", ".join(_source(field.name) for field in schema)
        query = f"""
            SELECT {columns} FROM reused
            JOIN (SELECT DISTINCT ON (row_id) * FROM committed
                  WHERE row_id IN (SELECT reused_from FROM reused)) AS earlier
            ON reused.reused_from = earlier.row_id
        """
        told = {"run_id": run_id, "started_at": started_at, "software_version": software_version}
        return con.sql(query, params=told).to_arrow_table().cast(schema)


def _source(column: str) -> str:
    if column in _FROM_RUN:
        return f"${column} AS {column}"
    if column == "seconds":  # nothing was painted: the time is the earlier row's
        return "NULL AS seconds"
    table = "reused" if column in _FROM_PLAN or column not in OUTCOME_SCHEMA.names else "earlier"
    return f"{table}.{sql.name(column)} AS {sql.name(column)}"
