"""Opens a picture with libvips: JPEG, PNG, WebP and the usual kinds of TIFF."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from restore.formats import Format
from restore.imaging import metadata
from restore.imaging.opened import STRIP_ROWS, Opened
from restore.imaging.pixels import Alpha, Mode, Pixels
from restore.imaging.refusals import unreadable, unsupported
from restore.imaging.vips import dtype_of, first_line, pyvips, samples_of

_MODES: dict[tuple[str, int], Mode] = {
    ("RGB", 1): "L",
    ("RGB", 2): "LA",
    ("RGB", 3): "RGB",
    ("RGB", 4): "RGBA",
    ("CMYK", 4): "CMYK",
}


def opened(data: bytes, form: Format, alpha: Alpha = "straight") -> Opened:
    """Open a file; no pixel is decoded.

    Raises:
        ItemError: image_unreadable, unsupported_format.
        ValueError: the file's structure cannot be followed.
    """
    try:
        image = _load(data, form)
    except pyvips.Error as error:
        raise unreadable(form, first_line(error)) from None
    depth, mode = _samples(image)
    bits = image.get("bits-per-sample") if image.get_typeof("bits-per-sample") else 8
    return Opened(
        width=image.width,
        height=image.height,
        bits=depth,
        mode=mode,
        alpha=alpha,
        noted=(f"{bits}-bit",) if bits < 8 else (),
        whole=form == "webp" or bool(image.get_typeof("interlaced")),
        samples=lambda: _pixels(image, data, form),
        strips=lambda: _strips(image, form),
    )


def _load(data: bytes, form: Format, fail_on: str = "warning") -> Any:
    """A lazy image that fails on the first damage that its decoder meets.

    libvips gives up on damaged JPEG data and unreadable tiles only at "warning". The decoders warn of
    odd metadata too, so they receive none.
    """
    loader: Callable[..., Any] = getattr(pyvips.Image, f"{form}load_buffer")
    return loader(metadata.strip(data, form), access="sequential", fail_on=fail_on)


def _samples(image: Any) -> tuple[int, Mode]:
    depth = {"uchar": 8, "ushort": 16}.get(image.format)
    mode = _MODES.get(("CMYK" if image.interpretation == "cmyk" else "RGB", image.bands))
    if depth is None or mode is None:
        raise unsupported(f"{image.bands} channels of {image.interpretation} in {image.format}")
    return depth, mode


def _pixels(image: Any, data: bytes, form: Format) -> Pixels:
    try:
        return samples_of(image)
    except pyvips.Error as error:
        if not _harmless(str(error)):
            raise unreadable(form, first_line(error)) from None
    return samples_of(_load(data, form, fail_on="error"))


def _strips(image: Any, form: Format) -> Iterator[tuple[slice, Pixels]]:
    region = pyvips.Region.new(image)
    try:
        for top in range(0, image.height, STRIP_ROWS):
            rows = min(STRIP_ROWS, image.height - top)
            shape = (rows, image.width) if image.bands == 1 else (rows, image.width, image.bands)
            stored = region.fetch(0, top, image.width, rows)
            yield slice(top, top + rows), np.ndarray(shape, dtype_of(image), stored)
    except pyvips.Error as error:
        raise unreadable(form, first_line(error)) from None


def _harmless(message: str) -> bool:
    """Whether the only fault is padding before the end of a JPEG, which some cameras write."""
    lines = [line for line in message.splitlines() if "JPEG" in line]
    return bool(lines) and all("extraneous bytes before marker 0xd9" in line for line in lines)
