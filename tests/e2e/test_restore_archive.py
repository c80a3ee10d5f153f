"""The main job, as it is run: real Ray, real files, a process of its own."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from manifests.catalog.rows import committed_rows, current_pictures, read_committed
from restore.outcome import outcome_schema
from restore.storage import OutStore
from tests.support.archives import damage, damaged, make_archive, read_manifest_rows, write_manifest

ROOT = Path(__file__).resolve().parents[2]
FEW_LINES = 3
"""Lines on stderr of a run that stops: Ray's one at its start, a warning, and why."""


def command(manifest: Path, out: Path, *more: str) -> list[str]:
    job = [sys.executable, "-m", "jobs.restore_archive", "--manifest", str(manifest), "--output", str(out)]
    return [*job, *more]


def run(manifest: Path, out: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(manifest, out, *more), capture_output=True, text=True, cwd=ROOT, check=False
    )


def rows(out: Path) -> list[dict[str, Any]]:
    return list(read_committed(OutStore.open(str(out))).to_pylist())


def last_record(out: Path) -> dict[str, Any]:
    return dict(json.loads(max((out / "runs").iterdir()).read_text()))


def pictures(out: Path) -> dict[str, tuple[str, bytes]]:
    """Current picture of each item: its name and its bytes."""
    current = current_pictures(committed_rows(OutStore.open(str(out)))).to_pylist()
    return {row["item_id"]: (row["output"], (out / row["output"]).read_bytes()) for row in current}


def test_an_archive_is_restored_then_only_what_changed(tmp_path: Path) -> None:
    manifest, out = make_archive(tmp_path / "in", 6), tmp_path / "out"
    wanted = read_manifest_rows(manifest)
    (tmp_path / "in/broken.jpg").write_bytes((tmp_path / "in/images/000.jpg").read_bytes()[:5000])
    wanted.append({"item_id": "broken", "image": "broken.jpg", "mask": "masks/000.png"})
    write_manifest(manifest, [{**row, "x_shelf": "A 1"} for row in wanted])

    dry = run(manifest, out, "--dry-run")
    assert dry.returncode == 0 and "7 new" in dry.stdout
    assert not out.exists(), "a dry run writes nothing"

    first = run(manifest, out)
    assert first.returncode == 3, first.stderr
    assert "1 failed" in first.stdout and "image_unreadable" in first.stdout
    check_rows(out, {"restored": 6, "failed": 1})
    check_known_pixels(out)
    assert last_record(out)["verdict"] == "some_failed" and last_record(out)["exit_code"] == 3
    report = last_record(out)["report"]
    assert first.stdout.splitlines()[-1] == f"report: {out}/{report}" and (out / report).is_file()
    assert len(list((out / report).parent.glob("thumbs/*-after.jpg"))) == 6
    before = pictures(out)

    again = run(manifest, out)
    assert again.returncode == 0 and "6 done, 1 failed_before" in again.stdout
    assert len(rows(out)) == 7, "nothing done is done again"
    assert last_record(out)["report"] is None and len(list(out.glob("reports/*"))) == 1

    Image.fromarray(damage(77)).save(tmp_path / "in/masks/003.png")
    redrawn = run(manifest, out)
    assert redrawn.returncode == 0 and "1 mask_changed" in redrawn.stdout
    changed = {item for item, picture in pictures(out).items() if picture != before[item]}
    assert changed == {"box-0/photo 003"}
    before = pictures(out)

    recipe = tmp_path / "soft.toml"
    recipe.write_text("feather = 8\n")
    softer = run(manifest, out, "--recipe", str(recipe))
    assert "7 recipe_changed" in softer.stdout and softer.returncode == 3, "the broken one is tried again"
    assert not set(pictures(out).values()) & set(before.values())

    back = run(manifest, out)
    assert back.returncode == 0 and "6 reused" in back.stdout
    assert pictures(out) == before, "going back paints nothing and shows the earlier pictures"
    newest = rows(out)[-6:]
    ids = {row["row_id"] for row in rows(out)}
    assert all(row["reused_from"] in ids and row["reason"] == "reused" for row in newest)
    assert "6 done" in run(manifest, out).stdout


