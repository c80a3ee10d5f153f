"""Whether a run's failures are still the photos' own faults, or show that its world is broken.

A bad scan here and there costs its row and nothing else. Five things stop a run:

- its first 20 photos all fail with one of the codes `AT_START`: the world was broken before the run;
- 20 in a row fail with one of the codes `SHARED`, which point at stores and devices: it broke during the run;
- 180 of the last 200 fail with one code, whatever the code and the results before;
- more than half of its first 20 to 50 photos fail since their masks mark nearly all: the masks are inverted;
- more than `max_failed` of all photos have failed, judged after 50.

The first two leave their rows unrecorded, so that the next run does them again. A code that speaks of the
photo's content, or a fault that is the photo's own, never does: its row is recorded.

A plan takes every fourth row from further on (`manifests.planning.plan`), so 20 failures in a row hold
several from elsewhere: a box of bad photos at one place does not look like a broken world. Where a second
run in a row begins with the same code, it records its rows, at most 1,000. A later run tries them after
those that no run has tried, so no plan is stuck.

A box of 100 spoilt scans in a row passes all rules but the last, and in a large archive the last too.
Where all photos may fail (`max_failed` 1), only the first rule stops a run.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass

from restore.errors import ErrorCode

SAME_ERROR_LIMIT = 20
"""Failures in a row with one code that are no coincidence."""

MIN_ROWS = 50
"""Attempted rows before the fraction of failures is judged."""

WINDOW_ROWS = 200
"""Newest rows that are judged apart from the rest."""

WINDOW_FRACTION = 0.9
"""Fraction of the newest rows that may fail with one code."""

SHARED = frozenset(
    {
        ErrorCode.STORAGE_DENIED,
        ErrorCode.STORAGE_UNAVAILABLE,
        ErrorCode.OUT_OF_MEMORY,
        ErrorCode.NON_FINITE_OUTPUT,
    }
)
"""Codes of photos whose shared store or device has failed. Not `worker_crashed` and `timed_out`: such
photos take the longest, so the few of a run can come last and in a row."""


AT_START = SHARED | {ErrorCode.WORKER_CRASHED, ErrorCode.TIMED_OUT}
"""Codes with which all first photos fail where the world was broken before the run."""

INVERTED = frozenset({ErrorCode.MASK_TOO_LARGE, ErrorCode.MASK_FULL})
"""Codes of photos whose mask marks nearly all of them."""

MAX_REPEATED_ROWS = 1000
"""Rows that a second run in a row tries, and records, although all fail with one code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """What a run knows of the run before it, and of its own plan.

    Attributes:
        code: with which the run before left rows unrecorded; None where it recorded all.
        planned: rows of this run's plan.
    """

    code: str | None = None
    planned: int = 0

    def repeats(self, code: str | None) -> bool:
        """Whether failures with this code are to be recorded, since the run before met the same."""
        return code is not None and code == self.code


@dataclass(frozen=True, slots=True)
class SpentBudget:
    """Why a run has to stop.

    Attributes:
        unrecorded: failures with this code that are not committed yet must not be: the world caused them.
            None where all failures are the photos' own.
    """

    why: str
    unrecorded: str | None


