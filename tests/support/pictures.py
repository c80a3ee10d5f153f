"""Encoded pictures of every accepted kind, by other libraries, and what they decode to."""

import io
from functools import cache

import numpy as np
import pyvips
import tifffile
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo
from skimage import data

XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
UPRIGHT_XMP = XMP.replace(b'"6"', b'"1"')
RGB = np.ascontiguousarray(data.astronaut()[40:101, 180:263])
GRAY = np.ascontiguousarray(RGB[..., 1])
ALPHA = np.ascontiguousarray(RGB[::-1, :, 0])
DEEP = (RGB.astype(np.uint16) * 257) ^ np.arange(83, dtype=np.uint16)[:, None]
RGBA, LA = np.dstack([RGB, ALPHA]), np.dstack([GRAY, ALPHA])


@cache
def srgb() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def exif(orientation: int = 1) -> bytes:
    block = Image.Exif()
    block[0x010F], block[0x0132], block[0x8298] = "Linhof", "1968:07:20 20:17:00", "The Archive"
    block[0x0112], block[50000] = orientation, "a private tag"
    inner = block.get_ifd(0x8769)
    inner[0x9003], inner[0x927C] = "1968:07:20 20:17:00", b"maker note " * 9
    block.get_ifd(0x8825)[1] = "N"
    return block.tobytes()


def pil(array: np.ndarray | Image.Image, form: str, **options: object) -> bytes:
    image = array if isinstance(array, Image.Image) else Image.fromarray(array)
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def tif(array: np.ndarray, **options: object) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, array, **options)
    return buffer.getvalue()


def vips_png(array: np.ndarray, interpretation: str, **options: object) -> bytes:
    return pyvips.Image.new_from_array(array, interpretation=interpretation).pngsave_buffer(**options)


def by_pillow(encoded: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(encoded)))


def one_bit() -> np.ndarray:
    return np.where(GRAY > 127, 255, 0).astype(np.uint8)


def indexed() -> Image.Image:
    return Image.fromarray(RGB).quantize(16, dither=Image.Dither.NONE)


