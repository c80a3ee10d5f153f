"""Run: what a deadline leaves for finishing what was begun."""

from __future__ import annotations

import pytest

from jobs.run import Terms


@pytest.mark.parametrize(("hours", "minutes_before"), [(8, 5), (0.5, 3), (0, 0)])
def test_no_photo_is_begun_in_the_last_tenth_of_the_time_or_five_minutes(
    hours: float, minutes_before: float
) -> None:
    until = Terms(deadline=1000 + 3600 * hours).admit_until(now=1000)
    assert until == 1000 + 3600 * hours - 60 * minutes_before


def test_without_a_deadline_all_are_begun() -> None:
    assert Terms().admit_until(now=1000) is None
