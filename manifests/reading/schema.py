"""A manifest, read, checked and brought to one shape, whatever file it came in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from manifests.query import sql
from manifests.reading.chunks import Chunk
from manifests.reading.faults import Faults
from manifests.reading.formats import read_chunks
from manifests.reading.limits import Total
from manifests.reading.rules import REQUIRED, check_rows
from restore.errors import ItemError
from restore.identity import canonical
from restore.item import EXTRA_PREFIX
from restore.recipe import FIXED_AT_LOAD, Kind, override_kinds
from restore.storage import is_local, local_path
from restore.storage.access import AccessPolicy
from restore.storage.uris import SIGNED_QUERY, redact, resolve

OPTIONAL = ("mask", "image_version", "mask_version", "reference")
URIS = ("image", "mask", "reference")
_SIZES = ("image_bytes", "image_mtime", "mask_bytes", "mask_mtime", "width", "height")
LISTED = ("image_mtime", "mask_mtime")
"""Columns that a listing alone writes: a version beside one was listed, and nobody pinned it."""
UNUSED = (*_SIZES, "bit_depth", "color_mode", "reason")
RESERVED = (*UNUSED, "priority")
"""Columns that a listing may hold."""

# As `restore.identity` reads the text of a value.
INT = "[+-]?[0-9]{1,18}"
FLOAT = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?"
TRUE, FALSE = sql.texts(["true", "1", "yes"]), sql.texts(["false", "0", "no"])

NORMAL_SCHEMA = pa.schema(
    [
        pa.field("row", pa.int64(), nullable=False),
        *(pa.field(name, pa.string(), nullable=name not in REQUIRED) for name in (*REQUIRED, *OPTIONAL)),
        pa.field("priority", pa.float64()),
        pa.field("image_listed", pa.bool_(), nullable=False),
        pa.field("mask_listed", pa.bool_(), nullable=False),
        pa.field("overrides", pa.string(), nullable=False),
    ]
)
"""Columns of a manifest in memory; its `x_*` columns follow, all strings."""

_TYPES = {field.name: field.with_nullable(True) for field in NORMAL_SCHEMA}


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest without faults.

    Attributes:
        table: `NORMAL_SCHEMA` and the `x_*` columns, in the file's order. `row` is the record's line in
            CSV and JSON Lines and its 1-based number in Parquet; `image`, `mask` and `reference` are
            absolute; `overrides` is canonical JSON of the recipe columns.
        uri: where it was read from, absolute; relative URIs in it are relative to its folder.
        extra: names of the `x_*` columns.
        overrides: names of the recipe columns.
    """

    table: pa.Table
    uri: str
    extra: tuple[str, ...]
    overrides: tuple[str, ...]


def read_manifest(uri: str) -> Manifest:
    """Reads and checks a `.parquet`, `.csv`, `.jsonl` or `.ndjson` manifest from any store.

    Raises:
        ManifestError: every fault with its row number, the first hundred in full.
        StorageConfigError: the store does not let us read it.
    """
    uri = resolve(uri, f"{Path.cwd()}/")
    chunks, faults = read_chunks(uri)
    columns: dict[str, None] = {}
    with sql.connection() as con:
        table = _joined(list(_read(con, chunks, columns, faults)))
        check_rows(con, table, columns, faults)
    if faults.total:
        raise faults.error()
    extra = tuple(sorted(name for name in columns if name.startswith(EXTRA_PREFIX)))
    schema = pa.schema([*NORMAL_SCHEMA, *(pa.field(name, pa.string()) for name in extra)])
    return Manifest(table.cast(schema), uri, extra, tuple(n for n in override_kinds() if n in columns))


def _read(
    con: duckdb.DuckDBPyConnection, chunks: Iterable[Chunk], columns: dict[str, None], faults: Faults
) -> Iterator[pa.Table]:
    """The chunks in the shape of `NORMAL_SCHEMA`, one after the other. `columns` grows by their names."""
    total = Total(faults)
    for chunk in chunks:
        known = _known(chunk, columns, faults)
        table = _normalised(con, known, faults.uri)
        total.add(table)
        yield table


