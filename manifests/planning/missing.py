"""Planned rows whose files a listing did not find, or that name no mask."""

from __future__ import annotations

from collections.abc import Iterator

from manifests.catalog.rows import Rows
from manifests.query import sql
from manifests.query.spool import register
from manifests.reading.invalid import BATCH_ROWS, InvalidRow
from restore.errors import ErrorCode
from restore.recipe import Recipe


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
