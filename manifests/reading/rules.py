"""What every row of a manifest must keep to, checked over the whole table at once."""

from __future__ import annotations

from collections.abc import Container

import duckdb
import pyarrow as pa

from manifests.reading.faults import FAULTS_LISTED, Faults

REQUIRED = ("item_id", "image")

UNUSABLE = r"\?#*[]"
"""Characters that no id may hold, besides control characters: tools read them as syntax of paths and URLs."""

UNUSABLE_CLASS = "[" + "".join(f"\\{character}" for character in UNUSABLE) + "]"

# Ids name files below OUT/images, on every file system and object store alike.
ITEM_ID_FAULT = rf"""CASE
    WHEN item_id IS NULL THEN 'is empty'
    WHEN regexp_matches(item_id, '\p{{Cc}}') THEN 'holds a control character'
    WHEN regexp_matches(item_id, '{UNUSABLE_CLASS}|::') THEN 'holds one of \ ? # * [ ] or ::'
    WHEN regexp_matches(item_id, '^/|/$|//') THEN 'has an empty segment'
    WHEN regexp_matches(item_id, '(^|/)\.{{1,2}}(/|$)') THEN 'has a segment . or ..'
    WHEN nfc_normalize(item_id) <> item_id THEN 'is not in Unicode normal form NFC'
    WHEN strlen(item_id) > 700 THEN 'is longer than 700 bytes'
    WHEN strlen(item_id) > 200 AND list_max(
        list_transform(string_split(item_id, '/'), lambda segment: strlen(segment))
    ) > 200 THEN 'has a segment longer than 200 bytes'
END"""

BAD_IDS = f"SELECT row, item_id, {ITEM_ID_FAULT} AS fault FROM manifest WHERE fault IS NOT NULL"

# Hashes first: they are a third of the memory of the ids, and hardly any come twice.
DUPLICATES = """
    WITH twice AS (SELECT hash(item_id) AS hashed FROM manifest GROUP BY hashed HAVING count(*) > 1)
    SELECT min(row) AS row, item_id,
        'comes ' || count(*) || ' times: ' || array_to_string(list(row ORDER BY row)[:10], ', ')
            || if(count(*) > 10, ', …', '') AS fault
    FROM manifest WHERE hash(item_id) IN (FROM twice) AND item_id IS NOT NULL
    GROUP BY item_id HAVING count(*) > 1
"""

NO_IMAGE = "SELECT row, item_id, 'has no image' AS fault FROM manifest WHERE image IS NULL"


def check_rows(
    con: duckdb.DuckDBPyConnection, table: pa.Table, columns: Container[str], faults: Faults
) -> None:
    """Adds the faults of a normalised manifest's rows. `columns` are those that its file has."""
    con.register("manifest", table)
    for name in REQUIRED:
        if name not in columns and (len(table) or not faults.total):
            faults.add_once(f"column {name} is missing; every manifest has item_id and image")
    if "item_id" in columns:
        _add_found(con, faults, BAD_IDS)
        _add_found(con, faults, DUPLICATES)
    if "image" in columns:
        _add_found(con, faults, NO_IMAGE)


def _add_found(con: duckdb.DuckDBPyConnection, faults: Faults, query: str) -> None:
    found = con.sql(
        f"SELECT *, count(*) OVER () FROM ({query}) ORDER BY row LIMIT {FAULTS_LISTED}"
    ).fetchall()
    for row, item_id, fault, _ in found:
        faults.add(row, f"item_id {_shown(item_id)}{fault}")
    if found:
        faults.total += found[0][-1] - len(found)


def _shown(item_id: str | None) -> str:
    """An id as Python quotes it, so that what cannot be seen can be; cut where it is very long."""
    if item_id is None:
        return ""
    return f"{item_id!r} " if len(item_id) <= 100 else f"{item_id[:100]!r}… "
