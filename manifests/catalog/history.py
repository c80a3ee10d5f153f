"""Rows of earlier runs of a store, used to estimate duration."""

from __future__ import annotations

from collections.abc import Collection

import pyarrow as pa

from manifests.catalog.rows import Rows
from manifests.query import sql
from manifests.query.spool import register

COLUMNS = ("run_id", "device", "engine", "windows", "recipe", "seconds")
MOST = 2_000
"""Rows of one run that are looked at: enough for a mean."""


def recent_painted_rows(rows: Rows, by: Collection[str], never: Collection[str] = ()) -> pa.Table:
    """Restored photos of the newest run that painted any by such engines, `MOST` of them at most.

    Args:
        by: engines; a photo counts that one of them had a part in.
        never: engines that may have had no part in it.

    Returns:
        `COLUMNS`, all of one run; no row where there is no such run.
    """
    parts = "string_split(engine, '+')"
    mine = f"list_has_any({parts}, {_list(by)}) AND NOT list_has_any({parts}, {_list(never)})"
    own = "status = 'restored' AND reused_from IS NULL AND seconds.paint > 0"
    with sql.connection() as con:
        register(con, "committed", rows)
        query = f"SELECT * FROM committed WHERE {own} AND {mine}"
        newest = f"SELECT max(run_id) FROM ({query})"
        return con.sql(
            f"SELECT DISTINCT ON (row_id) {sql.names(COLUMNS)} FROM ({query}) "
            f"WHERE run_id = ({newest}) LIMIT {MOST}"
        ).to_arrow_table()


def _list(engines: Collection[str]) -> str:
    return f"CAST([{', '.join(map(sql.text, sorted(engines)))}] AS VARCHAR[])"
