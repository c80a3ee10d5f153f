"""The result of one photo in one run: one row of `OUT/metadata/`. `Outcome` declares its columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Annotated, Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from restore.row_schema import NOT_A_COLUMN, Int32, schema_of

Status = Literal["restored", "copied", "failed"]

REMOVED = "removed"
"""The status of a row that no photo's work ended with: its item was pruned and shows no picture."""

REUSED = "reused"
"""How people call a photo whose row shows the picture of an earlier row: nothing was painted."""

TOUCHED = "touched"
"""The reason of a row whose inputs have new versions but the same bytes: it shows the former picture."""

_WINDOW = pa.struct(
    [(name, pa.int32()) for name in ("x", "y", "width", "height", "paint_width", "paint_height")]
)
_MODEL = pa.struct([(name, pa.string()) for name in ("role", "id", "revision", "sha256")])

_AT_COMMIT: Mapping[str, Any] = MappingProxyType({"set_at_commit": True})
"""Metadata of a field that the ledger fills when it commits the row."""


@dataclass(frozen=True, slots=True)
class Seconds:
    """Where a photo's time went. `wait` is from the end of prepare to the start of paint."""

    fetch: float = 0.0
    prepare: float = 0.0
    wait: float = 0.0
    paint: float = 0.0
    finish: float = 0.0
    upload: float = 0.0


@dataclass(frozen=True, slots=True)
class Figures:
    """What can be measured of a result.

    Attributes:
        seam: gradient at the damage's edge over that of the surrounding ring; 1 is seamless.
        colour_step: jump of colour across the edge over the ring's own variation; 1 is no jump.
        grain: fine texture of the paint over that of the ring; 1 is equal, a flat smear is below 1.
        psnr: dB inside the damage against `reference`; None without one.
        ssim: mean structural similarity inside the damage against `reference`; None without one.
    """

    seam: float | None = None
    colour_step: float | None = None
    grain: float | None = None
    psnr: float | None = None
    ssim: float | None = None


@dataclass(frozen=True, slots=True)
class Thumbs:
    """Thumbnails of a photo, encoded, for the report page. They travel beside the row, not in it.

    Attributes:
        before: the source, JPEG; None when it could not be decoded.
        after: the result, JPEG.
        damage: the repainted area, PNG, transparent elsewhere.
    """

    before: bytes | None = None
    after: bytes | None = None
    damage: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The result of one photo in one run.

    The fields are the columns of a metadata row, in this order. The README describes each column.
    """

    row_id: str = field(init=False, default="", metadata=_AT_COMMIT)
    item_id: str
    run_id: str
    status: Status
    error_code: str | None = None
    error_message: str | None = None
    work_key: str
    reason: str
    reused_from: str | None = None
    image: str
    image_version: str | None = None
    image_sha256: str | None = None
    mask: str | None = None
    mask_version: str | None = None
    mask_sha256: str | None = None
    output: str | None = None
    output_sha256: str | None = None
    output_bytes: int | None = None
    width: Int32 | None = None
    height: Int32 | None = None
    bit_depth: Int32 | None = None
    color_mode: str | None = None
    mask_coverage: float | None = None
    windows: tuple[Annotated[Mapping[str, int], _WINDOW], ...] = ()
    proof: Literal["exact", "lossy"] | None = None
    changed_outside_mask: int | None = None
    dropped: tuple[str, ...] = ()
    engine: str | None = None
    engine_hash: str | None = None
    engine_steps: tuple[str, ...] = ()
    models: tuple[Annotated[Mapping[str, str], _MODEL], ...] = ()
    scheduler: str | None = None
    recipe_hash: str
    recipe: str | None = None
    overrides: str = "{}"
    pipeline_version: Int32
    seed: int | None = None
    device: str | None = None
    dtype: str | None = None
    attempts: Int32 = 1
    seconds: Seconds = field(default_factory=Seconds)
    figures: Figures = field(default_factory=Figures)
    suspicion: float | None = None
    started_at: datetime
    committed_at: datetime = field(init=False, default=datetime.min.replace(tzinfo=UTC), metadata=_AT_COMMIT)
    software_version: str
    extra: Mapping[str, str | None] = field(default_factory=dict, metadata=NOT_A_COLUMN)
    thumbs: Thumbs = field(default_factory=Thumbs, metadata=NOT_A_COLUMN)
    read_bytes: int = field(default=0, metadata=NOT_A_COLUMN)
    own_fault: bool = field(default=False, metadata=NOT_A_COLUMN)


OUTCOME_SCHEMA = schema_of(Outcome)
"""Columns of a metadata part. The manifest's `x_*` columns follow, all strings."""

