"""A file whose header is read and whose pixels are not: what each reader gives to the codec."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from restore.imaging.pixels import Alpha, Mode, Pixels

STRIP_ROWS = 256
"""Rows of a strip; a tile's height in libvips' own TIFFs, so that no tile is read twice."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Opened:
    """An opened file.

    Attributes:
        width, height: px, as stored.
        bits: of a sample as the decoded picture keeps it; 10, 12 and 14 bits lie in uint16.
        floating: whether the samples are floating point numbers, 16 or 32 bits as stored.
        alpha: what the last channel of LA and RGBA is.
        noted: names of a storage form that the decoded picture does not keep.
        decoder_bytes: what the decoder holds beside the decoded samples, as for a progressive JPEG.
        samples: decodes all samples, `(H, W)` or `(H, W, C)`.
        strips: decodes the same samples in strips of `STRIP_ROWS` rows, from the top.

    Both functions raise ItemError where the samples are damaged.
    """

    width: int
    height: int
    bits: int
    mode: Mode
    floating: bool = False
    alpha: Alpha = "straight"
    noted: tuple[str, ...] = ()
    decoder_bytes: int = 0
    samples: Callable[[], Pixels]
    strips: Callable[[], Iterator[tuple[slice, Pixels]]]


def cut_into_strips(pixels: Pixels) -> Iterator[tuple[slice, Pixels]]:
    """The strips of a picture that is decoded already."""
    for top in range(0, len(pixels), STRIP_ROWS):
        rows = slice(top, min(top + STRIP_ROWS, len(pixels)))
        yield rows, pixels[rows]
