"""What is wanted against what is committed: which photos to do, and why each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import duckdb
import pyarrow as pa

from manifests.catalog.rows import SHOWS, SUCCESS, Rows
from manifests.query import sql
from manifests.query.spool import SpooledTable, register, spool
from restore.errors import FIT_MASKS, ErrorCode
from restore.identity import PIPELINE_VERSION
from restore.item import EXTRA_PREFIX, PLAN_SCHEMA
from restore.outcome import REMOVED

RETRIED = (
    ErrorCode.STORAGE_DENIED,
    ErrorCode.STORAGE_UNAVAILABLE,
    ErrorCode.CHANGED_DURING_RUN,
)
"""Failures that a later run tries again by itself, however often."""

RETRIED_ONCE = (ErrorCode.WORKER_CRASHED, ErrorCode.TIMED_OUT)
"""Failures that may have been bad luck: a later run tries them once more."""

DONE, REUSED, FAILED_BEFORE, OVER_LIMIT = "done", "reused", "failed_before", "over_limit"
NOT_LOOKED_UP = "not_looked_up"  # behind the limit, and of unknown version
NOT_PAINTED = (DONE, REUSED, FAILED_BEFORE)

MIXED_FROM_ROWS = 40
"""Planned rows of one priority from which on every fourth is taken from elsewhere."""

FIRST = 10
"""Number of rows named for each reason."""

NAMES_ENGINE = "contains(overrides, '\"engine\":')"  # or a prompt has these words; parsing JSON is dear
NAMED_ENGINE = "json_extract_string(overrides, '$.engine')"

INPUTS = ("image_version", "mask_version", "overrides", "recipe_hash", "engine_hash", "pipeline_version")


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run sets out to do.

    Attributes:
        todo: rows to restore, of `PLAN_SCHEMA` and the manifest's `x_*`, in the order to do them. One
            whose inputs have new versions only is named its `former` row: its bytes may be the same.
        reused: rows whose picture an earlier row has, though the item's current picture is another;
            columns as `todo` and `reused_from`, the `row_id` of that earlier row.
        counts: manifest rows per reason, those that are skipped among them.
        first: for each reason but `done`, the ids of its first rows in the manifest.
    """

    todo: SpooledTable
    reused: SpooledTable
    counts: Mapping[str, int]
    first: Mapping[str, Sequence[str]]


def plan(
    wanted: Rows,
    committed: Rows,
    *,
    recipe_hash: str,
    engine_hashes: Mapping[str, str],
    engine: str,
    retry_failed: bool = False,
    copy_unmasked: bool = False,
    fit_masks: bool = False,
    limit: int | None = None,
) -> Plan:
    """Compares the manifest with the committed rows.

    Args:
        wanted: the manifest with its versions, from `versions.fill_versions`.
        committed: from `committed.committed_rows`, or a table of `OUTCOME_SCHEMA`.
        engine_hashes: hash of each engine by the name a recipe gives it, "auto" included.
        engine: the recipe's engine, for the rows that name none.
        retry_failed: do all failed rows again.
        copy_unmasked: rows without a mask, which failed for that, are wanted as copies now.
        fit_masks: rows whose mask has the photo's shape and another size are tried again.
        limit: plan at most this many rows; the rest are counted as `over_limit`.
    """
    extra = [name for name in wanted.schema.names if name.startswith(EXTRA_PREFIX)]
    with sql.connection() as con:
        register(con, "manifest", wanted)
        register(con, "committed", committed)
        wanted_now = _WANTED.format(
            recipe_hash=sql.text(recipe_hash), engine_hash=_engine_hash(engine_hashes, engine)
        )
        con.execute(_changed_rows(wanted_now))
        con.execute(_open_rows(wanted_now))
        con.execute(HISTORY)
        con.execute(_decided(retry_failed, copy_unmasked, fit_masks))
        con.execute(FORMER)
        todo = _todo(con, extra, limit)
        return Plan(todo, _reused(con, extra), _counts(con, todo), _first(con))