class ErrorBudget:
    """Judges the failures of a run as they arrive.

    Args:
        max_failed: fraction of all attempted rows that may fail.
        doubt: of the run before.
    """

    def __init__(self, max_failed: float, doubt: Doubt | None = None) -> None:
        self._max_failed = max_failed
        self._doubt = doubt or Doubt()
        self._attempted = 0
        self._codes: Counter[str] = Counter()
        self._recent: deque[str | None] = deque(maxlen=WINDOW_ROWS)
        self._streak = 0

    def add(self, codes: Sequence[str | None]) -> None:
        """Add rows in the order of their arrival.

        Args:
            codes: for each the error code, from `budget_code`; None where nothing failed.
        """
        for code in codes:
            is_same = bool(self._recent) and code == self._recent[-1]
            self._streak = 0 if code is None else self._streak + 1 if is_same else 1
            self._recent.append(code)
        self._attempted += len(codes)
        self._codes.update(code for code in codes if code is not None)

    @property
    def doubtful(self) -> int:
        """Number of the newest rows that the world may have caused; they should not be committed yet."""
        if self._repeats:
            return self._streak if self._attempted < min(self._doubt.planned, MAX_REPEATED_ROWS) else 0
        may_be_world = self._breaks_at_start or self._breaks_during_run
        return self._streak if may_be_world and self._streak < SAME_ERROR_LIMIT else 0

    def spent(self) -> SpentBudget | None:
        """Why the run must stop now; None where it may go on."""
        if self._repeats:
            return self._repeated_enough()
        if self._streak >= SAME_ERROR_LIMIT and self._breaks_at_start:
            why = f"the first {self._attempted} photos all failed with {self._newest}, so none is recorded"
            return SpentBudget(why, self._newest)
        if self._streak >= SAME_ERROR_LIMIT and self._breaks_during_run:
            why = f"{self._streak} photos in a row failed with {self._newest}; they are not recorded"
            return SpentBudget(why, self._newest)
        return self._inverted() or self._window_spent() or self._whole_spent()

    @property
    def _repeats(self) -> bool:
        """Whether all rows so far fail as those did that the run before left unrecorded."""
        return self._breaks_at_start and self._doubt.repeats(self._newest)

    @property
    def _newest(self) -> str | None:
        return self._recent[-1] if self._recent else None

    @property
    def _breaks_at_start(self) -> bool:
        return self._newest in AT_START and self._streak == self._attempted

    @property
    def _breaks_during_run(self) -> bool:
        return self._newest in SHARED and self._max_failed < 1

    def _repeated_enough(self) -> SpentBudget | None:
        if self._attempted < MAX_REPEATED_ROWS:
            return None
        return SpentBudget(
            f"the first {self._attempted} photos all failed with {self._newest}, as in the run before; "
            "they are recorded, and the next run begins with others",
            None,
        )

    def _inverted(self) -> SpentBudget | None:
        """Why the run stops before it takes up all photos of a folder whose masks are inverted."""
        count = sum(self._codes[code] for code in INVERTED)
        if not SAME_ERROR_LIMIT <= self._attempted <= MIN_ROWS or self._max_failed >= 1:
            return None
        if 2 * count <= self._attempted:
            return None
        return SpentBudget(
            f"the masks of {count} of the first {self._attempted} photos mark nearly all of the photo, as "
            "inverted masks do; set mask_polarity to black_is_damage where black marks the damage, or raise "
            "max_coverage and max_failed where the masks are right; what is done is committed",
            None,
        )

    def _window_spent(self) -> SpentBudget | None:
        if len(self._recent) < WINDOW_ROWS or self._max_failed >= 1:
            return None
        failures = Counter(code for code in self._recent if code is not None).most_common(1)
        if not failures or failures[0][1] < WINDOW_FRACTION * WINDOW_ROWS:
            return None
        code, count = failures[0]
        unrecorded = code if code in SHARED else None
        end = "those not committed yet are not recorded" if unrecorded else "what is done is committed"
        return SpentBudget(f"{count} of the last {WINDOW_ROWS} photos failed with {code}; {end}", unrecorded)

    def _whole_spent(self) -> SpentBudget | None:
        failed = self._codes.total()
        if self._attempted < MIN_ROWS or failed <= self._max_failed * self._attempted:
            return None
        codes = ", ".join(f"{code} {count}" for code, count in self._codes.most_common(3))
        return SpentBudget(
            f"{failed} of {self._attempted} photos failed ({codes}), more than "
            f"max_failed={self._max_failed:g}; what is done is committed",
            None,
        )


def budget_code(code: str | None, own: bool | None) -> str | None:
    """The code that the budget judges: one of its own where the fault is the photo's own."""
    return f"{code} (of the photo alone)" if code is not None and own else code
