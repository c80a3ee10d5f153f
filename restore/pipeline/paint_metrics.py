"""Metrics of the paint actors."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from threading import Event, Lock, Thread

from restore.outcome import Outcome
from restore.photo.estimate import work
from restore.photo.state import PaintedPhoto, Prepared
from restore.run.metrics import ACTOR_SECONDS, BUSY_SECONDS, TFLOP, WINDOWS, MetricsRecorder, beat


class PaintMetrics:
    """How a paint actor spends its time, from the moment its engines are loaded.

    It reports every `BEAT_SECONDS`, also during a call that takes minutes. So both counters are true
    whenever they are read, and the quotient of their rates is the busy fraction.
    """

    def __init__(
        self,
        metrics: MetricsRecorder,
        device: str,
        engines: Iterable[str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._metrics = metrics
        self._device = device
        self._clock = clock
        self._lock = Lock()
        self._until = clock()
        self._painting = False
        with metrics.never_raise():
            for metric in (ACTOR_SECONDS, BUSY_SECONDS):
                metrics.record(metric, 0, device=device)
            for metric in (WINDOWS, TFLOP):
                for engine in engines:
                    metrics.record(metric, 0, engine=engine)
        Thread(target=beat, args=(self.report, Event()), name="metrics", daemon=True).start()

    @contextmanager
    def painting(self) -> Iterator[None]:
        """Count the time of the block as busy."""
        self.report()
        self._painting = True
        try:
            yield
        finally:
            self.report()
            self._painting = False

    def report(self) -> None:
        """Report the time since the last report."""
        with self._lock, self._metrics.never_raise():
            now = self._clock()
            spent, self._until = now - self._until, now
            self._metrics.record(ACTOR_SECONDS, spent, device=self._device)
            if self._painting:
                self._metrics.record(BUSY_SECONDS, spent, device=self._device)

    def painted(self, photos: Sequence[Prepared], results: Sequence[PaintedPhoto | Outcome]) -> None:
        """Count windows and TFLOP of the photos that were painted."""
        with self._metrics.never_raise():
            for photo, result in zip(photos, results, strict=True):
                for engine, tflop in work(photo) if isinstance(result, PaintedPhoto) else ():
                    self._metrics.record(WINDOWS, 1, engine=engine)
                    self._metrics.record(TFLOP, tflop, engine=engine)
