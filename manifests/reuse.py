"""Going back paints nothing, nor does the same bytes anew: rows for pictures that an earlier run has made."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from manifests import sql
from manifests.committed import Rows
from restore.item import EXTRA_PREFIX
from restore.outcome import OUTCOME_SCHEMA, SET_AT_COMMIT

_FROM_RUN = ("run_id", "started_at", "software_version")
_VERSIONS = ("image", "image_version", "mask", "mask_version")
_FROM_PLAN = ("item_id", *_VERSIONS, "reason", "reused_from", "work_key")


@dataclass(frozen=True, slots=True)
class Teller:
    """The run that tells rows again, as they name it."""

    run_id: str
    started_at: datetime
    software_version: str


def reused_outcomes(reused: pa.Table, committed: Rows, teller: Teller) -> pa.Table:
    """The earlier rows, told again by this run.

    Args:
        reused: `Plan.reused`, or outcomes of photos that were only touched: each with the `row_id` it takes
            its picture from.

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
        return con.sql(query, params=asdict(teller)).to_arrow_table().cast(schema)


def _source(column: str) -> str:
    if column in _FROM_RUN:
        return f"${column} AS {column}"
    if column == "seconds":  # nothing was painted: the time is the earlier row's
        return "NULL AS seconds"
    table = "reused" if column in _FROM_PLAN or column not in OUTCOME_SCHEMA.names else "earlier"
    return f"{table}.{sql.name(column)} AS {sql.name(column)}"


def retold(outcomes: Iterable[pa.Table], committed: ds.Dataset, teller: Teller) -> Iterator[pa.Table]:
    """The stream with photos that were only touched told as their former pictures, without small ones.

    Args:
        committed: every row of before this run. Only the parts that hold a former row are read.
    """
    for table in outcomes:
        touched = table.filter(pc.is_valid(table["reused_from"]))
        if not touched.num_rows:
            yield table
            continue
        former = committed.to_table(filter=_among(touched["reused_from"]))
        rest = table.filter(pc.is_null(table["reused_from"]))
        told_again = reused_outcomes(touched, former, teller)
        yield pa.concat_tables([rest, told_again], promote_options="default")


def _among(row_ids: pa.ChunkedArray) -> pc.Expression:
    """Rows with these ids. The bounds let parts be passed over by their statistics."""
    first, last = pc.min_max(row_ids).as_py().values()
    field = ds.field("row_id")
    return (field >= first) & (field <= last) & field.isin(row_ids.combine_chunks())
