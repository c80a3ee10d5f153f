"""Decodes and encodes pictures, with depth, colour profile, EXIF, XMP, resolution and orientation.

Each format is parsed by the reader that the file's first bytes, and of a TIFF the kind of its samples, name.
The reader receives the file without metadata, and only where the header's size is within the limit.
Decoded pixels are upright. They keep their depth and mode in every output that can hold them.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from PIL import ImageCms

from restore.errors import ErrorCode, ItemError
from restore.formats import FORMATS, Format
from restore.imaging import color, imagecodecs_reader, metadata, vips_reader
from restore.imaging.metadata import exif, sniff
from restore.imaging.metadata.record import Metadata
from restore.imaging.opened import Opened
from restore.imaging.picture import Encoded, Header, Picture
from restore.imaging.pixels import (
    Mode,
    Pixels,
    on_white,
    straightened,
    to_8_bit,
    to_16_bit,
    to_rgb,
    upright,
    without_last,
    without_repeats,
)
from restore.imaging.refusals import ACCEPTED, unreadable, unsupported
from restore.imaging.tiff import reader as tiff_reader
from restore.imaging.tiff import writer as tiff_writer
from restore.imaging.tiff.samples import for_libvips
from restore.imaging.vips import image_of, pyvips, samples_of
from restore.recipe import OutputFormat

_ALPHA: tuple[Mode, ...] = ("LA", "RGBA")
_SMALL_PROFILE_BYTES = 4096  # bytes; the usual matrix profiles have 500 to 3200
# LZW and deflate may grow noise by half; beyond this the offsets of classic TIFF could run over.
_BIG_TIFF_BYTES = 2 << 30


def read_header(data: bytes, *, max_megapixels: float = math.inf) -> Header:
    """Read format, size, depth and mode of an encoded picture without decoding a pixel.

    Raises:
        ItemError: image_unreadable, unsupported_format, image_too_large.
    """
    form, opened, meta = _open(data, max_megapixels)
    size = opened.width, opened.height
    return Header(
        form,
        *(size[::-1] if meta.orientation >= 5 else size),
        bit_depth=opened.bits,
        mode=opened.mode,
        orientation=meta.orientation,
        pages=meta.pages,
        floating=opened.floating,
        decoder_bytes=opened.decoder_bytes,
    )


def decode(data: bytes, *, max_megapixels: float = 400) -> Picture:
    """Decode a picture with its metadata.

    Raises:
        ItemError: image_unreadable (damaged, cut short or no picture), unsupported_format,
            image_too_large (judged by the header).
    """
    form, opened, meta = _open(data, max_megapixels)
    if meta.pages > 1:
        raise unsupported(f"{meta.pages} pages or frames in one {FORMATS[form].label}")
    pixels, mode = upright(opened.samples(), meta.orientation), opened.mode
    if meta.palette and not meta.icc:  # a profile of RGB would not fit gray
        pixels, mode = without_repeats(pixels, mode)
    pixels.flags.writeable = False
    return Picture(
        pixels=pixels,
        mode=mode,
        format=form,
        lossless=meta.lossless,
        orientation=meta.orientation,
        icc=meta.icc,
        exif=meta.exif,
        xmp=meta.xmp,
        iptc=meta.iptc,
        photoshop=meta.photoshop,
        resolution=meta.resolution.turned() if meta.resolution and meta.orientation >= 5 else meta.resolution,
        dropped=meta.dropped,
        bits=opened.bits if opened.bits != 8 * pixels.itemsize else None,
        alpha=opened.alpha,
    )


def strips(data: bytes, *, max_megapixels: float = 400) -> Iterator[tuple[slice, Pixels]]:
    """Yield the stored samples of an encoded picture in strips of rows, from the top.

    A picture can so be compared without being held whole. Samples are not turned by the Orientation tag;
    a palette's indices are given as colours.

    Raises:
        ItemError: as `decode`, wherever in the picture the damage is met.
    """
    yield from _open(data, max_megapixels)[1].strips()


def _open(data: bytes, max_megapixels: float = math.inf) -> tuple[Format, Opened, Metadata]:
    form = _recognised(data)
    try:
        meta = metadata.read(data, form)
        if meta.found:
            raise unsupported(meta.found)
        _check_size(meta.size, max_megapixels)
        opened = _opened(data, form, meta)
    except ValueError as error:
        raise unreadable(form, str(error)) from None
    _check_size((opened.width, opened.height), max_megapixels)  # what will be allocated
    noted = ("palette",) if meta.palette else opened.noted
    meta = _with_sound_icc(meta)
    return form, opened, replace(meta, dropped=(*noted, *meta.dropped))


def _opened(data: bytes, form: Format, meta: Metadata) -> Opened:
    if meta.stated is not None and meta.size is not None:
        return imagecodecs_reader.opened(data, form, meta.stated, meta.size)
    if meta.samples is None:
        return vips_reader.opened(data, form)
    if for_libvips(meta.samples):
        return vips_reader.opened(data, form, meta.samples.alpha)
    return tiff_reader.opened(metadata.strip(data, form), meta.samples)


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
        raise unsupported(refused)
    raise ItemError(
        ErrorCode.IMAGE_UNREADABLE,
        f"{len(data)} bytes that begin {data[:8]!r} are no picture of a known format; {ACCEPTED}",
    )


def _with_sound_icc(meta: Metadata) -> Metadata:
    if meta.icc is None:
        return meta
    try:
        ImageCms.ImageCmsProfile(io.BytesIO(meta.icc))
    except OSError:
        return replace(meta, icc=None, dropped=(*meta.dropped, "icc"))
    return meta


def encode(
    picture: Picture, output_format: OutputFormat, quality: int, least_xmp: bytes | None = None
) -> Encoded:
    """Encode a picture.

    Args:
        output_format: "source" keeps a lossless source's format; a JPEG or lossy WebP becomes PNG,
            or TIFF when it is CMYK, since encoding it again would change known pixels.
        quality: 1 to 100, for lossy formats; WebP at 100 is lossless.
        least_xmp: a short packet, written in place of one that the format cannot hold.

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
    fitted, changed, moved = _fit(picture, form)
    by_choice = row.lossless == "optional" and (quality == 100 or output_format == "source")
    lossless = row.lossless == "always" or by_choice
    data = _save(fitted, form, quality, lossless)
    meta = _metadata_of(fitted)
    odd = ("icc",) if form == "png" and fitted.icc and not _has_own_profile(fitted) else ()
    if odd:  # PNG forbids the profile of another colour space, and readers warn of it
        meta = replace(meta, icc=None)
    plain, alpha = data, fitted.alpha if fitted.mode in _ALPHA else None
    data, homeless = metadata.embed(plain, form, meta, alpha)
    if "xmp" in homeless and least_xmp:
        data, _ = metadata.embed(plain, form, replace(meta, xmp=least_xmp), alpha)
    dropped = tuple(dict.fromkeys((*picture.dropped, *changed, *moved, *odd, *homeless)))
    return Encoded(data, row.extensions[0], "exact" if lossless and not changed else "lossy", dropped)


