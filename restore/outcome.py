"""The per-photo record and its declared Arrow schema: one row of `OUT/metadata/`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

Status = Literal["restored", "copied", "failed"]

REMOVED = "removed"
"""The status of a row that no photo's work ended with: its item's pictures were pruned and show no more."""

REUSED = "reused"
"""How people call a photo whose row shows the picture of an earlier row: nothing was painted."""

TOUCHED = "touched"
"""The reason of a row whose inputs have new versions and the bytes they had: it shows the former picture."""

_WINDOW = pa.struct(
    [(name, pa.int32()) for name in ("x", "y", "width", "height", "paint_width", "paint_height")]
)
_MODEL = pa.struct([(name, pa.string()) for name in ("role", "id", "revision", "sha256")])
_SECONDS = pa.struct(
    [(name, pa.float64()) for name in ("fetch", "prepare", "wait", "paint", "finish", "upload")]
)
_FIGURES = pa.struct([(name, pa.float64()) for name in ("seam", "colour_step", "grain", "psnr", "ssim")])
_TIME = pa.timestamp("us", tz="UTC")

OUTCOME_SCHEMA = pa.schema(
    [
        pa.field("row_id", pa.string(), nullable=False),
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("run_id", pa.string(), nullable=False),
        pa.field("status", pa.string(), nullable=False),
        pa.field("error_code", pa.string()),
        pa.field("error_message", pa.string()),
        pa.field("work_key", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("reused_from", pa.string()),
        pa.field("image", pa.string(), nullable=False),
        pa.field("image_version", pa.string()),
        pa.field("image_sha256", pa.string()),
        pa.field("mask", pa.string()),
        pa.field("mask_version", pa.string()),
        pa.field("mask_sha256", pa.string()),
        pa.field("output", pa.string()),
        pa.field("output_sha256", pa.string()),
        pa.field("output_bytes", pa.int64()),
        pa.field("width", pa.int32()),
        pa.field("height", pa.int32()),
        pa.field("bit_depth", pa.int32()),
        pa.field("color_mode", pa.string()),
        pa.field("mask_coverage", pa.float64()),
        pa.field("windows", pa.list_(_WINDOW)),
        pa.field("proof", pa.string()),
        pa.field("changed_outside_mask", pa.int64()),
        pa.field("dropped", pa.list_(pa.string())),
        pa.field("engine", pa.string()),
        pa.field("engine_hash", pa.string()),
        pa.field("engine_steps", pa.list_(pa.string())),
        pa.field("models", pa.list_(_MODEL)),
        pa.field("scheduler", pa.string()),
        pa.field("recipe_hash", pa.string(), nullable=False),
        pa.field("recipe", pa.string()),
        pa.field("overrides", pa.string(), nullable=False),
        pa.field("pipeline_version", pa.int32(), nullable=False),
        pa.field("seed", pa.int64()),
        pa.field("device", pa.string()),
        pa.field("dtype", pa.string()),
        pa.field("attempts", pa.int32(), nullable=False),
        pa.field("seconds", _SECONDS),
        pa.field("figures", _FIGURES),
        pa.field("started_at", _TIME, nullable=False),
        pa.field("committed_at", _TIME, nullable=False),
        pa.field("software_version", pa.string(), nullable=False),
    ]
)
"""Columns of a metadata part; the manifest's `x_*` columns follow, all strings."""

THUMBS = MappingProxyType({f"thumb_{name}": name for name in ("before", "after", "damage")})
"""Columns that bring a photo's small pictures to the driver, by the field of `Thumbs`; never committed."""

READ_BYTES = "read_bytes"
"""The column that brings to the driver how many bytes a photo's image and mask had; never committed."""

SET_AT_COMMIT = ("row_id", "committed_at")
"""Columns that the ledger fills when it commits a row."""


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
        grain: fine texture of the paint over that of the ring; 1 is alike, a flat smear is below 1.
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
    """Small pictures of a photo, encoded, for the report page. They travel beside the row, not in it.

    Attributes:
        before: the source, JPEG; None when it could not be decoded.
        after: the result, JPEG.
        damage: what was repainted, PNG, transparent elsewhere.
    """

    before: bytes | None = None
    after: bytes | None = None
    damage: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one photo in one run. Field meanings are those of the README's schema table."""

    item_id: str
    run_id: str
    status: Status
    work_key: str
    reason: str
    image: str
    recipe_hash: str
    pipeline_version: int
    started_at: datetime
    software_version: str
    error_code: str | None = None
    error_message: str | None = None
    reused_from: str | None = None
    image_version: str | None = None
    image_sha256: str | None = None
    mask: str | None = None
    mask_version: str | None = None
    mask_sha256: str | None = None
    output: str | None = None
    output_sha256: str | None = None
    output_bytes: int | None = None
    width: int | None = None
    height: int | None = None
    bit_depth: int | None = None
    color_mode: str | None = None
    mask_coverage: float | None = None
    windows: tuple[Mapping[str, int], ...] = ()
    proof: Literal["exact", "lossy"] | None = None
    changed_outside_mask: int | None = None
    dropped: tuple[str, ...] = ()
    engine: str | None = None
    engine_hash: str | None = None
    engine_steps: tuple[str, ...] = ()
    models: tuple[Mapping[str, str], ...] = ()
    scheduler: str | None = None
    recipe: str | None = None
    overrides: str = "{}"
    seed: int | None = None
    device: str | None = None
    dtype: str | None = None
    attempts: int = 1
    seconds: Seconds = field(default_factory=Seconds)
    figures: Figures = field(default_factory=Figures)
    extra: Mapping[str, str | None] = field(default_factory=dict)
    thumbs: Thumbs = field(default_factory=Thumbs)
    read_bytes: int = 0


def outcome_schema(extra: Iterable[str]) -> pa.Schema:
    """The schema of a run's parts: `OUTCOME_SCHEMA` and the manifest's `x_*` columns."""
    schema = OUTCOME_SCHEMA
    for name in extra:
        schema = schema.append(pa.field(name, pa.string()))
    return schema


def outcomes_table(outcomes: Iterable[Outcome], extra: Iterable[str]) -> pa.Table:
    """Outcomes as Arrow, without the columns that are set at commit."""
    names = tuple(extra)
    schema = pa.schema([f for f in outcome_schema(names) if f.name not in SET_AT_COMMIT])
    return pa.Table.from_pylist([_row(outcome, names) for outcome in outcomes], schema=schema)


def with_thumbs(table: pa.Table, outcomes: Iterable[Outcome]) -> pa.Table:
    """`outcomes_table` of the same outcomes with the columns `THUMBS` at its end."""
    thumbs = [outcome.thumbs for outcome in outcomes]
    for name, part in THUMBS.items():
        table = table.append_column(name, pa.array([getattr(one, part) for one in thumbs], pa.large_binary()))
    return table


def with_read_bytes(table: pa.Table, outcomes: Iterable[Outcome]) -> pa.Table:
    """`outcomes_table` of the same outcomes with the column `READ_BYTES` at its end."""
    return table.append_column(READ_BYTES, pa.array([one.read_bytes for one in outcomes], pa.int64()))


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
