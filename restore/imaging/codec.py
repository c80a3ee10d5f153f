"""Decodes and encodes pictures, with depth, colour profile, EXIF, XMP, resolution and orientation.

Only JPEG, PNG, TIFF and WebP are parsed, each by the libvips loader that the file's first bytes name.
The loader receives the file without metadata, and only where the header's size is within the limit.
Decoded pixels are upright. They keep their depth and mode in every output that can hold them.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from PIL import ImageCms

from restore.errors import ErrorCode, ItemError
from restore.formats import FORMATS, Format
from restore.imaging import color, metadata
from restore.imaging.metadata import exif, sniff
from restore.imaging.metadata.record import Metadata
from restore.imaging.picture import Encoded, Header, Picture
from restore.imaging.pixels import Mode, Pixels, on_white, to_8_bit, to_rgb, upright, without_repeats
from restore.imaging.vips import dtype_of, first_line, image_of, pyvips, samples_of
from restore.recipe import OutputFormat

_LABELS = [row.label for row in FORMATS.values()]
_ACCEPTED = (
    f"accepted are {', '.join(_LABELS[:-1])} and {_LABELS[-1]} of one picture, "
    "gray, RGB or CMYK, 8 or 16 bits"
)
_ALPHA: tuple[Mode, ...] = ("LA", "RGBA")
_SMALL_PROFILE_BYTES = 4096  # bytes; the usual matrix profiles have 500 to 3200
# LZW and deflate may grow noise by half; beyond this the offsets of classic TIFF could run over.
_BIG_TIFF_BYTES = 2 << 30
_STRIP_ROWS = 256  # rows; a tile's height in libvips' own TIFFs, so that no tile is read twice


def read_header(data: bytes, *, max_megapixels: float = math.inf) -> Header:
    """Read format, size, depth and mode of an encoded picture without decoding a pixel.

    Raises:
        ItemError: image_unreadable, unsupported_format, image_too_large.
    """
    return _open(data, max_megapixels)[1]


def decode(data: bytes, *, max_megapixels: float = 400) -> Picture:
    """Decode a picture with its metadata.

    Raises:
        ItemError: image_unreadable (damaged, cut short or no picture), unsupported_format,
            image_too_large (judged by the header).
    """
    image, header, meta = _open(data, max_megapixels)
    if header.pages > 1:
        raise _unsupported(f"found {header.pages} pages or frames in one {header.format.upper()}")
    pixels, mode = _pixels(image, data, header.format), header.mode
    pixels = upright(pixels, meta.orientation)
    if meta.palette and not meta.icc:  # a profile of RGB would not fit gray
        pixels, mode = without_repeats(pixels, mode)
    pixels.flags.writeable = False
    return Picture(
        pixels=pixels,
        mode=mode,
        format=header.format,
        lossless=meta.lossless,
        orientation=meta.orientation,
        icc=meta.icc,
        exif=meta.exif,
        xmp=meta.xmp,
        iptc=meta.iptc,
        dpi=meta.dpi[::-1] if meta.dpi and meta.orientation >= 5 else meta.dpi,
        dropped=meta.dropped,
    )


def strips(data: bytes, *, max_megapixels: float = 400) -> Iterator[tuple[slice, Pixels]]:
    """Yield the stored samples of an encoded picture in strips of rows, from the top.

    A picture can so be compared without being held whole. Samples are not turned by the Orientation tag;
    a palette's indices are given as colours.

    Raises:
        ItemError: as `decode`, wherever in the picture the damage is met.
    """
    image, header, _ = _open(data, max_megapixels)
    region = pyvips.Region.new(image)
    try:
        for top in range(0, image.height, _STRIP_ROWS):
            rows = min(_STRIP_ROWS, image.height - top)
            shape = (rows, image.width) if image.bands == 1 else (rows, image.width, image.bands)
            stored = region.fetch(0, top, image.width, rows)
            yield slice(top, top + rows), np.ndarray(shape, dtype_of(image), stored)
    except pyvips.Error as error:
        raise _unreadable(header.format, first_line(error)) from None


def _open(data: bytes, max_megapixels: float = math.inf) -> tuple[Any, Header, Metadata]:
    form = _recognised(data)
    try:
        meta = metadata.read(data, form)
        if meta.found:
            raise _unsupported(f"found {meta.found}")
        _check_size(meta.size, max_megapixels)
        image = _load(data, form)
    except ValueError as error:
        raise _unreadable(form, str(error)) from None
    except pyvips.Error as error:
        raise _unreadable(form, first_line(error)) from None
    _check_size((image.width, image.height), max_megapixels)  # what will be allocated
    meta = _noted(_with_sound_icc(meta), image)
    width, height = (image.height, image.width) if meta.orientation >= 5 else (image.width, image.height)
    depth, mode = _samples(image)
    whole = form == "webp" or bool(image.get_typeof("interlaced"))
    return image, Header(form, width, height, depth, mode, meta.orientation, meta.pages, whole), meta


def _check_size(size: tuple[int, int] | None, max_megapixels: float) -> None:
    if size is None:
        return
    megapixels = size[0] * size[1] / 1e6
    if megapixels > max_megapixels:
        raise ItemError(
            ErrorCode.IMAGE_TOO_LARGE,
            f"{size[0]} x {size[1]} is {megapixels:.1f} megapixels, more than the "
            f"{max_megapixels:g} allowed; raise max_megapixels to take it",
        )


def _recognised(data: bytes) -> Format:
    form = sniff.accepted_format(data)
    if form is not None:
        return form
    refused = sniff.refused_format(data)
    if refused is not None:
        raise _unsupported(f"found {refused}")
    raise ItemError(
        ErrorCode.IMAGE_UNREADABLE,
        f"{len(data)} bytes that begin {data[:8]!r} are no picture of a known format; {_ACCEPTED}",
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
    colour = "CMYK" if image.interpretation == "cmyk" else "RGB"
    modes: dict[tuple[str, int], Mode] = {
        ("RGB", 1): "L",
        ("RGB", 2): "LA",
        ("RGB", 3): "RGB",
        ("RGB", 4): "RGBA",
        ("CMYK", 4): "CMYK",
    }
    mode = modes.get((colour, image.bands))
    if depth is None or mode is None:
        raise _unsupported(f"found {image.bands} channels of {image.interpretation} in {image.format}")
    return depth, mode


def _noted(meta: Metadata, image: Any) -> Metadata:
    """The metadata, with a storage form that the decoded picture does not keep named as dropped."""
    bits = image.get("bits-per-sample") if image.get_typeof("bits-per-sample") else 8
    form = ("palette",) if meta.palette else (f"{bits}-bit",) if bits < 8 else ()
    return replace(meta, dropped=(*form, *meta.dropped))


def _with_sound_icc(meta: Metadata) -> Metadata:
    if meta.icc is None:
        return meta
    try:
        ImageCms.ImageCmsProfile(io.BytesIO(meta.icc))
    except OSError:
        return replace(meta, icc=None, dropped=(*meta.dropped, "icc"))
    return meta


def _pixels(image: Any, data: bytes, form: Format) -> Pixels:
    try:
        return samples_of(image)
    except pyvips.Error as error:
        if not _harmless(str(error)):
            raise _unreadable(form, first_line(error)) from None
    return samples_of(_load(data, form, fail_on="error"))


def _harmless(message: str) -> bool:
    """Whether the only fault is padding before the end of a JPEG, which some cameras write."""
    lines = [line for line in message.splitlines() if "JPEG" in line]
    return bool(lines) and all("extraneous bytes before marker 0xd9" in line for line in lines)


def encode(
    picture: Picture, output_format: OutputFormat, quality: int, least_xmp: bytes | None = None
) -> Encoded:
    """Encode a picture.

    Args:
        output_format: "source" keeps a lossless source's format; a JPEG or lossy WebP becomes PNG,
            or TIFF when it is CMYK, since encoding it again would change known pixels.
        quality: 1 to 100, for lossy formats; WebP at 100 is lossless.
        least_xmp: a short packet, written in place of one that is too long for the format.

    Raises:
        ItemError: unsupported_format, when the picture is larger than the format can hold.
    """
    form = _target(picture, output_format)
    row = FORMATS[form]
    if max(picture.width, picture.height) > row.longest_side:
        raise ItemError(
            ErrorCode.UNSUPPORTED_FORMAT,
            f"{picture.width} x {picture.height} is more than the {row.longest_side} pixels a side that "
            f"{form.upper()} can hold; use output_format=png or tiff",
        )
    fitted, changed = _fit(picture, form)
    by_choice = row.lossless == "optional" and (quality == 100 or output_format == "source")
    lossless = row.lossless == "always" or by_choice
    data = _save(fitted, form, quality, lossless)
    meta = _metadata_of(fitted)
    odd = ("icc",) if form == "png" and fitted.icc and not _has_own_profile(fitted) else ()
    if odd:  # PNG forbids the profile of another colour space, and readers warn of it
        meta = replace(meta, icc=None)
    plain, alpha = data, fitted.mode in _ALPHA
    data, homeless = metadata.embed(plain, form, meta, alpha)
    if "xmp" in homeless and least_xmp:
        data, _ = metadata.embed(plain, form, replace(meta, xmp=least_xmp), alpha)
    dropped = tuple(dict.fromkeys((*picture.dropped, *changed, *odd, *homeless)))
    return Encoded(data, row.extensions[0], "exact" if lossless and not changed else "lossy", dropped)


def _target(picture: Picture, output_format: OutputFormat) -> Format:
    if output_format != "source":
        return output_format
    if picture.lossless or picture.format == "tiff":
        return picture.format
    return "tiff" if picture.mode == "CMYK" else "png"


def _fit(picture: Picture, form: Format) -> tuple[Picture, tuple[str, ...]]:
    """The picture in the nearest depth and mode that `form` can hold, and the names of what is lost."""
    steps: list[str] = []
    row = FORMATS[form]
    if picture.mode == "CMYK" and not row.cmyk:
        picture = _to_srgb(picture)
        steps.append("cmyk")
    if picture.bit_depth == 16 and not row.deep:
        picture = replace(picture, pixels=to_8_bit(picture.pixels))
        steps.append("16-bit")
    if picture.mode in _ALPHA and not row.alpha:
        mode: Mode = "L" if picture.mode == "LA" else "RGB"
        picture = replace(picture, pixels=on_white(picture.pixels), mode=mode)
        steps.append("alpha")
    if picture.mode in ("L", "LA") and not row.gray:
        mode = "RGB" if picture.mode == "L" else "RGBA"
        picture = replace(picture, pixels=to_rgb(picture.pixels), mode=mode)
        steps.append("gray")
    return picture, tuple(steps)


def shown(picture: Picture) -> Picture:
    """The picture as a browser displays it: 8 bit, gray or RGB, transparency on white, no metadata.

    It is sRGB, or keeps its own profile where that is small: browsers apply a profile at no cost, while
    converting a thumbnail takes longer than all other work on it.
    """
    pixels, mode, icc = picture.pixels, picture.mode, picture.icc
    if picture.bit_depth == 16:
        pixels = to_8_bit(pixels)
    if mode in _ALPHA:
        pixels, mode = on_white(pixels), "L" if mode == "LA" else "RGB"
    flat = replace(picture, pixels=pixels, mode=mode, exif=None, xmp=None, dpi=None)
    if not _has_own_profile(flat) or icc is None:
        return _to_srgb(flat) if mode == "CMYK" else replace(flat, icc=None)
    return _to_srgb(flat) if mode == "CMYK" or len(icc) > _SMALL_PROFILE_BYTES else flat


def _has_own_profile(picture: Picture) -> bool:
    """Whether the picture has a profile, and one of its own kind of colours."""
    return picture.icc is not None and color.fits(picture.icc, picture.mode)


def _to_srgb(picture: Picture) -> Picture:
    """Convert to sRGB of the same depth by its own profile, or CMYK by the profile of libvips. No alpha."""
    image = image_of(picture.pixels, picture.mode)
    embedded = _has_own_profile(picture)
    if embedded:
        image.set_type(pyvips.GValue.blob_type, "icc-profile-data", picture.icc)
    converted = image.icc_transform(
        "srgb",
        embedded=embedded,
        input_profile="cmyk",
        intent="relative",
        black_point_compensation=True,
        depth=picture.bit_depth,
    )
    return replace(picture, pixels=samples_of(converted), mode="RGB", icc=None)


def _save(picture: Picture, form: Format, quality: int, lossless: bool) -> bytes:
    """Encoded pixels without metadata.

    PNG at level 2 with the `up` filter takes 0.4 of the time of Pillow's level 1 and is no larger.
    """
    image = image_of(picture.pixels, picture.mode)
    data: bytes
    if form == "png":
        data = image.pngsave_buffer(compression=2, filter="up", keep="none")
    elif form == "tiff":
        big = picture.pixels.nbytes > _BIG_TIFF_BYTES
        data = image.tiffsave_buffer(compression="lzw", predictor="horizontal", bigtiff=big, keep="none")
    elif form == "jpeg":
        data = image.jpegsave_buffer(Q=quality, optimize_coding=True, keep="none")
    elif lossless:
        data = image.webpsave_buffer(lossless=True, exact=True, effort=2, keep="none")
    else:
        data = image.webpsave_buffer(Q=quality, keep="none")
    return data


def unreadable_formats() -> list[str]:
    """Labels of the formats whose loader this build of libvips lacks; none in pyvips-binary."""
    return [
        row.label
        for row in FORMATS.values()
        if not pyvips.type_from_name(f"VipsForeignLoad{row.loader}Buffer")
    ]


def _metadata_of(picture: Picture) -> Metadata:
    block = exif.resized(picture.exif, picture.width, picture.height) if picture.exif else None
    return Metadata(icc=picture.icc, exif=block, xmp=picture.xmp, iptc=picture.iptc, dpi=picture.dpi)


def _unsupported(found: str) -> ItemError:
    return ItemError(ErrorCode.UNSUPPORTED_FORMAT, f"{found}; {_ACCEPTED}")


def _unreadable(form: Format, why: str) -> ItemError:
    return ItemError(ErrorCode.IMAGE_UNREADABLE, f"the {form.upper()} is damaged or cut short: {why}")
