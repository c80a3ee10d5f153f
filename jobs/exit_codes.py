"""Exit codes of a run and its verdicts."""

from __future__ import annotations

ALL_WELL, OTHER, SOME_FAILED, BUDGET_SPENT = 0, 1, 3, 4


VERDICTS = {ALL_WELL: "complete", OTHER: "stopped", SOME_FAILED: "some_failed", BUDGET_SPENT: "budget_spent"}


OUT_OF_TIME = "out_of_time"
