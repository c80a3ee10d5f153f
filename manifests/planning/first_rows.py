"""The plan of few rows of many: versions are looked up as far as they decide which rows come first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from manifests.catalog.rows import Rows
from manifests.planning.plan import NOT_LOOKED_UP, Plan
from manifests.planning.versions import Given, fill_versions, without_version
from manifests.query import sql
from manifests.query.spool import SpooledTable, register
from restore.storage.access import AccessPolicy

FIRST_ROWS = 1_000
"""Rows whose versions are looked up at first. A smaller manifest gains nothing by a limit."""

GROWTH = 8
"""How many times as many rows the next look-up takes. Each one compares its rows anew."""


def plan_first(given: Given, policy: AccessPolicy, limit: int, compare: Callable[[Rows], Plan]) -> Plan:
    """The same rows to do as a plan of all rows with this limit has, from as few look-ups as it takes.

    A row of the same priority that failed before waits for all that did not. So the plan is known once
    `limit` rows were found that none of those not looked up can precede. Of the rest only the number is
    known: `NOT_LOOKED_UP` counts them, done ones among them.

    Args:
        given: the manifest's rows, as it was given.
        compare: the plan of rows with versions, with the limit.
    """
    rows = given.num_rows
    for size in _sizes(rows, limit) if without_version(given) > FIRST_ROWS else [rows]:
        wanted = fill_versions(given, policy, first=size)
        found = compare(wanted)
        if size == rows or (found.todo.num_rows == limit and not _may_wait(found.todo, wanted)):
            break
    rest = {NOT_LOOKED_UP: rows - size} if size < rows else {}
    return replace(found, counts={**found.counts, **rest})


def _sizes(rows: int, limit: int) -> Iterator[int]:
    size = max(FIRST_ROWS, limit)
    while size < rows:
        yield size
        size *= GROWTH
    yield rows


def _may_wait(todo: SpooledTable, wanted: SpooledTable) -> bool:
    """Whether a planned row comes after rows that were not looked up: it failed before, and has the lowest
    priority of those that were."""
    with sql.connection() as con:
        register(con, "todo", todo)
        register(con, "wanted", wanted)
        found = con.sql("""
            SELECT 1 FROM todo JOIN wanted USING (item_id)
            WHERE attempts > 0 AND priority IS NOT DISTINCT FROM (
                SELECT priority FROM wanted ORDER BY priority NULLS FIRST LIMIT 1
            ) LIMIT 1
        """)
        return bool(found.fetchall())
