"""What the archive shows and the manifest no longer names."""

from __future__ import annotations

import pyarrow as pa

from manifests import sql
from manifests.committed import SUCCESS, Rows
from manifests.spool import register


def removed(wanted: Rows, committed: Rows) -> pa.Table:
    """Items that have a picture and are not in the manifest.

    Returns:
        One column, `item_id`, sorted.
    """
    with sql.connection() as con:
        register(con, "manifest", wanted)
        register(con, "committed", committed)
        return con.sql(f"""
            SELECT DISTINCT item_id FROM committed ANTI JOIN manifest USING (item_id)
            WHERE status IN {sql.texts(SUCCESS)} ORDER BY item_id
        """).to_arrow_table()
