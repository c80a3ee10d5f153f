"""Rows whose recipe columns do not make a recipe: known from the manifest alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from manifests.query import sql
from manifests.query.spool import SpooledTable, register
from restore.errors import ErrorCode, ItemError
from restore.recipe import Recipe, with_overrides

BATCH_ROWS = 10_000


@dataclass(frozen=True, slots=True)
class InvalidRow:
    """A row whose photo would fail.

    Attributes:
        row: its line or number in the manifest; 0 where that is not known.
        code: the error code that its metadata row would carry.
    """

    row: int
    item_id: str
    code: str
    message: str


def invalid_overrides(wanted: SpooledTable | pa.Table, recipe: Recipe) -> Iterator[InvalidRow]:
    """Rows whose recipe columns do not make a recipe: the check that the run itself makes.

    Each distinct set of columns is checked once.
    """
    with sql.connection() as con:
        register(con, "manifest", wanted)
        distinct = con.sql("SELECT DISTINCT overrides FROM manifest WHERE overrides <> '{}'")
        faults = [
            {"overrides": text, "message": message}
            for batch in distinct.to_arrow_reader(BATCH_ROWS)
            for text in batch["overrides"].to_pylist()
            if (message := _fault(recipe, text))
        ]
        if not faults:
            return
        schema = pa.schema([("overrides", pa.string()), ("message", pa.string())])
        con.register("faults", pa.Table.from_pylist(faults, schema))
        row = "row" if "row" in wanted.schema.names else "0"
        query = (
            f"SELECT {row} AS row, item_id, message FROM manifest JOIN faults USING (overrides) ORDER BY row"
        )
        for batch in con.sql(query).to_arrow_reader(BATCH_ROWS):
            for found in batch.to_pylist():
                yield InvalidRow(found["row"], found["item_id"], ErrorCode.INVALID_ROW, found["message"])


def _fault(recipe: Recipe, overrides: str) -> str | None:
    try:
        with_overrides(recipe, json.loads(overrides))
    except ItemError as error:
        return error.message
    return None