def named_engines(wanted: Rows) -> set[str]:
    """The engines that rows of a manifest name for themselves."""
    with sql.connection() as con:
        register(con, "manifest", wanted)
        found = con.sql(f"SELECT DISTINCT {NAMED_ENGINE} FROM manifest WHERE {NAMES_ENGINE}")
        return {name for (name,) in found.fetchall() if name is not None}


def work_key() -> str:
    """SQL of `restore.identity.work_key`, from columns named as its arguments and `pipeline_version`."""
    members = [
        "'\"v1\"'",
        *map(sql.json_text, ("image_version", "mask_version", "recipe_hash")),
        "overrides",  # canonical JSON already
        "pipeline_version",
        sql.json_text("engine_hash"),
    ]
    return "sha256('[' || " + " || ',' || ".join(members) + " || ']')"


def _engine_hash(hashes: Mapping[str, str], engine: str) -> str:
    """SQL: the hash of the engine that a row names, else of the recipe's. An unknown name stands for
    itself: that row fails as `invalid_row`, and must do so under a key of its own."""
    cases = " ".join(f"WHEN {sql.text(name)} THEN {sql.text(value)}" for name, value in hashes.items())
    return (
        f"(CASE WHEN NOT {NAMES_ENGINE} OR {NAMED_ENGINE} IS NULL "
        f"THEN {sql.text(hashes[engine])} ELSE CASE {NAMED_ENGINE} {cases} ELSE {NAMED_ENGINE} END END)"
    )


_MADE = f"hash(item_id, {sql.names(INPUTS)}, {{pruned}})"
# A row_id as a number; as a text it would take most of the memory. Six digits of the epoch, and a part's
# number that may outgrow its five.
_IN_TIME = "TRY_CAST(row_id[:6] AS BIGINT) * 1000000000000 + TRY_CAST(replace(row_id[8:], '-', '') AS BIGINT)"

_WANTED = f"""
    SELECT row, item_id, image_version, mask_version, overrides,
        image_pinned OR mask_pinned AS pinned, mask IS NULL AS unmasked,
        {{recipe_hash}} AS recipe_hash, {{engine_hash}} AS engine_hash,
        {PIPELINE_VERSION}::INTEGER AS pipeline_version
    FROM manifest
"""


def _changed_rows(wanted: str) -> str:
    """Numbers of the rows worth a closer look: all but those whose current picture has the same inputs.

    Items and inputs are identified by 64 bits each, so that a row takes a few bytes and ten million fit
    into memory. Two items of one hash are both looked at: their inputs' hashes, which hold the item's own
    name, differ.
    """
    pruned = f"status = '{REMOVED}'"
    return f"""
        CREATE TEMP TABLE changed AS
        WITH current AS (
            SELECT hash(item_id) AS item, arg_max({_MADE.format(pruned=pruned)}, {_IN_TIME}) AS made
            FROM committed WHERE status IN {sql.texts(SHOWS)} GROUP BY item
        )
        SELECT row FROM (
            SELECT row, hash(item_id) AS item, {_MADE.format(pruned=False)} AS made FROM ({wanted})
        ) ANTI JOIN current USING (item, made)
    """


def _open_rows(wanted: str) -> str:
    """Those rows with a work key each. In a nightly run they are a few of millions, and sha256 is dear."""
    return f"""
        CREATE TEMP TABLE open AS
        SELECT *, {work_key()} AS work_key FROM ({wanted}) WHERE row IN (SELECT row FROM changed)
    """


# A listing has no references, so a missing one is not retried.
_OF_REFERENCE = f"error_code = '{ErrorCode.IMAGE_NOT_FOUND}'"
_OF_REFERENCE += " AND starts_with(coalesce(error_message, ''), 'the reference: ')"

_FITS = "mask_fits"
"""A mask of another size which the setting fit_masks mends."""
_CAN_BE_FITTED = f"error_code = '{ErrorCode.MASK_SIZE_MISMATCH}'"
_CAN_BE_FITTED += f" AND contains(coalesce(error_message, ''), {sql.text(FIT_MASKS)})"

