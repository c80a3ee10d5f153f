"""Bytes to pixels and back, with depth, colour profile, EXIF, XMP, resolution and orientation.

Only JPEG, PNG, TIFF and WebP are ever parsed, each by the one libvips loader that its first bytes
name. Decoded pixels are upright and never leave their own depth and mode on the way to an output
that can hold them.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pyvips
from PIL import ImageCms

from restore import containers, exif
from restore.containers import Format, Surroundings
from restore.errors import ErrorCode, ItemError
from restore.recipe import OutputFormat

Mode = Literal["L", "LA", "RGB", "RGBA", "CMYK"]
Pixels = npt.NDArray[np.generic]

# One thread a process and no cache of operations: a cluster runs one process per core.
pyvips.cache_set_max(0)
pyvips.concurrency_set(1)

_ACCEPTED = "accepted are JPEG, PNG, TIFF and WebP of one picture, gray, RGB or CMYK, 8 or 16 bits"
_EXTENSIONS: Mapping[Format, str] = {"jpeg": "jpg", "png": "png", "tiff": "tif", "webp": "webp"}
_LONGEST_SIDE: Mapping[Format, int] = {"jpeg": 65535, "webp": 16383, "png": 2**31 - 1, "tiff": 2**31 - 1}
_ALPHA: tuple[Mode, ...] = ("LA", "RGBA")
# LZW and deflate may grow noise by half; beyond this the offsets of classic TIFF could run over.
_BIG_TIFF = 2 << 30


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A decoded photo.

    Attributes:
        pixels: `(H, W)` for L, else `(H, W, C)`; uint8 or uint16 over their full range, upright,
            C-contiguous, read-only. CMYK: 0 is no ink.
        format: of the file it came from.
        lossless: whether that file's compression kept every sample.
        orientation: EXIF orientation as stored, 1 to 8; `pixels` and the metadata are upright already.
        icc: ICC profile.
        exif: TIFF structure without JPEG's "Exif" marker; Orientation 1, no thumbnail.
        xmp: XMP packet, its tiff:Orientation 1.
        dpi: horizontal and vertical, as stored (not exchanged when the picture was turned by 90°).
        dropped: what reading lost, by name.
    """

    pixels: Pixels
    mode: Mode
    format: Format
    lossless: bool
    orientation: int = 1
    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    dpi: tuple[float, float] | None = None
    dropped: tuple[str, ...] = ()

    @property
    def bit_depth(self) -> int:
        """Bits of one sample, 8 or 16."""
        return 8 * self.pixels.dtype.itemsize

    @property
    def width(self) -> int:
        """Pixels across, upright."""
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        """Pixels down, upright."""
        return int(self.pixels.shape[0])


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says of its picture before any pixel is decoded.

    `width` and `height` are upright. `mode` is that of the stored colours: a palette of grays, which
    decodes to L, says RGB here.
    """

    format: Format
    width: int
    height: int
    bit_depth: int
    mode: Mode
    orientation: int
    pages: int


@dataclass(frozen=True, slots=True)
class Encoded:
    """An encoded picture.

    Attributes:
        extension: without the dot.
        proof: "exact" when `data` decodes to the very pixels that were given, else "lossy".
        dropped: all that source and output differ in besides pixels: the picture's own `dropped`,
            then what this format cannot hold.
    """

    data: bytes
    extension: str
    proof: Literal["exact", "lossy"]
    dropped: tuple[str, ...]


def read_header(data: bytes) -> Header:
    """Format, size, depth and mode of an encoded picture; decodes no pixel.

    Raises:
        ItemError: image_unreadable, unsupported_format.
    """
    return _open(data)[2]


def decode(data: bytes, *, max_megapixels: float = 400) -> Picture:
    """Pixels and metadata of an encoded picture.

    Raises:
        ItemError: image_unreadable (damaged, cut short or no picture), unsupported_format,
            image_too_large (judged by the header).
    """
    image, around, header = _open(data)
    if header.pages > 1:
        raise _unsupported(f"found {header.pages} pages or frames in one {header.format.upper()}")
    megapixels = header.width * header.height / 1e6
    if megapixels > max_megapixels:
        raise ItemError(
            ErrorCode.IMAGE_TOO_LARGE,
            f"{header.width} x {header.height} is {megapixels:.1f} megapixels, more than the "
            f"{max_megapixels:g} allowed; raise --max-megapixels to take it",
        )
    pixels = _upright(_pixels(image, data, header.format), around.orientation)
    pixels, mode = (
        _smallest(pixels, header.mode) if around.palette and not around.icc else (pixels, header.mode)
    )
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
        dpi=around.dpi,
        dropped=around.dropped,
    )


def _open(data: bytes) -> tuple[Any, Surroundings, Header]:
    form = _format(data)
    try:
        around = containers.read(data, form)
        if around.found:
            raise _unsupported(f"found {around.found}")
        image = _load(data, form)
    except ValueError as error:
        raise _unreadable(form, str(error)) from None
    except pyvips.Error as error:
        raise _unreadable(form, _first_line(error)) from None
    around = _noted(_with_sound_icc(around), image)
    width, height = (image.height, image.width) if around.orientation >= 5 else (image.width, image.height)
    depth, mode = _samples(image)
    pages = image.get("n-pages") if image.get_typeof("n-pages") else 1
    pages = max(pages, 2) if around.animated else pages
    return image, around, Header(form, width, height, depth, mode, around.orientation, pages)


def _format(data: bytes) -> Format:
    if data[:3] == b"\xff\xd8\xff":
        return "jpeg"
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return "png"
    if data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return "tiff"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    other = _other_format(data)
    if other is None:
        raise ItemError(
            ErrorCode.IMAGE_UNREADABLE, f"{len(data)} bytes that are no picture, they begin {data[:8]!r}"
        )
    raise _unsupported(f"found {other}")


def _other_format(data: bytes) -> str | None:
    """The name of a known format that is not accepted, by its first bytes."""
    signatures: Mapping[bytes, str] = {
        b"GIF8": "GIF",
        b"BM": "BMP",
        b"%PDF": "PDF",
        b"8BPS": "Photoshop PSD",
        b"\0\0\0\x0cjP  ": "JPEG 2000",
        b"\xff\x4f\xff\x51": "JPEG 2000",
        b"\xff\x0a": "JPEG XL",
        b"\0\0\0\x0cJXL ": "JPEG XL",
        b"\x76\x2f\x31\x01": "OpenEXR",
        b"\0\0\1\0": "an icon",
    }
    for signature, name in signatures.items():
        if data.startswith(signature):
            return name
    if data[4:8] == b"ftyp":
        return "HEIF, AVIF or a video"
    head = data[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if head.startswith((b"<!doctype html", b"<html")):
        return "an HTML page"
    return "SVG or XML" if head.startswith((b"<svg", b"<?xml")) else None


def _load(data: bytes, form: Format, fail_on: str = "warning") -> Any:
    loader: Callable[..., Any] = getattr(pyvips.Image, f"{form}load_buffer")
    return loader(data, access="sequential", fail_on=fail_on)


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


def _noted(around: Surroundings, image: Any) -> Surroundings:
    """`around`, with the name of a storage form that the decoded picture no longer has."""
    bits = image.get("bits-per-sample") if image.get_typeof("bits-per-sample") else 8
    form = ("palette",) if around.palette else (f"{bits}-bit",) if bits < 8 else ()
    return replace(around, dropped=(*form, *around.dropped))


def _with_sound_icc(around: Surroundings) -> Surroundings:
    if around.icc is None:
        return around
    try:
        ImageCms.ImageCmsProfile(io.BytesIO(around.icc))
    except OSError:
        return replace(around, icc=None, dropped=(*around.dropped, "icc"))
    return around


def _pixels(image: Any, data: bytes, form: Format) -> Pixels:
    try:
        pixels: Pixels = image.numpy()
    except pyvips.Error as error:
        if not _harmless(str(error)):
            raise _unreadable(form, _first_line(error)) from None
        pixels = _load(data, form, fail_on="error").numpy()
    return pixels


def _harmless(message: str) -> bool:
    """Whether a JPEG decoder only found padding before the end of the picture, as some cameras write."""
    lines = [line for line in message.splitlines() if "JPEG" in line]
    return bool(lines) and all("extraneous bytes before marker 0xd9" in line for line in lines)


def _upright(pixels: Pixels, orientation: int) -> Pixels:
    """Pixels as they are to be seen, from pixels as stored (Exif 3.0, 4.6.5.1.6)."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def _smallest(pixels: Pixels, mode: Mode) -> tuple[Pixels, Mode]:
    """The colours of a palette without the channels that repeat each other."""
    if mode not in ("RGB", "RGBA") or not np.array_equal(pixels[..., :2], pixels[..., 1:3]):
        return pixels, mode
    if mode == "RGB":
        return np.ascontiguousarray(pixels[..., 0]), "L"
    return np.ascontiguousarray(pixels[..., [0, 3]]), "LA"


