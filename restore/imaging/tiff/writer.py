"""Writes the kinds of TIFF that libvips does not: 9 to 15 bits, CIELAB, floating point."""

from __future__ import annotations

import io
from typing import Any, Literal

import numpy as np
import tifffile

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
    pixels, how = _stored(picture)
    buffer = io.BytesIO()
    tifffile.imwrite(
        buffer,
        pixels,
        bigtiff=pixels.nbytes > _BIG_TIFF_BYTES,
        photometric=_PHOTOMETRIC[picture.mode],
        planarconfig="contig" if pixels.ndim == 3 else None,
        extrasamples=[_EXTRA_SAMPLES[picture.alpha]] if picture.mode in ("LA", "RGBA") else None,
        rowsperstrip=max(1, _STRIP_BYTES // pixels[0].nbytes),
        metadata=None,
        software=False,
        **how,
    )
    return buffer.getvalue()


def _stored(picture: Picture) -> tuple[np.ndarray[Any, Any], dict[str, Any]]:
    """The samples as the file holds them, and how they are packed or compressed."""
    if picture.floating:
        pixels = picture.pixels.astype(np.float16) if picture.bits == 16 else picture.pixels
        return pixels, {"compression": "zlib", "predictor": True}
    if picture.mode == "LAB":
        return with_turned_signs(picture.pixels), {"compression": "lzw", "predictor": True}
    assert picture.bits is not None
    return narrowed(picture.pixels, picture.bits), {"bitspersample": picture.bits}
