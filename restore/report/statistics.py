"""A run's rows in numbers, for the report's charts.

Counts and histograms, never the values themselves: what is held does not grow with the rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from restore.outcome import results

Floats = npt.NDArray[np.float64]

STAGES = ("fetch", "prepare", "wait", "paint", "finish", "upload")
COLUMNS = (
    "status",
    "error_code",
    "engine",
    "reused_from",
    "output_bytes",
    "started_at",
    "seconds",
    "figures",
)
"""Columns of a row that the charts need."""

FIGURES: Mapping[str, Floats] = MappingProxyType(
    {
        "seam": np.arange(0, 5.01, 0.1),
        "colour_step": np.arange(0, 5.01, 0.1),
        "grain": np.arange(0, 2.51, 0.05),
        "psnr": np.arange(0, 61, 1.0),
        "ssim": np.arange(-0.2, 1.01, 0.025),
    }
)
"""Edges of each figure's bins; what lies beyond counts in the first or last."""

SECONDS = np.logspace(-4, 5, 361)  # 40 bins a decade: a quantile is right within 3 percent
MOST_BUCKETS = 120
_BUCKETS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)


class Histogram:
    """Counts of values in bins."""

    def __init__(self, edges: Floats) -> None:
        self.edges = edges
        self.counts = np.zeros(len(edges) - 1, np.int64)

    def add(self, values: Floats) -> None:
        inside = np.clip(values, self.edges[0], self.edges[-1])
        self.counts += np.histogram(inside, self.edges)[0]

    def quantile(self, share: float) -> float:
        """The middle of the bin below whose upper edge `share` of the values lie."""
        index = int(np.searchsorted(np.cumsum(self.counts), share * self.counts.sum()))
        return float(self.edges[index : index + 2].mean())


class Charts:
    """Gathers rows, batch by batch."""

    def __init__(self) -> None:
        self._counts = {name: Counter[str]() for name in ("status", "error_code", "engine")}
        self._results: Counter[str] = Counter()
        self._output_bytes = 0
        self._done: Counter[int] = Counter()
        self._failed: Counter[int] = Counter()
        self._stages = {name: Histogram(SECONDS) for name in STAGES}
        self._totals: Counter[str] = Counter()
        self._figures = {name: Histogram(edges) for name, edges in FIGURES.items()}

    def add(self, rows: pa.RecordBatch) -> None:
        """Rows with at least `COLUMNS`."""
        for name, counts in self._counts.items():
            counts.update(rows.column(name).drop_null().to_pylist())
        self._results.update(results(rows).to_pylist())
        self._output_bytes += pc.sum(rows.column("output_bytes")).as_py() or 0
        for name, figure in self._figures.items():
            values = _values(rows.column("figures"), name)
            figure.add(values[np.isfinite(values)])
        worked = rows.filter(pc.is_valid(rows.column("seconds")))  # a reused row took no time
        for name, stage in self._stages.items():
            spent = np.nan_to_num(_values(worked.column("seconds"), name))
            stage.add(spent[spent > 0])
            self._totals[name] += spent.sum()
        self._add_times(worked)

    def _add_times(self, worked: pa.RecordBatch) -> None:
        """Count each photo in the second when it was done: its start and what was spent on it since."""
        seconds = worked.column("seconds")
        began = worked.column("started_at").cast(pa.int64()).to_numpy() / 1e6
        spent = sum(np.nan_to_num(_values(seconds, name)) for name in STAGES)
        ended = (began + spent).astype(np.int64)
        failed = pc.equal(worked.column("status"), "failed").to_numpy(zero_copy_only=False)
        self._done.update(ended[~failed].tolist())
        self._failed.update(ended[failed].tolist())

    def gathered(self) -> dict[str, Any]:
        """All of it as plain values."""
        counted = {**self._counts, "result": self._results}
        return {
            "counts": {name: dict(counts.most_common()) for name, counts in counted.items()},
            "output_bytes": self._output_bytes,
            "throughput": self._throughput(),
            "stages": [self._stage(name) for name in STAGES if self._stages[name].counts.any()],
            "figures": {n: _distribution(f) for n, f in self._figures.items() if f.counts.any()},
        }

    def _stage(self, name: str) -> dict[str, Any]:
        stage = self._stages[name]
        quantiles = {f"p{share}": stage.quantile(share / 100) for share in (10, 50, 95)}
        return {"name": name, "total": self._totals[name], **quantiles}

    def _throughput(self) -> dict[str, Any] | None:
        """Photos done and failed in equal spans of time, at most `MOST_BUCKETS`."""
        seconds = self._done.keys() | self._failed.keys()
        if not seconds:
            return None
        first, last = min(seconds), max(seconds)
        enough = (size for size in _BUCKETS if (last - first) // size < MOST_BUCKETS)
        size = next(enough, -(-(last - first + 1) // MOST_BUCKETS))
        length = (last - first) // size + 1
        series = {"done": [0] * length, "failed": [0] * length}
        for name, counts in (("done", self._done), ("failed", self._failed)):
            for second, number in counts.items():
                series[name][(second - first) // size] += number
        return {"start": datetime.fromtimestamp(first, UTC).isoformat(), "seconds": size, **series}


def _distribution(figure: Histogram) -> dict[str, Any]:
    quantiles = {f"p{share}": figure.quantile(share / 100) for share in (5, 50, 95)}
    return {"edges": figure.edges.round(4).tolist(), "counts": figure.counts.tolist(), **quantiles}


def _values(structs: pa.StructArray, name: str) -> Floats:
    """One field of each, null as not a number."""
    values: Floats = pc.struct_field(structs, name).to_numpy(zero_copy_only=False).astype(np.float64)
    return values
