"""Metrics of the paint actors."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from threading import Event, Lock, Thread

from restore.outcome import Outcome
from restore.photo.estimate import work
from restore.photo.state import PaintedPhoto, Prepared
from restore.run.metrics import ACTOR_SECONDS, BUSY_SECONDS, TFLOP, WINDOWS, MetricsRecorder, _beat


class PaintMeters:
    """What a paint actor does with its time, from when its engines are loaded.

    Told every `BEAT_SECONDS`, also in the midst of a call, which may take minutes: both counters are
    true whenever they are read, and their rates' quotient is the busy fraction.
    """

    def __init__(
        self,
        meters: MetricsRecorder,
        device: str,
        engines: Iterable[str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._meters = meters
        self._device = device
        self._clock = clock
        self._lock = Lock()
        self._until = clock()
        self._painting = False
        with meters.never_raise():
            for metric in (ACTOR_SECONDS, BUSY_SECONDS):
                meters.record(metric, 0, device=device)
            for metric in (WINDOWS, TFLOP):
                for engine in engines:
                    meters.record(metric, 0, engine=engine)
        Thread(target=_beat, args=(self.tell, Event()), name="metrics", daemon=True).start()

    @contextmanager
    def painting(self) -> Iterator[None]:
        """The block's time is busy."""
        self.tell()
        self._painting = True
        try:
            yield
        finally:
            self.tell()
            self._painting = False

    def tell(self) -> None:
        """The time since it was last told."""
        with self._lock, self._meters.never_raise():
            now = self._clock()
            spent, self._until = now - self._until, now
            self._meters.record(ACTOR_SECONDS, spent, device=self._device)
            if self._painting:
                self._meters.record(BUSY_SECONDS, spent, device=self._device)

    def painted(self, photos: Sequence[Prepared], results: Sequence[PaintedPhoto | Outcome]) -> None:
        """Windows and TFLOP of the photos that came out painted."""
        with self._meters.never_raise():
            for photo, result in zip(photos, results, strict=True):
                for engine, tflop in work(photo) if isinstance(result, PaintedPhoto) else ():
                    self._meters.record(WINDOWS, 1, engine=engine)
                    self._meters.record(TFLOP, tflop, engine=engine)
