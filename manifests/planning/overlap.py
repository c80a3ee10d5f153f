"""Whether originals and results share a folder."""

from __future__ import annotations

from manifests.catalog.rows import Rows
from manifests.query import sql
from manifests.query.spool import register


def image_inside(wanted: Rows, root: str) -> str | None:
    """The first image below the output store's root; None when there is none."""
    return _first(wanted, "starts_with(image, $root || '/')", root)


def image_beside(wanted: Rows, root: str) -> str | None:
    """The first image whose own folder holds the output store; None when there is none."""
    folder = "regexp_extract(image, '^(.*/)[^/]*$', 1)"
    return _first(wanted, f"{folder} <> '' AND starts_with($root || '/', {folder})", root)


def _first(wanted: Rows, condition: str, root: str) -> str | None:
    with sql.connection() as con:
        register(con, "manifest", wanted)
        query = f"SELECT image FROM manifest WHERE {condition} ORDER BY row LIMIT 1"
        found = con.sql(query, params={"root": root.rstrip("/")}).fetchall()
    return str(found[0][0]) if found else None