def check_rows(out: Path, status: dict[str, int]) -> None:
    parts = sorted((out / "metadata").glob("run=*/part-*.parquet"))  # a slow machine needs several
    table = pa.concat_tables([pq.ParquetFile(part).read() for part in parts])
    assert table.schema.equals(outcome_schema(["x_shelf"]))
    assert Counter(table["status"].to_pylist()) == status
    assert set(table["x_shelf"].to_pylist()) == {"A 1"}
    assert len(set(table["item_id"].to_pylist())) == table.num_rows
    planned = pq.read_table(next((out / "plans").iterdir()))
    assert Counter(planned["reason"].to_pylist()) == {"new": 7}


def check_known_pixels(out: Path) -> None:
    for item, (_, data) in pictures(out).items():
        number = int(item[-3:])
        stored = np.asarray(Image.open(io.BytesIO(data)))
        buffer = io.BytesIO()
        Image.fromarray(damaged(number)).save(buffer, "jpeg", quality=92)
        source = np.asarray(Image.open(buffer))
        far = np.asarray(Image.fromarray(damage(number)).resize((640, 480))) == 0
        reach = np.ones_like(far)
        ys, xs = np.nonzero(~far)
        for dy in range(-6, 7):
            for dx in range(-6, 7):
                reach[np.clip(ys + dy, 0, 479), np.clip(xs + dx, 0, 639)] = False
        assert np.array_equal(stored[reach], source[reach])


def test_limits_and_overrides(tmp_path: Path) -> None:
    manifest, out = make_archive(tmp_path / "in", 5), tmp_path / "out"
    wanted = [{**row, "feather": "", "seed": "1"} for row in read_manifest_rows(manifest)]
    wanted[0]["feather"] = "soft"
    wanted[1]["mask"] = ""
    write_manifest(manifest, wanted)
    first = run(manifest, out, "--limit", "2")
    assert first.returncode == 3 and "3 over_limit" in first.stdout
    assert sorted(row["error_code"] for row in rows(out)) == ["invalid_row", "mask_not_found"]
    second = run(manifest, out)
    assert second.returncode == 0 and "2 failed_before" in second.stdout
    assert sum(row["status"] == "restored" for row in rows(out)) == 3
    assert all(row["overrides"] == '{"seed":1}' for row in rows(out) if row["status"] == "restored")


def test_a_report_that_cannot_be_written_fails_no_run(tmp_path: Path) -> None:
    manifest, out = make_archive(tmp_path / "in", 2), tmp_path / "out"
    out.mkdir()
    (out / "reports").write_text("a file where the folder should be")
    done = run(manifest, out)
    assert done.returncode == 0 and "no report was written" in done.stderr
    assert "Traceback" not in done.stderr and done.stderr.count("\n") <= FEW_LINES, done.stderr
    assert len(rows(out)) == 2 and last_record(out)["report"] is None


