"""A simulated accelerator: it is held for a set time per window, sleeps, and takes no CPU.

`simulate` puts it in the place of every diffusion engine of the process.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from restore import engines
from restore.engines import EngineConfig, Painted, Task
from restore.methods import SDXL_SIZES, Method, Size, sizes_of

WINDOW_SECONDS, SPANS = "BENCH_WINDOW_SECONDS", "BENCH_SPANS"
"""Environment: how long a window takes, and the folder in which each process writes down when it held its
device, one line for each time.
"""


@dataclass(frozen=True)
class Device:
    """One accelerator, which one process drives."""

    window_seconds: float
    spans: Path
    sizes: tuple[Size, ...] | None = SDXL_SIZES

    def paint(self, tasks: Sequence[Task]) -> list[Painted]:
        """The windows as they are, after the time that painting them takes."""
        self.hold(self.window_seconds * len(tasks))
        return [Painted(task.window.copy()) for task in tasks]

    def hold(self, seconds: float) -> None:
        """Take the device for so long, and note it."""
        began = time.monotonic()
        time.sleep(seconds)
        with (self.spans / str(os.getpid())).open("a") as file:
            file.write(f"{began} {time.monotonic()}\n")


def simulate() -> None:
    """Diffusion engines are simulated from now on. Every worker of Ray runs it as it starts."""
    real = engines._built

    def built(method: Method, config: EngineConfig) -> Any:
        if sizes_of(method) is None:
            return real(method, config)
        return Device(float(os.environ[WINDOW_SECONDS]), Path(os.environ[SPANS]))

    engines._built = built
