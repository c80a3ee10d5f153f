"""How this package speaks to DuckDB: the connection, quoting, and JSON text that equals Python's."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import duckdb

MEMORY_LIMIT = "1GiB"  # DuckDB spills beyond; what Arrow reads ahead and the tables come on top
MAX_THREADS = 8  # each thread holds buffers of its own, which the limit above must feed

_ESCAPED = ["\\", '"', *map(chr, range(0x20))]


@contextmanager
def connection(memory_limit: str = MEMORY_LIMIT) -> Iterator[duckdb.DuckDBPyConnection]:
    """An in-memory database that spills to a folder of its own and never downloads an extension."""
    with tempfile.TemporaryDirectory(prefix="silverprint-sql-") as spill:
        config = {
            "memory_limit": memory_limit,
            "threads": str(min(os.cpu_count() or 1, MAX_THREADS)),
            "temp_directory": spill,
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
        }
        with duckdb.connect(config=config) as con:
            con.execute("SET TimeZone = 'UTC'")
            yield con


def name(identifier: str) -> str:
    """An identifier, quoted: `x_*` columns may hold anything."""
    return '"' + identifier.replace('"', '""') + '"'


def names(identifiers: Iterable[str]) -> str:
    """Identifiers, quoted, as a list of columns."""
    return ", ".join(map(name, identifiers))


def text(value: str) -> str:
    """A string literal."""
    return "'" + value.replace("'", "''") + "'"


def texts(values: Iterable[str]) -> str:
    """String literals, as the list of an IN."""
    return "(" + ", ".join(map(text, values)) + ")"


def alike(path: str) -> str:
    """SQL: a path as a file system may see it that takes upper and lower case, or Unicode's normal forms, for
    one. Two paths that differ here are two files everywhere.
    """
    return f"lower(nfc_normalize({path}))"


def json_text(expression: str) -> str:
    """SQL that writes a VARCHAR as `restore.identity.canonical` does; NULL as `null`.

    DuckDB's own writer differs in one thing, upper-case hex in the escapes of control characters, and
    that would give another work key. They are so rare that the long chain runs only where one shows.
    """
    written = f"to_json({expression})::VARCHAR"
    return (
        f"(CASE WHEN {expression} IS NULL THEN 'null' "
        f"WHEN contains({written}, '\\u00') THEN {_escaped(expression)} ELSE {written} END)"
    )


def _escaped(expression: str) -> str:
    for character in _ESCAPED:  # the backslash comes first, or it would escape the escapes
        escape = json.dumps(character)[1:-1]
        expression = f"replace({expression}, chr({ord(character)}), {text(escape)})"
    return f"'\"' || {expression} || '\"'"
