"""What is left of an archive whose job loses its driver, its workers and its nodes at random moments.

    python -m pytest -m heavy tests/e2e/test_kill_matrix.py -s
    CHAOS_SEED=7 CHAOS_RUNS=1 make chaos          # one archive with the moments of seed 7

SIGKILL each time. The driver is started again at once, as KubeRay's submitter does, and a lost node is
followed by a new one.
"""

from __future__ import annotations

import io
import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from cluster.profiles import GPU
from restore.identity import sha256_bytes
from restore.storage import OutStore
from tests.conftest import S3Server
from tests.e2e.test_many_nodes import pictures, start
from tests.e2e.test_s3 import rows, upload
from tests.support.archives import make_archive
from tests.support.nodes import Node, Nodes, ray_head, wait_for
from tests.support.watch import Line, Watch

PHOTOS = 160
SEED = int(os.environ.get("CHAOS_SEED", "20260101"))
RUNS = int(os.environ.get("CHAOS_RUNS", "10"))
KILLS = {"driver": 6, "painter": 8, "worker": 8, "node": 3}
LINGERS = (
    20.0  # s; so long after its node was killed a worker, or what it had made, may still be taken to live
)


@dataclass(frozen=True)
class Kill:
    """One kill, and the photos that were begun to be painted by then and not committed."""

    kind: str
    at: float
    flying: set[str]


@dataclass
class Killer:
    """A job that is killed, part by part, and started again until it has ended."""

    nodes: Nodes
    manifest: str
    out: str
    watch: Watch
    chance: random.Random
    stack: ExitStack
    kills: list[Kill] = field(default_factory=list)
    pair: list[Node] = field(default_factory=list)
    hit: set[tuple[str, int]] = field(default_factory=set)
    blocks: dict[str, int] = field(default_factory=dict)
    drivers: int = 0

    def run(self, kinds: dict[str, int]) -> None:
        """Kills of all kinds at moments and in an order of chance, then the job is left to end."""
        deck = [kind for kind, count in kinds.items() for _ in range(count)]
        self.chance.shuffle(deck)
        self.pair = [self.stack.enter_context(self.nodes.joined()) for _ in range(2)]
        self.start()
        for kind in deck:
            self.wait(lambda: self.lines()[-1:] and self.lines()[-1].at > self.last)
            time.sleep(self.chance.uniform(0.5, 4.0))
            getattr(self, f"kill_{kind}")()
        self.watch.hurry()
        _, stderr = self.job.communicate(timeout=900)
        assert self.job.returncode == 0, stderr

    def start(self) -> None:
        """A driver, and with it a crash tracker that knows of no deaths."""
        self.hit.clear()
        self.blocks = {}
        self.drivers = len(OutStore.open(self.out).names("plans"))
        self.began = time.time()
        self.job = start(self.nodes, self.manifest, self.out, self.watch)
        self.stack.callback(end, self.job)

    @property
    def last(self) -> float:
        return max([self.began, *(kill.at for kill in self.kills)])

    def lines(self) -> list[Line]:
        """What this driver's workers have begun."""
        return [line for line in self.watch.lines("prepare", "paint", "finish") if line.at > self.began]

    def wait(self, come: Callable[[], object]) -> None:
        wait_for(lambda: come() or self.job.poll() is not None)
        assert self.job.poll() is None, f"it was to be killed at work: {self.job.communicate()}"

    def note(self, kind: str) -> None:
        kept = {row["item_id"] for row in rows(self.out)}
        begun = {line.item for line in self.watch.lines("paint")}
        self.kills.append(Kill(kind, time.time(), begun - kept))

    def kill_driver(self) -> None:
        self.note("driver")
        os.killpg(self.job.pid, signal.SIGKILL)
        self.job.communicate()
        self.start()

    def kill_node(self) -> None:
        node = self.pair.pop(self.chance.randrange(2))
        self.note("node")
        node.lose()
        self.pair.append(self.stack.enter_context(self.nodes.joined()))

    def kill_painter(self) -> None:
        self.kill_one("painter", ("paint",))

    def kill_worker(self) -> None:
        self.kill_one("worker", ("prepare", "finish"))

    def kill_one(self, kind: str, steps: tuple[str, ...]) -> None:
        """A worker that was last seen at one of the steps, with blocks that none was killed at yet.

        Their photos run alone now, also those that had waited for their turn. The crash tracker would take
        one whose worker dies again for the killer.
        """
        self.wait(lambda: self.victims(steps))
        victim, blocks = self.chance.choice(sorted(self.victims(steps).items()))
        self.note(kind)
        self.hit |= blocks
        os.kill(victim, signal.SIGKILL)

    def victims(self, steps: tuple[str, ...]) -> dict[int, set[tuple[str, int]]]:
        """Workers, and what they may be at: the blocks of the photos that each began last."""
        begun: dict[int, list[Line]] = {}
        for line in self.lines() if self.planned() else ():
            begun.setdefault(line.pid, []).append(line)
        alive = set().union(*(node.workers() for node in self.pair))
        at = {
            pid: {(line.step, self.blocks.get(line.item, -1)) for line in begun[pid][-GPU.photos_per_block :]}
            for pid in alive & begun.keys()
        }
        return {pid: what for pid, what in at.items() if begun[pid][-1].step in steps and not what & self.hit}

    def planned(self) -> bool:
        """Whether the present driver has written its plan; `blocks` are those of its photos then."""
        store = OutStore.open(self.out)
        if not self.blocks and len(plans := store.names("plans")) > self.drivers:
            plan = pq.read_table(io.BytesIO(store.read(f"plans/{plans[-1]}")))["item_id"].to_pylist()
            self.blocks = {item: place // GPU.photos_per_block for place, item in enumerate(plan)}
        return bool(self.blocks)


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
    lost = whole.keys() - {row["item_id"] for row in found}
    doubled = [key for key, count in Counter(row["work_key"] for row in found).items() if count > 1]
    twice = [key for key, count in Counter((r["run_id"], r["item_id"]) for r in found).items() if count > 1]
    changed = sum(row["changed_outside_mask"] for row in found)
    print(f"rows lost {len(lost)}, rows doubled {len(doubled) + len(twice)}, known pixels changed {changed}")
    assert not lost and not doubled and not twice and not changed
    assert pictures(out) == whole
    store = OutStore.open(out)
    assert {entry.path for entry in store.list("images")} == {row["output"] for row in found}
    assert all(sha256_bytes(store.read(row["output"])) == row["output_sha256"] for row in found)
    check_repaints(killer)


def failures(found: list[dict[str, object]]) -> list[object]:
    return [(row["item_id"], row["error_message"]) for row in found if row["status"] != "restored"]


def check_repaints(killer: Killer) -> None:
    """A photo is painted again only for a kill while it was in flight: begun, and not committed."""
    lines = killer.watch.lines("paint")
    first = {line.item: line.at for line in reversed(lines)}
    allowed: Counter[str] = Counter()
    for kill in killer.kills:
        soon = kill.at + (LINGERS if kill.kind == "node" else 0)
        allowed.update(kill.flying | {item for item, begun in first.items() if kill.at < begun < soon})
    again = Counter(line.item for line in lines) - Counter(list(first))
    assert not again - allowed
    kinds = Counter(kill.kind for kill in killer.kills)
    flying = sum(len(kill.flying) for kill in killer.kills)
    print(f"{kinds.total()} kills {dict(kinds)}: of {PHOTOS} photos {again.total()} were painted again")
    print(f"{flying} were begun and not committed at the kills, all together")


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
