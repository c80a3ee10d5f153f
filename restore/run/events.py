"""Events of a run for machines: one JSON object per line, each with ts, event and run_id.

    plan      before any work: rows to do, rows to reuse, and how many rows have each reason
    progress  every 15 s
    failed    a photo has failed, with its code and message
    part      rows are committed: from here on they are done
    stop      the run ends early, and why
    end       the verdict, as the last event

Schemas only grow: a field is added, never renamed or taken away.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TextIO

import pyarrow as pa
import pyarrow.compute as pc


class Events:
    """Writes events to `stream`; without one it is silent."""

    def __init__(self, run_id: str | None, stream: TextIO | None) -> None:
        self._run_id = run_id
        self._stream = stream

    def plan(self, manifest: str, rows: int, todo: int, reused: int, reasons: Mapping[str, int]) -> None:
        self._write("plan", manifest=manifest, rows=rows, todo=todo, reused=reused, reasons=dict(reasons))

    def progress(
        self, attempted: int, total: int, failed: int, rate: float | None, left: float | None
    ) -> None:
        self._write(
            "progress",
            attempted=attempted,
            total=total,
            failed=failed,
            photos_per_second=rate,
            seconds_left=left,
        )

    def failed(self, outcomes: pa.Table) -> None:
        """One event for each failed row among `outcomes`."""
        if self._stream is None:
            return
        columns = outcomes.filter(pc.equal(outcomes["status"], "failed"))
        for row in columns.select(["item_id", "error_code", "error_message"]).to_pylist():
            self._write(
                "failed", item_id=row["item_id"], code=row["error_code"], message=row["error_message"]
            )

    def part(self, path: str, rows: int, committed: int) -> None:
        self._write("part", path=path, rows=rows, committed=committed)

    def stop(self, message: str) -> None:
        self._write("stop", message=message)

    def end(
        self,
        verdict: str,
        exit_code: int,
        status: Mapping[str, int],
        errors: Mapping[str, int],
        report: str | None,
        left_out: int,
    ) -> None:
        """`left_out`: files of a listed folder that are no rows of the run."""
        self._write(
            "end",
            verdict=verdict,
            exit_code=exit_code,
            status=dict(status),
            errors=dict(errors),
            report=report,
            left_out=left_out,
        )

    def _write(self, event: str, **values: object) -> None:
        if self._stream is not None:
            now = datetime.now(UTC).isoformat(timespec="milliseconds")
            line = {"ts": now, "event": event, "run_id": self._run_id, **values}
            print(json.dumps(line, ensure_ascii=False, allow_nan=False), file=self._stream, flush=True)


SILENT = Events(None, None)