def _target(picture: Picture, output_format: OutputFormat) -> Format:
    if output_format != "source":
        return output_format
    row = FORMATS[picture.format]
    if row.written and (picture.lossless or picture.format == "tiff"):
        return picture.format
    return "tiff" if picture.mode == "CMYK" else row.successor


def _fit(picture: Picture, form: Format) -> tuple[Picture, tuple[str, ...], tuple[str, ...]]:
    """The picture in the nearest depth and mode that `form` can hold.

    Returns:
        The picture; names of what is lost of its pixels; names of what is stored in another way.
    """
    steps: list[str] = []
    row = FORMATS[form]
    moved: tuple[str, ...] = ()
    if picture.bits and not picture.floating and row.deep and not row.any_samples:
        moved = (f"{picture.bits}-bit",)
    if picture.floating and not row.any_samples:
        picture = replace(picture, pixels=to_16_bit(picture.pixels), bits=None)
        steps.append("floating point")
    if picture.alpha != "straight" and not row.any_samples:
        picture, name = _with_plain_alpha(picture)
        steps.append(name)
    if picture.mode == "LAB" and not row.any_samples:
        picture, names = _without_colours(picture)
        picture = replace(picture, pixels=color.lab_to_srgb(picture.pixels), mode="RGB", icc=None)
        steps += ["cielab", *names]
    if picture.mode == "CMYK" and not row.cmyk:
        picture, names = _without_colours(picture)
        picture = _to_srgb(picture)
        steps += ["cmyk", *names]
    if picture.bit_depth > 8 and not row.deep:
        steps.append(f"{picture.bit_depth}-bit")
        picture = replace(picture, pixels=to_8_bit(picture.pixels))
    if picture.mode in _ALPHA and not row.alpha:
        picture = replace(picture, pixels=on_white(picture.pixels), mode=_without_alpha(picture.mode))
        steps.append("alpha")
    if picture.mode in ("L", "LA") and not row.gray:
        mode: Mode = "RGB" if picture.mode == "L" else "RGBA"
        picture = replace(picture, pixels=to_rgb(picture.pixels), mode=mode)
        steps.append("gray")
    return picture if row.any_samples else replace(picture, bits=None), tuple(steps), moved


