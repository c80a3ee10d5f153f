"""Opens the kinds of TIFF that libvips does not decode, or decodes wrongly, with tifffile.

tifffile is shown a file of one directory with the tags about how samples lie and no others. All that it would
allocate or repeat is checked against the picture's size before.
"""

from __future__ import annotations

import io
import logging
import math
import struct
from collections.abc import Iterator

import numpy as np
import tifffile

from restore.imaging.metadata import exif as tags
from restore.imaging.opened import STRIP_ROWS, Opened
from restore.imaging.pixels import Mode, Pixels, widened, with_turned_signs
from restore.imaging.refusals import unreadable, unsupported
from restore.imaging.tiff.samples import BLACK_IS_ZERO, CIELAB, CMYK, PALETTE, RGB, WHITE_IS_ZERO, Samples

logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # a photo's faults belong into its row alone
# What tifffile and imagecodecs raise on malformed samples.
_FAULTS = (
    tifffile.TiffFileError,
    ValueError,
    RuntimeError,
    LookupError,
    TypeError,
    struct.error,
    OverflowError,
)
_LARGEST_TILE = 2**20  # px; tiles may be larger where the picture is
_MODES: dict[tuple[int, bool], Mode] = {
    (WHITE_IS_ZERO, False): "L",
    (WHITE_IS_ZERO, True): "LA",
    (BLACK_IS_ZERO, False): "L",
    (BLACK_IS_ZERO, True): "LA",
    (RGB, False): "RGB",
    (RGB, True): "RGBA",
    (PALETTE, False): "RGB",
    (CMYK, False): "CMYK",
    (CIELAB, False): "LAB",
}


def opened(stripped: bytes, samples: Samples) -> Opened:
    """Open a TIFF that holds nothing but the samples described; no pixel is decoded.

    Raises:
        ItemError: image_unreadable.
    """
    try:
        _check_segments(stripped, samples)
    except ValueError as error:
        raise unreadable("tiff", str(error)) from None
    return Opened(
        width=samples.width,
        height=samples.height,
        bits=_kept_bits(samples),
        mode=_MODES[samples.photometric, bool(samples.extra)],
        floating=samples.floating,
        alpha=samples.alpha,
        noted=(f"{samples.bits}-bit",) if samples.bits < 8 and samples.photometric != PALETTE else (),
        decoder_bytes=2 * samples.width * samples.height * samples.channels * _dtype(samples)().itemsize,
        samples=lambda: _pixels(stripped, samples),
        strips=lambda: _bands(stripped, samples),
    )


def _kept_bits(samples: Samples) -> int:
    """Bits of a decoded sample: those stored, but for 8 where fewer are and those of a palette's levels."""
    if samples.photometric == PALETTE:
        return 16 if any(level % 257 and level % 256 for level in samples.colour_map) else 8
    return max(samples.bits, 8)


def _check_segments(data: bytes, samples: Samples) -> None:
    """Refuses tiles or strips that are missing, or far larger than the picture."""
    if min(samples.width, samples.height) < 1:
        raise ValueError(f"it is {samples.width} x {samples.height} px")
    layout, offset = tags.first_directory(data)
    entries, _ = tags.read_entries(data, layout, offset)
    if samples.tiled:
        width, height = (tags.number(entries, tag, 0) for tag in (tags.TILE_WIDTH, tags.TILE_HEIGHT))
        sizes = entries.get(tags.TILE_SIZES)
    else:
        width, height = samples.width, tags.number(entries, tags.STRIP_ROWS, samples.height)
        sizes, height = entries.get(tags.STRIP_SIZES), min(height, samples.height)
    if min(width, height) < 1 or width * height > max(_LARGEST_TILE, 4 * samples.width * samples.height):
        raise ValueError(f"tiles or strips of {width} x {height} px")
    wanted = math.ceil(samples.width / width) * math.ceil(samples.height / height)
    wanted *= samples.channels if samples.planar else 1
    found = [size for size in (sizes.numbers() if sizes else []) if size > 0]
    if len(found) < wanted:
        raise ValueError(f"{len(found)} of its {wanted} strips or tiles are there")


