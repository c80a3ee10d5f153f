"""What this machine and environment can do, and what is missing with the way out.

silverprint doctor [--output URI]
"""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

from jobs.exit_codes import ALL_WELL, OTHER
from restore.cli import option
from restore.errors import SilverprintError
from restore.methods import CHECKPOINTS, METHODS
from restore.recipe import Models
from restore.storage import OutStore

OK, MISSING, BROKEN = "ok", "missing", "broken"


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorSettings:
    """Settings of `silverprint doctor`."""

    output: Annotated[
        str | None, option("an output store to try: list, create, remove", "URI", alias="-o")
    ] = None


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        state: `ok`; `missing` where other work goes on without it; `broken` where nothing can run.
        way_out: what to do; empty where nothing is to be done.
    """

    name: str
    state: str
    text: str
    way_out: str = ""


def doctor(settings: DoctorSettings) -> int:
    """Print what was found. Returns 0 when photos can be restored here with the classical engine."""
    findings = list(examine(settings.output))
    for finding in findings:
        print(f"{finding.name:11} {finding.state:8} {finding.text}")
        if finding.way_out:
            print(f"{'':20} {finding.way_out}")
    return OTHER if any(finding.state == BROKEN for finding in findings) else ALL_WELL


def examine(output: str | None = None) -> Iterator[Finding]:
    """Every finding, in the order to print it. A look that fails is a finding, never an exception."""
    looks: list[tuple[str, Callable[[], Iterator[Finding]]]] = [
        ("machine", _machine),
        ("classical", _classical),
        ("images", _image_formats),
        ("ray", _ray),
        ("stores", _stores),
        ("gpu", _gpu),
        ("weights", _weights),
    ]
    if output is not None:
        looks.append(("output", lambda: _output(output)))
    for name, look in looks:
        try:
            yield from look()
        except Exception as error:  # noqa: BLE001 - whatever is wrong here is what the reader wants to know
            yield Finding(name, BROKEN, f"{type(error).__name__}: {error}", "run `make install` again")


def _machine() -> Iterator[Finding]:
    from restore.photo.memory_gate import node_memory

    folder = tempfile.gettempdir()
    free = shutil.disk_usage(folder).free / 2**30
    text = (
        f"silverprint {version('silverprint')}, Python {platform.python_version()}, {os.cpu_count()} cores, "
        f"{node_memory() / 2**30:.0f} GiB of memory, {free:.0f} GiB free in {folder}"
    )
    yield Finding("machine", OK, text)


def _classical() -> Iterator[Finding]:
    import numpy as np

    from restore import engines
    from restore.engines import Sampler, Task
    from restore.imaging.opencv import cv2
    from restore.recipe import Recipe

    mask = np.zeros((16, 16), bool)
    mask[7:9] = True
    task = Task("ns", np.full((16, 16, 3), 90, np.uint8), mask, Sampler.of(Recipe()), 0)
    engines.build(["ns"])["ns"].paint([task])
    yield Finding("classical", OK, f"engines telea and ns paint; OpenCV {cv2.__version__}")


def _image_formats() -> Iterator[Finding]:
    from restore.formats import FORMATS, WRITTEN
    from restore.imaging.codec import unreadable_formats

    if lacking := unreadable_formats():
        way_out = "install pyvips-binary, which holds all of them"
        yield Finding("images", BROKEN, f"libvips cannot read {', '.join(lacking)}", way_out)
    else:
        both = ", ".join(FORMATS[name].label for name in WRITTEN)
        alone = ", ".join(row.label for row in FORMATS.values() if not row.written)
        libvips = f"pyvips {version('pyvips')} reads and writes {both}"
        text = f"{libvips}; imagecodecs {version('imagecodecs')} reads {alone}"
        yield Finding("images", OK, text)


def _ray() -> Iterator[Finding]:
    address = os.environ.get("RAY_ADDRESS")
    where = f"the cluster at RAY_ADDRESS={address}" if address else "a local cluster of this machine's cores"
    yield Finding("ray", OK, f"Ray {version('ray')}; a run uses {where}")


def _stores() -> Iterator[Finding]:
    extras = {"gs://": ("gcsfs", "gcs"), "az://": ("adlfs", "azure")}
    there = ["local disks", "s3://"]
    for scheme, (module, extra) in extras.items():
        if importlib.util.find_spec(module):
            there.append(scheme)
        else:
            yield Finding("stores", MISSING, f"{scheme}: {module} is not installed", _extra(extra))
    yield Finding("stores", OK, ", ".join(there))


def _gpu() -> Iterator[Finding]:
    if not importlib.util.find_spec("torch"):
        text = "torch is not installed, so sdxl and sd2 cannot run here"
        yield Finding("gpu", MISSING, text, _extra("diffusion"))
        return
    from restore.engines.diffusion.loading import visible_gpus

    cards = visible_gpus()
    if not cards:
        way_out = "the profile gpu needs a node with an NVIDIA GPU, its driver and a CUDA build of torch"
        yield Finding("gpu", MISSING, f"torch {version('torch')} sees no GPU", way_out)
    for name, memory in cards:
        yield Finding("gpu", OK, f"{name}, {memory / 2**30:.0f} GiB, torch {version('torch')}")


def _weights() -> Iterator[Finding]:
    from restore.weights.cache import is_present

    models = Models()
    for role in CHECKPOINTS:
        name = models.named(role)
        methods = ", ".join(method for method, row in METHODS.items() if role in row.roles)
        if is_present(role, name):
            yield Finding("weights", OK, f"{role} ({methods}): {name}")
        else:
            way_out = f"silverprint weights fetch {role}, or name your own with --set models.{role}=..."
            yield Finding("weights", MISSING, f"{role} ({methods}): {name} is not on this machine", way_out)


def _output(uri: str) -> Iterator[Finding]:
    try:
        store = OutStore.open(uri)
        if store.is_local and not Path(store.root).exists():
            parent = next(folder for folder in Path(store.root).parents if folder.exists())
            writable = os.access(parent, os.W_OK)
            text = (
                f"{store.root} does not exist yet; {parent} is {'writable' if writable else 'not writable'}"
            )
            yield Finding("output", OK if writable else BROKEN, text)
            return
        store.check()
    except SilverprintError as error:
        yield Finding("output", BROKEN, str(error))
        return
    yield Finding("output", OK, f"{store.root}: lists, creates, refuses to overwrite, removes")


def _extra(name: str) -> str:
    return f"{Path(sys.executable).parent / 'pip'} install 'silverprint[{name}]'"
