"""Rows of a manifest that a run would fail, as far as can be known before any file is read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from manifests.catalog.rows import Rows
from manifests.query import sql
from manifests.query.spool import register
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


def invalid_overrides(wanted: Rows, recipe: Recipe) -> Iterator[InvalidRow]:
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


def missing_inputs(todo: Rows, recipe: Recipe, copy_unmasked: bool) -> Iterator[InvalidRow]:
    """Planned rows whose image or mask the listing did not find, or that name no mask.

    Args:
        todo: planned rows with the versions that were found. A null version of an http URL says nothing.
    """
    with sql.connection() as con:
        register(con, "todo", todo)
        for batch in con.sql(_missing(recipe, copy_unmasked)).to_arrow_reader(BATCH_ROWS):
            for found in batch.to_pylist():
                yield InvalidRow(0, found["item_id"], found["code"], found["message"])


def _missing(recipe: Recipe, copy_unmasked: bool) -> str:
    listed = "NOT regexp_matches({0}, '^https?://')"
    unmasked = str(not copy_unmasked and not any(recipe.margins)).lower()
    return f"""
        SELECT item_id, code, message FROM (
            SELECT item_id, CASE
                WHEN image_version IS NULL AND {listed.format("image")} THEN '{ErrorCode.IMAGE_NOT_FOUND}'
                WHEN mask IS NULL AND {unmasked} AND NOT contains(overrides, '"expand":')
                    THEN '{ErrorCode.MASK_NOT_FOUND}'
                WHEN mask IS NOT NULL AND mask_version IS NULL AND {listed.format("mask")}
                    THEN '{ErrorCode.MASK_NOT_FOUND}'
            END AS code, CASE
                WHEN image_version IS NULL AND {listed.format("image")}
                    THEN image || ' is not there, or may not be read'
                WHEN mask IS NULL THEN 'the row names no mask'
                ELSE mask || ' is not there, or may not be read'
            END AS message FROM todo
        ) WHERE code IS NOT NULL
    """
