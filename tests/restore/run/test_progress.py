"""Progress: a line every 15 s in a log, a bar on a terminal."""

from __future__ import annotations

import io
import json

from restore.run.events import Events
from restore.run.ledger import Tally
from restore.run.progress import Progress


def test_a_log_gets_one_line_every_15_s_with_counts_rate_and_time_to_go() -> None:
    now, stream, tally = [0.0], io.StringIO(), Tally()
    with Progress(100, stream, lambda: now[0]) as progress:
        progress.show(tally)
        tally.status.update({"restored": 1})
        now[0] = 5.0
        progress.show(tally)
        assert stream.getvalue() == ""
        tally.status.update({"restored": 18, "failed": 1})
        now[0] = 15.0
        progress.show(tally)
        progress.show(tally)
        now[0] = 29.0
        progress.show(tally)
    assert stream.getvalue() == "20/100 photos, 1 failed, 2.00 photos/s, 40 s left\n"


def test_a_terminal_gets_a_bar() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream, tally = Terminal(), Tally()
    with Progress(4, stream) as progress:
        tally.status.update({"restored": 3, "failed": 1})
        progress.show(tally)
    assert "4/4" in stream.getvalue() and "1 failed" in stream.getvalue()


def test_events_are_written_at_the_same_times() -> None:
    now, events, tally = [0.0], io.StringIO(), Tally()
    with Progress(100, io.StringIO(), lambda: now[0], Events("r", events)) as progress:
        for second in range(31):
            now[0] = float(second)
            progress.show(tally)
            tally.status.update({"restored": 1})
    first, second = (json.loads(line) for line in events.getvalue().splitlines())
    assert (first["attempted"], first["total"], first["photos_per_second"]) == (15, 100, 15 / 14)
    assert (second["attempted"], second["seconds_left"]) == (30, 70 / (30 / 29))
