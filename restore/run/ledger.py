"""What a run writes about itself: rows in Parquet parts as they arrive, then one record of the whole run.

Rows are the truth: a photo is done when its row's part exists. The run record is only a summary.
"""

from __future__ import annotations

import io
import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from queue import Empty, Queue
from threading import Event, Thread
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from restore.errors import BudgetSpent, LeaseHeld
from restore.outcome import OWN_FAULT, REUSED, outcome_schema, results
from restore.run.error_budget import Doubt, ErrorBudget, budget_code
from restore.run.events import SILENT, Events
from restore.run.lease import RUN_RECORD, Lease, vanished
from restore.storage import OutStore

FIRST_PART_SECONDS = 3.0
MAX_PART_SECONDS = 60.0
PART_ROWS = 20_000
POLL_SECONDS = 0.2

MAX_TABLES = 64
"""Small tables that wait before they are merged: each costs some 50 KB beside its rows."""


@dataclass(slots=True)
class Tally:
    """Running counts of a run's outcomes.

    Attributes:
        status: rows by the column `status`.
        results: rows by what `restore.outcome.results` calls them: `reused` rows are counted apart.
        codes: failed rows by error code.
        psnr, ssim: sums over the photos that have a reference.
        referenced: photos that have a reference.
        first: clock and rows of the first table.
        last: clock of the last table.
    """

    status: Counter[str] = field(default_factory=Counter)
    results: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    psnr: float = 0.0
    ssim: float = 0.0
    referenced: int = 0
    first: tuple[float, int] | None = None
    last: float = 0.0

    @property
    def attempted(self) -> int:
        return self.status.total()

    @property
    def failed(self) -> int:
        return self.status["failed"]

    @property
    def reused(self) -> int:
        """Photos that show the picture of an earlier row; nothing was painted for them."""
        return self.results[REUSED]

    @property
    def rate(self) -> float | None:
        """Photos per second from the first outcomes to the last; None before there are two."""
        if self.first is None or self.last <= self.first[0]:
            return None
        return (self.attempted - self.first[1]) / (self.last - self.first[0])

    def add(self, table: pa.Table, now: float) -> None:
        self.last = now
        self.first = self.first or (now, table.num_rows)
        self.status.update(table.column("status").to_pylist())
        self.results.update(results(table).to_pylist())
        self.codes.update(table.column("error_code").drop_null().to_pylist())
        figures = table.column("figures").combine_chunks()
        psnr, ssim = figures.field("psnr"), figures.field("ssim")
        self.psnr += pc.sum(psnr).as_py() or 0.0
        self.ssim += pc.sum(ssim).as_py() or 0.0
        self.referenced += len(psnr) - psnr.null_count


class Ledger:
    """Gathers outcomes and commits them in parts.

    A part is due 3 s after the first outcome, then at intervals that double to 60 s, or when it
    has 20,000 rows. The newest rows wait while the error budget doubts them: a broken world may have
    caused them, and not the photos.
    """

    def __init__(
        self,
        store: OutStore,
        lease: Lease,
        run_id: str,
        extra: Iterable[str],
        max_failed: float,
        clock: Callable[[], float] = time.monotonic,
        events: Events = SILENT,
        doubt: Doubt | None = None,
    ) -> None:
        self.tally = Tally()
        self.parts: list[str] = []
        self.committed = 0
        self._store = store
        self._lease = lease
        self._run_id = run_id
        self._schema = outcome_schema(extra)
        self._budget = ErrorBudget(max_failed, doubt)
        self.unrecorded: dict[str, int] = {}
        self.plan: str | None = None
        self._last_error = ""
        self._clock = clock
        self._events = events
        self._waiting: list[pa.Table] = []
        self._interval = FIRST_PART_SECONDS
        self._due_at = float("inf")

    def add(self, outcomes: pa.Table) -> None:
        """Add outcomes, and commit when a part is due.

        Raises:
            BudgetSpent: when too many photos have failed; the rows so far are committed, except those
                that a broken world caused.
            LeaseHeld: when another writer has taken over the store.
        """
        if not outcomes.num_rows:
            return
        if not self._waiting:
            self._due_at = min(self._due_at, self._clock() + self._interval)
        self._waiting.append(outcomes)
        if len(self._waiting) >= MAX_TABLES:
            self._waiting = [pa.concat_tables(self._waiting, promote_options="default").combine_chunks()]
        self.tally.add(outcomes, self._clock())
        self._events.failed(outcomes)
        self._judge(outcomes)
        self.tick()

    def tick(self) -> None:
        """Commit if a part is due. Called often."""
        sure = self._rows - self._budget.doubtful
        if sure > 0 and (self._clock() >= self._due_at or sure >= PART_ROWS):
            self._commit(sure)

    def commit(self) -> None:
        """Write all waiting rows as one part."""
        self._commit(self._rows)

    def close(self) -> None:
        """Commit the waiting rows of a run that ends early, unless every row of the run is doubtful.

        The next run does doubtful rows again.
        """
        if self._budget.doubtful < self.tally.attempted:
            self.commit()

    def require_store(self) -> None:
        """Before each part and at the end: the store must hold all that this run wrote.

        A run over a disk that is unmounted would go on below the mount point, and say that all is restored.

        Raises:
            StoreVanished: naming the first object that is missing.
        """
        self._lease.require_file()
        for folder, names in _by_folder([*self.parts, *([self.plan] if self.plan else [])]).items():
            missing = names - set(self._store.names(folder))
            if missing:
                raise vanished(self._store, f"{folder}/{min(missing)}")

    @property
    def _rows(self) -> int:
        return sum(table.num_rows for table in self._waiting)

    def _commit(self, count: int) -> None:
        """Write the oldest `count` waiting rows as one part."""
        if not count:
            return
        self._lease.check()
        self.require_store()
        waiting = pa.concat_tables(self._waiting, promote_options="default")
        table = self._stamped(waiting.slice(0, count))
        path = f"metadata/run={self._run_id}/part-{len(self.parts):05d}.parquet"
        if self._store.create(path, _parquet(table)).existing is not None:
            raise LeaseHeld(f"{path} exists: another writer works in {self._store.root}")
        self.parts.append(path)
        self.committed += count
        self._events.part(path, count, self.committed)
        self._interval = min(2 * self._interval, MAX_PART_SECONDS)
        self._waiting = [waiting.slice(count).combine_chunks()] if count < waiting.num_rows else []
        self._due_at = self._clock() + self._interval if self._waiting else float("inf")

    def _judge(self, newest: pa.Table) -> None:
        self._budget.add(_budget_codes(newest))
        self._last_error = next(iter(newest["error_message"].drop_null().to_pylist()), self._last_error)
        spent = self._budget.spent()
        if spent is None:
            return
        if spent.unrecorded is not None:
            rows = pa.concat_tables(self._waiting, promote_options="default")
            caused = pa.array([code == spent.unrecorded for code in _budget_codes(rows)], pa.bool_())
            self.unrecorded = {spent.unrecorded: pc.sum(caused).as_py() or 0}
            self._waiting = [rows.filter(pc.invert(caused))]
        self.commit()
        raise BudgetSpent(f"{spent.why}; the last error: {self._last_error}")

    def _stamped(self, table: pa.Table) -> pa.Table:
        """The table with row ids, whose order is that of time over all runs, and the time of the commit."""
        part = len(self.parts)
        ids = [f"{self._lease.epoch:06d}-{part:05d}-{row:06d}" for row in range(table.num_rows)]
        now = pa.scalar(datetime.now(UTC), self._schema.field("committed_at").type)
        table = table.append_column("row_id", pa.array(ids))
        table = table.append_column("committed_at", pa.repeat(now, table.num_rows))
        return table.select(self._schema.names).cast(self._schema)


