"""libvips with its dangerous parts switched off. Every module imports `pyvips` from here.

libvips holds its settings per process, so importing this module sets them before any picture is parsed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import pyvips

from restore.formats import FORMATS
from restore.imaging.pixels import Mode, Pixels

__all__ = ["dtype_of", "first_line", "heeded", "image_of", "pyvips", "samples_of"]

_Decoded = TypeVar("_Decoded")
_ALONE = threading.Lock()

# One thread a process and no cache of operations: a cluster runs one process per core.
pyvips.cache_set_max(0)
pyvips.concurrency_set(1)
# No loader but those of the accepted formats can run, whatever bytes come and whichever module asks.
pyvips.operation_block_set("VipsForeignLoad", True)
for _row in (row for row in FORMATS.values() if row.loader):
    pyvips.operation_block_set(f"VipsForeignLoad{_row.loader}Buffer", False)


def image_of(pixels: Pixels, mode: Mode) -> Any:
    """A libvips image over the pixels, without a copy where they are C-contiguous.

    The interpretation has to be named: libvips takes an undeclared single 16-bit channel for 8 bits.

    Args:
        pixels: `(H, W)` or `(H, W, C)`, uint8 or uint16.
        mode: alpha may be left out of it, or be the last channel of the pixels.
    """
    deep = pixels.dtype == np.uint16
    names = {"L": "grey16" if deep else "b-w", "RGB": "rgb16" if deep else "srgb", "CMYK": "cmyk"}
    interpretation = names[mode.removesuffix("A")]
    return pyvips.Image.new_from_array(np.ascontiguousarray(pixels), interpretation=interpretation)


def samples_of(image: Any) -> Pixels:
    """The samples of a libvips image, uint8 or uint16, computed into one buffer.

    pyvips' own `numpy()` loses the shape of a picture of 1 x 1 px.
    """
    shape = (image.height, image.width) if image.bands == 1 else (image.height, image.width, image.bands)
    return np.ndarray(shape, dtype_of(image), image.write_to_memory())


def dtype_of(image: Any) -> type[np.unsignedinteger[Any]]:
    """The numpy type of an image's samples."""
    return np.uint8 if image.format == "uchar" else np.uint16


def heeded(decode: Callable[[], _Decoded]) -> tuple[_Decoded, str]:
    """What `decode` returns, and what libvips' decoders complained of meanwhile, also where they went on.

    libvips keeps complaints per process, so one thread decodes at a time.
    """
    with _ALONE:
        pyvips.vips_lib.vips_error_clear()
        decoded = decode()
        complaints = pyvips.ffi.string(pyvips.vips_lib.vips_error_buffer())
    return decoded, bytes(complaints).decode(errors="replace").strip()


def first_line(error: pyvips.Error) -> str:
    """What libvips names as the cause, without the call that it failed in."""
    lines = [line.strip() for line in str(error).splitlines()[1:] if line.strip()]
    return lines[0] if lines else "its decoder gives no reason"
