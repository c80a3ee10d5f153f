"""The progress of a run: a live bar on a terminal, a line every 15 s in a job's log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import TextIO

from tqdm import tqdm

from restore.run.events import SILENT, Events
from restore.run.ledger import Tally

LINE_SECONDS = 15.0


class Progress:
    """Shows a tally against the planned total. A context manager."""

    def __init__(
        self,
        total: int,
        stream: TextIO = sys.stderr,
        clock: Callable[[], float] = time.monotonic,
        events: Events = SILENT,
    ) -> None:
        self._total = total
        self._stream = stream
        self._clock = clock
        self._events = events
        self._first: float | None = None
        self._next_line = clock() + LINE_SECONDS
        self._bar = (
            tqdm(total=total, unit="photo", file=stream, dynamic_ncols=True) if stream.isatty() else None
        )

    def show(self, tally: Tally) -> None:
        """Show the tally when the next line is due. Called often."""
        now = self._clock()
        if tally.attempted and self._first is None:
            self._first = now
        if self._bar is not None:
            self._bar.set_postfix_str(f"{tally.failed} failed", refresh=False)
            self._bar.update(tally.attempted - self._bar.n)
        if now >= self._next_line:
            self._next_line = now + LINE_SECONDS
            self._events.progress(tally.attempted, self._total, tally.failed, *self._pace(tally))
            if self._bar is None:
                print(self.line(tally), file=self._stream, flush=True)

    def line(self, tally: Tally) -> str:
        """Counts, failures, photos per second and the seconds left, from the first outcome on."""
        rate, left = self._pace(tally)
        to_go = f"{left:.0f} s left" if left is not None else "starting"
        counts = f"{tally.attempted}/{self._total} photos, {tally.failed} failed"
        return f"{counts}, {rate or 0:.2f} photos/s, {to_go}"

    def _pace(self, tally: Tally) -> tuple[float | None, float | None]:
        """Photos per second and seconds left; None before the first outcomes."""
        spent = self._clock() - self._first if self._first is not None else 0.0
        if not spent or not tally.attempted:
            return None, None
        rate = tally.attempted / spent
        return rate, (self._total - tally.attempted) / rate

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.close()