def _by_folder(paths: Iterable[str]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for path in paths:
        folder, _, name = path.rpartition("/")
        found.setdefault(folder, set()).add(name)
    return found


def _budget_codes(table: pa.Table) -> list[str | None]:
    codes = table.column("error_code").to_pylist()
    if OWN_FAULT not in table.schema.names:
        return codes  # type: ignore[no-any-return]
    return list(map(budget_code, codes, table.column(OWN_FAULT).to_pylist()))


def _parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue()


def write_plan(store: OutStore, run_id: str, todo: Path) -> str:
    """Create `OUT/plans/<run_id>.parquet` from the file `todo`, before the run begins any photo.

    Returns:
        Its path below OUT.
    """
    path = f"plans/{run_id}.parquet"
    store.create(path, todo.read_bytes())
    return path


def last_unrecorded(store: OutStore) -> str | None:
    """The error code with which the store's newest run left rows unrecorded; None where it recorded all."""
    records = [name for name in store.names("runs") if RUN_RECORD.fullmatch(name)]
    if not records:
        return None
    try:
        record = json.loads(store.read(f"runs/{records[-1]}"))
        return next(iter(record.get("unrecorded") or {}), None)
    except (FileNotFoundError, ValueError, AttributeError):  # a record of another version
        return None


def write_record(store: OutStore, run_id: str, record: Mapping[str, Any]) -> None:
    """Create `OUT/runs/<run_id>.json`, last of all."""
    body = json.dumps(record, indent=2, sort_keys=True, ensure_ascii=False)
    store.create(f"runs/{run_id}.json", body.encode())


def collect(
    stream: Iterable[pa.Table],
    ledger: Ledger,
    watch: Callable[[Tally], None],
    stop: Event,
    deadline: float | None = None,
) -> bool:
    """Add a stream of outcomes to the ledger until it ends, `stop` is set or `deadline` is over.

    A separate thread reads the stream, so that a slow photo delays neither the parts nor the stop. In
    every case the rows that have arrived are committed, except those that the ledger doubts.

    Args:
        deadline: seconds since the epoch. The pipeline begins nothing by then, so the rest of the stream,
            such as the reading of a long plan, is of no use.

    Returns:
        False where `stop` was set, else True.
    """
    arrivals: Queue[pa.Table | BaseException | None] = Queue(maxsize=256)
    Thread(target=_read_stream, args=(stream, arrivals), name="outcomes", daemon=True).start()
    while not stop.is_set():
        watch(ledger.tally)
        if deadline is not None and time.time() >= deadline:
            _add_arrived(arrivals, ledger)
            return True
        try:
            arrival = arrivals.get(timeout=POLL_SECONDS)
        except Empty:
            ledger.tick()
            continue
        if isinstance(arrival, BaseException):
            ledger.close()
            raise arrival
        if arrival is None:
            ledger.commit()
            return True
        ledger.add(arrival)
    _add_arrived(arrivals, ledger)
    return False


def _add_arrived(arrivals: Queue[pa.Table | BaseException | None], ledger: Ledger) -> None:
    """Add and commit the tables that have arrived: these photos are done."""
    with suppress(Empty):
        while isinstance(arrival := arrivals.get_nowait(), pa.Table):
            ledger.add(arrival)
    ledger.close()


def _read_stream(stream: Iterable[pa.Table], arrivals: Queue[pa.Table | BaseException | None]) -> None:
    try:
        for table in stream:
            arrivals.put(table)
    except BaseException as error:  # noqa: BLE001 - carried to the main thread and raised there
        arrivals.put(error)
    else:
        arrivals.put(None)
