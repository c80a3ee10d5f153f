"""Workers that record what they begin and can be made to wait, so that tests see into a cluster's nodes."""

from __future__ import annotations

import functools
import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ENV = "SILVERPRINT_WATCH"
PATIENCE = 150.0


@dataclass(frozen=True)
class Line:
    """One step that one worker began with one photo; `load` when an actor has its engines.

    Attributes:
        at: seconds since the epoch.
        raylet: process of the worker's node.
    """

    at: float
    step: str
    item: str
    pid: int
    raylet: int


@dataclass(frozen=True, kw_only=True)
class Watch:
    """How the workers of a run behave.

    Attributes:
        log: the file that they write to.
        seconds: added to the painting of each photo, as on a GPU, until the file `log` + ".hurry" exists.
        cpu_seconds: the same for preparing and finishing it.
        before_prepare: actors that must have loaded before a photo is prepared.
        before_paint: (painted, loaded): after `painted` photos, the next waits for `loaded` loaded actors.
    """

    log: str
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    before_prepare: int = 0
    before_paint: tuple[int, int] = (0, 0)

    def job_env(self) -> dict[str, str]:
        """What makes the workers of a job watched ones: a runtime env, as `ray job submit` hands it on."""
        variables = {ENV: json.dumps(asdict(self)), "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
        runtime = {"worker_process_setup_hook": "tests.support.watch.watched", "env_vars": variables}
        return {"RAY_JOB_CONFIG_JSON_ENV_VAR": json.dumps({"runtime_env": runtime})}

    def hurry(self) -> None:
        """From now on painting takes its own time only."""
        Path(f"{self.log}.hurry").touch()

    def lines(self, *steps: str) -> list[Line]:
        """All that was begun so far of these steps."""
        if not Path(self.log).exists():
            return []
        rows = [text.split("\t") for text in Path(self.log).read_text().splitlines()]
        lines = [Line(float(at), which, item, int(pid), int(raylet)) for at, which, item, pid, raylet in rows]
        return [line for line in lines if line.step in steps]

    def write(self, step: str, item: str = "") -> None:
        """One line, in one write."""
        line = f"{time.time():.3f}\t{step}\t{item}\t{os.getpid()}\t{os.getppid()}\n"
        with Path(self.log).open("a") as file:
            file.write(line)


def watched() -> None:
    """Make this process one that writes down what it begins. Ray calls it in each new worker."""
    from restore import engines
    from restore.pipeline import flow

    values = json.loads(os.environ[ENV])
    watch = Watch(**{**values, "before_paint": tuple(values["before_paint"])})
    for step, name in (("prepare", "prepare"), ("paint", "paint"), ("finish", "compose")):
        setattr(flow, name, _written(watch, step, getattr(flow, name)))
    build = engines.build

    @functools.wraps(build)
    def loaded(*args: Any, **more: Any) -> Mapping[Any, Any]:
        built = build(*args, **more)
        watch.write("load")
        return built

    engines.build = loaded


def _written(watch: Watch, step: str, real: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(real)
    def written(value: Any, *more: Any) -> Any:
        if step == "prepare":
            _until_loaded(watch, watch.before_prepare)
        for one in value if step == "paint" else [value]:
            watch.write(step, getattr(one, "item_id", None) or one.item.item_id)
            if not Path(f"{watch.log}.hurry").exists():
                time.sleep(watch.seconds if step == "paint" else watch.cpu_seconds)
        painted, loaded = watch.before_paint
        if step == "paint" and len(watch.lines("paint")) > painted:
            _until_loaded(watch, loaded)
        return real(value, *more)

    return written


def _until_loaded(watch: Watch, count: int) -> None:
    """Wait; who waits in vain spoils it for all, so that a test fails soon."""
    deadline, late = time.monotonic() + PATIENCE, Path(f"{watch.log}.late")
    while len(watch.lines("load")) < count:
        if time.monotonic() > deadline or late.exists():
            late.touch()
            raise TimeoutError(f"{count} actors were to load")
        time.sleep(0.2)