def _without_colours(picture: Picture) -> tuple[Picture, tuple[str, ...]]:
    """The picture without what its EXIF says of the meaning of its colours, and the names of that."""
    if picture.exif is None:
        return picture, ()
    block, names = exif.without_tags(picture.exif, exif.COLOURS)
    return replace(picture, exif=block), names


def _with_plain_alpha(picture: Picture) -> tuple[Picture, str]:
    """The picture with straight alpha, or without a channel that is none; and the name of what changed."""
    if picture.alpha == "premultiplied":
        return replace(picture, pixels=straightened(picture.pixels), alpha="straight"), "premultiplied alpha"
    plain = np.ascontiguousarray(without_last(picture.pixels))
    return replace(
        picture, pixels=plain, mode=_without_alpha(picture.mode), alpha="straight"
    ), "extra channel"


def _without_alpha(mode: Mode) -> Mode:
    return "L" if mode == "LA" else "RGB"


def shown(picture: Picture) -> Picture:
    """The picture as a browser displays it: 8 bit, gray or RGB, transparency on white, no metadata.

    It is sRGB, or keeps its own profile where that is small: browsers apply a profile at no cost, while
    converting a thumbnail takes longer than all other work on it.
    """
    if picture.floating:
        picture = replace(picture, pixels=to_16_bit(picture.pixels), bits=None)
    if picture.mode in _ALPHA and picture.alpha != "straight":
        picture, _ = _with_plain_alpha(picture)
    if picture.mode == "LAB":
        picture = replace(picture, pixels=color.lab_to_srgb(picture.pixels), mode="RGB", icc=None)
    pixels, mode, icc = picture.pixels, picture.mode, picture.icc
    if picture.bit_depth > 8:
        pixels = to_8_bit(pixels)
    if mode in _ALPHA:
        pixels, mode = on_white(pixels), _without_alpha(mode)
    flat = Picture(pixels, mode, picture.format, picture.lossless, icc=icc)
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
        depth=8 * picture.pixels.dtype.itemsize,
    )
    return replace(picture, pixels=samples_of(converted), mode="RGB", icc=None)


def _save(picture: Picture, form: Format, quality: int, lossless: bool) -> bytes:
    """Encoded pixels without metadata.

    PNG at level 2 with the `up` filter takes 0.4 of the time of Pillow's level 1 and is no larger.
    """
    if form == "tiff" and tiff_writer.is_for(picture):
        return tiff_writer.encoded(picture)
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
        if row.loader and not pyvips.type_from_name(f"VipsForeignLoad{row.loader}Buffer")
    ]


def _metadata_of(picture: Picture) -> Metadata:
    block = exif.resized(picture.exif, picture.width, picture.height) if picture.exif else None
    return Metadata(
        icc=picture.icc,
        exif=block,
        xmp=picture.xmp,
        iptc=picture.iptc,
        photoshop=picture.photoshop,
        resolution=picture.resolution,
    )
