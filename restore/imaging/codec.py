"""Bytes to pixels and back, with depth, colour profile, EXIF, XMP, resolution and orientation.

Only JPEG, PNG, TIFF and WebP are ever parsed, each by the one libvips loader that its first bytes
name; it is shown what pixels need and no metadata, once the header's size is found bearable. Decoded
pixels are upright and never leave their own depth and mode on the way to an output that can hold them.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from PIL import ImageCms

from restore.errors import ErrorCode, ItemError
from restore.imaging import color, metadata
from restore.imaging.metadata import exif, sniff
from restore.imaging.metadata.record import Format, Metadata
from restore.imaging.picture import Encoded, Header, Picture
from restore.imaging.pixels import Mode, Pixels, on_white, to_8_bit, to_rgb, upright, without_repeats
from restore.imaging.vips import dtype_of, first_line, image_of, pyvips, samples_of
from restore.recipe import OutputFormat

FORMATS: Mapping[Format, str] = {"jpeg": "JPEG", "png": "PNG", "tiff": "TIFF", "webp": "WebP"}
"""Formats that are read and written, with their own names."""
EXTENSIONS: Mapping[Format, str] = {"jpeg": "jpg", "png": "png", "tiff": "tif", "webp": "webp"}
"""The ending of a file's name, without the dot, by its format."""
_ACCEPTED = "accepted are JPEG, PNG, TIFF and WebP of one picture, gray, RGB or CMYK, 8 or 16 bits"
_LONGEST_SIDE: Mapping[Format, int] = {"jpeg": 65535, "webp": 16383, "png": 2**31 - 1, "tiff": 2**31 - 1}
_ALPHA: tuple[Mode, ...] = ("LA", "RGBA")
_SMALL_PROFILE = 4096  # bytes; the usual matrix profiles have 500 to 3200
# LZW and deflate may grow noise by half; beyond this the offsets of classic TIFF could run over.
_BIG_TIFF = 2 << 30
_STRIP = 256  # rows; a tile's height in libvips' own TIFFs, so that no tile is read twice


def read_header(data: bytes, *, max_megapixels: float = math.inf) -> Header:
    """Format, size, depth and mode of an encoded picture; decodes no pixel.

    Raises:
        ItemError: image_unreadable, unsupported_format, image_too_large.
    """
    return _open(data, max_megapixels)[1]


def decode(data: bytes, *, max_megapixels: float = 400) -> Picture:
    """Pixels and metadata of an encoded picture.

    Raises:
        ItemError: image_unreadable (damaged, cut short or no picture), unsupported_format,
            image_too_large (judged by the header).
    """
    image, header, around = _open(data, max_megapixels)
    if header.pages > 1:
        raise _unsupported(f"found {header.pages} pages or frames in one {header.format.upper()}")
    pixels, mode = _pixels(image, data, header.format), header.mode
    pixels = upright(pixels, around.orientation)
    if around.palette and not around.icc:  # a profile of RGB would not fit gray
        pixels, mode = without_repeats(pixels, mode)
    pixels.flags.writeable = False
    return Picture(
        pixels=pixels,
        mode=mode,
        format=header.format,
        lossless=around.lossless,
        orientation=around.orientation,
        icc=around.icc,
        exif=around.exif,
        xmp=around.xmp,
        iptc=around.iptc,
        dpi=around.dpi[::-1] if around.dpi and around.orientation >= 5 else around.dpi,
        dropped=around.dropped,
    )


def strips(data: bytes, *, max_megapixels: float = 400) -> Iterator[tuple[slice, Pixels]]:
    """The stored samples of an encoded picture, some rows at a time from the top: giants are compared so.

    As the file holds them: not turned by its Orientation, and a palette's colours in full.

    Raises:
        ItemError: as `decode`, wherever in the picture the damage is met.
    """
    image, header, _ = _open(data, max_megapixels)
    region = pyvips.Region.new(image)
    try:
        for top in range(0, image.height, _STRIP):
            rows = min(_STRIP, image.height - top)
            shape = (rows, image.width) if image.bands == 1 else (rows, image.width, image.bands)
            stored = region.fetch(0, top, image.width, rows)
            yield slice(top, top + rows), np.ndarray(shape, dtype_of(image), stored)
    except pyvips.Error as error:
        raise _unreadable(header.format, first_line(error)) from None


