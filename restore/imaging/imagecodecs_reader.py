"""Opens the formats that imagecodecs decodes, whole and at once: JPEG 2000, AVIF, JPEG XL.

It is shown the coded samples alone, and only where their own header states a size within the limit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import imagecodecs
import numpy as np

from restore.formats import Format
from restore.imaging import metadata
from restore.imaging.metadata.record import Stated
from restore.imaging.opened import Opened, cut_into_strips
from restore.imaging.picture import CHANNELS
from restore.imaging.pixels import Pixels, widened
from restore.imaging.refusals import unreadable

# The libraries are loaded with the first file that needs them.
_DECODERS: Mapping[Format, Callable[[bytes], Pixels]] = {
    "jpeg2000": lambda coded: imagecodecs.jpeg2k_decode(coded, numthreads=1),
    "avif": lambda coded: imagecodecs.avif_decode(coded, numthreads=1),
    "jpegxl": lambda coded: imagecodecs.jpegxl_decode(coded, numthreads=1, keeporientation=True),
}
_DECODER_BYTES: Mapping[Format, int] = {"jpeg2000": 7, "avif": 4, "jpegxl": 4}
"""Bytes a sample that a decoder holds beside its result. For 12 megapixels OpenJPEG took 6, the others 1."""
_FAULTS = (RuntimeError, ValueError, MemoryError)


def opened(data: bytes, form: Format, stated: Stated, size: tuple[int, int]) -> Opened:
    """Open a file; no pixel is decoded.

    Args:
        size: width and height that the coded samples state.
    """
    samples = size[0] * size[1] * CHANNELS[stated.mode]
    return Opened(
        width=size[0],
        height=size[1],
        bits=max(stated.bits, 8),
        mode=stated.mode,
        alpha=stated.alpha,
        noted=(f"{stated.bits}-bit",) if stated.bits < 8 else (),
        decoder_bytes=samples * _DECODER_BYTES[form] + len(data),
        samples=lambda: _pixels(data, form, stated, size),
        strips=lambda: cut_into_strips(_pixels(data, form, stated, size)),
    )


def _pixels(data: bytes, form: Format, stated: Stated, size: tuple[int, int]) -> Pixels:
    coded = metadata.strip(data, form)
    try:
        pixels = _DECODERS[form](coded)
    except _FAULTS as error:
        raise unreadable(form, f"its decoder says: {error}") from None
    channels = CHANNELS[stated.mode]
    shape = (size[1], size[0]) if channels == 1 else (size[1], size[0], channels)
    dtype = np.uint8 if stated.bits <= 8 else np.uint16
    if pixels.shape[:2] != shape[:2] or pixels.size != np.prod(shape) or pixels.dtype != dtype:
        raise unreadable(form, f"{pixels.shape} samples of {pixels.dtype} are in it, not {shape}")
    return widened(pixels.reshape(shape), stated.bits)