def gray_palette() -> Image.Image:
    image = Image.fromarray(GRAY // 16, "P")
    image.putpalette([level * 17 for level in range(16) for _ in "rgb"])
    return image


def transparent_palette() -> np.ndarray:
    image = indexed()
    opaque = np.where(np.asarray(image) == 3, 0, 255).astype(np.uint8)
    return np.dstack([np.asarray(image.convert("RGB")), opaque])


def keyed(array: np.ndarray, key: tuple[int, ...]) -> np.ndarray:
    hidden = (array.reshape(*array.shape[:2], -1) == key).all(axis=-1)
    return np.dstack([array, np.where(hidden, 0, 255).astype(np.uint8)])


CMYK = np.asarray(Image.fromarray(RGB).convert("CMYK"))
# name: bytes, pixels expected (None: as Pillow decodes them), mode, name in `dropped` or None
SOURCES = {
    "jpeg 4:4:4": (pil(RGB, "JPEG", subsampling=0), None, "RGB", None),
    "jpeg 4:2:2": (pil(RGB, "JPEG", subsampling=1), None, "RGB", None),
    "jpeg 4:2:0": (pil(RGB, "JPEG", subsampling=2), None, "RGB", None),
    "jpeg gray": (pil(GRAY, "JPEG"), None, "L", None),
    "jpeg progressive": (pil(RGB, "JPEG", progressive=True), None, "RGB", None),
    "jpeg cmyk": (pil(Image.fromarray(RGB).convert("CMYK"), "JPEG"), None, "CMYK", None),
    "webp lossy": (pil(RGB, "WEBP", quality=70), None, "RGB", None),
    "webp lossy alpha": (pil(RGBA, "WEBP", quality=70), None, "RGBA", None),
    "webp lossless": (pil(RGB, "WEBP", lossless=True), RGB, "RGB", None),
    "webp lossless alpha": (pil(RGBA, "WEBP", lossless=True, exact=True), RGBA, "RGBA", None),
    "png 1-bit": (pil(Image.fromarray(one_bit()).convert("1"), "PNG"), one_bit(), "L", "1-bit"),
    "png L": (pil(GRAY, "PNG"), GRAY, "L", None),
    "png LA": (pil(LA, "PNG"), LA, "LA", None),
    "png RGB": (pil(RGB, "PNG"), RGB, "RGB", None),
    "png RGBA": (pil(RGBA, "PNG"), RGBA, "RGBA", None),
    "png palette": (pil(indexed(), "PNG"), np.asarray(indexed().convert("RGB")), "RGB", "palette"),
    "png gray palette": (pil(gray_palette(), "PNG"), GRAY // 16 * 17, "L", "palette"),
    "png palette tRNS": (pil(indexed(), "PNG", transparency=3), transparent_palette(), "RGBA", "palette"),
    "png gray tRNS": (pil(GRAY, "PNG", transparency=9), keyed(GRAY, (9,)), "LA", None),
    "png RGB tRNS": (pil(RGB, "PNG", transparency=(0, 0, 0)), keyed(RGB, (0, 0, 0)), "RGBA", None),
    "png 16-bit gray": (vips_png(DEEP[..., 0].copy(), "grey16"), DEEP[..., 0], "L", None),
    "png 16-bit RGB": (vips_png(DEEP, "rgb16"), DEEP, "RGB", None),
    "png 16-bit RGBA": (vips_png(np.dstack([DEEP, DEEP[..., 0]]), "rgb16"), None, "RGBA", None),
    "png interlaced": (vips_png(RGB, "srgb", interlace=True), RGB, "RGB", None),
    "tiff 1-bit": (pil(Image.fromarray(one_bit()).convert("1"), "TIFF"), one_bit(), "L", "1-bit"),
    "tiff group 4": (
        pil(Image.fromarray(one_bit()).convert("1"), "TIFF", compression="group4"), one_bit(), "L", "1-bit"
    ),
    "tiff gray": (tif(GRAY), GRAY, "L", None),
    "tiff white is zero": (tif(GRAY, photometric="miniswhite"), 255 - GRAY, "L", None),
    "tiff 16-bit gray": (tif(DEEP[..., 0]), DEEP[..., 0], "L", None),
    "tiff gray alpha": (
        tif(LA, photometric="minisblack", planarconfig="contig", extrasamples=["unassalpha"]), LA, "LA", None
    ),
    "tiff RGB": (tif(RGB, photometric="rgb"), RGB, "RGB", None),
    "tiff RGBA": (tif(RGBA, photometric="rgb", extrasamples=["unassalpha"]), RGBA, "RGBA", None),
    "tiff CMYK": (tif(CMYK, photometric="separated"), CMYK, "CMYK", None),
    "tiff 16-bit CMYK": (
        tif(CMYK.astype(np.uint16) * 257, photometric="separated"), CMYK.astype(np.uint16) * 257, "CMYK", None
    ),
    "tiff LZW": (pil(RGB, "TIFF", compression="tiff_lzw"), RGB, "RGB", None),
    "tiff deflate": (tif(RGB, photometric="rgb", compression="zlib"), RGB, "RGB", None),
    "tiff JPEG": (pil(RGB, "TIFF", compression="jpeg"), None, "RGB", None),
    "tiff tiled": (tif(RGB, photometric="rgb", tile=(16, 32)), RGB, "RGB", None),
    "tiff planar": (
        tif(np.moveaxis(RGB, 2, 0).copy(), photometric="rgb", planarconfig="separate"), RGB, "RGB", None
    ),
    "tiff big-endian 16-bit": (tif(DEEP, photometric="rgb", byteorder=">"), DEEP, "RGB", None),
    "BigTIFF": (tif(DEEP, photometric="rgb", bigtiff=True), DEEP, "RGB", None),
    "BigTIFF big-endian": (tif(DEEP, photometric="rgb", bigtiff=True, byteorder=">"), DEEP, "RGB", None),
    "tiff palette": (pil(indexed(), "TIFF"), np.asarray(indexed().convert("RGB")), "RGB", "palette"),
}  # fmt: skip


def expected(name: str) -> np.ndarray:
    encoded, pixels, _, _ = SOURCES[name]
    if pixels is None and name == "png 16-bit RGBA":
        return np.dstack([DEEP, DEEP[..., 0]])
    return by_pillow(encoded) if pixels is None else pixels


def same(a: np.ndarray, b: np.ndarray) -> bool:
    return a.shape == b.shape and a.dtype == b.dtype and np.array_equal(a, b)


def full(form: str, orientation: int = 1) -> bytes:
    """RGB with all four kinds of metadata, written by Pillow."""
    options = {"exif": exif(orientation), "icc_profile": srgb()}
    if form == "PNG":
        info = PngInfo()
        info.add_itxt("XML:com.adobe.xmp", XMP.decode())
        return pil(RGB, form, dpi=(300, 300), pnginfo=info, **options)
    if form == "TIFF":
        tags = Image.Exif()
        tags.load(exif(orientation))
        tags[700] = XMP
        return pil(RGB, form, dpi=(300, 300), exif=tags, icc_profile=srgb())
    if form == "WEBP":
        tags = Image.Exif()
        tags.load(exif(orientation))
        tags[282], tags[283], tags[296] = 300.0, 300.0, 2
        return pil(RGB, form, lossless=True, exif=tags.tobytes(), xmp=XMP, icc_profile=srgb())
    return pil(RGB, form, dpi=(300, 300), xmp=XMP, **options)
