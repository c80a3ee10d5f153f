"""Photos that kill or hang their workers, nodes that go: real processes die here, in a real Ray.

Each worker runs `poison` when it starts. From then on its steps do to themselves what the ids of
their photos ask for, and leave a line behind for each time.
"""

from __future__ import annotations

import ctypes
import functools
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import ray

from restore.errors import DeviceLost
from restore.pipeline import flow
from tests.support.plans import SELECTION, make_job, write_plan

SECONDS = 15.0  # a slow machine must not time out a sound photo


def exited() -> None:
    os._exit(1)


def segfault() -> None:
    ctypes.string_at(0)


def killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)  # as the kernel does that is out of memory


def hung() -> None:
    ctypes.PyDLL(None).sleep(600)  # without letting go of the interpreter's lock


def lost() -> None:
    raise DeviceLost("the device is lost")


FATES: dict[str, Callable[[], None]] = {one.__name__: one for one in (exited, segfault, killed, hung, lost)}


def poison() -> None:
    """Make this process one whose steps obey ids like `hung-in-paint`."""
    for step, name in (("prepare", "prepare"), ("paint", "paint"), ("finish", "compose")):
        setattr(flow, name, obedient(step, getattr(flow, name)))


def obedient(step: str, real: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(real)
    def wrapped(value: Any, *more: Any) -> Any:
        for one in value if step == "paint" else [value]:
            item = getattr(one, "item_id", None) or one.item.item_id
            fate, _, where = item.partition("-in-")
            if where == step:
                with Path(os.environ["POISON_LOG"]).open("a") as file:
                    file.write(f"{item}\n")
                FATES[fate]()
        return real(value, *more)

    return wrapped


@pytest.fixture
def poisoned(tmp_path: Path) -> Iterator[Path]:
    """A Ray whose workers are poisoned; the file in which they tell of it."""
    log = tmp_path / "log"
    log.touch()
    variables = {"POISON_LOG": str(log), "PYTHONPATH": str(Path(__file__).parents[2])}
    environment = {"env_vars": variables, "worker_process_setup_hook": poison}
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, runtime_env=environment)
    yield log
    ray.shutdown()


@pytest.mark.heavy
@pytest.mark.timeout(600)
def test_photos_that_kill_or_hang_their_workers_cost_nothing_but_themselves(
    poisoned: Path, tmp_path: Path
) -> None:
    expected = {
        "exited-in-prepare": "worker_crashed",
        "segfault-in-prepare": "worker_crashed",
        "hung-in-prepare": "timed_out",
        "segfault-in-paint": "worker_crashed",
        "lost-in-paint": "worker_crashed",
        "hung-in-paint": "timed_out",
        "killed-in-finish": "worker_crashed",
        "hung-in-finish": "timed_out",
    }
    sound = [f"sound {number}" for number in range(16)]
    ids = [name for pair in zip(sound[::2], sound[1::2], expected, strict=True) for name in pair]
    plan = write_plan(tmp_path / "in", tmp_path / "out", ids)
    pool = flow.Pool(actors=1, cpus=0, gpus=0, photos_per_block=4, photo_seconds=SECONDS)
    stream = flow.outcomes(make_job(tmp_path), plan, ["x_box"], SELECTION, pool)
    rows = pa.concat_tables(stream).to_pylist()
    assert sorted(row["item_id"] for row in rows) == sorted(ids), "each exactly once"
    assert {row["item_id"]: row["error_code"] for row in rows if row["error_code"]} == expected
    assert {row["item_id"] for row in rows if row["status"] == "restored"} == set(sound)
    assert Counter(poisoned.read_text().split("\n")[:-1]) == dict.fromkeys(expected, 2), "exactly twice"
