"""What is left of an archive whose job loses its driver, its workers and its nodes at random moments.

    python -m pytest -m heavy tests/e2e/test_kill_matrix.py -s
    CHAOS_SEED=7 CHAOS_RUNS=1 make chaos          # one archive with the moments of seed 7

SIGKILL each time. The driver is started again at once, as KubeRay's submitter does, and a lost node is
followed by a new one.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from restore.identity import sha256_bytes
from restore.storage import OutStore
from tests.archives import make_archive
from tests.conftest import S3Server
from tests.e2e.test_many_nodes import pictures, start
from tests.e2e.test_s3 import rows, upload
from tests.nodes import Node, Nodes, ray_head, wait_for
from tests.watch import Line, Watch

PHOTOS = 160
SEED = int(os.environ.get("CHAOS_SEED", "20260101"))
RUNS = int(os.environ.get("CHAOS_RUNS", "10"))
KILLS = {"driver": 6, "painter": 8, "worker": 8, "node": 3}
LINGERS = (
    20.0  # s; so long after its node was killed a worker, or what it had made, may still be taken to live
)


@dataclass
class Killer:
    """A job that is killed, part by part, and started again until it has ended.

    Attributes:
        done: kills so far by what was hit: when, and the photos then begun to be painted and not committed.
    """

    nodes: Nodes
    manifest: str
    out: str
    watch: Watch
    chance: random.Random
    stack: ExitStack
    done: list[tuple[str, float, set[str]]] = field(default_factory=list)
    hit: Counter[tuple[str, str]] = field(default_factory=Counter)
    spares: list[Node] = field(default_factory=list)

    def run(self, kills: dict[str, int]) -> None:
        """All of `kills` at moments and in an order of chance, then the job is left to end."""
        deck = [kind for kind, count in kills.items() for _ in range(count)]
        self.chance.shuffle(deck)
        self.spares = [self.stack.enter_context(self.nodes.joined()) for _ in range(2)]
        self.start()
        for kind in deck:
            self.wait_for_work()
            time.sleep(self.chance.uniform(0.2, 2.0))
            getattr(self, f"kill_{kind}")()
        self.watch.hurry()
        _, stderr = self.job.communicate(timeout=900)
        assert self.job.returncode == 0, stderr

    def start(self) -> None:
        self.job = start(self.nodes, self.manifest, self.out, self.watch)
        self.stack.callback(end, self.job)
        self.began = time.time()

    def wait_for_work(self) -> None:
        """Until this driver's workers have begun something."""
        wait_for(lambda: self.lines_of_now() or self.job.poll() is not None)
        assert self.job.poll() is None, f"it was to be killed at work: {self.job.communicate()}"

    def lines_of_now(self) -> list[Line]:
        return [line for line in self.watch.lines("prepare", "paint", "finish") if line.at > self.began]

    def kill_driver(self) -> None:
        self.note("driver")
        os.killpg(self.job.pid, signal.SIGKILL)
        self.job.communicate()
        self.hit.clear()  # another run has another roster
        self.start()

    def kill_node(self) -> None:
        node = self.spares.pop(self.chance.randrange(len(self.spares)))
        self.note("node")
        node.lose()
        self.spares.append(self.stack.enter_context(self.nodes.joined()))

    def kill_painter(self) -> None:
        self.kill_one("painter", ("paint",))

    def kill_worker(self) -> None:
        self.kill_one("worker", ("prepare", "finish"))

    def kill_one(self, kind: str, steps: tuple[str, ...]) -> None:
        """A worker that was last seen at one of the steps, with photos that no worker was killed at yet.

        Those that were run alone now, and the roster would take one that dies again for the killer.
        """
        found: list[int] = []

        def victims() -> bool:
            alive = set().union(*(node.workers() for node in self.spares))
            last = {line.pid: line for line in self.lines_of_now()}
            photos = {pid: self.photos(pid, line.step) for pid, line in last.items()}
            found[:] = [
                pid
                for pid, line in sorted(last.items())
                if pid in alive and line.step in steps and not any(self.hit[one] for one in photos[pid])
            ]
            return bool(found) or self.job.poll() is not None

        wait_for(victims)
        assert found, "it was to be killed at work"
        victim = self.chance.choice(found)
        self.note(kind)
        self.hit.update(
            set(self.photos(victim, {line.pid: line for line in self.lines_of_now()}[victim].step))
        )
        os.kill(victim, signal.SIGKILL)

    def photos(self, pid: int, step: str) -> list[tuple[str, str]]:
        """What a worker may be at: the photos that it began last, a block of four at most."""
        own = [line for line in self.lines_of_now() if line.pid == pid]
        return [(step, line.item) for line in own[-4:]]

    def note(self, kind: str) -> None:
        kept = {row["item_id"] for row in rows(self.out) if row["status"] == "restored"}
        begun = {line.item for line in self.watch.lines("paint")}
        self.done.append((kind, time.time(), begun - kept))


