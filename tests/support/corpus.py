"""Difficult inputs: for each kind the bytes of an image and its mask, and what has to become of them.

Pure functions of nothing: the same bytes every time. `write` puts them on a disk as rows of a manifest.
"""

from __future__ import annotations

import base64
import io
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import numpy.typing as npt
import pyvips
import tifffile
from PIL import Image, ImageCms
from skimage import data

Array = npt.NDArray[Any]
WindowPlacement = Callable[[Path], str]

RGB = np.ascontiguousarray(data.astronaut()[40:120, 170:266])
GRAY = np.ascontiguousarray(RGB[..., 1])
ALPHA = np.ascontiguousarray(RGB[::-1, :, 0])
DEEP = (RGB.astype(np.uint16) * 257) ^ np.arange(96, dtype=np.uint16)[:, None]
REACH = 13
"""Width of the box by which damage is grown here: kernel 5 and feather 4 reach 6 px."""

UNREADABLE, UNSUPPORTED, TOO_LARGE = "image_unreadable", "unsupported_format", "image_too_large"
DENIED, NO_IMAGE = "storage_denied", "image_not_found"
BAD_MASK, MASK_SIZE, MASK_FULL = "mask_unreadable", "mask_size_mismatch", "mask_full"

# 48 x 40 px, by `cjpeg -arithmetic`: no library at hand writes it.
ARITHMETIC = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDABQODxIPDRQSEBIXFRQYHjIhHhwcHj0sLiQySUBMS0dARkVQWnNiUFVtVkVGZIhlbXd7gYKB"
    "TmCNl4x9lnN+gXz/yQALCAAoADABAREA/8wABgAQEAX/2gAIAQEAAD8A0iM1jtaobgtLbUqPq+T+hhMAQ6I57r6Stxw05Z29ECTz9/F5"
    "hGUh6ktnMvLHsulvxWpwnbbNSd9BzWcB+HDCFX6dSRP0ZUGDqTHPWRFkCmsh8ZcdBNsxaiShYfp7a0XKUnNAwqiF3Ppz3BWn5PiZM7Vb"
    "pui3vQvVbh9DZfLfW2xp+rP2cRiMEoVHYs3MdyKTik4GIKcKVVTc5Gn7+0NeDhjE0xN1VkCBN0H012vaso5KUC0XML4W/dfHx2549Duc"
    "lGFf3ciNGWYR6LxsWGUG4ax9iHiOntPVyINETgJIBJUEm2EMH1k6iNO7YIeIjbY2XVaq8CFWKm7wpS+lhpbB1xh2YJBrlZAWAEUliwD6"
    "fT/kT+rq17nzJ1y49vqu+9vIDn3RZPz2AjPoS/Q+bDKIrKrSI8V7MG+A/9k="
)


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One difficult input.

    Attributes:
        image, mask: the file's bytes; or what makes its place in a folder and returns its URI.
        code: the error code of its failed row; None where it is restored.
        status: what becomes of it.
        pixels: the stored picture upright; None where Pillow says it.
        damage: True where the mask says damage, upright.
        columns: further columns of its row.
    """

    name: str
    image: bytes | WindowPlacement
    mask: bytes | WindowPlacement | None = None
    code: str | None = None
    status: str = "restored"
    pixels: Array | None = None
    damage: Array | None = None
    suffix: str = "jpg"
    columns: dict[str, str] = field(default_factory=dict)


# What files are made of ------------------------------------------------------------------------------


def pil(picture: Array | Image.Image, form: str, **options: Any) -> bytes:
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def tif(pixels: Array, **options: Any) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, pixels, **options)
    return buffer.getvalue()


def vips(pixels: Array, interpretation: str, saver: str, **options: Any) -> bytes:
    image = pyvips.Image.new_from_array(np.ascontiguousarray(pixels), interpretation=interpretation)
    return bytes(getattr(image, f"{saver}save_buffer")(**options))


def chunk(kind: bytes, payload: bytes) -> bytes:
    return struct.pack(">L", len(payload)) + kind + payload + struct.pack(">L", zlib.crc32(kind + payload))


def png_with(*chunks: bytes, png: bytes = b"") -> bytes:
    """A PNG with chunks put after its header."""
    png = png or pil(RGB, "PNG")
    return png[:33] + b"".join(chunks) + png[33:]


def png_claiming(width: int, height: int) -> bytes:
    png = pil(RGB, "PNG")
    return png[:8] + chunk(b"IHDR", struct.pack(">2L", width, height) + png[24:29]) + png[33:]


def jpeg_with(marker: int, payload: bytes, jpeg: bytes = b"") -> bytes:
    """A JPEG with a segment put first."""
    jpeg = jpeg or pil(RGB, "JPEG")
    return jpeg[:2] + struct.pack(">2BH", 0xFF, marker, len(payload) + 2) + payload + jpeg[2:]


def jpeg_frame(offset: int, form: str, *values: int) -> bytes:
    """A JPEG with other values in its frame header, `offset` bytes after the marker."""
    jpeg = bytearray(pil(RGB, "JPEG"))
    struct.pack_into(form, jpeg, jpeg.index(b"\xff\xc0") + offset, *values)
    return bytes(jpeg)


def tag_set(tiff: bytes, tag: int, value: int, kind: int = 4) -> bytes:
    """A little-endian TIFF with another single value of one of its tags."""
    changed = bytearray(tiff)
    (start,) = struct.unpack_from("<L", changed, 4)
    for at in range(start + 2, start + 2 + 12 * struct.unpack_from("<H", changed, start)[0], 12):
        if struct.unpack_from("<H", changed, at)[0] == tag:
            struct.pack_into("<HHLL", changed, at, tag, kind, 1, value)
            return bytes(changed)
    raise KeyError(tag)


def leading_to(tiff: bytes, following: int | None) -> bytes:
    """A TIFF whose first directory says that another lies at `following`; None for itself."""
    changed = bytearray(tiff)
    (start,) = struct.unpack_from("<L", changed, 4)
    at = start + 2 + 12 * struct.unpack_from("<H", changed, start)[0]
    struct.pack_into("<L", changed, at, start if following is None else following)
    return bytes(changed)


def overlapping_tags(count: int, size: int) -> bytes:
    """A directory of private tags that each claim nearly all of the file for their value."""
    directory = b"".join(struct.pack("<HHLL", 40_000 + n, 7, size, 8) for n in range(count))
    head = struct.pack("<2sHLH", b"II", 42, 8, count) + directory + bytes(4)
    return head.ljust(size + 8, b"\0")


def exif(orientation: int) -> bytes:
    block = Image.Exif()
    block[0x0112], block[0x010F] = orientation, "Linhof"
    return block.tobytes()


@cache
def srgb() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@cache
def cmyk_profile() -> bytes:
    return bytes(pyvips.Image.profile_load("cmyk"))


@cache
def zeros(megabytes: int) -> bytes:
    return zlib.compress(bytes(megabytes << 20), 9)


def damage_of(height: int, width: int) -> Array:
    """A scratch through the middle."""
    damage = np.zeros((height, width), bool)
    damage[height // 2 - 1 : height // 2 + 2, width // 4 : width // 2 + 1] = True
    return damage


def mask_of(damage: Array) -> bytes:
    return pil(damage.astype(np.uint8) * 255, "PNG")


SCRATCH = damage_of(*GRAY.shape)
MASK = mask_of(SCRATCH)


def good(name: str, image: bytes, pixels: Array | None = None, **more: Any) -> Kind:
    """An odd file that is whole all the same."""
    return Kind(name=name, image=image, pixels=pixels, **{"mask": MASK, "damage": SCRATCH, **more})


def bad(name: str, image: bytes | WindowPlacement, code: str, **more: Any) -> Kind:
    return Kind(name=name, image=image, code=code, status="failed", **{"mask": MASK, **more})


def masked(name: str, mask: bytes | WindowPlacement | None, code: str | None = None, **more: Any) -> Kind:
    """A sound photo with an odd mask."""
    draft = {"image": pil(RGB, "PNG"), "pixels": RGB, "damage": None if code else SCRATCH, "suffix": "png"}
    return Kind(
        name=name, mask=mask, code=code, **{"status": "failed" if code else "restored", **draft, **more}
    )


# The kinds ------------------------------------------------------------------------------------------


def jpegs() -> Iterator[Kind]:
    plain = pil(RGB, "JPEG", quality=90)
    turned = np.ascontiguousarray(SCRATCH.T)
    yield good("jpeg", plain)
    yield good("jpeg named png", plain, suffix="png")
    yield good("jpeg progressive", pil(RGB, "JPEG", progressive=True))
    yield good("jpeg gray", pil(GRAY, "JPEG"))
    yield good(
        "jpeg cmyk with profile",
        pil(Image.fromarray(RGB).convert("CMYK"), "JPEG", icc_profile=cmyk_profile()),
    )
    small = damage_of(40, 48)
    yield good("jpeg arithmetic", ARITHMETIC, mask=mask_of(small), damage=small)
    yield good("jpeg with restarts", pil(RGB, "JPEG", restart_marker_blocks=2))
    yield good("jpeg with trailing garbage", plain + b"garbage \xff\xd8\xff" * 99)
    yield good("jpeg padded before its end", plain[:-2] + bytes(3) + plain[-2:])
    yield good(
        "jpeg with a broken exif", pil(RGB, "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + b"x" * 50)
    )
    yield good(
        "jpeg with exif tags on top of one another",
        jpeg_with(0xE1, b"Exif\0\0" + overlapping_tags(3000, 60_000)),
    )
    yield good("jpeg lying on its side", pil(RGB, "JPEG", exif=exif(6)), mask=mask_of(turned), damage=turned)
    yield good("jpeg of orientation 9", pil(RGB, "JPEG", exif=exif(9)), by_pillow(pil(RGB, "JPEG")))
    yield good("jpeg of orientation 0", pil(RGB, "JPEG", exif=exif(0)), by_pillow(pil(RGB, "JPEG")))
    yield good("jpeg with the profile of another colour space", pil(RGB, "JPEG", icc_profile=cmyk_profile()))
    yield good("jpeg with a broken profile", pil(RGB, "JPEG", icc_profile=b"no profile" * 30))
    yield good("jpeg with half a profile", jpeg_with(0xE2, b"ICC_PROFILE\0\1\3" + srgb()[:500]))
    yield good(
        "jpeg with a large xmp", jpeg_with(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x/>" + b" " * 65_000)
    )
    yield good(
        "jpeg with a preview beside it",
        pil(
            Image.fromarray(RGB), "MPO", save_all=True, append_images=[Image.fromarray(RGB[::2, ::2].copy())]
        ),
    )
    yield good(
        "jpeg of 1 pixel width",
        pil(RGB[:, :1].copy(), "JPEG"),
        mask=mask_of(damage_of(80, 4)[:, 1:2]),
        damage=damage_of(80, 4)[:, 1:2],
    )
    long = np.repeat(GRAY[:2], 640, axis=1)
    yield good(
        "jpeg 61440 pixels wide", pil(long, "JPEG"), mask=mask_of(stripe(2, 61_440)), damage=stripe(2, 61_440)
    )
    yield bad("jpeg of 12 bits", jpeg_frame(4, ">B", 12), UNSUPPORTED)
    yield bad("jpeg of 65535 x 65535", jpeg_frame(5, ">2H", 65_535, 65_535), TOO_LARGE)
    yield bad("jpeg that claims 19000 x 20000", jpeg_frame(5, ">2H", 19_000, 20_000), UNREADABLE)
    yield bad("jpeg of no height", jpeg_frame(5, ">2H", 0, 96), UNREADABLE)
    yield bad("jpeg of 7 channels", jpeg_frame(9, ">B", 7), UNREADABLE)
    yield bad("jpeg hierarchical", plain.replace(b"\xff\xc0", b"\xff\xc5", 1), UNSUPPORTED)
    yield bad("jpeg lossless", plain.replace(b"\xff\xc0", b"\xff\xc3", 1), UNSUPPORTED)
    yield bad("jpeg cut in the middle", plain[: len(plain) // 2], UNREADABLE)
    yield good("jpeg without its end", plain[:-2], by_pillow(plain))
    yield good(
        "jpeg with bytes between its segments", plain[:20] + b"junk\xff\0" + plain[20:], by_pillow(plain)
    )
    yield bad("jpeg of only headers", plain[: plain.index(b"\xff\xda")], UNREADABLE)
    yield bad(
        "jpeg with a lost restart",
        pil(RGB, "JPEG", restart_marker_blocks=2).replace(b"\xff\xd3", b"\0\0", 1),
        UNREADABLE,
    )
    yield bad("jpeg of filling bytes", b"\xff\xd8" + b"\xff" * 5_000_000, UNREADABLE)
    yield bad("jpeg of a million segments", plain[:2] + b"\xff\xe5\0\2" * 1_000_000 + plain[2:], UNREADABLE)
    yield bad("jpeg of a stereo pair", stereo(), UNSUPPORTED)


def stripe(height: int, width: int) -> Array:
    damage = np.zeros((height, width), bool)
    damage[:, 300:310] = True
    return damage


def stereo() -> bytes:
    """A multi-picture file whose pictures say that they are views of one pair."""
    two = pil(Image.fromarray(RGB), "MPO", save_all=True, append_images=[Image.fromarray(RGB)])
    values = two.index(b"MPF\0") + 4 + 8 + 2 + 3 * 12 + 4  # after a header and a directory of three tags
    at = two.index(struct.pack("<L", 0x030000), values)
    return two[:at] + struct.pack("<L", 0x020002) + two[at + 4 :]


def pngs() -> Iterator[Kind]:
    plain = pil(RGB, "PNG")
    palette = Image.fromarray(RGB).quantize(16, dither=Image.Dither.NONE)
    one_bit = np.where(GRAY > 127, 255, 0).astype(np.uint8)
    opaque = np.where(np.asarray(palette) == 3, 0, 255).astype(np.uint8)
    more = {"suffix": "png"}
    yield good("png named jpg", plain, RGB)
    yield good("png gray with alpha", pil(np.dstack([GRAY, ALPHA]), "PNG"), np.dstack([GRAY, ALPHA]), **more)
    yield good("png with alpha", pil(np.dstack([RGB, ALPHA]), "PNG"), np.dstack([RGB, ALPHA]), **more)
    yield good("png of 1 bit", pil(Image.fromarray(one_bit).convert("1"), "PNG"), one_bit, **more)
    yield good("png palette", pil(palette, "PNG"), np.asarray(palette.convert("RGB")), **more)
    yield good(
        "png palette with transparency",
        pil(palette, "PNG", transparency=3),
        np.dstack([np.asarray(palette.convert("RGB")), opaque]),
        **more,
    )
    yield good("png interlaced", vips(RGB, "srgb", "png", interlace=True), RGB, **more)
    yield good("png 16-bit gray", vips(DEEP[..., 0], "grey16", "png"), DEEP[..., 0], **more)
    yield good("png 16-bit", vips(DEEP, "rgb16", "png"), DEEP, **more)
    yield good("png 16-bit interlaced", vips(DEEP, "rgb16", "png", interlace=True), DEEP, **more)
    yield good("png with trailing chunks", plain + chunk(b"acTL", bytes(8)) + b"garbage", RGB, **more)
    yield good("png zTXt bomb", png_with(*[chunk(b"zTXt", b"T\0\0" + zeros(100))] * 20), RGB, **more)
    yield good("png iCCP bomb", png_with(chunk(b"iCCP", b"T\0\0" + zeros(200))), RGB, **more)
    xmp = b"XML:com.adobe.xmp\0\1\0\0\0"
    yield good("png xmp bomb", png_with(chunk(b"iTXt", xmp + zeros(200))), RGB, **more)
    yield good(
        "png with 10 MB of xmp",
        png_with(chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + b" " * 10**7)),
        RGB,
        **more,
    )
    yield good("png exif bomb", png_with(chunk(b"eXIf", overlapping_tags(20_000, 300_000))), RGB, **more)
    yield good(
        "png with the profile of another colour space",
        png_with(chunk(b"iCCP", b"T\0\0" + zlib.compress(cmyk_profile()))),
        RGB,
        **more,
    )
    yield good("png gray with a profile of RGB", pil(GRAY, "PNG", icc_profile=srgb()), GRAY, **more)
    yield good("png with broken transparency", png_with(chunk(b"tRNS", b"\0")), **more, pixels=RGB)
    yield good("png of far more data than pixels", png_of(zeros(100)), np.zeros_like(RGB), **more)
    yield good(
        "png 1 x 300",
        pil(np.repeat(GRAY[:1], 4, axis=1)[:, :300].copy(), "PNG"),
        np.repeat(GRAY[:1], 4, axis=1)[:, :300],
        mask=mask_of(damage_of(4, 300)[2:3]),
        damage=damage_of(4, 300)[2:3],
    )
    yield good(
        "png 65500 x 1",
        pil(np.repeat(GRAY[:1], 683, axis=1)[:, :65_500].copy(), "PNG"),
        np.repeat(GRAY[:1], 683, axis=1)[:, :65_500],
        mask=mask_of(stripe(1, 65_500)),
        damage=stripe(1, 65_500),
    )
    yield bad("png bomb of 50000 x 50000", png_claiming(50_000, 50_000), TOO_LARGE)
    yield bad("png of 2147483647 x 2147483647", png_claiming(2**31 - 1, 2**31 - 1), TOO_LARGE)
    yield bad("png that claims 19000 x 20000", png_claiming(19_000, 20_000), UNREADABLE)
    yield bad("png of no width", png_claiming(0, 10), UNREADABLE)
    yield bad(
        "png of 3 bits", plain[:8] + chunk(b"IHDR", plain[16:24] + b"\3\2\0\0\0") + plain[33:], UNREADABLE
    )
    yield bad(
        "png without a palette",
        plain[:8] + chunk(b"IHDR", plain[16:24] + b"\x08\3\0\0\0") + plain[33:],
        UNREADABLE,
    )
    yield bad("png with a wrong checksum in its data", rotten(plain), UNREADABLE)
    yield bad(
        "png with a wrong checksum in its text", png_with(chunk(b"tEXt", b"a\0b")[:-1] + b"\0"), UNREADABLE
    )
    yield bad("png of a million chunks", png_with(chunk(b"tEXt", b"") * 1_000_000), UNREADABLE)
    yield bad("png with a chunk of 4 GB", png_with(b"\xff\xff\xff\xfftEXt"), UNREADABLE)
    yield bad("png cut in the middle", plain[: len(plain) // 2], UNREADABLE)
    yield bad("png without its end", plain[:-12], UNREADABLE)
    yield bad("png without a header", plain[:8] + plain[33:], UNREADABLE)
    yield bad("png without pixels", plain[:33] + chunk(b"IEND", b""), UNREADABLE)
    yield bad(
        "png animated",
        pil(Image.fromarray(RGB), "PNG", save_all=True, append_images=[Image.fromarray(RGB[::-1].copy())]),
        UNSUPPORTED,
    )


def png_of(deflated: bytes) -> bytes:
    return pil(RGB, "PNG")[:33] + chunk(b"IDAT", deflated) + chunk(b"IEND", b"")


def rotten(encoded: bytes) -> bytes:
    changed = bytearray(encoded)
    changed[len(changed) // 2] ^= 4
    return bytes(changed)


def tiffs() -> Iterator[Kind]:
    plain, more = tif(RGB, photometric="rgb"), {"suffix": "tif"}
    tiled = tif(RGB, photometric="rgb", tile=(32, 32))
    one_bit = np.where(GRAY > 127, 255, 0).astype(np.uint8)
    cmyk = np.asarray(Image.fromarray(RGB).convert("CMYK"))
    yield good("tiff tiled", tiled, RGB, **more)
    yield good(
        "tiff planar",
        tif(np.moveaxis(RGB, 2, 0).copy(), photometric="rgb", planarconfig="separate"),
        RGB,
        **more,
    )
    yield good("tiff 16-bit", tif(DEEP, photometric="rgb"), DEEP, **more)
    yield good("tiff 16-bit big-endian", tif(DEEP, photometric="rgb", byteorder=">"), DEEP, **more)
    yield good("BigTIFF", tif(DEEP, photometric="rgb", bigtiff=True), DEEP, **more)
    yield good("tiff white is zero", tif(GRAY, photometric="miniswhite"), 255 - GRAY, **more)
    yield good(
        "tiff cmyk with profile", tif(cmyk, photometric="separated", iccprofile=cmyk_profile()), cmyk, **more
    )
    yield good(
        "tiff gray with alpha",
        tif(
            np.dstack([GRAY, ALPHA]),
            photometric="minisblack",
            planarconfig="contig",
            extrasamples=["unassalpha"],
        ),
        np.dstack([GRAY, ALPHA]),
        **more,
    )
    yield good(
        "tiff group 4",
        pil(Image.fromarray(one_bit).convert("1"), "TIFF", compression="group4"),
        one_bit,
        **more,
    )
    yield good("tiff of 16-bit floating point", tif(GRAY.astype(np.float16)), GRAY.astype(np.float16), **more)
    yield good("tiff LZW", pil(RGB, "TIFF", compression="tiff_lzw"), RGB, **more)
    yield good("tiff PackBits", pil(RGB, "TIFF", compression="packbits"), RGB, **more)
    yield good("tiff deflate", tif(RGB, photometric="rgb", compression="zlib"), RGB, **more)
    yield good("tiff JPEG", pil(RGB, "TIFF", compression="jpeg"), **more)
    yield good("tiff WebP", vips(RGB, "srgb", "tiff", compression="webp", lossless=True), RGB, **more)
    yield good("tiff with tags of its own", pil(RGB, "TIFF", tiffinfo={65000: "mine", 65001: 7}), RGB, **more)
    yield good("tiff of one huge strip", tag_set(plain, 278, 2**32 - 1), RGB, **more)
    yield good(
        "tiff of orientation 9", tag_set(pil(RGB, "TIFF", tiffinfo={274: 3}), 274, 9, kind=3), RGB, **more
    )
    yield bad(
        "tiff of several pages",
        pil(Image.fromarray(RGB), "TIFF", save_all=True, append_images=[Image.fromarray(GRAY)]),
        UNSUPPORTED,
        **more,
    )
    with_nan = GRAY.astype(np.float32)
    with_nan[::7] = np.nan
    yield bad("tiff floating point with NaN", tif(with_nan), UNSUPPORTED, **more)
    yield bad("tiff of 64-bit floating point", tif(GRAY.astype(np.float64)), UNSUPPORTED, **more)
    yield bad("tiff signed", tif(GRAY.astype(np.int16)), UNSUPPORTED, **more)
    yield bad("tiff of 32 bits", tif(GRAY.astype(np.uint32)), UNSUPPORTED, **more)
    yield bad("tiff complex", tif(GRAY.astype(np.complex64)), UNSUPPORTED, **more)
    yield bad("tiff LogLuv", tag_set(plain, 262, 32_845, kind=3), UNSUPPORTED, **more)
    yield bad("tiff raw mosaic", tag_set(plain, 262, 32_803, kind=3), UNSUPPORTED, **more)
    yield bad(
        "tiff of 5 inks",
        tif(np.dstack([cmyk, GRAY]), photometric="separated", extrasamples=["unassalpha"]),
        UNSUPPORTED,
        **more,
    )
    yield bad("tiff JPEG 2000", tag_set(plain, 259, 33_004, kind=3), UNSUPPORTED, **more)
    yield bad("tiff of an unknown compression", tag_set(plain, 259, 4711, kind=3), UNSUPPORTED, **more)
    yield bad("tiff of 65535 channels", tag_set(plain, 277, 65_535, kind=3), UNREADABLE, **more)
    yield bad("tiff in a circle", leading_to(plain, None), UNREADABLE, **more)
    yield bad("tiff that leads out of the file", leading_to(plain, 2**31), UNREADABLE, **more)
    yield bad(
        "tiff with tiles of 60000 x 60000",
        tag_set(tag_set(tiled, 322, 60_000), 323, 60_000),
        UNREADABLE,
        **more,
    )
    yield bad("tiff with tiles of no width", tag_set(tiled, 322, 0), UNREADABLE, **more)
    yield bad(
        "tiff bomb of 40000 x 40000", tag_set(tag_set(plain, 256, 40_000), 257, 40_000), TOO_LARGE, **more
    )
    yield bad(
        "tiff that claims 19000 x 20000",
        tag_set(tag_set(plain, 256, 19_000), 257, 20_000),
        UNREADABLE,
        **more,
    )
    yield bad("tiff of no height", tag_set(plain, 257, 0), UNREADABLE, **more)
    yield bad("tiff with tags on top of one another", overlapping_tags(20_000, 300_000), UNREADABLE, **more)
    yield bad("tiff cut in the middle", plain[: len(plain) // 2], UNREADABLE, **more)
    yield bad(
        "tiff whose directory lies beyond its end", b"II*\0\xff\xff\xff\x7f" + plain[8:], UNREADABLE, **more
    )


def webps() -> Iterator[Kind]:
    lossless, more = pil(RGB, "WEBP", lossless=True, exact=True), {"suffix": "webp"}
    rgba = np.dstack([RGB, ALPHA])
    xmp = pil(RGB, "WEBP", lossless=True, exact=True, xmp=b"<x/>" * 100_000, icc_profile=b"no profile" * 20)
    yield good("webp lossy", pil(RGB, "WEBP", quality=80), **more)
    yield good("webp lossless with alpha", pil(rgba, "WEBP", lossless=True, exact=True), rgba, **more)
    yield good("webp with odd metadata", xmp, RGB, **more)
    yield good("webp with trailing garbage", lossless + b"garbage" * 9, RGB, **more)
    yield bad("webp cut in the middle", lossless[: len(lossless) // 2], UNREADABLE, **more)
    yield bad("webp cut in its metadata", xmp[:-10], UNREADABLE, **more)
    yield bad("webp without a picture", b"RIFF\x04\0\0\0WEBP", UNREADABLE, **more)
    yield bad(
        "webp of a million chunks", riff(lossless[12:] + b"ABCD\0\0\0\0" * 1_000_000), UNREADABLE, **more
    )
    canvas = struct.pack("<4sLL", b"VP8X", 10, 0) + b"\xff\xff\xff" * 2
    yield bad("webp bomb of 16777216 x 16777216", riff(canvas + lossless[12:]), TOO_LARGE, **more)
    yield bad(
        "webp animated",
        pil(Image.fromarray(RGB), "WEBP", save_all=True, append_images=[Image.fromarray(RGB[::-1].copy())]),
        UNSUPPORTED,
        **more,
    )


def jpegs_2000() -> Iterator[Kind]:
    lossless, more = pil(RGB, "JPEG2000", irreversible=False), {"suffix": "jp2"}
    stream = lossless.index(b"\xff\x4f\xff\x51")
    size = stream + 8  # right, bottom, left, top, and then those of a tile
    yield good("jpeg 2000", lossless, RGB, **more)
    yield good("jpeg 2000 codestream named tif", lossless[stream:], RGB, suffix="tif")
    yield good("jpeg 2000 in tiles", pil(RGB, "JPEG2000", tile_size=(32, 32)), RGB, **more)
    yield good("jpeg 2000 with trailing garbage", lossless + b"garbage" * 9, RGB, **more)
    yield bad("jpeg 2000 cut in the middle", lossless[: len(lossless) // 2], UNREADABLE, **more)
    yield bad("jpeg 2000 codestream that is cut", lossless[stream : len(lossless) // 2], UNREADABLE, **more)
    yield bad("jpeg 2000 of no codestream", lossless[: stream - 8], UNREADABLE, **more)
    yield bad(
        "jpeg 2000 of a million boxes", lossless[:32] + b"\0\0\0\x08free" * 1_000_000, UNREADABLE, **more
    )
    yield bad(
        "jpeg 2000 bomb of 60000 x 60000",
        poked(lossless, size, ">8L", 60_000, 60_000, 0, 0, 60_000, 60_000, 0, 0),
        TOO_LARGE,
        **more,
    )
    yield bad(
        "jpeg 2000 that claims 19000 x 20000",
        poked(lossless, size, ">8L", 19_000, 20_000, 0, 0, 19_000, 20_000, 0, 0),
        UNREADABLE,
        **more,
    )
    yield bad("jpeg 2000 in tiles of 1 x 1", poked(lossless, size + 16, ">2L", 1, 1), UNREADABLE, **more)
    yield bad("jpeg 2000 of signed samples", poked(lossless, size + 34, ">B", 0x87), UNSUPPORTED, **more)
    yield bad("jpeg 2000 of 16384 channels", poked(lossless, size + 32, ">H", 16_384), UNREADABLE, **more)


def stills() -> Iterator[Kind]:
    """AVIF and JPEG XL."""
    avif, jxl = (
        bytes(imagecodecs.avif_encode(RGB, level=100)),
        bytes(imagecodecs.jpegxl_encode(RGB, lossless=True)),
    )
    turned = np.ascontiguousarray(SCRATCH.T)
    yield good("avif", avif, RGB, suffix="avif")
    yield good("avif lying on its side", pil(RGB, "AVIF", exif=exif(6)), mask=mask_of(turned), damage=turned)
    yield good("jpeg xl", jxl, RGB, suffix="jxl")
    yield bad("avif cut in the middle", avif[: len(avif) // 2], UNREADABLE)
    yield bad("avif bomb", poked(avif, avif.index(b"ispe") + 8, ">2L", 60_000, 60_000), TOO_LARGE)
    yield bad("avif of no description", avif.replace(b"meta", b"free"), UNREADABLE)
    yield bad("jpeg xl cut in the middle", jxl[: len(jxl) // 2], UNREADABLE)
    yield bad("jpeg xl of linear light", bytes(imagecodecs.jpegxl_encode(DEEP, lossless=True)), UNSUPPORTED)


def described() -> Iterator[Kind]:
    """Metadata in places where few look for it."""
    turned = np.ascontiguousarray(SCRATCH.T)
    lying = {"mask": mask_of(turned), "damage": turned}
    packet = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        b'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6" '
        b'xmlns:n="http://ns.adobe.com/xmp/note/" n:HasExtendedXMP="'
        + b"A" * 32
        + b'"/></rdf:RDF></x:xmpmeta>'
    )
    more = packet.replace(b'tiff:Orientation="6"', b'tiff:Make="Linhof"')
    extension = b"http://ns.adobe.com/xmp/extension/\0" + b"A" * 32 + struct.pack(">2L", len(more), 0) + more
    main = b"http://ns.adobe.com/xap/1.0/\0" + packet
    text = b"\nexif\n%8d\n" % len(exif(6)) + exif(6).hex().encode() + b"\n"
    resources = b"".join(
        b"8BIM" + struct.pack(">HHL", kind, 0, 8) + b"\x1c\2\5\0\3abc"
        for kind in (0x0404, 0x040B, 0x07D0, 0x0404)
    )
    corner = [
        (271, 2, 0, "Linhof", True),
        (34377, 1, len(resources), resources, True),
        (34853, 4, 1, 9, True),
    ]
    brotli = b"brobxml " + imagecodecs.brotli_encode(packet)
    jxl = bytes(imagecodecs.jpegxl_encode(RGB, lossless=True))
    boxed = b"\0\0\0\x0cJXL \r\n\x87\n\0\0\0\x14ftypjxl \0\0\0\0jxl "
    boxed += struct.pack(">L", len(brotli) + 4) + brotli + struct.pack(">L4s", len(jxl) + 8, b"jxlc") + jxl
    yield good("jpeg that its xmp turns", jpeg_with(0xE1, main, jpeg_with(0xE1, extension)), **lying)
    yield good(
        "png that imagemagick's exif turns",
        png_with(chunk(b"tEXt", b"Raw profile type exif\0" + text)),
        **lying,
    )
    yield good(
        "png of bombs in imagemagick's profiles",
        png_with(*[chunk(b"zTXt", b"Raw profile type xmp\0\0" + zeros(100))] * 30),
        RGB,
        suffix="png",
    )
    yield good("jpeg with photoshop's resources", jpeg_with(0xED, b"Photoshop 3.0\0" + resources))
    yield good(
        "tiff with photoshop's resources and no sound place of its GPS",
        tif(RGB, photometric="rgb", extratags=corner, metadata=None),
        RGB,
        suffix="tif",
    )
    yield good("jpeg xl with compressed boxes", boxed, RGB, suffix="jxl")


def poked(data: bytes, at: int, form: str, *values: int) -> bytes:
    changed = bytearray(data)
    struct.pack_into(form, changed, at, *values)
    return bytes(changed)


def riff(chunks: bytes) -> bytes:
    return struct.pack("<4sL4s", b"RIFF", len(chunks) + 4, b"WEBP") + chunks


def strangers() -> Iterator[Kind]:
    """What is no picture of an accepted format."""
    gif = pil(Image.fromarray(RGB), "GIF", save_all=True, append_images=[Image.fromarray(RGB[::-1].copy())])
    svg = b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><script>fetch("http://169.254.169.254")</script></svg>'
    yield bad("an empty file", b"", UNREADABLE)
    yield bad("one byte", b"\xff", UNREADABLE)
    yield bad("text", b"no picture at all", UNREADABLE)
    yield bad("an HTML error page", b"<!DOCTYPE html><html><body>404 Not Found</body></html>", UNSUPPORTED)
    yield bad("an SVG with a script", svg, UNSUPPORTED)
    yield bad("an XML bomb", b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaa">]><x>&a;</x>', UNSUPPORTED)
    yield bad("a PDF", b"%PDF-1.7\n1 0 obj", UNSUPPORTED)
    yield bad("PostScript", b"%!PS-Adobe-3.0 EPSF-3.0\n", UNSUPPORTED)
    yield bad("a shell script", b"#!/bin/sh\nrm -rf /\n", UNSUPPORTED)
    yield bad("a ZIP", b"PK\3\4" + bytes(40), UNSUPPORTED)
    yield bad("an animated GIF", gif, UNSUPPORTED)
    yield bad("a BMP", pil(RGB, "BMP"), UNSUPPORTED)
    yield bad("a HEIC", b"\0\0\0\x18ftypheic" + bytes(40), UNSUPPORTED)
    yield bad("a JPEG-LS", bytes(imagecodecs.jpegls_encode(RGB)), UNSUPPORTED)
    yield bad("a JPEG XR", bytes(imagecodecs.jpegxr_encode(RGB)), UNSUPPORTED)
    yield bad("a PSD", b"8BPS\0\1" + bytes(40), UNSUPPORTED)
    yield bad("a netpbm", pil(RGB, "PPM"), UNREADABLE)
    yield bad("a pickle", b"\x80\x04cos\nsystem\n(S'true'\ntR.", UNREADABLE)


def masks() -> Iterator[Kind]:
    white = SCRATCH.astype(np.uint8) * 255
    layer = np.dstack([np.zeros_like(white), white])
    noisy = np.where(SCRATCH, 250, np.random.default_rng(7).integers(0, 40, white.shape)).astype(np.uint8)
    palette = Image.fromarray((white > 0).astype(np.uint8), "P")
    palette.putpalette([0, 0, 0, 255, 255, 255])
    turned = pil(RGB, "JPEG", exif=exif(6))
    upright = np.rot90(SCRATCH, -1)
    yield masked("a palette mask", pil(palette, "PNG"))
    yield masked("a 16-bit mask", vips(white.astype(np.uint16) * 257, "grey16", "png"))
    yield masked("a 1-bit mask", pil(Image.fromarray(white).convert("1"), "PNG"))
    yield masked("a mask drawn in alpha alone", pil(layer, "PNG"))
    yield masked("an RGB mask", pil(np.dstack([white] * 3), "PNG"))
    yield masked("a noisy JPEG mask", pil(noisy, "JPEG", quality=95))
    yield masked("an inverted mask", pil(255 - white, "PNG"), columns={"mask_polarity": "black_is_damage"})
    yield masked(
        "a mask that is turned like its photo",
        pil(white, "JPEG", quality=100, exif=exif(6)),
        image=turned,
        pixels=None,
        damage=upright,
    )
    yield masked(
        "a mask that is turned otherwise",
        pil(white, "JPEG", exif=exif(3)),
        BAD_MASK,
        image=turned,
        pixels=None,
    )
    yield masked("a mask on its side", mask_of(SCRATCH.T), MASK_SIZE)
    yield masked("a mask of half the size", mask_of(SCRATCH[::2, ::2]), MASK_SIZE)
    yield masked("a mask of 0 and 1", pil((white > 0).astype(np.uint8), "PNG"), BAD_MASK)
    yield masked(
        "an empty mask", pil(np.zeros_like(white), "PNG"), status="copied", damage=np.zeros_like(SCRATCH)
    )
    yield masked("a full mask", pil(np.full_like(white, 255), "PNG"), MASK_FULL)
    yield masked("an HTML mask", b"<html>sign in</html>", BAD_MASK)
    yield masked("a mask that is a bomb", png_claiming(50_000, 50_000), BAD_MASK)
    yield masked("a mask that is cut", MASK[:-20], BAD_MASK)
    yield masked("a CMYK mask", pil(Image.fromarray(white).convert("CMYK"), "TIFF"), BAD_MASK)
    yield masked(
        "an animated mask",
        pil(Image.fromarray(white), "GIF", save_all=True, append_images=[Image.fromarray(255 - white)]),
        BAD_MASK,
    )
    yield masked("no mask", None, "mask_not_found")
    yield masked("a mask that is not there", lambda folder: str(folder / "nowhere.png"), "mask_not_found")
    dot, yes, no = RGB[:1, :1].copy(), mask_of(np.ones((1, 1), bool)), mask_of(np.zeros((1, 1), bool))
    yield masked("one pixel, damaged", yes, MASK_FULL, image=pil(dot, "PNG"))
    yield masked(
        "one pixel, whole",
        no,
        status="copied",
        image=pil(dot, "PNG"),
        pixels=dot,
        damage=np.zeros((1, 1), bool),
    )


def placements() -> Iterator[Kind]:
    """Rows that point where no photo is, or where none may be read."""
    yield bad("a file that is not there", lambda folder: str(folder / "nowhere.jpg"), NO_IMAGE)
    yield bad("a folder", str, DENIED)
    yield bad("a fifo", _fifo, DENIED)
    yield bad("a link to a device", lambda folder: _link(folder, "zero", "/dev/zero"), DENIED)
    yield bad("a link out of the folder", lambda folder: _link(folder, "out", "/etc/hostname"), DENIED)
    yield bad("a link to itself", lambda folder: _link(folder, "loop", str(folder / "loop")), NO_IMAGE)
    yield bad("climbing out", lambda folder: "../../../../../../../../etc/hostname", DENIED)
    yield bad("a path of the system", lambda folder: "/etc/hostname", DENIED)
    yield bad("a process's own memory", lambda folder: "/proc/self/mem", DENIED)
    yield bad("a file URI of another host", lambda folder: "file://host/a.jpg", DENIED)
    yield bad("a chained URI", lambda folder: "zip://a.jpg::s3://bucket/a.zip", DENIED)
    yield bad("a URI with a password", lambda folder: "s3://key:hunter2@bucket/a.jpg", DENIED)
    yield bad("a signed URL", lambda folder: "https://bucket.example/a.jpg?X-Amz-Signature=hunter2", DENIED)
    yield bad("http without leave", lambda folder: "http://127.0.0.1:9/a.jpg", DENIED)
    yield bad("a metadata service", lambda folder: "http://169.254.169.254/latest/meta-data", DENIED)
    yield bad("ftp", lambda folder: "ftp://host/a.jpg", DENIED)
    yield bad("somebody's own host for Azure", lambda folder: "abfs://c@evil.example/a.jpg", DENIED)
    yield bad("a name that is too long", lambda folder: str(folder / ("n" * 300)), NO_IMAGE)


def _fifo(folder: Path) -> str:
    path = folder / "fifo"
    if not path.exists():
        os.mkfifo(path)
    return str(path)


def _link(folder: Path, name: str, target: str) -> str:
    path = folder / name
    if not path.is_symlink():
        path.symlink_to(target)
    return str(path)


def names() -> Iterator[Kind]:
    """Ids at the edges of what is allowed; the row's id is the kind's name."""
    plain = pil(RGB, "PNG")
    yield good("Grüße/日本語/🖼 o'clock & more", plain, RGB)
    yield good("/".join(["n" * 200, "m" * 200, "k" * 200]), plain, RGB)
    yield good("CON/.hidden/-rf $(reboot)", plain, RGB)


@cache
def kinds() -> tuple[Kind, ...]:
    groups = (jpegs, pngs, tiffs, webps, jpegs_2000, stills, described, strangers, masks, placements, names)
    return tuple(kind for group in groups for kind in group())


# How they come to a disk, and what comes of them -----------------------------------------------------


def write(kind: Kind, folder: Path, number: int) -> dict[str, str]:
    """Put a kind's files into `folder`; its row of a manifest there."""
    row = {"item_id": kind.name, "image": _placed(kind.image, folder, f"{number:03}.{kind.suffix}")}
    if kind.mask is not None:
        row["mask"] = _placed(kind.mask, folder, f"{number:03}.mask.png")
    return {**row, **kind.columns}


