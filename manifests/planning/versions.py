"""The store's present versions of a manifest's photos and masks, wherever the manifest gives none."""

from __future__ import annotations

from typing import TypeAlias

import duckdb
import pyarrow as pa

from manifests.query import sql
from manifests.query.spool import SpooledTable, register, spool
from restore.errors import ItemError
from restore.storage import versions
from restore.storage.access import AccessPolicy

Given: TypeAlias = pa.Table | SpooledTable
"""Rows of a manifest as it was given: `Manifest.table`, or the same kept on disk by `as_given`."""

IN_PRIORITY = "priority DESC NULLS LAST, row"
"""SQL: the order of rows in a plan, but for those that failed before."""

_WITHOUT_VERSION = "image_version IS NULL OR (mask IS NOT NULL AND mask_version IS NULL)"


def as_given(rows: pa.Table) -> SpooledTable:
    """The rows of a manifest, kept on disk as they are."""
    with sql.connection() as con:
        register(con, "manifest", rows)
        return spool(con, "FROM manifest ORDER BY row", rows.schema)


def without_version(rows: Given) -> int:
    """How many rows lack a version that a store would have to be asked for."""
    with sql.connection() as con:
        register(con, "manifest", rows)
        found = con.sql(f"SELECT count(*) FROM manifest WHERE {_WITHOUT_VERSION}").fetchall()
    return int(found[0][0])


def fill_versions(rows: Given, policy: AccessPolicy, first: int | None = None) -> SpooledTable:
    """The manifest's rows with the store's present version wherever none was given.

    Adds `image_pinned` and `mask_pinned`: whether a person gave the version, and no listing. An object that
    does not exist, or that `policy` does not let us look at, keeps a null version.

    Args:
        first: only this many rows, the first ones `IN_PRIORITY`.
    """
    with sql.connection() as con:
        register(con, "given", rows)
        limit = "" if first is None else f"ORDER BY {IN_PRIORITY} LIMIT {int(first)}"
        con.execute(f"CREATE TEMP VIEW manifest AS FROM given {limit}")
        con.register("found", _found(con, policy))
        query = """
            SELECT manifest.* REPLACE (
                    coalesce(image_version, of_image.value) AS image_version,
                    if(mask IS NULL, NULL, coalesce(mask_version, of_mask.value)) AS mask_version),
                image_version IS NOT NULL AND NOT image_listed AS image_pinned,
                mask IS NOT NULL AND mask_version IS NOT NULL AND NOT mask_listed AS mask_pinned
            FROM manifest
                LEFT JOIN found AS of_image ON of_image.key = image
                LEFT JOIN found AS of_mask ON of_mask.key = mask
            ORDER BY row
        """
        pinned = [pa.field(name, pa.bool_(), nullable=False) for name in ("image_pinned", "mask_pinned")]
        return spool(con, query, pa.schema([*rows.schema, *pinned]))


def _found(con: duckdb.DuckDBPyConnection, policy: AccessPolicy) -> pa.Table:
    """`key` and `value`: the URIs without a version, each with that of its store."""
    unknown = con.sql("""
        SELECT image FROM manifest WHERE image_version IS NULL
        UNION SELECT mask FROM manifest WHERE mask_version IS NULL AND mask IS NOT NULL
    """).to_arrow_table()
    found = versions([uri for uri in unknown["image"].to_pylist() if _allowed(uri, policy)])
    columns = [pa.array(found.keys(), pa.string()), pa.array(found.values(), pa.string())]
    return pa.Table.from_arrays(columns, ["key", "value"])


def _allowed(uri: str, policy: AccessPolicy) -> bool:
    try:
        policy.check(uri)
    except ItemError:
        return False  # said in its own row, when its turn comes
    return True