def encode(picture: Picture, output_format: OutputFormat, quality: int) -> Encoded:
    """A picture as a file.

    Args:
        output_format: "source" keeps a lossless source's format; a JPEG or lossy WebP becomes PNG,
            or TIFF when it is CMYK, since encoding it again would change known pixels.
        quality: 1 to 100, for lossy formats; WebP at 100 is lossless.

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
    lossless = form in ("png", "tiff") or (form == "webp" and _lossless_webp(picture, output_format, quality))
    data = _save(fitted, form, quality, lossless)
    around = _surroundings(fitted)
    data, homeless = containers.embed(data, form, around, alpha=fitted.mode in _ALPHA)
    dropped = tuple(dict.fromkeys((*picture.dropped, *changed, *homeless)))
    return Encoded(data, _EXTENSIONS[form], "exact" if lossless and not changed else "lossy", dropped)


def _target(picture: Picture, output_format: OutputFormat) -> Format:
    if output_format != "source":
        return output_format
    if picture.lossless or picture.format == "tiff":
        return picture.format
    return "tiff" if picture.mode == "CMYK" else "png"


def _lossless_webp(picture: Picture, output_format: OutputFormat, quality: int) -> bool:
    return quality == 100 or output_format == "source"


class _Fitted(NamedTuple):
    picture: Picture
    changed: tuple[str, ...]


def _fit(picture: Picture, form: Format) -> _Fitted:
    """The picture in the nearest depth and mode that `form` can hold, and what that cost."""
    steps: list[str] = []
    if picture.mode == "CMYK" and form in ("png", "webp"):
        picture = _to_srgb(picture)
        steps.append("cmyk")
    if picture.bit_depth == 16 and form in ("jpeg", "webp"):
        picture = replace(picture, pixels=_to_8_bit(picture.pixels))
        steps.append("16-bit")
    if picture.mode in _ALPHA and form == "jpeg":
        picture = _on_white(picture)
        steps.append("alpha")
    if picture.mode in ("L", "LA") and form == "webp":
        picture = _to_rgb(picture)
        steps.append("gray")
    return _Fitted(picture, tuple(steps))


def _to_8_bit(pixels: Pixels) -> Pixels:
    return ((pixels.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)


def _to_srgb(picture: Picture) -> Picture:
    image = _vips(picture)
    if picture.icc:
        image.set_type(pyvips.GValue.blob_type, "icc-profile-data", picture.icc)
    converted = image.icc_transform(
        "srgb", embedded=picture.icc is not None, input_profile="cmyk", depth=picture.bit_depth
    )
    return replace(picture, pixels=converted.numpy(), mode="RGB", icc=None)


def _on_white(picture: Picture) -> Picture:
    alpha = picture.pixels[..., -1:].astype(np.float32) / 255
    over = np.rint(picture.pixels[..., :-1] * alpha + 255 * (1 - alpha)).astype(np.uint8)
    if picture.mode == "LA":
        return replace(picture, pixels=over[..., 0], mode="L")
    return replace(picture, pixels=over, mode="RGB")


def _to_rgb(picture: Picture) -> Picture:
    if picture.mode == "L":
        return replace(picture, pixels=np.stack([picture.pixels] * 3, axis=-1), mode="RGB")
    return replace(picture, pixels=picture.pixels[..., [0, 0, 0, 1]], mode="RGBA")


def _save(picture: Picture, form: Format, quality: int, lossless: bool) -> bytes:
    """Encoded pixels without metadata.

    PNG at level 2 with the `up` filter takes 0.4 of the time of Pillow's level 1 and is no larger.
    """
    image = _vips(picture)
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


def _vips(picture: Picture) -> Any:
    """A libvips image over the pixels, without a copy.

    The interpretation has to be said: libvips takes an undeclared single 16-bit channel for 8 bits.
    """
    pixels = np.ascontiguousarray(picture.pixels)
    deep = pixels.dtype == np.uint16
    names = {"L": "grey16" if deep else "b-w", "RGB": "rgb16" if deep else "srgb", "CMYK": "cmyk"}
    interpretation = names[picture.mode.removesuffix("A")]
    return pyvips.Image.new_from_array(pixels, interpretation=interpretation)


def _surroundings(picture: Picture) -> Surroundings:
    block = exif.resized(picture.exif, picture.width, picture.height) if picture.exif else None
    return Surroundings(icc=picture.icc, exif=block, xmp=picture.xmp, dpi=picture.dpi)


def _unsupported(found: str) -> ItemError:
    return ItemError(ErrorCode.UNSUPPORTED_FORMAT, f"{found}; {_ACCEPTED}")


def _unreadable(form: Format, why: str) -> ItemError:
    return ItemError(ErrorCode.IMAGE_UNREADABLE, f"the {form.upper()} is damaged or cut short: {why}")


def _first_line(error: pyvips.Error) -> str:
    lines = [line.strip() for line in str(error).splitlines()[1:] if line.strip()]
    return lines[0] if lines else str(error)