def _pixels(stripped: bytes, samples: Samples) -> Pixels:
    """The samples as a Picture has them."""
    bands = _bands(stripped, samples)
    rows, first = next(bands)
    if rows.stop == samples.height:
        return first
    pixels = np.empty((samples.height, *first.shape[1:]), first.dtype)
    pixels[rows] = first
    for rows, band in bands:
        pixels[rows] = band
    return pixels


def _bands(stripped: bytes, samples: Samples) -> Iterator[tuple[slice, Pixels]]:
    """As `_pixels`, in strips of about `STRIP_ROWS` rows, or all at once where planes lie apart."""
    try:
        for rows, stored in _stored(stripped, samples):
            yield rows, _interpreted(stored, samples)
    except _FAULTS as error:
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise unreadable("tiff", why) from None


def _stored(stripped: bytes, samples: Samples) -> Iterator[tuple[slice, Pixels]]:
    """The samples as stored, `(rows, W, C)`: a band as soon as all its strips or tiles are decoded."""
    with tifffile.TiffFile(io.BytesIO(stripped)) as file:
        page = file.pages.first
        assert isinstance(page, tifffile.TiffPage)
        apart = samples.planar and samples.channels > 1
        deep = page.tilelength if samples.tiled else min(page.rowsperstrip, samples.height)
        rows = samples.height if apart else min(-(-STRIP_ROWS // deep) * deep, samples.height)
        top, band = 0, _empty(rows, samples)
        for part, (plane, _, y, x, _), _ in page.segments(maxworkers=1):
            if part is None:
                raise ValueError("a strip or tile is missing")
            if y >= top + rows:
                yield slice(top, top + rows), band
                top, rows = top + rows, min(rows, samples.height - top - rows)
                band = _empty(rows, samples)
            target = band[..., plane, None] if apart else band
            room = target[y - top : y - top + part.shape[1], x : x + part.shape[2]]
            room[:] = part[0, : room.shape[0], : room.shape[1]]
        yield slice(top, top + rows), band


def _empty(rows: int, samples: Samples) -> Pixels:
    return np.empty((rows, samples.width, samples.channels), _dtype(samples))


def _dtype(samples: Samples) -> type[np.generic]:
    if samples.floating:
        return np.float32
    return np.uint8 if samples.bits <= 8 else np.uint16


def _interpreted(stored: Pixels, samples: Samples) -> Pixels:
    """Stored samples as a Picture has them."""
    if samples.floating:
        return _single(_finite(stored))
    if samples.photometric == CIELAB:
        return with_turned_signs(stored)
    if samples.photometric == PALETTE:
        return _looked_up(stored[..., 0], samples)
    if samples.photometric == WHITE_IS_ZERO:
        stored[..., 0] = (1 << samples.bits) - 1 - stored[..., 0]
    return _single(widened(stored, samples.bits))


def _single(pixels: Pixels) -> Pixels:
    """One channel as `(H, W)`."""
    return pixels[..., 0] if pixels.shape[2] == 1 else pixels


def _finite(stored: Pixels) -> Pixels:
    if not np.isfinite(stored).all():
        raise unsupported("TIFF of floating point samples of which some are no finite numbers")
    return stored


def _looked_up(indices: Pixels, samples: Samples) -> Pixels:
    """The palette's colours `(H, W, 3)`."""
    colours = np.array(samples.colour_map, np.uint16).reshape(3, -1).T
    if _kept_bits(samples) == 8:
        colours = (colours >> 8).astype(np.uint8)
    if int(indices.max()) >= len(colours):
        raise unreadable("tiff", f"an index beyond the {len(colours)} colours of its palette")
    return np.ascontiguousarray(colours[indices])
