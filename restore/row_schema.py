"""The Arrow schema of a table whose rows are the values of one dataclass.

The dataclass is the only declaration. Its fields give the columns, in their order:

    str, Literal          string            bool         bool
    int                   int64             Int32        int32
    float                 float64           datetime     timestamp, microseconds in UTC
    tuple[X, ...]         list of X         a dataclass  struct of its fields
    Annotated[X, type]    that Arrow type   X | None     the type of X, null allowed

A list or a struct may be null: an older row, or a row of another kind, may lack it. Every other column may be
null only where its annotation says `| None`. A field whose metadata are `NOT_A_COLUMN` is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from types import MappingProxyType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import pyarrow as pa

Int32 = Annotated[int, pa.int32()]
"""An int that its column stores in 32 bits."""

NOT_A_COLUMN: Mapping[str, Any] = MappingProxyType({"column": False})
"""Metadata of a field that travels with the row in memory and is no column."""

_SCALARS = {
    str: pa.string(),
    bool: pa.bool_(),
    int: pa.int64(),
    float: pa.float64(),
    datetime: pa.timestamp("us", tz="UTC"),
}


def schema_of(row: type) -> pa.Schema:
    """The schema of the dataclass `row`.

    Raises:
        TypeError: for an annotation that has no Arrow type.
    """
    hints = get_type_hints(row, include_extras=True)
    names = [field.name for field in fields(row) if field.metadata.get("column", True)]
    return pa.schema([_column(name, hints[name]) for name in names])


def _column(name: str, hint: Any) -> pa.Field:
    kind, nullable = _without_none(hint)
    arrow = _arrow_type(kind)
    return pa.field(name, arrow, nullable=nullable or pa.types.is_nested(arrow))


def _without_none(hint: Any) -> tuple[Any, bool]:
    """The type of an annotation without `| None`, and whether it had that."""
    if get_origin(hint) not in (Union, UnionType):
        return hint, False
    kinds = [kind for kind in get_args(hint) if kind is not type(None)]
    if len(kinds) != 1:
        raise TypeError(f"{hint} is no type of a column: it names several types")
    return kinds[0], True


def _arrow_type(kind: Any) -> pa.DataType:
    if get_origin(kind) is Annotated:
        return get_args(kind)[1]
    if get_origin(kind) is Literal:
        return pa.string()
    if get_origin(kind) is tuple:
        return pa.list_(_arrow_type(get_args(kind)[0]))
    if is_dataclass(kind):
        hints = get_type_hints(kind, include_extras=True)
        return pa.struct(
            [(field.name, _arrow_type(_without_none(hints[field.name])[0])) for field in fields(kind)]
        )
    if kind not in _SCALARS:
        raise TypeError(f"{kind} is no type of a column; add it to restore/row_schema.py")
    return _SCALARS[kind]