# All that ever became of the open rows, each compared with what is wanted now. Keys are matched within an
# item: equal files have equal ETags, and so equal keys, but names and seeds come from the item.
HISTORY = f"""
    CREATE TEMP TABLE history AS
    SELECT row, row_id, status IN {sql.texts(SUCCESS)} AS success, status = '{REMOVED}' AS pruned,
        CASE WHEN {_OF_REFERENCE} THEN 'reference_not_found' WHEN {_CAN_BE_FITTED} THEN '{_FITS}'
            ELSE error_code END AS error_code,
        past.work_key = open.work_key AS same,
        past.recipe_hash = open.recipe_hash AND past.overrides = open.overrides
            AND past.engine_hash IS NOT DISTINCT FROM open.engine_hash
            AND past.pipeline_version = open.pipeline_version AS made_alike,
        CASE
            WHEN past.image_version IS DISTINCT FROM open.image_version THEN 'image_changed'
            WHEN past.mask_version IS DISTINCT FROM open.mask_version THEN 'mask_changed'
            WHEN past.recipe_hash <> open.recipe_hash THEN 'recipe_changed'
            WHEN past.overrides <> open.overrides THEN 'overrides_changed'
            WHEN past.engine_hash IS DISTINCT FROM open.engine_hash THEN 'engine_changed'
            WHEN past.pipeline_version <> open.pipeline_version THEN 'pipeline_changed'
            ELSE 'new'
        END AS difference
    FROM committed AS past JOIN open USING (item_id)
"""


def _decided(retry_failed: bool, copy_unmasked: bool, fit_masks: bool) -> str:
    """The reason of every open row. Rows are counted by `row_id`: a compacted one may come twice.

    An item's history begins anew after its pictures were pruned.
    """
    return f"""
        CREATE TEMP TABLE decided AS
        WITH pruned AS (
            SELECT row, max(row_id) AS pruned_at FROM history WHERE pruned GROUP BY row
        ), living AS (
            SELECT history.* FROM history LEFT JOIN pruned USING (row)
            WHERE pruned_at IS NULL OR row_id > pruned_at
        ), earlier AS (
            SELECT row,
                max(row_id) FILTER (same AND success) AS reused_from,
                max(row_id) FILTER (success) AS current,
                arg_max(made_alike, row_id) FILTER (success) AS made_alike,
                count(DISTINCT row_id) FILTER (same AND NOT success) AS failures,
                count(DISTINCT row_id) FILTER (same AND error_code IN {sql.texts(RETRIED_ONCE)}) AS crashes,
                arg_max(error_code, row_id) FILTER (same AND NOT success) AS last_code,
                arg_max(difference, row_id) AS difference
            FROM living GROUP BY row
        )
        SELECT row, work_key, reused_from, coalesce(failures, 0) AS attempts,
            if(made_alike AND reused_from IS NULL, current, NULL) AS former,
            CASE
                WHEN reused_from = current THEN '{DONE}'
                WHEN reused_from IS NOT NULL THEN '{REUSED}'
                WHEN failures > 0 THEN {_after_failure(retry_failed, copy_unmasked, fit_masks)}
                ELSE coalesce(difference, 'new')
            END AS reason
        FROM open LEFT JOIN earlier USING (row)
    """


def _after_failure(retry_failed: bool, copy_unmasked: bool, fit_masks: bool) -> str:
    """SQL: whether a picture that failed before is tried again."""
    given_up = "retry_failed" if retry_failed else FAILED_BEFORE
    pinned_change = (
        f"last_code = '{ErrorCode.CHANGED_DURING_RUN}' AND pinned"  # a pin does not move by itself
    )
    unmasked = f"{str(copy_unmasked).lower()} AND last_code = '{ErrorCode.MASK_NOT_FOUND}' AND unmasked"
    # The listing had it and reading did not: the store may have it again under that version.
    listed = f"""NOT pinned AND (
        last_code = '{ErrorCode.IMAGE_NOT_FOUND}' AND open.image_version IS NOT NULL
        OR last_code = '{ErrorCode.MASK_NOT_FOUND}' AND open.mask_version IS NOT NULL)"""
    return f"""CASE
                    WHEN {unmasked} THEN 'retry'
                    WHEN {str(fit_masks).lower()} AND last_code = '{_FITS}' THEN 'retry'
                    WHEN {listed} THEN 'retry'
                    WHEN {pinned_change} THEN '{given_up}'
                    WHEN last_code IN {sql.texts(RETRIED)} THEN 'retry'
                    WHEN last_code IN {sql.texts(RETRIED_ONCE)} AND crashes = 1 THEN 'retry'
                    ELSE '{given_up}'
                END"""


