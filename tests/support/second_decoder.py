"""A second opinion on TIFF: what tifffile and imagecodecs make of a file, without any code of the product."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Second:
    """The first page of a TIFF.

    Attributes:
        samples: `(H, W, S)`, as stored.
        bits: of one sample.
        extra: values of ExtraSamples.
    """

    samples: Array
    photometric: int
    bits: int
    floating: bool
    extra: tuple[int, ...]
    colour_map: Array | None

    def shown(self) -> Array:
        """The colours that a restored file has to hold: `(H, W, C)`.

        White is high, indices are colours, and fewer than 8 bits are spread over 8. All else is as stored.
        """
        samples = self.samples
        if self.photometric == 3:
            assert self.colour_map is not None
            colours = np.moveaxis(self.colour_map, 0, 1)[samples[..., 0].astype(np.intp)]
            deep = (colours % 257).any() and (colours % 256).any()
            colours = colours if deep else (colours >> 8).astype(np.uint8)
            return np.concatenate([colours, samples[..., 1:].astype(colours.dtype)], axis=2)
        if self.floating:
            return samples
        samples = samples.astype(np.uint8 if self.bits <= 8 else np.uint16)
        if self.photometric == 0:
            samples[..., 0] = 2**self.bits - 1 - samples[..., 0]
        if self.bits < 8:
            return np.rint(samples * (255 / (2**self.bits - 1))).astype(np.uint8)
        return samples


def second(encoded: bytes) -> Second:
    """Decode the first page."""
    with tifffile.TiffFile(io.BytesIO(encoded)) as file:
        page = file.pages.first
        assert isinstance(page, tifffile.TiffPage)
        planes = page.asarray(squeeze=False)[:, 0]  # planes, rows, columns, samples of a plane
        return Second(
            samples=np.concatenate(list(planes), axis=-1) if len(planes) > 1 else planes[0],
            photometric=int(page.photometric),
            bits=int(page.bitspersample),
            floating=int(page.sampleformat) == 3,
            extra=tuple(map(int, page.extrasamples)),
            colour_map=page.colormap,
        )
