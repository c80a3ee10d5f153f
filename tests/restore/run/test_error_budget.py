"""Error budget: which failures stop a run, and which do not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from restore.run.error_budget import MAX_REPEATED_ROWS, SHARED, Doubt, ErrorBudget, budget_code

FINE = [None]
INVERTED = ["mask_too_large"]
SPOILT, MISSING = ["image_unreadable"], ["image_not_found"]
OWN = [budget_code("storage_denied", own=True)]
CRASHED, OFFLINE = ["worker_crashed"], ["storage_unavailable"]


def stops_at(codes: list[str | None], max_failed: float = 0.2) -> tuple[int, str, str | None] | None:
    """Rows seen when the budget was spent, why, and what is not recorded; None when it never was."""
    budget = ErrorBudget(max_failed)
    for number, code in enumerate(codes, 1):
        budget.add([code])
        if spent := budget.spent():
            return number, spent.why, spent.unrecorded
    return None


@pytest.mark.parametrize(
    ("codes", "rows", "words", "unrecorded"),
    [
        (CRASHED * 30, 20, "the first 20 photos all failed", "worker_crashed"),
        (SPOILT * 60, 50, "50 of 50 photos failed", None),
        (OWN * 60, 50, "50 of 50 photos failed", None),
        (OFFLINE * 30, 20, "the first 20 photos all failed", "storage_unavailable"),
        (FINE * 100_000 + OFFLINE * 300, 100_020, "20 photos in a row", "storage_unavailable"),
        (FINE * 100_000 + ["non_finite_output"] * 300, 100_020, "20 photos in a row", "non_finite_output"),
        (FINE * 100_000 + MISSING * 300, 100_180, "180 of the last 200 photos failed", None),
        (FINE * 100_000 + CRASHED * 300, 100_180, "180 of the last 200 photos failed", None),
        (FINE * 100_000 + (OFFLINE * 19 + FINE) * 15, 100_189, "180 of the last 200", "storage_unavailable"),
        ((SPOILT + FINE * 3) * 30, 50, "13 of 50 photos failed", None),
        (INVERTED * 60, 20, "the masks of 20 of the first 20 photos", None),
        ((FINE + INVERTED * 2) * 20, 20, "set mask_polarity", None),
        (["mask_full"] * 60, 20, "inverted masks", None),
        ((SPOILT + MISSING) * 30, 50, "50 of 50 photos failed", None),
    ],
)
def test_a_run_stops(codes: list[str | None], rows: int, words: str, unrecorded: str | None) -> None:
    stopped = stops_at(codes)
    assert stopped is not None
    assert (stopped[0], words in stopped[1], stopped[2]) == (rows, True, unrecorded), stopped


@pytest.mark.parametrize(
    "codes",
    [
        FINE + SPOILT * 10 + FINE * 90,
        FINE * 10_000 + SPOILT * 170 + FINE * 1000,
        FINE * 1000 + CRASHED * 50,
        FINE * 1000 + OFFLINE * 19 + FINE * 1000 + OFFLINE * 19,
        FINE * 200 + (SPOILT + MISSING) * 20,
        FINE * 4 + (SPOILT + FINE * 4) * 500,
        SPOILT * 49,
        FINE + (FINE * 5 + INVERTED) * 100,
        OWN * 49,
    ],
)
def test_a_run_goes_on(codes: list[str | None]) -> None:
    assert stops_at(codes) is None


def test_five_bad_scans_in_a_hundred_stop_no_run() -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        codes = [str(rng.choice([*SPOILT, *OFFLINE])) if rng.random() < 0.05 else None for _ in range(5000)]
        assert stops_at(codes) is None


def test_a_run_that_may_fail_whole_is_stopped_by_the_first_rule_alone() -> None:
    assert stops_at(FINE * 10 + OFFLINE * 1000, max_failed=1) is None
    assert stops_at(INVERTED * 1000, max_failed=1) is None
    assert stops_at(OFFLINE * 1000, max_failed=1) is not None


@pytest.mark.parametrize(
    ("codes", "doubtful"),
    [
        ([], 0),
        (FINE, 0),
        (CRASHED * 5, 5),
        (CRASHED * 5 + FINE, 0),
        (SPOILT * 5, 0),
        (OWN * 5, 0),
        (SPOILT + OFFLINE * 2, 2),
        (FINE + SPOILT * 5, 0),
        (FINE + OFFLINE * 5, 5),
        (FINE + OFFLINE * 5 + SPOILT, 0),
    ],
)
def test_the_newest_rows_may_be_doubtful(codes: list[str | None], doubtful: int) -> None:
    budget = ErrorBudget(0.2)
    budget.add(codes)
    assert budget.doubtful == doubtful


def test_rows_count_alike_in_blocks_and_one_by_one() -> None:
    budget = ErrorBudget(0.2)
    for _ in range(5):
        budget.add(FINE * 1000 + OFFLINE * 4)
        assert budget.spent() is None
    budget.add(OFFLINE * 16)
    assert budget.spent() is not None


def mixed(rows: list[int]) -> list[int]:
    """The order of `manifests.planning.plan`: every fourth row from elsewhere."""
    if len(rows) < 40:
        return rows
    places = [
        place if place % 4 < 3 else (place // 4) * 0.6180339887498949 % 1 * len(rows)
        for place in range(len(rows))
    ]
    return [row for _, _, row in sorted(zip(places, range(len(rows)), rows, strict=True))]


def run_once(
    rows: list[int], fails: Callable[[int], str | None], doubt: Doubt
) -> tuple[set[int], str | None]:
    """One run over the rows: those that it records, and the code that it leaves unrecorded."""
    budget, seen = ErrorBudget(0.2, doubt), list[int]()
    for row in mixed(rows):
        seen.append(row)
        budget.add([fails(row)])
        if (spent := budget.spent()) is not None:
            lost = {row for row in seen if spent.unrecorded is not None and fails(row) == spent.unrecorded}
            return set(seen) - lost, spent.unrecorded
    return set(seen), None


def runs_until_all_were_tried(rows: list[int], fails: Callable[[int], str | None]) -> int:
    """Runs that it takes to record each row once, while those that the world spoilt are tried again.

    Raises:
        AssertionError: when two runs in a row record no row that none has recorded before.
    """
    attempts, unrecorded, idle, runs = dict.fromkeys(rows, 0), None, 0, 0
    while 0 in attempts.values():
        planned = [row for row in rows if attempts[row] == 0 or fails(row) in SHARED]
        planned.sort(key=lambda row: (attempts[row], row))
        recorded, unrecorded = run_once(planned, fails, Doubt(code=unrecorded, planned=len(planned)))
        first_time = [row for row in recorded if not attempts[row]]
        for row in recorded:
            attempts[row] += 1
        idle = 0 if first_time else idle + 1
        runs += 1
        assert idle < 2, "two runs in a row without progress"
    return runs


def some_rows(count: int) -> st.SearchStrategy[set[int]]:
    """Bad rows of a plan: a few here and there, a box of them, or all but a few."""
    here_and_there = st.sets(st.integers(0, count - 1))
    bounds = st.lists(st.integers(0, count), min_size=2, max_size=2).map(sorted)
    box = bounds.map(lambda ends: set(range(*ends)))
    return here_and_there | box | here_and_there.map(lambda good: set(range(count)) - good)


@settings(max_examples=100, deadline=None)
@given(
    bad=st.integers(1, 150).flatmap(lambda count: st.tuples(st.just(count), some_rows(count))),
    code=st.sampled_from([*sorted(SHARED), *SPOILT, *CRASHED, *OWN, *INVERTED]),
)
@example(bad=(60, set(range(60))), code="storage_unavailable")
@example(bad=(150, set(range(149))), code="worker_crashed")
@example(bad=(3000, set(range(2990))), code="storage_unavailable")
def test_bad_rows_never_stop_the_good_ones_for_long(bad: tuple[int, set[int]], code: str) -> None:
    count, rows = bad
    runs_until_all_were_tried(list(range(count)), lambda row: code if row in rows else None)


@pytest.mark.parametrize("code", sorted(SHARED))
def test_a_world_that_stays_broken_records_a_thousand_rows_in_two_runs(code: str) -> None:
    rows = list(range(2 * MAX_REPEATED_ROWS))
    assert run_once(rows, lambda _: code, Doubt(code=None, planned=len(rows))) == (set(), code)
    other = Doubt(code="timed_out", planned=len(rows))
    assert run_once(rows, lambda _: code, other) == (set(), code)
    recorded, unrecorded = run_once(rows, lambda _: code, Doubt(code=code, planned=len(rows)))
    assert (len(recorded), unrecorded) == (MAX_REPEATED_ROWS, None)