SET_AT_COMMIT = tuple(column.name for column in fields(Outcome) if "set_at_commit" in column.metadata)
"""Columns that the ledger fills when it commits a row."""

THUMBS = MappingProxyType({f"thumb_{part.name}": part.name for part in fields(Thumbs)})
"""Columns that bring a photo's thumbnails to the driver, by the field of `Thumbs`; never committed."""

OWN_FAULT = "own_fault"
"""A column that travels beside the rows to the ledger: `restore.errors.ItemError.own` of a failed photo."""

READ_BYTES = "read_bytes"
"""The column that brings the size of a photo's image and mask to the driver, in bytes; never committed."""


def outcome_schema(extra: Iterable[str]) -> pa.Schema:
    """The schema of a run's parts: `OUTCOME_SCHEMA` and the manifest's `x_*` columns."""
    return pa.schema([*OUTCOME_SCHEMA, *(pa.field(name, pa.string()) for name in extra)])


def outcomes_table(outcomes: Iterable[Outcome], extra: Iterable[str]) -> pa.Table:
    """Outcomes as Arrow, without the columns that are set at commit."""
    names = tuple(extra)
    schema = pa.schema([column for column in outcome_schema(names) if column.name not in SET_AT_COMMIT])
    return pa.Table.from_pylist([_row(outcome, names) for outcome in outcomes], schema=schema)


def with_thumbs(table: pa.Table, outcomes: Iterable[Outcome]) -> pa.Table:
    """`outcomes_table` of the same outcomes with the columns `THUMBS` at its end."""
    thumbs = [outcome.thumbs for outcome in outcomes]
    for name, part in THUMBS.items():
        pictures = pa.array([getattr(thumb, part) for thumb in thumbs], pa.large_binary())
        table = table.append_column(name, pictures)
    return table


def with_own_faults(table: pa.Table, outcomes: Iterable[Outcome]) -> pa.Table:
    """`outcomes_table` of the same outcomes with the column `OWN_FAULT` at its end."""
    own = pa.array([outcome.own_fault for outcome in outcomes], pa.bool_())
    return table.append_column(OWN_FAULT, own)


def with_read_bytes(table: pa.Table, outcomes: Iterable[Outcome]) -> pa.Table:
    """`outcomes_table` of the same outcomes with the column `READ_BYTES` at its end."""
    sizes = pa.array([outcome.read_bytes for outcome in outcomes], pa.int64())
    return table.append_column(READ_BYTES, sizes)


def results(rows: pa.Table | pa.RecordBatch) -> pa.Array:
    """How each photo ended, in words for people.

    Returns:
        The status of each row, or `REUSED` where the row shows the picture of an earlier row.
    """
    shows = pc.is_in(rows.column("status"), pa.array(["restored", "copied"]))
    reused = pc.and_(shows, pc.is_valid(rows.column("reused_from")))
    return pc.if_else(reused, REUSED, rows.column("status"))


def _row(outcome: Outcome, extra: tuple[str, ...]) -> dict[str, Any]:
    row = asdict(outcome)
    row.update({name: outcome.extra.get(name) for name in extra})
    return row
