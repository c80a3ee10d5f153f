"""Estimate of a run: GPU-hours or CPU-hours, the time by the clock, and the source of the rate.

The rate is one that a run of this store was measured at with the same kind of engine and device, else that of
the table in `restore.engines.cost`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from jobs.run_spec import RunSpec
from jobs.settings import Cards, cards
from manifests.catalog.history import recent_painted_rows
from manifests.catalog.rows import committed_rows
from restore.engines.cost import MEASURED, RATES, window_tflop
from restore.methods import TRAINED, UNTRAINED, sizes_of
from restore.photo.estimate import Estimate
from restore.recipe import Recipe

FEWEST = 20
"""A run of fewer photos tells no rate: its first ones wait for imports and for caches."""


def capacity(found: Estimate, spec: RunSpec) -> Iterator[str]:
    """Lines for people."""
    sized = [method for method in spec.engines.methods if sizes_of(method) is not None]
    if sized:
        past = recent_painted_rows(committed_rows(spec.store), sized)
        asked = spec.settings.gpu
        yield from on_gpus(found, past, cards(asked) if asked else None)
    else:
        past = recent_painted_rows(committed_rows(spec.store), UNTRAINED, never=TRAINED)
        yield on_cores(found, past, _record(spec, past))


def on_gpus(found: Estimate, past: pa.Table, asked: Cards | None) -> Iterator[str]:
    """GPU-hours and hours, by what this store has measured or by the table.

    Args:
        past: rows as `manifests.catalog.history.recent_painted_rows` gives them.
        asked: None tells of every card.
    """
    device, rate = _measured(past)
    if rate and (asked is None or re.search(rf"\b{re.escape(asked.name)}\b", device)):
        source = f"measured in run {past['run_id'][0]} over {past.num_rows} photos"
        yield f"{device}: {_hours(found.tflop / rate, asked)}; {rate:,.0f} TFLOP/s, {source}"
    elif asked is not None:
        name = asked.name
        yield f"{name}: {_hours(found.tflop / RATES[name], asked)}; {_by_table(name)}"
        yield "no run of this store has measured that card: plan for half as much again until one has"
    else:
        hours = ", ".join(f"{name} {found.tflop / rate / 3600:.2g}" for name, rate in RATES.items())
        yield f"GPU-hours at the table's rates: {hours}"
        yield "no run of this store has measured one; --gpu 8xH200 tells the hours of eight"


def _hours(seconds: float, asked: Cards | None) -> str:
    one = seconds / 3600
    several = f", {one / asked.count:.2g} h on {asked.count}" if asked and asked.count > 1 else ""
    return f"{one:.2g} GPU-hours: {one:.2g} h on 1 GPU{several}"


def _by_table(name: str) -> str:
    how = "measured" if name == MEASURED else f"an estimate from an {MEASURED} by MLPerf's figures"
    return f"{RATES[name]:,.0f} TFLOP/s by the table, {how}"


def _measured(past: pa.Table) -> tuple[str, float]:
    """The device of earlier runs and TFLOP per second of one; 0 where they were too few."""
    if past.num_rows < FEWEST:
        return "", 0.0
    rows = past.to_pylist()
    seconds = sum(row["seconds"]["paint"] for row in rows)
    return rows[0]["device"] or "", sum(map(_tflop, rows)) / seconds


def _tflop(row: dict[str, Any]) -> float:
    """What the diffusion engine did for a photo; windows of other sizes were painted without a GPU."""
    recipe = Recipe.model_validate_json(row["recipe"])
    (method,) = set(row["engine"].split("+")).intersection(TRAINED)
    sizes = sizes_of(method) or ()
    painted = ((window["paint_width"], window["paint_height"]) for window in row["windows"])
    return sum(window_tflop(size, recipe, method) for size in painted if size in sizes)


def on_cores(found: Estimate, past: pa.Table, record: dict[str, Any]) -> str:
    """CPU-hours and hours by the clock, where a run of this store tells.

    Args:
        record: that run's, empty where there is none of the same profile.
    """
    if past.num_rows < FEWEST:
        return f"CPU-hours: unknown until a run of this store has restored {FEWEST} photos by such an engine"
    steps = ("prepare", "paint", "finish")
    seconds = [row["seconds"][step] for row in past.to_pylist() for step in steps]
    hours = found.photos * sum(seconds) / past.num_rows / 3600
    source = f"measured in run {past['run_id'][0]} over {past.num_rows} photos on {past['device'][0]}"
    pace = record.get("photos_per_second")
    clock = f", {found.photos / pace / 3600:.2g} h at its {pace:.2f} photos/s" if pace else ""
    return f"{hours:.2g} CPU-hours{clock}; {source}"


def _record(spec: RunSpec, past: pa.Table) -> dict[str, Any]:
    """The record of the run that the rows are of, if it had the same resources as this one would."""
    try:
        record: dict[str, Any] = json.loads(spec.store.read(f"runs/{past['run_id'][0]}.json"))
    except (FileNotFoundError, IndexError):  # killed before its end, or no such run
        return {}
    return record if record["profile"] == spec.profile.name else {}
