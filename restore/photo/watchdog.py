"""The time that a photo may take: a timer that ends the process, whatever it hangs in."""

from __future__ import annotations

import faulthandler
from collections.abc import Iterator
from contextlib import contextmanager

_STDERR = 2
_limits: list[float] = []


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Ends this process, with all threads' tracebacks on stderr, when the block takes longer.

    By a thread of C that does not wait for the interpreter's lock: a decoder that hangs may hold it.
    One block at a time.
    """
    _limits.append(seconds)
    restart()
    try:
        yield
    finally:
        _limits.clear()
        faulthandler.cancel_dump_traceback_later()


def restart() -> None:
    """The time of the block begins anew: it has only waited so far. Nothing outside of a block."""
    if _limits:
        faulthandler.dump_traceback_later(_limits[-1], exit=True, file=_STDERR)
