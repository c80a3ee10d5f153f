"""Schemas from dataclasses: the type and the nullability of each kind of annotation."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Literal

import pyarrow as pa
import pytest

from restore.row_schema import NOT_A_COLUMN, Int32, schema_of


@dataclass
class Part:
    share: float
    count: Int32 | None


@dataclass
class Row:
    name: str
    kind: Literal["a", "b"] | None
    size: int
    width: Int32
    sure: bool
    at: datetime | None
    part: Part
    parts: tuple[Part, ...]
    boxes: tuple[Annotated[dict[str, int], pa.struct([("x", pa.int32())])], ...]
    beside: object = field(default=None, metadata=NOT_A_COLUMN)


def test_each_annotation_has_its_type_and_nullability() -> None:
    part = pa.struct([("share", pa.float64()), ("count", pa.int32())])
    assert schema_of(Row) == pa.schema(
        [
            pa.field("name", pa.string(), nullable=False),
            pa.field("kind", pa.string()),
            pa.field("size", pa.int64(), nullable=False),
            pa.field("width", pa.int32(), nullable=False),
            pa.field("sure", pa.bool_(), nullable=False),
            pa.field("at", pa.timestamp("us", tz="UTC")),
            pa.field("part", part),
            pa.field("parts", pa.list_(part)),
            pa.field("boxes", pa.list_(pa.struct([("x", pa.int32())]))),
        ]
    )


@dataclass
class Several:
    value: int | str | None


@dataclass
class Unknown:
    value: bytes


@pytest.mark.parametrize("row", [Several, Unknown])
def test_an_annotation_without_an_arrow_type_is_an_error(row: type) -> None:
    with pytest.raises(TypeError, match="type of a column"):
        schema_of(row)
