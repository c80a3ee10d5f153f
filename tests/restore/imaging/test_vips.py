"""libvips: which loaders can run, and single pixels."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from restore.imaging.vips import image_of, samples_of

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("module", ["codec", "color", "vips"])
def test_only_four_loaders_are_enabled(module: str) -> None:
    """In a process of its own, as a worker is, by the library's own list of what it could load."""
    code = f"""
import pyvips
from restore.imaging import {module}
BLOCKED = 32  # VIPS_OPERATION_BLOCKED
def visit(kind, *_):
    try:
        flags = pyvips.Introspect.get(pyvips.nickname_find(kind)).flags
        print(pyvips.nickname_find(kind), "blocked" if flags & BLOCKED else "enabled")
    except pyvips.Error:
        pass  # an abstract class
    pyvips.type_map(kind, visit)
    return pyvips.ffi.NULL
visit(pyvips.type_from_name("VipsForeignLoad"))
"""
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    found = dict(line.split() for line in shown.stdout.splitlines())
    enabled = {name for name, state in found.items() if state == "enabled"}
    assert enabled == {f"{form}load_buffer" for form in ("jpeg", "png", "tiff", "webp")}
    assert {"svgload_buffer", "heifload_buffer", "gifload_buffer", "svgload"} <= found.keys()


@pytest.mark.parametrize("shape", [(1, 1), (1, 1, 3), (2, 3, 4)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_samples_keep_their_shape_and_depth(shape: tuple[int, ...], dtype: type) -> None:
    pixels = np.arange(1, np.prod(shape) + 1, dtype=dtype).reshape(shape)
    mode = {2: "L", 3: "RGB"}[len(shape)]
    kept = samples_of(image_of(pixels, mode if shape[-1] != 4 else "RGBA"))
    assert kept.dtype == dtype and np.array_equal(kept, pixels) and kept.shape == shape