def test_a_folder_that_is_unmounted_in_mid_run_stops_it(tmp_path: Path) -> None:
    """An empty folder is left, as a mount point is, and writing into it works."""
    manifest, out, away = make_archive(tmp_path / "in", 60, 1000, 750), tmp_path / "out", tmp_path / "away"
    job = subprocess.Popen(
        command(manifest, out), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    while not list(out.glob("metadata/*/*.parquet")):
        assert job.poll() is None
        time.sleep(0.02)
    out.rename(away)
    out.mkdir()
    stdout, stderr = job.communicate(timeout=200)
    assert job.returncode == 1, stdout + stderr
    assert "unmounted, emptied or replaced" in stderr.splitlines()[-1] and "complete" not in stdout
    assert "Traceback" not in stderr and stderr.count("\n") <= FEW_LINES, stderr
    assert last_record(out)["verdict"] == "stopped" and not rows(out)
    out.rename(tmp_path / "below the mount point")
    away.rename(out)
    kept = {row["row_id"] for row in rows(out)}
    assert kept and run(manifest, out).returncode == 0
    assert kept < {row["row_id"] for row in rows(out)} and len(rows(out)) == 60


NAMESPACE = ["unshare", "--map-root-user", "--mount"]
"""A namespace of mounts for one command: in it every user may mount a file system of his own."""


def may_mount() -> bool:
    mount = [*NAMESPACE, "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    if shutil.which("unshare") is None:
        return False
    return subprocess.run(mount, capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not may_mount(), reason="no namespaces of mounts for this user")
def test_a_full_disk_ends_a_run_with_one_line(tmp_path: Path) -> None:
    manifest, out = make_archive(tmp_path / "in", 12), tmp_path / "out"
    out.mkdir()
    (tmp_path / "kept/runs").mkdir(parents=True)
    script = (
        'mount -t tmpfs -o size=1m tmpfs "$0" && "$@"; code=$?; cp "$0"/runs/* "$0"/../kept/runs; exit $code'
    )
    full = [*NAMESPACE, "sh", "-c", script, str(out), *command(manifest, out)]
    done = subprocess.run(full, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 1, done.stderr
    assert "stopped: no photo recorded" in done.stdout
    assert "Traceback" not in done.stderr and done.stderr.count("\n") <= FEW_LINES, done.stderr
    message = f"output {out}: no space left on device; make room or choose another output"
    assert done.stderr.splitlines()[-1] == f"silverprint: {message}"
    assert last_record(tmp_path / "kept")["message"] == message


@pytest.mark.parametrize(
    ("more", "code", "words"),
    [
        (("--set", "feathr=3"), 2, "did you mean feather"),
        (("--set", "feather"), 2, "name=value"),
        (("--recipe", "nowhere.toml"), 2, "nowhere.toml"),
        (("--profile", "gpu", "--set", "models.vae=me/v@1"), 1, "python -m restore.weights fetch inpaint"),
        (("--max-failed", "7"), 2, "--max-failed"),
    ],
)
def test_a_bad_request_ends_before_any_work(
    tmp_path: Path, more: tuple[str, ...], code: int, words: str
) -> None:
    manifest = make_archive(tmp_path / "in", 1)
    done = run(manifest, tmp_path / "out", *more)
    assert (done.returncode, words in done.stderr) == (code, True), done.stderr
    assert "Traceback" not in done.stderr and not (tmp_path / "out").exists()


def test_a_bad_manifest_ends_with_2_and_all_its_faults(tmp_path: Path) -> None:
    manifest = make_archive(tmp_path / "in", 3)
    wanted = read_manifest_rows(manifest)
    wanted[1]["item_id"] = "../up"
    wanted[2]["item_id"] = wanted[0]["item_id"]
    write_manifest(manifest, [{**row, "promt": "x"} for row in wanted])
    done = run(manifest, tmp_path / "out")
    assert done.returncode == 2
    assert all(word in done.stderr for word in ("../up", "promt", "prompt", wanted[0]["item_id"]))


def test_a_job_killed_three_times_ends_as_one_that_was_not(tmp_path: Path) -> None:
    manifest = make_archive(tmp_path / "in", 60, 1000, 750)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert run(manifest, whole).returncode == 0
    kept: set[str] = set()
    for moment in ("images/**/*.png", "metadata/*/part-00000.parquet", "metadata/*/part-00000.parquet"):
        kill_when(moment, manifest, broken)
        assert kept <= {row["row_id"] for row in rows(broken)}, "work of killed runs is kept"
        kept = {row["row_id"] for row in rows(broken)}
    assert run(manifest, broken).returncode == 0
    assert pictures(broken) == pictures(whole)
    assert kept, "a killed run had committed something"
    painted = Counter((row["item_id"], row["work_key"]) for row in rows(broken))
    assert set(painted.values()) == {1} and len(painted) == 60, "no key is painted twice"


def kill_when(pattern: str, manifest: Path, out: Path) -> None:
    """Start the job; SIGKILL its process group once this run has made something that matches."""
    before = set(out.glob(pattern))
    job = subprocess.Popen(
        command(manifest, out),
        cwd=ROOT,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while not set(out.glob(pattern)) - before and job.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert job.poll() is None, "the job was to be killed while it worked"
    os.killpg(job.pid, signal.SIGKILL)
    job.wait()


def test_sigterm_commits_what_is_done_within_3_s(tmp_path: Path) -> None:
    manifest, out = make_archive(tmp_path / "in", 60, 1000, 750), tmp_path / "out"
    job = subprocess.Popen(
        command(manifest, out), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    while len(list(out.glob("images/**/*.png"))) < 8:
        assert job.poll() is None
        time.sleep(0.05)
    began = time.monotonic()
    job.send_signal(signal.SIGTERM)
    while not list(out.glob("metadata/*/*.parquet")) and time.monotonic() < began + 30:
        time.sleep(0.02)
    assert time.monotonic() - began < 3
    _, stderr = job.communicate(timeout=200)
    assert job.returncode == 1 and "stopped by a signal" in stderr
    assert rows(out) and last_record(out)["verdict"] == "stopped"
    assert list(out.glob("lease/*")) == [], "a clean end gives the lease back"
