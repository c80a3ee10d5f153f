"""Counts and histograms of rows, for the charts of a report.

It keeps counts and never the values themselves, so its memory does not grow with the rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from restore.outcome import Seconds, results

Floats = npt.NDArray[np.float64]

STAGES = tuple(stage.name for stage in fields(Seconds))
COLUMNS = (
    "status",
    "error_code",
    "engine",
    "reused_from",
    "output_bytes",
    "started_at",
    "seconds",
    "figures",
    "suspicion",
)
"""Columns of a row that the charts need."""


@dataclass(frozen=True, slots=True)
class FigureChart:
    """How the page shows one figure of `restore.outcome.Figures`. The page itself names no figure.

    Attributes:
        title: heading of its histogram.
        note: what its numbers mean, in a few words.
        digits: decimals that the page shows.
        edges: of the histogram's bins; a value beyond them counts in the first or last bin.
        order: name of the page's order that puts the worst photos first; None for no such order.
        worst_is_low: whether a low number is bad.
    """

    title: str
    note: str
    digits: int
    edges: Floats
    order: str | None = None
    worst_is_low: bool = False


FIGURES: Mapping[str, FigureChart] = MappingProxyType(
    {
        "seam": FigureChart("Seam", "1 is seamless", 2, np.arange(0, 5.01, 0.1), "worst seams"),
        "colour_step": FigureChart(
            "Colour step", "1 is no step", 2, np.arange(0, 5.01, 0.1), "largest colour steps"
        ),
        "grain": FigureChart(
            "Grain", "1 is equal", 2, np.arange(0, 2.51, 0.05), "least grain", worst_is_low=True
        ),
        "psnr": FigureChart("PSNR", "dB, inside damage", 1, np.arange(0, 61, 1.0)),
        "ssim": FigureChart("SSIM", "inside damage", 3, np.arange(-0.2, 1.01, 0.025)),
    }
)
"""Each figure by its name in the row. A new figure of `Figures` needs one entry here."""

SECONDS = np.logspace(-4, 5, 361)
"""Edges of the bins for times, in seconds: 40 bins a decade, so a quantile is right within 3 percent."""

MAX_BUCKETS = 120
"""Spans of time in the throughput chart."""
_BUCKET_SECONDS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)


class Histogram:
    """Counts of values in bins."""

    def __init__(self, edges: Floats) -> None:
        self.edges = edges
        self.counts = np.zeros(len(edges) - 1, np.int64)

    def add(self, values: Floats) -> None:
        inside = np.clip(values, self.edges[0], self.edges[-1])
        self.counts += np.histogram(inside, self.edges)[0]

    def quantile(self, share: float) -> float:
        """The middle of the first bin whose upper edge has at least `share` of the values below it."""
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
        self._figures = {name: Histogram(figure.edges) for name, figure in FIGURES.items()}

    def add(self, rows: pa.RecordBatch) -> None:
        """Rows with at least `COLUMNS`."""
        for name, counts in self._counts.items():
            counts.update(rows.column(name).drop_null().to_pylist())
        self._results.update(results(rows).to_pylist())
        self._output_bytes += pc.sum(rows.column("output_bytes")).as_py() or 0
        for name, histogram in self._figures.items():
            values = _values(rows.column("figures"), name)
            histogram.add(values[np.isfinite(values)])
        worked = rows.filter(pc.is_valid(rows.column("seconds")))  # a reused row took no time
        for name, stage in self._stages.items():
            spent = np.nan_to_num(_values(worked.column("seconds"), name))
            stage.add(spent[spent > 0])
            self._totals[name] += spent.sum()
        self._add_times(worked)

    def _add_times(self, worked: pa.RecordBatch) -> None:
        """Count each photo in the second of its end: its start plus the seconds of all its stages."""
        seconds = worked.column("seconds")
        began = worked.column("started_at").cast(pa.int64()).to_numpy() / 1e6
        spent = sum(np.nan_to_num(_values(seconds, name)) for name in STAGES)
        ended = (began + spent).astype(np.int64)
        failed = pc.equal(worked.column("status"), "failed").to_numpy(zero_copy_only=False)
        self._done.update(ended[~failed].tolist())
        self._failed.update(ended[failed].tolist())

    def gathered(self) -> dict[str, Any]:
        """All counts as plain values, for JSON."""
        counted = {**self._counts, "result": self._results}
        return {
            "counts": {name: dict(counts.most_common()) for name, counts in counted.items()},
            "output_bytes": self._output_bytes,
            "throughput": self._throughput(),
            "stages": [self._stage(name) for name in STAGES if self._stages[name].counts.any()],
            "figures": {n: _distribution(h) for n, h in self._figures.items() if h.counts.any()},
            "figure_charts": {name: _texts(figure) for name, figure in FIGURES.items()},
        }

    def _stage(self, name: str) -> dict[str, Any]:
        stage = self._stages[name]
        quantiles = {f"p{share}": stage.quantile(share / 100) for share in (10, 50, 95)}
        return {"name": name, "total": self._totals[name], **quantiles}

    def _throughput(self) -> dict[str, Any] | None:
        """Photos done and failed in equal spans of time, at most `MAX_BUCKETS` of them."""
        seconds = self._done.keys() | self._failed.keys()
        if not seconds:
            return None
        first, last = min(seconds), max(seconds)
        enough = (size for size in _BUCKET_SECONDS if (last - first) // size < MAX_BUCKETS)
        size = next(enough, -(-(last - first + 1) // MAX_BUCKETS))
        length = (last - first) // size + 1
        series = {"done": [0] * length, "failed": [0] * length}
        for name, counts in (("done", self._done), ("failed", self._failed)):
            for second, number in counts.items():
                series[name][(second - first) // size] += number
        return {"start": datetime.fromtimestamp(first, UTC).isoformat(), "seconds": size, **series}


def _distribution(histogram: Histogram) -> dict[str, Any]:
    quantiles = {f"p{share}": histogram.quantile(share / 100) for share in (5, 50, 95)}
    return {"edges": histogram.edges.round(4).tolist(), "counts": histogram.counts.tolist(), **quantiles}


def _texts(figure: FigureChart) -> dict[str, Any]:
    """What the page needs of a figure beside its numbers."""
    return {member.name: getattr(figure, member.name) for member in fields(figure) if member.name != "edges"}


def _values(structs: pa.StructArray, name: str) -> Floats:
    """One field of each struct; NaN for null."""
    values: Floats = pc.struct_field(structs, name).to_numpy(zero_copy_only=False).astype(np.float64)
    return values
