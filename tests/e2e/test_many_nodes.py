"""The main job on a Ray cluster of several nodes, its store on S3: real raylets, some that join or go."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.profiles import GPU
from manifests.catalog.rows import committed_rows, current_pictures
from restore.storage import OutStore
from tests.conftest import S3Server
from tests.e2e.test_s3 import rows, upload
from tests.support.archives import make_archive
from tests.support.nodes import ROOT, Node, Nodes, ray_head, wait_for
from tests.support.watch import Watch

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(600)]
PHOTOS = 12 * GPU.photos_per_block  # more than actors take in hand at once
SECONDS = 0.25  # painting takes longer than all else, as on GPUs


@pytest.fixture(scope="module")
def nodes(s3: S3Server) -> Iterator[Nodes]:
    """A head without CPUs. `s3` comes first: its address is in the environment of all nodes."""
    with ray_head() as head:
        yield head


@pytest.fixture(scope="module")
def pair(nodes: Nodes) -> Iterator[tuple[Node, Node]]:
    """Two nodes with one GPU each, as Ray counts them."""
    with nodes.joined() as one, nodes.joined() as other:
        yield one, other


@pytest.fixture(scope="module")
def manifest(s3: S3Server, tmp_path_factory: pytest.TempPathFactory) -> str:
    bucket, folder = s3.fresh_bucket(), tmp_path_factory.mktemp("archive")
    make_archive(folder, PHOTOS)
    upload(s3, folder, bucket)
    return f"s3://{bucket}/scans/manifest.csv"


def start(nodes: Nodes, manifest: str, out: str, watch: Watch, *more: str) -> subprocess.Popen[str]:
    """The main job with one actor a GPU, and the engine that needs neither GPU nor weights."""
    command = [sys.executable, "-m", "jobs.restore_archive", "--manifest", manifest, "--output", out]
    command += ["--profile", "gpu", *more, "--set", "engine=telea"]
    env = {**nodes.env, "RAY_ADDRESS": nodes.address, **watch.job_env()}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, cwd=ROOT, env=env, text=True, start_new_session=True, **pipes)


def ended(job: subprocess.Popen[str]) -> str:
    """The output of the job, after it has succeeded."""
    stdout, stderr = job.communicate(timeout=500)
    assert job.returncode == 0, stdout + stderr
    return stdout


def pictures(out: str) -> dict[str, tuple[str, str]]:
    """Current picture of each item: its name and the sha256 of its bytes, as its row says."""
    found = current_pictures(committed_rows(OutStore.open(out))).to_pylist()
    return {row["item_id"]: (row["output"], row["output_sha256"]) for row in found}


def check_rows(out: str) -> None:
    """Every photo has one row, and it is restored."""
    found = rows(out)
    assert Counter(row["status"] for row in found) == {"restored": PHOTOS}
    assert len({row["item_id"] for row in found}) == PHOTOS


@pytest.fixture(scope="module")
def whole(
    nodes: Nodes,
    pair: tuple[Node, Node],
    manifest: str,
    s3: S3Server,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[str, Watch]:
    """Where an unbroken run on two nodes has written, and what its workers did."""
    out, folder = f"s3://{s3.fresh_bucket()}/out", tmp_path_factory.mktemp("whole")
    watch = Watch(log=str(folder / "log"), seconds=SECONDS, before_prepare=2)
    ended(start(nodes, manifest, out, watch))
    return out, watch


def test_all_actors_start_at_once_and_every_node_paints_its_share(
    nodes: Nodes, pair: tuple[Node, Node], whole: tuple[str, Watch]
) -> None:
    out, watch = whole
    check_rows(out)  # no photo was prepared before both actors had loaded, and none has failed for it
    assert {line.raylet for line in watch.lines("load")} == {node.raylet for node in pair}
    painted = Counter(line.raylet for line in watch.lines("paint"))
    assert painted.total() == PHOTOS and min(painted.values()) >= PHOTOS // 4, painted
    for step in ("prepare", "paint", "finish"):
        found = {line.raylet for line in watch.lines(step)}
        assert found == {node.raylet for node in pair}, f"{step} ran elsewhere, or not everywhere"
    assert nodes.head.raylet not in found


def test_a_node_that_joins_a_run_is_used(
    nodes: Nodes,
    pair: tuple[Node, Node],
    whole: tuple[str, Watch],
    manifest: str,
    s3: S3Server,
    tmp_path: Path,
) -> None:
    out = f"s3://{s3.fresh_bucket()}/out"
    watch = Watch(log=str(tmp_path / "log"), seconds=SECONDS, before_paint=(PHOTOS // 3, 3))
    job = start(nodes, manifest, out, watch)
    wait_for(lambda: watch.lines("paint") or job.poll() is not None)
    with nodes.joined() as late:
        ended(job)
    painted = Counter(line.raylet for line in watch.lines("paint"))
    assert painted[late.raylet] > 0, painted
    assert len(watch.lines("load")) == 3, "one actor for each GPU"
    check_rows(out)
    assert pictures(out) == pictures(whole[0])


def test_a_node_that_is_killed_takes_no_photo_with_it(
    nodes: Nodes,
    pair: tuple[Node, Node],
    whole: tuple[str, Watch],
    manifest: str,
    s3: S3Server,
    tmp_path: Path,
) -> None:
    out = f"s3://{s3.fresh_bucket()}/out"
    watch = Watch(log=str(tmp_path / "log"), seconds=SECONDS, before_prepare=3)
    with nodes.joined() as doomed:
        job = start(nodes, manifest, out, watch)
        wait_for(lambda: at(doomed, watch) >= 5 or job.poll() is not None)
        assert job.poll() is None and len(watch.lines("paint")) < PHOTOS, "it was to be killed at work"
        doomed.lose()
        ended(job)
    check_rows(out)
    assert pictures(out) == pictures(whole[0])
    print(f"a node of three was lost: {len(watch.lines('paint')) - PHOTOS} photos were painted again")


def at(node: Node, watch: Watch) -> int:
    """Photos that a node has begun to paint."""
    return sum(line.raylet == node.raylet for line in watch.lines("paint"))


def test_a_local_output_is_refused(
    nodes: Nodes, pair: tuple[Node, Node], manifest: str, tmp_path: Path
) -> None:
    job = start(nodes, manifest, str(tmp_path / "out"), Watch(log=str(tmp_path / "log")))
    _, stderr = job.communicate(timeout=200)
    assert job.returncode == 1 and "is a local folder" in stderr and "3 nodes" in stderr, stderr
    assert not list(tmp_path.glob("out/images/**/*")) and not Path(tmp_path / "log").exists()
