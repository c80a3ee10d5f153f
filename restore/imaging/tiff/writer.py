"""Writes the kinds of TIFF that libvips does not: 9 to 15 bits, CIELAB, floating point."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any, Literal

import imagecodecs
import numpy as np
import tifffile

from restore.imaging.opened import STRIP_ROWS
from restore.imaging.picture import Picture
from restore.imaging.pixels import Alpha, Mode, narrowed, with_turned_signs

_PHOTOMETRIC: dict[Mode, Literal["minisblack", "rgb", "separated", "cielab"]] = {
    "L": "minisblack",
    "LA": "minisblack",
    "RGB": "rgb",
    "RGBA": "rgb",
    "CMYK": "separated",
    "LAB": "cielab",
}
_EXTRA_SAMPLES: dict[Alpha, Literal["unspecified", "assocalpha", "unassalpha"]] = {
    "unspecified": "unspecified",
    "premultiplied": "assocalpha",
    "straight": "unassalpha",
}
_STRIP_BYTES = 2**20  # of samples before they are packed or compressed
_BIG_TIFF_BYTES = 2 << 30


def is_for(picture: Picture) -> bool:
    """Whether the picture is of a kind that libvips does not write."""
    return bool(picture.bits) or picture.floating or picture.mode == "LAB"


def encoded(picture: Picture) -> bytes:
    """A TIFF of the picture without metadata. Samples of 9 to 15 bits are packed and not compressed."""
    buffer, shape = io.BytesIO(), picture.pixels.shape
    rows = _strip_rows(picture)
    tifffile.imwrite(
        buffer,
        **_samples(picture, rows),
        shape=shape,
        bigtiff=picture.pixels.nbytes > _BIG_TIFF_BYTES,
        photometric=_PHOTOMETRIC[picture.mode],
        planarconfig="contig" if len(shape) == 3 else None,
        extrasamples=[_EXTRA_SAMPLES[picture.alpha]] if picture.mode in ("LA", "RGBA") else None,
        rowsperstrip=rows,
        metadata=None,
        software=False,
    )
    return buffer.getvalue()


def _strip_rows(picture: Picture) -> int:
    """A power of two, so that whole strips make one of `STRIP_ROWS` when the file is verified."""
    rows = STRIP_ROWS
    while rows > 1 and rows * picture.pixels[0].nbytes > _STRIP_BYTES:
        rows //= 2
    return rows


def _samples(picture: Picture, rows: int) -> dict[str, Any]:
    """What tifffile is to write, and how."""
    if picture.floating:
        pixels = picture.pixels.astype(np.float16) if picture.bits == 16 else picture.pixels
        return {"data": pixels, "compression": "zlib", "predictor": True}
    if picture.mode == "LAB":
        return {"data": with_turned_signs(picture.pixels), "compression": "lzw", "predictor": True}
    return {"data": _packed(picture, rows), "dtype": np.uint16, "bitspersample": picture.bits}


def _packed(picture: Picture, rows: int) -> Iterator[bytes]:
    """Strips of packed samples; each row begins a new byte."""
    assert picture.bits is not None
    for top in range(0, picture.height, rows):
        levels = narrowed(picture.pixels[top : top + rows], picture.bits)
        yield bytes(imagecodecs.packints_encode(levels, picture.bits, runlen=levels[0].size))
