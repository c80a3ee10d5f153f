"""Budget: which runs of failures stop a run, and which are borne."""

from __future__ import annotations

import numpy as np
import pytest

from restore.run.error_budget import Budget

WELL = [None]
SPOILT, GONE = ["image_unreadable"], ["image_not_found"]
CRASHED, OFFLINE = ["worker_crashed"], ["storage_unavailable"]


def stops_at(codes: list[str | None], max_failed: float = 0.2) -> tuple[int, str, str | None] | None:
    """Rows seen when the budget was spent, why, and what is not recorded; None when it never was."""
    budget = Budget(max_failed)
    for number, code in enumerate(codes, 1):
        budget.add([code])
        if spent := budget.spent():
            return number, spent.why, spent.unrecorded
    return None


@pytest.mark.parametrize(
    ("codes", "rows", "words", "unrecorded"),
    [
        (SPOILT * 30, 20, "the first 20 photos all failed", "image_unreadable"),
        (OFFLINE * 30, 20, "the first 20 photos all failed", "storage_unavailable"),
        (WELL * 100_000 + OFFLINE * 300, 100_020, "20 photos in a row", "storage_unavailable"),
        (WELL * 100_000 + ["non_finite_output"] * 300, 100_020, "20 photos in a row", "non_finite_output"),
        (WELL * 100_000 + GONE * 300, 100_180, "180 of the last 200 photos failed", None),
        (WELL * 100_000 + CRASHED * 300, 100_180, "180 of the last 200 photos failed", None),
        (WELL * 100_000 + (OFFLINE * 19 + WELL) * 15, 100_189, "180 of the last 200", "storage_unavailable"),
        ((SPOILT + WELL * 3) * 30, 50, "13 of 50 photos failed", None),
        ((SPOILT + GONE) * 30, 50, "50 of 50 photos failed", None),
    ],
)
def test_a_run_stops(codes: list[str | None], rows: int, words: str, unrecorded: str | None) -> None:
    stopped = stops_at(codes)
    assert stopped is not None
    assert (stopped[0], words in stopped[1], stopped[2]) == (rows, True, unrecorded), stopped


@pytest.mark.parametrize(
    "codes",
    [
        WELL + SPOILT * 10 + WELL * 90,
        WELL * 10_000 + SPOILT * 170 + WELL * 1000,
        WELL * 1000 + CRASHED * 50,
        WELL * 1000 + OFFLINE * 19 + WELL * 1000 + OFFLINE * 19,
        WELL * 200 + (SPOILT + GONE) * 20,
        WELL * 4 + (SPOILT + WELL * 4) * 500,
    ],
)
def test_a_run_goes_on(codes: list[str | None]) -> None:
    assert stops_at(codes) is None


def test_five_bad_scans_in_a_hundred_are_borne_however_they_fall() -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        codes = [str(rng.choice([*SPOILT, *OFFLINE])) if rng.random() < 0.05 else None for _ in range(5000)]
        assert stops_at(codes) is None


def test_who_bears_all_failures_is_stopped_by_the_first_alone() -> None:
    assert stops_at(WELL * 10 + OFFLINE * 1000, max_failed=1) is None
    assert stops_at(OFFLINE * 1000, max_failed=1) is not None


@pytest.mark.parametrize(
    ("codes", "doubtful"),
    [
        ([], 0),
        (WELL, 0),
        (SPOILT * 5, 5),
        (SPOILT * 5 + WELL, 0),
        (SPOILT + OFFLINE * 2, 2),
        (WELL + SPOILT * 5, 0),
        (WELL + OFFLINE * 5, 5),
        (WELL + OFFLINE * 5 + SPOILT, 0),
    ],
)
def test_the_newest_rows_may_be_doubtful(codes: list[str | None], doubtful: int) -> None:
    budget = Budget(0.2)
    budget.add(codes)
    assert budget.doubtful == doubtful


def test_rows_count_alike_in_blocks_and_one_by_one() -> None:
    budget = Budget(0.2)
    for _ in range(5):
        budget.add(WELL * 1000 + OFFLINE * 4)
        assert budget.spent() is None
    budget.add(OFFLINE * 16)
    assert budget.spent() is not None