def _placed(content: bytes | WindowPlacement, folder: Path, name: str) -> str:
    if not isinstance(content, bytes):
        return content(folder)
    (folder / name).write_bytes(content)
    return name


def by_pillow(encoded: bytes) -> Array:
    """The picture upright, as Pillow reads it."""
    from PIL import ImageOps

    return np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(encoded))))


def by_others(encoded: bytes) -> Array:
    """The picture as another library reads it: tifffile, OpenCV where it has 16 bits, else Pillow."""
    import cv2

    if encoded[:2] in (b"II", b"MM"):
        return tifffile.imread(io.BytesIO(encoded))
    deep = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_UNCHANGED)
    if deep is not None and deep.dtype == np.uint16:
        return deep if deep.ndim == 2 else deep[..., [2, 1, 0, 3][: deep.shape[2]]]
    return by_pillow(encoded)


def known_pixels_changed(kind: Kind, output: bytes) -> int:
    """How many samples farther from the damage than paint may reach differ from the source's."""
    import cv2

    assert isinstance(kind.image, bytes) and kind.damage is not None
    before = by_pillow(kind.image) if kind.pixels is None else kind.pixels
    after = by_others(output)
    assert (before.shape, before.dtype) == (after.shape, after.dtype), (
        before.shape,
        after.shape,
        after.dtype,
    )
    known = cv2.dilate(kind.damage.astype(np.uint8), np.ones((REACH, REACH), np.uint8)) == 0
    assert known.any() or before.shape[1] == 1
    return int(np.count_nonzero(before[known] != after[known]))