def _open(data: bytes, max_megapixels: float = math.inf) -> tuple[Any, Header, Metadata]:
    form = _recognised(data)
    try:
        around = metadata.read(data, form)
        if around.found:
            raise _unsupported(f"found {around.found}")
        _check_size(around.size, max_megapixels)
        image = _load(data, form)
    except ValueError as error:
        raise _unreadable(form, str(error)) from None
    except pyvips.Error as error:
        raise _unreadable(form, first_line(error)) from None
    _check_size((image.width, image.height), max_megapixels)  # what will be allocated, whatever was said
    around = _noted(_with_sound_icc(around), image)
    width, height = (image.height, image.width) if around.orientation >= 5 else (image.width, image.height)
    depth, mode = _samples(image)
    whole = form == "webp" or bool(image.get_typeof("interlaced"))
    return image, Header(form, width, height, depth, mode, around.orientation, around.pages, whole), around


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
    """A lazy image that fails on the first damage its decoder meets.

    Only at "warning" does libvips give up on damaged JPEG data and on tiles that cannot be read. But
    the decoders warn of odd metadata just as loudly, so they are shown none.
    """
    loader: Callable[..., Any] = getattr(pyvips.Image, f"{form}load_buffer")
    return loader(metadata.bare(data, form), access="sequential", fail_on=fail_on)


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


def _noted(around: Metadata, image: Any) -> Metadata:
    """`around`, with the name of a storage form that the decoded picture no longer has."""
    bits = image.get("bits-per-sample") if image.get_typeof("bits-per-sample") else 8
    form = ("palette",) if around.palette else (f"{bits}-bit",) if bits < 8 else ()
    return replace(around, dropped=(*form, *around.dropped))


def _with_sound_icc(around: Metadata) -> Metadata:
    if around.icc is None:
        return around
    try:
        ImageCms.ImageCmsProfile(io.BytesIO(around.icc))
    except OSError:
        return replace(around, icc=None, dropped=(*around.dropped, "icc"))
    return around


def _pixels(image: Any, data: bytes, form: Format) -> Pixels:
    try:
        return samples_of(image)
    except pyvips.Error as error:
        if not _harmless(str(error)):
            raise _unreadable(form, first_line(error)) from None
    return samples_of(_load(data, form, fail_on="error"))


def _harmless(message: str) -> bool:
    """Whether a JPEG decoder only found padding before the end of the picture, as some cameras write."""
    lines = [line for line in message.splitlines() if "JPEG" in line]
    return bool(lines) and all("extraneous bytes before marker 0xd9" in line for line in lines)


def encode(
    picture: Picture, output_format: OutputFormat, quality: int, least_xmp: bytes | None = None
) -> Encoded:
    """A picture as a file.

    Args:
        output_format: "source" keeps a lossless source's format; a JPEG or lossy WebP becomes PNG,
            or TIFF when it is CMYK, since encoding it again would change known pixels.
        quality: 1 to 100, for lossy formats; WebP at 100 is lossless.
        least_xmp: a short packet, written where the picture's own is too long for the format.

    Raises:
        ItemError: unsupported_format, when the picture is larger than the format can hold.
    """
    form = _target(picture, output_format)
    if max(picture.width, picture.height) > _LONGEST_SIDE[form]:
        raise ItemError(
            ErrorCode.UNSUPPORTED_FORMAT,
            f"{picture.width} x {picture.height} is more than the {_LONGEST_SIDE[form]} pixels a side that "
            f"{form.upper()} can hold; use output_format=png or tiff",
        )
    fitted, changed = _fit(picture, form)
    lossless = form in ("png", "tiff") or (form == "webp" and (quality == 100 or output_format == "source"))
    data = _save(fitted, form, quality, lossless)
    around = _surroundings(fitted)
    odd = ("icc",) if form == "png" and fitted.icc and not _has_own_profile(fitted) else ()
    if odd:  # PNG forbids the profile of another colour space, and readers warn of it
        around = replace(around, icc=None)
    plain, alpha = data, fitted.mode in _ALPHA
    data, homeless = metadata.embed(plain, form, around, alpha)
    if "xmp" in homeless and least_xmp:
        data, _ = metadata.embed(plain, form, replace(around, xmp=least_xmp), alpha)
    dropped = tuple(dict.fromkeys((*picture.dropped, *changed, *odd, *homeless)))
    return Encoded(data, EXTENSIONS[form], "exact" if lossless and not changed else "lossy", dropped)


