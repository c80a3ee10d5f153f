"""Planned rows whose files a listing did not find, or that name no mask."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from manifests.catalog.rows import Rows
from manifests.query import sql
from manifests.query.spool import register
from manifests.reading.invalid import BATCH_ROWS, InvalidRow
from restore.errors import ErrorCode, ItemError
from restore.recipe import Mode, Recipe
from restore.storage import AccessPolicy


def missing_inputs(
    todo: Rows, recipe: Recipe, copy_unmasked: bool, policy: AccessPolicy
) -> Iterator[InvalidRow]:
    """Planned rows whose image or mask the listing did not find, or that name no mask.

    Args:
        todo: planned rows with the versions that were found. A null version of an http URL says nothing.
        policy: what it does not allow was not looked for, and fails as `storage_denied`.
    """
    with sql.connection() as con:
        register(con, "todo", todo)
        for batch in con.sql(_missing(recipe, copy_unmasked)).to_arrow_reader(BATCH_ROWS):
            for found in batch.to_pylist():
                denied = _denied(found["uri"], policy)
                code, message = (denied.code, denied.message) if denied else (found["code"], found["message"])
                yield InvalidRow(0, found["item_id"], code, message)


def _denied(uri: str | None, policy: AccessPolicy) -> ItemError | None:
    """Why the policy does not allow a file; None where it does, or where there is none."""
    if uri is None:
        return None
    try:
        policy.check(uri)
    except ItemError as error:
        return error
    return None


_UNMASKED: Mapping[Mode, str] = MappingProxyType(
    {
        "inpaint": "the row names no mask",
        "outpaint": "the row names no mask, and expand adds no margin that could be painted",
    }
)


def _missing(recipe: Recipe, copy_unmasked: bool) -> str:
    listed = "NOT regexp_matches({0}, '^https?://')"
    unmasked = str(not copy_unmasked and not any(recipe.margins)).lower()
    return f"""
        SELECT item_id, uri, code, message FROM (
            SELECT item_id, if(image_version IS NULL AND {listed.format("image")}, image, mask) AS uri, CASE
                WHEN image_version IS NULL AND {listed.format("image")} THEN '{ErrorCode.IMAGE_NOT_FOUND}'
                WHEN mask IS NULL AND {unmasked} AND NOT contains(overrides, '"expand":')
                    THEN '{ErrorCode.MASK_NOT_FOUND}'
                WHEN mask IS NOT NULL AND mask_version IS NULL AND {listed.format("mask")}
                    THEN '{ErrorCode.MASK_NOT_FOUND}'
            END AS code, CASE
                WHEN image_version IS NULL AND {listed.format("image")}
                    THEN image || ' is not there, or may not be read'
                WHEN mask IS NULL THEN {sql.text(_UNMASKED[recipe.mode])}
                ELSE mask || ' is not there, or may not be read'
            END AS message FROM todo
        ) WHERE code IS NOT NULL
    """
