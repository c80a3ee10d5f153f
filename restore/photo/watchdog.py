"""Limits the time of a photo by a timer that ends the process, also inside a hung C library."""

from __future__ import annotations

import faulthandler
from collections.abc import Iterator
from contextlib import contextmanager

_STDERR = 2
_limits: list[float] = []


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """End this process, with all threads' tracebacks on stderr, when the block takes longer.

    A C thread does it, because a decoder that hangs may hold the interpreter's lock.
    One block can be timed at a time.
    """
    _limits.append(seconds)
    restart()
    try:
        yield
    finally:
        _limits.clear()
        faulthandler.cancel_dump_traceback_later()


def restart() -> None:
    """Start the block's time again, since it has only waited so far. Outside a block it does nothing."""
    if _limits:
        faulthandler.dump_traceback_later(_limits[-1], exit=True, file=_STDERR)