def input_policy(manifest: str, allow_root: Sequence[str], allow_http: bool) -> AccessPolicy:
    """What a manifest's rows may read: local files below its own folder and below those allowed."""
    own = [Path(local_path(manifest)).parent] if is_local(manifest) else []
    roots = tuple(str(folder.resolve()) for folder in [*own, *map(Path, allow_root)])
    return AccessPolicy(roots, allow_http)


def overrides_json(columns: Mapping[str, str]) -> str:
    """SQL of `restore.identity.overrides_json`.

    Args:
        columns: for each recipe column of the manifest, SQL of its value as text.
    """
    kinds = override_kinds()
    members = [
        f"CASE WHEN {value} IS NULL THEN '' "
        f"ELSE {sql.text(f',{canonical(column)}:')} || {_json_value(kinds[column], value)} END"
        for column, value in sorted(columns.items())
    ]
    return f"'{{' || substr({' || '.join(members)}, 2) || '}}'" if members else "'{}'"


def _json_value(kind: Kind, value: str) -> str:
    """SQL: text as JSON of the field's kind; what does not parse stays a string, to fail at its row."""
    parsed = {
        "str": "NULL",
        "int": f"if(regexp_full_match({value}, '{INT}'), TRY_CAST({value} AS BIGINT), NULL)",
        "float": f"if(regexp_full_match({value}, '{FLOAT}'), TRY_CAST({value} AS DOUBLE), NULL)",
        "bool": f"CASE WHEN lower({value}) IN {TRUE} THEN true WHEN lower({value}) IN {FALSE} THEN false END",
    }[kind]
    finite = f"CASE WHEN isfinite(({parsed})::DOUBLE) THEN ({parsed})::VARCHAR END"
    return f"coalesce({finite if kind == 'float' else f'({parsed})::VARCHAR'}, {sql.json_text(value)})"


def _known(chunk: Chunk, seen: dict[str, None], faults: Faults) -> pa.Table:
    """The columns that are used, as plain types; those that no query could hold are faults."""
    kept = {"row": chunk.numbers}
    for name, column in zip(chunk.columns.column_names, chunk.columns.columns, strict=True):
        if name.lower() in {other.lower() for other in kept} - {"row"}:
            faults.add_once(f"column {name} comes twice (upper and lower case are the same); rename one")
        elif not _is_known(name):
            faults.add_once(unknown_column(name, [*REQUIRED, *OPTIONAL, *override_kinds(), *RESERVED]))
        elif name not in UNUSED or name in LISTED:
            kept[name] = plain(column)
        seen[name] = None
    return pa.table(kept)


def _is_known(name: str) -> bool:
    return name in {*REQUIRED, *OPTIONAL, *RESERVED, *override_kinds()} or name.startswith(EXTRA_PREFIX)


def unknown_column(name: str, known: Sequence[str]) -> str:
    """The fault of a column that is none of `known`."""
    if not name:
        return "a column has no name; give it one or remove it"
    if name.partition(".")[0] in FIXED_AT_LOAD:
        return f"column {name}: a worker fixes this when it loads its models; set it in the recipe instead"
    near = get_close_matches(name.lower(), known, n=1)
    hint = f"did you mean {near[0]}?" if near else "columns of your own begin with x_"
    return f"column {name} is not known; {hint}"


def plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Without the types that DuckDB does not scan or does not write as Python does."""
    if pa.types.is_null(column.type):
        return column.cast(pa.string())
    if pa.types.is_floating(column.type) or pa.types.is_decimal(column.type):
        column = column.cast(pa.float64())
        return pc.if_else(pc.is_nan(column), None, column)  # how pandas writes a null
    return column


def _normalised(con: duckdb.DuckDBPyConnection, columns: pa.Table, uri: str) -> pa.Table:
    """One chunk in the shape of `NORMAL_SCHEMA`, as far as it has the columns."""
    values = {name: f"{sql.name(name)}::VARCHAR" for name in columns.column_names if name != "row"}
    con.register("chunk", columns)
    con.register("odd", _odd_uris(con, [values[name] for name in URIS if name in values], uri))
    folder = resolve("x", uri).removesuffix("x")
    selected = {name: f"nullif({values.get(name, 'NULL')}, '')" for name in (*REQUIRED, *OPTIONAL)}
    selected |= {name: _absolute(selected[name], folder) for name in URIS}
    # An ETag is the same with and without its quotes; stores list it without.
    selected |= {
        name: f"nullif(trim({selected[name]}, '\"'), '')" for name in ("image_version", "mask_version")
    }
    selected["priority"] = f"TRY_CAST({values.get('priority', 'NULL')} AS DOUBLE)"
    for name in LISTED:
        listed = f"nullif({values.get(name, 'NULL')}, '') IS NOT NULL"
        selected[name.replace("mtime", "listed")] = listed
    selected["overrides"] = overrides_json({n: values[n] for n in override_kinds() if n in values})
    selected |= {name: values[name] for name in values if name.startswith(EXTRA_PREFIX)}
    query = ", ".join(f"{value} AS {sql.name(name)}" for name, value in selected.items())
    table = con.sql(f'SELECT "row", {query} FROM chunk ORDER BY "row"').to_arrow_table()
    return table.cast(
        pa.schema([_TYPES.get(name, pa.field(name, pa.string())) for name in table.column_names])
    )


def _is_odd(uri: str) -> str:
    """SQL: whether joining the folder and the URI is not what `resolved` would do."""
    path = f"CASE WHEN starts_with({uri}, '/') THEN substr({uri}, 2) ELSE {uri} END"
    odd_path = f"regexp_matches({path}, '(^|/)(\\.|/|$)')"
    with_scheme = f"{uri} ILIKE 'file:%' OR {_may_hold_a_secret(uri)}"
    return f"(CASE WHEN {_has_scheme(uri)} THEN {with_scheme} ELSE {odd_path} OR contains({uri}, '::') END)"


def _may_hold_a_secret(uri: str) -> str:
    """SQL: whether a URI has to be looked at more closely; Azure's `container@account` need not."""
    user = f"regexp_matches({uri}, '^[^:/]*://[^/?#]*@')"
    azure = f"regexp_matches({uri}, '(?i)^(abfss?|az)://[^/?#:@]*@[^/?#@]*([/?#]|$)')"
    query = f"regexp_matches({uri}, {sql.text('(?i)' + SIGNED_QUERY)})"
    return f"({user} AND NOT {azure} OR contains({uri}, '::') OR {query})"


def _has_scheme(uri: str) -> str:
    return f"regexp_matches({uri}, '^[A-Za-z][A-Za-z0-9+.-]*://')"


def _odd_uris(con: duckdb.DuckDBPyConnection, columns: list[str], base: str) -> pa.Table:
    """The chunk's few URIs with dots, empty segments, secrets or `file:`, each as it is to be kept."""
    odd: list[str] = []
    for column in columns:
        found = con.sql(f"SELECT DISTINCT {column} FROM chunk WHERE {column} <> '' AND {_is_odd(column)}")
        odd.extend(uri for (uri,) in found.fetchall())
    return _mapping({uri: resolved(uri, base) for uri in odd})


def resolved(uri: str, base: str) -> str:
    """Absolute, and without the secrets that no plan or row may show; the access rules refuse it still."""
    try:
        return resolve(redact(uri), base)
    except ItemError:
        return redact(uri)  # its row fails when its turn comes, by the access rules


def _absolute(uri: str, folder: str) -> str:
    return f"""CASE WHEN {_is_odd(uri)} THEN (SELECT value FROM odd WHERE key = {uri})
        WHEN {_has_scheme(uri)} OR starts_with({uri}, '/') THEN {uri} ELSE {sql.text(folder)} || {uri} END"""


def _mapping(values: Mapping[str, str | None]) -> pa.Table:
    columns = [pa.array(values.keys(), pa.string()), pa.array(values.values(), pa.string())]
    return pa.Table.from_arrays(columns, ["key", "value"])


def _joined(chunks: list[pa.Table]) -> pa.Table:
    """All chunks as one: JSON Lines may name a column only where it has a value."""
    table = pa.concat_tables([pa.schema(_TYPES.values()).empty_table(), *chunks], promote_options="default")
    extra = sorted(name for name in table.column_names if name.startswith(EXTRA_PREFIX))
    return table.select([*NORMAL_SCHEMA.names, *extra])