def end(job: subprocess.Popen[str]) -> None:
    """A job that a test leaves running does not outlive it."""
    if job.poll() is None:
        os.killpg(job.pid, signal.SIGKILL)
        job.communicate()


@pytest.fixture(scope="module")
def nodes(s3: S3Server) -> Iterator[Nodes]:
    """A head without CPUs. `s3` comes first: its address is in the environment of all nodes."""
    with ray_head() as head:
        yield head


@pytest.fixture(scope="module")
def manifest(s3: S3Server, tmp_path_factory: pytest.TempPathFactory) -> str:
    bucket, folder = s3.fresh_bucket(), tmp_path_factory.mktemp("archive")
    make_archive(folder, PHOTOS, 320, 240)
    upload(s3, folder, bucket)
    return f"s3://{bucket}/scans/manifest.csv"


@pytest.fixture(scope="module")
def whole(
    nodes: Nodes, manifest: str, s3: S3Server, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[str, str]]:
    """The pictures of a run that nothing happens to."""
    out = f"s3://{s3.fresh_bucket()}/out"
    with nodes.joined():
        job = start(nodes, manifest, out, Watch(log=str(tmp_path_factory.mktemp("whole") / "log")))
        _, stderr = job.communicate(timeout=900)
    assert job.returncode == 0, stderr
    return pictures(out)


def survives(
    seed: int, nodes: Nodes, manifest: str, whole: dict[str, tuple[str, str]], s3: S3Server, folder: Path
) -> None:
    """One archive under all kills of a seed, and what must be true of it afterwards."""
    out = f"s3://{s3.fresh_bucket()}/out"
    watch = Watch(log=str(folder / "log"), seconds=1.0, cpu_seconds=0.25)
    print(f"seed {seed}")
    with ExitStack() as stack:
        killer = Killer(nodes, manifest, out, watch, random.Random(seed), stack)
        killer.run(KILLS)
    found = rows(out)
    assert Counter(row["status"] for row in found) == {"restored": PHOTOS}, failures(found)
    assert set(Counter((row["run_id"], row["item_id"]) for row in found).values()) == {1}
    assert set(Counter(row["work_key"] for row in found).values()) == {1}, "no work is committed twice"
    assert pictures(out) == whole
    store = OutStore.open(out)
    assert {entry.path for entry in store.list("images")} == {row["output"] for row in found}
    for row in found:
        assert sha256_bytes(store.read(row["output"])) == row["output_sha256"]
        assert row["changed_outside_mask"] == 0
    check_repaints(killer)


def failures(found: list[dict[str, object]]) -> list[object]:
    return [(row["item_id"], row["error_message"]) for row in found if row["status"] != "restored"]


def check_repaints(killer: Killer) -> None:
    """A photo is painted again only for a kill while it was in flight: begun, and not committed."""
    painted = Counter(line.item for line in killer.watch.lines("paint"))
    first = {line.item: line.at for line in reversed(killer.watch.lines("paint"))}
    allowed: Counter[str] = Counter()
    for kind, at, flying in killer.done:
        later = (
            {item for item, begun in first.items() if at < begun < at + LINGERS} if kind == "node" else set()
        )
        allowed.update(flying | later)
    again = {item: count - 1 for item, count in painted.items() if count > 1}
    assert not {item: count for item, count in again.items() if count > allowed[item]}
    kinds = Counter(kind for kind, _, _ in killer.done)
    flying = sum(len(some) for _, _, some in killer.done)
    print(
        f"{kinds.total()} kills {dict(kinds)}: {PHOTOS} photos, rows lost 0, rows doubled 0, known pixels "
        f"changed 0; {sum(again.values())} photos painted again, {flying} were in flight at the kills"
    )


@pytest.mark.heavy
@pytest.mark.timeout(1800)
def test_an_archive_outlives_its_driver_workers_and_nodes(
    nodes: Nodes, manifest: str, whole: dict[str, tuple[str, str]], s3: S3Server, tmp_path: Path
) -> None:
    survives(SEED, nodes, manifest, whole, s3, tmp_path)


@pytest.mark.chaos
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", range(SEED, SEED + RUNS))
def test_many_archives_outlive_them(
    seed: int, nodes: Nodes, manifest: str, whole: dict[str, tuple[str, str]], s3: S3Server, tmp_path: Path
) -> None:
    survives(seed, nodes, manifest, whole, s3, tmp_path)