# What the photos were whose inputs alone have new versions: a file that is uploaded again may be the same.
FORMER = """
    CREATE TEMP TABLE formers AS
    SELECT row_id AS former, any_value(image_sha256) AS former_image_sha256,
        any_value(mask_sha256) AS former_mask_sha256
    FROM committed WHERE row_id IN (SELECT former FROM decided WHERE former IS NOT NULL) GROUP BY row_id
"""


def _todo(con: duckdb.DuckDBPyConnection, extra: list[str], limit: int | None) -> SpooledTable:
    """The rows to restore. Of one priority those come first that failed least often: photos that fail every
    night must not keep others from their turn."""
    schema = _plan_schema(extra)
    first = "" if limit is None else f"LIMIT {int(limit)}"
    query = f"""
        SELECT {sql.names(schema.names)} FROM (
            SELECT *, row_number() OVER same_priority - 1 AS place,
                count(*) OVER (PARTITION BY priority) AS places
            FROM (
                FROM manifest JOIN decided USING (row) LEFT JOIN formers USING (former)
                WHERE reason NOT IN {sql.texts(NOT_PAINTED)}
                ORDER BY priority DESC NULLS LAST, attempts, row {first}
            ) WINDOW same_priority AS (PARTITION BY priority ORDER BY attempts, row)
        ) ORDER BY priority DESC NULLS LAST, {_MIXED}, attempts, row
    """
    return spool(con, query, schema)


# Three of four rows stay in the manifest's order. The fourth is drawn from anywhere: multiples of the golden
# ratio fall evenly over the whole. So twenty rows in a row hold some from further on, and a box of bad photos
# at one place does not look like a broken world. Few rows stay as they are.
_MIXED = f"""
    CASE WHEN places < {MIXED_FROM_ROWS} OR place % 4 < 3 THEN place
    ELSE (place // 4) * 0.6180339887498949 % 1 * places END
"""


def _reused(con: duckdb.DuckDBPyConnection, extra: list[str]) -> SpooledTable:
    schema = _plan_schema(extra).append(pa.field("reused_from", pa.string(), nullable=False))
    query = f"""
        SELECT {sql.names(schema.names)}
        FROM manifest JOIN decided USING (row) LEFT JOIN formers USING (former)
        WHERE reason = '{REUSED}' ORDER BY row
    """
    return spool(con, query, schema)


def _plan_schema(extra: list[str]) -> pa.Schema:
    return pa.schema([*PLAN_SCHEMA, *(pa.field(name, pa.string()) for name in extra)])


def _counts(con: duckdb.DuckDBPyConnection, todo: SpooledTable) -> dict[str, int]:
    register(con, "todo", todo)
    counted = con.sql(f"""
        SELECT reason, count(*) FROM todo GROUP BY reason
        UNION ALL
        SELECT '{DONE}', (SELECT count(*) FROM manifest) - (SELECT count(*) FROM open)
            + (SELECT count(*) FROM decided WHERE reason = '{DONE}')
        UNION ALL
        SELECT reason, count(*) FROM decided WHERE reason IN ('{REUSED}', '{FAILED_BEFORE}') GROUP BY reason
        UNION ALL
        SELECT '{OVER_LIMIT}', count(*) - {todo.num_rows} FROM decided
        WHERE reason NOT IN {sql.texts(NOT_PAINTED)}
    """)
    return {reason: count for reason, count in counted.fetchall() if count}


def _first(con: duckdb.DuckDBPyConnection) -> dict[str, list[str]]:
    found = con.sql(f"""
        WITH first AS (
            SELECT reason, unnest(min(row, {FIRST})) AS row FROM decided
            WHERE reason <> '{DONE}' GROUP BY reason
        )
        SELECT reason, list(item_id ORDER BY row) FROM first JOIN manifest USING (row) GROUP BY reason
    """)
    return dict(found.fetchall())
