"""Whether a run's failures are still its photos' own, or tell that its world is broken.

A bad scan here and there costs its row and nothing else. Four things stop a run:

- its first 20 photos all fail with one code: the world was broken before it began;
- 20 in a row fail with one of the codes `SHARED`, which tell of stores and devices: it broke under way;
- 180 of the last 200 fail with one code, whatever it is and however well the night went before;
- more than `max_failed` of all have failed, judged after 50.

A box of 100 spoilt scans in a row passes the first three, and is borne by the fourth in a large
archive. Whoever says that all may fail (`max_failed` 1) is stopped by the first alone.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass

from restore.errors import ErrorCode

ALIKE = 20
"""So many failures in a row with one code are no chance."""

JUDGED_FROM = 50
"""Attempted rows before the fraction of failures is judged."""

WINDOW = 200
"""Newest rows that are judged by themselves."""

NEARLY_ALL = 0.9

SHARED = frozenset(
    {
        ErrorCode.STORAGE_DENIED,
        ErrorCode.STORAGE_UNAVAILABLE,
        ErrorCode.OUT_OF_MEMORY,
        ErrorCode.NON_FINITE_OUTPUT,
    }
)
"""What photos fail with that share a store or a device which failed. Not `worker_crashed` and
`timed_out`: such photos take longest, so the few of a run may well come last and in a row."""


@dataclass(frozen=True, slots=True)
class Spent:
    """Why a run has to stop.

    Attributes:
        unrecorded: failures with this code that are not committed yet are not to be: they tell of the
            world. None where all failures are the photos' own.
    """

    why: str
    unrecorded: str | None


class Budget:
    """The failures of a run, judged as they come.

    Args:
        max_failed: fraction of all attempted rows that may fail.
    """

    def __init__(self, max_failed: float) -> None:
        self._max_failed = max_failed
        self._attempted = 0
        self._codes: Counter[str] = Counter()
        self._recent: deque[str | None] = deque(maxlen=WINDOW)
        self._streak = 0

    def add(self, codes: Sequence[str | None]) -> None:
        """Rows in the order in which they came: the code of each, None where nothing failed."""
        for code in codes:
            alike = bool(self._recent) and code == self._recent[-1]
            self._streak = 0 if code is None else self._streak + 1 if alike else 1
            self._recent.append(code)
        self._attempted += len(codes)
        self._codes.update(code for code in codes if code is not None)

    @property
    def doubtful(self) -> int:
        """How many of the newest rows may tell of the world, so that they are better not committed yet."""
        if self._streak == self._attempted < ALIKE:
            return self._streak
        return self._streak if self._streak < ALIKE and self._breaks_under_way else 0

    def spent(self) -> Spent | None:
        """Why the run has to stop now, if it has to."""
        code = self._recent[-1] if self._recent else None
        if code is not None and self._streak == self._attempted >= ALIKE:
            return Spent(
                f"the first {self._attempted} photos all failed with {code}, so none is recorded", code
            )
        if code is not None and self._streak >= ALIKE and self._breaks_under_way:
            return Spent(f"{self._streak} photos in a row failed with {code}; they are not recorded", code)
        return self._window_spent() or self._whole_spent()

    @property
    def _breaks_under_way(self) -> bool:
        return bool(self._recent) and self._recent[-1] in SHARED and self._max_failed < 1

    def _window_spent(self) -> Spent | None:
        if len(self._recent) < WINDOW or self._max_failed >= 1:
            return None
        failures = Counter(code for code in self._recent if code is not None).most_common(1)
        if not failures or failures[0][1] < NEARLY_ALL * WINDOW:
            return None
        code, count = failures[0]
        unrecorded = code if code in SHARED else None
        end = "those not committed yet are not recorded" if unrecorded else "what is done is committed"
        return Spent(f"{count} of the last {WINDOW} photos failed with {code}; {end}", unrecorded)

    def _whole_spent(self) -> Spent | None:
        failed = self._codes.total()
        if self._attempted < JUDGED_FROM or failed <= self._max_failed * self._attempted:
            return None
        most = ", ".join(f"{code} {count}" for code, count in self._codes.most_common(3))
        return Spent(
            f"{failed} of {self._attempted} photos failed ({most}), more than --max-failed "
            f"{self._max_failed:g}; what is done is committed",
            None,
        )
