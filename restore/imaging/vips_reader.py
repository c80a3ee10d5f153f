"""Opens a picture with libvips: JPEG, PNG, WebP and the usual kinds of TIFF."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TypeVar

import numpy as np

from restore.errors import ItemError
from restore.formats import Format
from restore.imaging import metadata
from restore.imaging.opened import STRIP_ROWS, Opened
from restore.imaging.pixels import Alpha, Mode, Pixels
from restore.imaging.refusals import unreadable, unsupported
from restore.imaging.vips import dtype_of, first_line, heeded, pyvips, samples_of

_Decoded = TypeVar("_Decoded")
# libjpeg's words, and what they say of the picture. All else that it names lies in the header.
_JPEG_DAMAGE = {"premature end": "pixels are missing: ", "Corrupt JPEG data": "pixels are damaged: "}
_PADDING = "extraneous bytes before marker 0xd9"
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
        raise unreadable(form, f"its header: {first_line(error)}") from None
    depth, mode = _samples(image)
    bits = image.get("bits-per-sample") if image.get_typeof("bits-per-sample") else 8
    whole = form == "webp" or bool(image.get_typeof("interlaced"))
    return Opened(
        width=image.width,
        height=image.height,
        bits=depth,
        mode=mode,
        alpha=alpha,
        noted=(f"{bits}-bit",) if bits < 8 else (),
        decoder_bytes=2 * image.width * image.height * image.bands * depth // 8 if whole else 0,
        samples=lambda: _pixels(image, data, form),
        strips=lambda: _strips(image, data, form),
    )


def _load(data: bytes, form: Format, fail_on: str = "warning") -> Any:
    """A lazy image that fails on the first damage that its decoder meets.

    libvips gives up on damaged JPEG data and unreadable tiles only at "warning". The decoders warn of
    odd metadata too, so they receive none.
    """
    loader: Callable[..., Any] = getattr(pyvips.Image, f"{form}load_buffer")
    stripped = metadata.strip(data, form)
    return heeded(lambda: loader(stripped, access="sequential", fail_on=fail_on))[0]


def _samples(image: Any) -> tuple[int, Mode]:
    depth = {"uchar": 8, "ushort": 16}.get(image.format)
    mode = _MODES.get(("CMYK" if image.interpretation == "cmyk" else "RGB", image.bands))
    if depth is None or mode is None:
        raise unsupported(f"{image.bands} channels of {image.interpretation} in {image.format}")
    return depth, mode


def _pixels(image: Any, data: bytes, form: Format) -> Pixels:
    _check_end(data, form)
    try:
        return _without_complaint(lambda: samples_of(image), form)
    except pyvips.Error as error:
        if not _harmless(form, str(error)):
            raise _damaged(form, first_line(error)) from None
    padded = _load(data, form, fail_on="error")
    try:
        return _without_complaint(lambda: samples_of(padded), form)
    except pyvips.Error as error:
        raise _damaged(form, first_line(error)) from None


def _strips(image: Any, data: bytes, form: Format) -> Iterator[tuple[slice, Pixels]]:
    _check_end(data, form)
    region = pyvips.Region.new(image)
    try:
        for top in range(0, image.height, STRIP_ROWS):
            rows = min(STRIP_ROWS, image.height - top)
            shape = (rows, image.width) if image.bands == 1 else (rows, image.width, image.bands)
            fetch = partial(region.fetch, 0, top, image.width, rows)
            stored = _without_complaint(fetch, form)
            yield slice(top, top + rows), np.ndarray(shape, dtype_of(image), stored)
    except pyvips.Error as error:
        raise _damaged(form, first_line(error)) from None


def _check_end(data: bytes, form: Format) -> None:
    try:
        metadata.check_end(data, form)
    except ValueError as error:
        raise unreadable(form, str(error)) from None


def _without_complaint(decode: Callable[[], _Decoded], form: Format) -> _Decoded:
    """What `decode` returns; a picture that was decoded under complaints is refused.

    libvips looks for those of libjpeg only before each eight rows, and not at all in tiles of a TIFF.
    """
    decoded, complaints = heeded(decode)
    if complaints and not _harmless(form, complaints):
        raise _damaged(form, complaints.splitlines()[0])
    return decoded


def _damaged(form: Format, why: str) -> ItemError:
    """The error of samples that do not decode; where libjpeg says so, whether they are missing or changed."""
    kind = next((kind for words, kind in _JPEG_DAMAGE.items() if words in why), "")
    return unreadable(form, kind + why)


def _harmless(form: Format, complaint: str) -> bool:
    """Whether the only fault is padding before the end of a JPEG, which some cameras write."""
    lines = [line for line in complaint.splitlines() if "JPEG" in line]
    return form == "jpeg" and bool(lines) and all(_PADDING in line for line in lines)
