"""Charts: counts, quantiles and throughput of rows, in memory that does not grow with them."""

from __future__ import annotations

from dataclasses import fields
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pytest

from restore.outcome import Figures, Outcome, Seconds, outcomes_table
from restore.report.statistics import FIGURES, MAX_BUCKETS, SECONDS, Charts, Histogram
from tests.support.runs import STARTED, failure, outcome


def gathered(outcomes: list[Outcome]) -> dict:
    charts = Charts()
    for batch in outcomes_table(outcomes, []).to_batches(max_chunksize=50):
        charts.add(batch)
    return charts.gathered()


def test_a_quantile_is_right_within_three_percent() -> None:
    values = np.random.default_rng(0).lognormal(-2, 1.5, 20_000)
    histogram = Histogram(SECONDS)
    histogram.add(values)
    for share in (0.1, 0.5, 0.95):
        assert histogram.quantile(share) == pytest.approx(np.quantile(values, share), rel=0.03)


def test_what_lies_beyond_the_bins_is_counted_at_their_ends() -> None:
    histogram = Histogram(np.arange(0, 5.01, 0.1))
    histogram.add(np.array([-1.0, 0.05, 99.0]))
    assert histogram.counts[0] == 2 and histogram.counts[-1] == 1 and histogram.counts.sum() == 3


def test_rows_are_counted_by_status_code_and_engine() -> None:
    rows = [outcome(n) for n in range(60)] + [failure(60), failure(61, "mask_full")]
    counts = gathered(rows)["counts"]
    assert counts["status"] == {"restored": 60, "failed": 2}
    assert counts["error_code"] == {"image_unreadable": 1, "mask_full": 1}
    assert counts["engine"] == {"ns": 30, "telea": 30}


def test_figures_of_photos_that_have_none_are_left_out() -> None:
    figures = gathered([outcome(0), failure(1), outcome(2, figures=Figures(seam=float("nan")))])["figures"]
    assert sum(figures["seam"]["counts"]) == 1
    assert figures["seam"]["p50"] == pytest.approx(0.5, abs=0.06)
    assert "psnr" not in figures


def test_every_figure_has_a_chart_and_every_chart_a_figure() -> None:
    assert set(FIGURES) == {figure.name for figure in fields(Figures)}


def test_a_photo_counts_in_the_second_when_it_was_done() -> None:
    late = Seconds(wait=3.0, paint=1.5)
    rows = [outcome(n, started_at=STARTED, seconds=late) for n in range(4)]
    rows += [failure(9, started_at=STARTED + timedelta(seconds=1), seconds=Seconds(fetch=0.1))]
    throughput = gathered(rows)["throughput"]
    assert throughput["start"] == "2026-01-01T00:00:01+00:00"
    assert throughput["done"] == [0, 0, 0, 4] and throughput["failed"] == [1, 0, 0, 0]


@pytest.mark.parametrize("hours", [0.01, 1, 30, 500])
def test_a_long_run_has_no_more_buckets_than_a_page_can_draw(hours: float) -> None:
    rows = [outcome(n, started_at=STARTED + timedelta(hours=hours * n / 99)) for n in range(100)]
    throughput = gathered(rows)["throughput"]
    assert sum(throughput["done"]) == 100
    assert len(throughput["done"]) <= MAX_BUCKETS


def test_stages_say_what_each_took() -> None:
    stages = {stage["name"]: stage for stage in gathered([outcome(n) for n in range(10)])["stages"]}
    assert stages["finish"]["total"] == pytest.approx(2.0)
    assert stages["finish"]["p50"] == pytest.approx(0.2, rel=0.03)


def test_reused_rows_took_no_time() -> None:
    table = outcomes_table([outcome(1)], [])
    index = table.schema.get_field_index("seconds")
    nothing = pa.nulls(1, table.schema.field("seconds").type)
    charts = Charts()
    charts.add(table.set_column(index, table.schema.field("seconds"), nothing).to_batches()[0])
    found = charts.gathered()
    assert found["throughput"] is None and found["stages"] == []
    assert found["counts"]["status"] == {"restored": 1}