def _target(picture: Picture, output_format: OutputFormat) -> Format:
    if output_format != "source":
        return output_format
    if picture.lossless or picture.format == "tiff":
        return picture.format
    return "tiff" if picture.mode == "CMYK" else "png"


def _fit(picture: Picture, form: Format) -> tuple[Picture, tuple[str, ...]]:
    """The picture in the nearest depth and mode that `form` can hold, and what that cost."""
    steps: list[str] = []
    if picture.mode == "CMYK" and form in ("png", "webp"):
        picture = _to_srgb(picture)
        steps.append("cmyk")
    if picture.bit_depth == 16 and form in ("jpeg", "webp"):
        picture = replace(picture, pixels=to_8_bit(picture.pixels))
        steps.append("16-bit")
    if picture.mode in _ALPHA and form == "jpeg":
        mode: Mode = "L" if picture.mode == "LA" else "RGB"
        picture = replace(picture, pixels=on_white(picture.pixels), mode=mode)
        steps.append("alpha")
    if picture.mode in ("L", "LA") and form == "webp":
        mode = "RGB" if picture.mode == "L" else "RGBA"
        picture = replace(picture, pixels=to_rgb(picture.pixels), mode=mode)
        steps.append("gray")
    return picture, tuple(steps)


def shown(picture: Picture) -> Picture:
    """What a browser shows: 8 bit, gray or RGB, on white where it was transparent, no metadata.

    In sRGB, or with the picture's own profile where that is small: a browser applies it at no cost,
    and converting a thumbnail takes longer than all else that is done to it.
    """
    pixels, mode, icc = picture.pixels, picture.mode, picture.icc
    if picture.bit_depth == 16:
        pixels = to_8_bit(pixels)
    if mode in _ALPHA:
        pixels, mode = on_white(pixels), "L" if mode == "LA" else "RGB"
    flat = replace(picture, pixels=pixels, mode=mode, exif=None, xmp=None, dpi=None)
    if not _has_own_profile(flat) or icc is None:
        return _to_srgb(flat) if mode == "CMYK" else replace(flat, icc=None)
    return _to_srgb(flat) if mode == "CMYK" or len(icc) > _SMALL_PROFILE else flat


def _has_own_profile(picture: Picture) -> bool:
    """Whether the profile is one of the picture's own kind of colours."""
    return picture.icc is not None and color.fits(picture.icc, picture.mode)


def _to_srgb(picture: Picture) -> Picture:
    """To sRGB of the same depth by its own profile; CMYK without one by libvips'. No alpha."""
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
        big = picture.pixels.nbytes > _BIG_TIFF
        data = image.tiffsave_buffer(compression="lzw", predictor="horizontal", bigtiff=big, keep="none")
    elif form == "jpeg":
        data = image.jpegsave_buffer(Q=quality, optimize_coding=True, keep="none")
    elif lossless:
        data = image.webpsave_buffer(lossless=True, exact=True, effort=2, keep="none")
    else:
        data = image.webpsave_buffer(Q=quality, keep="none")
    return data


def unreadable_formats() -> list[str]:
    """Names of the formats whose loader this build of libvips lacks; none in pyvips-binary."""
    loaders = {name: f"VipsForeignLoad{name.capitalize()}Buffer" for name in FORMATS}
    return [FORMATS[name] for name, loader in loaders.items() if not pyvips.type_from_name(loader)]


def _surroundings(picture: Picture) -> Metadata:
    block = exif.resized(picture.exif, picture.width, picture.height) if picture.exif else None
    return Metadata(icc=picture.icc, exif=block, xmp=picture.xmp, iptc=picture.iptc, dpi=picture.dpi)


def _unsupported(found: str) -> ItemError:
    return ItemError(ErrorCode.UNSUPPORTED_FORMAT, f"{found}; {_ACCEPTED}")


def _unreadable(form: Format, why: str) -> ItemError:
    return ItemError(ErrorCode.IMAGE_UNREADABLE, f"the {form.upper()} is damaged or cut short: {why}")
