"""codec: every kind of source through every output format, and everything that must be refused."""

import io
import random
import struct
import time
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
import pyvips
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image, ImageCms, ImageOps
from PIL.PngImagePlugin import PngInfo
from skimage import data

from restore.errors import ErrorCode, ItemError
from restore.imaging.codec import decode, encode, read_header
from restore.imaging.metadata import bare
from restore.imaging.picture import Picture
from tests.support.corpus import jpeg_frame, png_claiming, tag_set

ROOT = Path(__file__).resolve().parents[3]
FORMATS = ("source", "png", "tiff", "jpeg", "webp")
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


@pytest.mark.parametrize("name", SOURCES)
def test_decoded_pixels_are_the_files(name: str) -> None:
    encoded, _, mode, note = SOURCES[name]
    picture = decode(encoded)
    assert same(picture.pixels, expected(name))
    assert picture.mode == mode
    assert picture.dropped == (() if note is None else (note,))
    assert picture.pixels.flags.c_contiguous
    assert not picture.pixels.flags.writeable
    assert picture.lossless is not any(word in name for word in ("jpeg", "JPEG", "lossy"))


@pytest.mark.parametrize("name", SOURCES)
def test_header_agrees_with_the_picture(name: str) -> None:
    header, picture = read_header(SOURCES[name][0]), decode(SOURCES[name][0])
    assert (header.width, header.height) == (picture.width, picture.height)
    assert (header.bit_depth, header.format, header.pages) == (picture.bit_depth, picture.format, 1)
    assert header.mode == picture.mode or name == "png gray palette"


@pytest.mark.parametrize("output_format", FORMATS)
@pytest.mark.parametrize("name", SOURCES)
def test_exact_means_exact(name: str, output_format: str) -> None:
    picture = decode(SOURCES[name][0])
    encoded = encode(picture, output_format, 90)
    again = decode(encoded.data)
    assert (again.width, again.height) == (picture.width, picture.height)
    if encoded.proof == "exact":
        assert same(again.pixels, picture.pixels)
        assert (again.mode, again.bit_depth, again.lossless) == (picture.mode, picture.bit_depth, True)
    else:
        assert output_format in ("jpeg", "webp") or "cmyk" in encoded.dropped
    if output_format in ("source", "tiff"):
        assert encoded.proof == "exact"


@pytest.mark.parametrize("output_format", ["png", "tiff"])
def test_16_bits_as_another_decoder_reads_them(output_format: str) -> None:
    encoded = encode(decode(SOURCES["png 16-bit RGB"][0]), output_format, 95).data
    read = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_UNCHANGED)
    assert same(read[..., ::-1], DEEP)


def test_source_formats_that_stay_and_that_do_not() -> None:
    kept = {name: encode(decode(encoded), "source", 95).extension for name, (encoded, *_) in SOURCES.items()}
    for name, extension in kept.items():
        if name == "jpeg cmyk" or "tiff" in name.lower():
            assert extension == "tif", name
        elif name.startswith("webp lossless"):
            assert extension == "webp", name
        else:
            assert extension == "png", name


def test_names_of_what_a_format_cannot_hold() -> None:
    deep = decode(SOURCES["png 16-bit RGBA"][0])
    assert encode(deep, "jpeg", 90).dropped == ("16-bit", "alpha")
    assert encode(deep, "webp", 100).dropped == ("16-bit",)
    assert encode(decode(SOURCES["tiff CMYK"][0]), "png", 90).dropped == ("cmyk",)
    assert encode(decode(SOURCES["png LA"][0]), "webp", 100).dropped == ("gray",)
    assert encode(decode(SOURCES["png palette"][0]), "source", 90).dropped == ("palette",)


def test_webp_at_quality_100_is_exact_under_transparent_pixels() -> None:
    clear = np.dstack([RGB, np.zeros_like(GRAY)])
    encoded = encode(decode(pil(clear, "PNG")), "webp", 100)
    assert encoded.proof == "exact"
    assert same(by_pillow(encoded.data), clear)


def test_opaque_alpha_survives_webp() -> None:
    opaque = np.dstack([RGB, np.full_like(GRAY, 255)])
    assert same(decode(encode(decode(pil(opaque, "PNG")), "webp", 100).data).pixels, opaque)


def test_alpha_is_laid_on_white_for_jpeg() -> None:
    clear = np.dstack([RGB, np.zeros_like(GRAY)])
    assert by_pillow(encode(decode(pil(clear, "PNG")), "jpeg", 95).data).min() == 255


def test_cmyk_turns_into_the_colours_it_prints() -> None:
    white = np.zeros((8, 8, 4), np.uint8)
    black = np.full((8, 8, 4), 255, np.uint8)
    for ink, low, high in ((white, 250, 255), (black, 0, 40)):
        shown = by_pillow(encode(decode(tif(ink, photometric="separated")), "png", 90).data)
        assert shown.shape == (8, 8, 3)
        assert low <= shown.min() <= shown.max() <= high


def test_a_profile_that_is_not_of_the_pictures_inks_is_left_aside() -> None:
    plain = decode(tif(CMYK, photometric="separated"))
    odd = Picture(plain.pixels, "CMYK", "tiff", True, icc=srgb())
    assert same(by_pillow(encode(odd, "png", 90).data), by_pillow(encode(plain, "png", 90).data))


# Metadata ------------------------------------------------------------------------------------------


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


def check_metadata(encoded: bytes, extension: str) -> None:
    """What Pillow, and for TIFF tifffile, read of the metadata of `full`."""
    image = Image.open(io.BytesIO(encoded))
    image.load()
    block = image.getexif()
    assert block[0x010F] == "Linhof"
    assert block[0x8298] == "The Archive"
    assert block[50000] == "a private tag"
    assert block.get(0x0112, 1) == 1
    assert block.get_ifd(0x8769)[0x9003] == "1968:07:20 20:17:00"
    assert bytes(block.get_ifd(0x8769)[0x927C]) == b"maker note " * 9
    assert block.get_ifd(0x8825)[1] == "N"
    assert image.info["icc_profile"] == srgb()
    if extension == "tif":
        with tifffile.TiffFile(io.BytesIO(encoded)) as file:
            tags = file.pages.first.tags
            assert bytes(tags[700].value) == UPRIGHT_XMP
            assert tags["ExifTag"].value["DateTimeOriginal"] == "1968:07:20 20:17:00"
            assert tags["Orientation"].value == 1
    else:
        xmp = image.info["xmp"]
        assert (xmp.encode() if isinstance(xmp, str) else xmp) == UPRIGHT_XMP
    dpi = (block[282], block[283]) if extension == "webp" else image.info["dpi"]
    assert dpi == pytest.approx((300, 300), abs=0.01)


@pytest.mark.parametrize("output_format", FORMATS)
@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_all_metadata_survives(form: str, output_format: str) -> None:
    picture = decode(full(form, orientation=6))
    encoded = encode(picture, output_format, 90)
    assert encoded.dropped == ()
    check_metadata(encoded.data, encoded.extension)
    again = decode(encoded.data)
    assert (again.icc, again.xmp, again.orientation) == (picture.icc, picture.xmp, 1)
    assert again.dpi == pytest.approx(picture.dpi, abs=0.01)
    # a second way through changes nothing
    check_metadata(encode(again, output_format, 90).data, encoded.extension)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("big", [False, True])
def test_descriptive_tags_of_tiff_survive(order: str, big: bool) -> None:
    source = tif(
        DEEP,
        photometric="rgb",
        byteorder=order,
        bigtiff=big,
        resolution=(600, 600),
        resolutionunit="INCH",
        description="Station, 1911",
        metadata=None,
        software="scanner",
        extratags=[(315, 2, 0, "A. Sander", True), (65000, 5, 2, (1, 3, 2, 7), True)],
    )
    for output_format in ("source", "png"):
        encoded = encode(decode(source), output_format, 95).data
        image = Image.open(io.BytesIO(encoded)) if output_format == "png" else None
        with tifffile.TiffFile(io.BytesIO(encode(decode(encoded), "tiff", 95).data)) as file:
            tags = file.pages.first.tags
            assert tags["Artist"].value == "A. Sander"
            assert tags[65000].value == (1, 3, 2, 7)
            assert tags["ImageDescription"].value == "Station, 1911"
            assert tags["XResolution"].value[0] / tags["XResolution"].value[1] == pytest.approx(600, abs=0.01)
        assert image is None or image.getexif()[315] == "A. Sander"


def test_the_big_endian_exif_of_a_jpeg_is_swapped_for_tiff() -> None:
    block = struct.pack(">2sHLH", b"MM", 42, 8, 2)
    block += struct.pack(">HHLHH", 274, 3, 1, 6, 0) + struct.pack(">HHLL", 33434, 5, 1, 38) + bytes(4)
    block += struct.pack(">LL", 1, 125)
    picture = decode(pil(RGB, "JPEG", exif=b"Exif\0\0" + block))
    assert picture.orientation == 6
    with tifffile.TiffFile(io.BytesIO(encode(picture, "tiff", 95).data)) as file:
        assert file.pages.first.tags[33434].value == (1, 125)
    assert Image.open(io.BytesIO(encode(picture, "png", 95).data)).getexif()[274] == 1


def test_exif_states_the_upright_size() -> None:
    block = Image.Exif()
    block[0x0112] = 6
    inner = block.get_ifd(0x8769)
    inner[40962], inner[40963] = RGB.shape[1], RGB.shape[0]
    encoded = encode(decode(pil(RGB, "JPEG", exif=block.tobytes())), "png", 95)
    inner = Image.open(io.BytesIO(encoded.data)).getexif().get_ifd(0x8769)
    assert (inner[40962], inner[40963]) == (RGB.shape[0], RGB.shape[1])


def test_the_thumbnail_of_the_damaged_photo_goes() -> None:
    first = struct.pack("<2sHLH", b"II", 42, 8, 1) + struct.pack("<HHLHHL", 274, 3, 1, 1, 0, 26)
    second = struct.pack("<HHHLLHHLLL", 2, 513, 4, 1, 60, 514, 4, 1, 4, 0) + bytes(12)
    picture = decode(pil(RGB, "JPEG", exif=b"Exif\0\0" + first + second))
    encoded = encode(picture, "jpeg", 95).data
    with tifffile.TiffFile(io.BytesIO(first + second)) as before:
        assert len(before.pages) == 2
    with tifffile.TiffFile(io.BytesIO(Image.open(io.BytesIO(encoded)).info["exif"][6:])) as after:
        assert len(after.pages) == 1


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_malformed_exif_and_profile_are_dropped_by_name(form: str) -> None:
    broken = b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + b"x" * 50
    picture = decode(pil(RGB, form, exif=broken, icc_profile=b"no profile" * 20))
    assert set(picture.dropped) == {"exif", "icc"}
    assert (picture.exif, picture.icc) == (None, None)


def test_a_profile_of_other_colours_goes_into_no_png() -> None:
    picture = decode(pil(GRAY, "JPEG", icc_profile=srgb()))
    assert (picture.icc, picture.dropped) == (srgb(), ())
    encoded = encode(picture, "source", 90)
    assert (encoded.proof, encoded.dropped) == ("exact", ("icc",))
    assert "icc_profile" not in Image.open(io.BytesIO(encoded.data)).info
    assert decode(encode(picture, "tiff", 90).data).icc == srgb()


def test_what_a_jpeg_segment_cannot_hold_is_named() -> None:
    picture = decode(pil(RGB, "PNG"))
    long = Picture(picture.pixels, "RGB", "png", True, xmp=b"<x/>" * 20_000, icc=srgb(), dpi=(1e6, 1e6))
    encoded = encode(long, "jpeg", 90)
    assert encoded.dropped == ("dpi", "xmp")
    assert Image.open(io.BytesIO(encoded.data)).info["icc_profile"] == srgb()


def test_a_resolution_that_cannot_be_is_named() -> None:
    picture = decode(
        tif(RGB, photometric="rgb", resolution=((4_000_000_000, 1), (1, 1)), resolutionunit="INCH")
    )
    assert (picture.dpi, picture.dropped) == (None, ("dpi",))
    assert encode(picture, "webp", 100).proof == "exact"


def test_a_tag_of_the_wrong_type_is_no_damage() -> None:
    source = bytearray(full("TIFF"))
    at = source.index(struct.pack("<HHL", 282, 5, 1))
    source[at : at + 4] = struct.pack("<HH", 282, 12)  # XResolution as a double
    picture = decode(bytes(source))
    assert picture.dpi is None
    assert same(picture.pixels, RGB)


def test_a_profile_of_several_segments() -> None:
    long = bytearray(srgb() + bytes(200_000))
    long[:4] = struct.pack(">L", len(long))
    picture = decode(pil(RGB, "JPEG", icc_profile=bytes(long)))
    assert picture.icc == long
    again = Image.open(io.BytesIO(encode(picture, "jpeg", 90).data))
    assert again.info["icc_profile"] == long


def test_text_and_comments_are_named() -> None:
    info = PngInfo()
    info.add_text("Title", "Station")
    info.add(b"gAMA", struct.pack(">L", 100_000))
    assert decode(pil(RGB, "PNG", pnginfo=info)).dropped == ("text", "gamma")
    assert decode(pil(RGB, "JPEG", comment=b"Station")).dropped == ("comment",)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_orientation_as_pillow_turns_it(form: str, orientation: int) -> None:
    source = full(form, orientation)
    picture = decode(source)
    assert picture.orientation == orientation
    assert same(picture.pixels, np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(source)))))
    header = read_header(source)
    assert (header.width, header.height) == (picture.width, picture.height)


def test_unequal_resolutions_turn_with_the_picture() -> None:
    block = Image.Exif()
    block[0x0112] = 8
    assert decode(pil(RGB, "JPEG", exif=block.tobytes(), dpi=(300, 600))).dpi == (600, 300)


# Refusals ------------------------------------------------------------------------------------------


def refusal(encoded: bytes, **options: float) -> ErrorCode:
    with pytest.raises(ItemError) as caught:
        decode(encoded, **options)
    assert caught.value.message
    return caught.value.code


CUTTABLE = [name for name in SOURCES if name.startswith(("tiff ", "Big", "webp")) or "RGB" in name]
CUTTABLE += ["jpeg 4:2:0", "jpeg progressive"]


@pytest.mark.parametrize("name", CUTTABLE)
def test_a_cut_file_is_unreadable_or_whole(name: str) -> None:
    encoded = SOURCES[name][0]
    for part in (0.03, 0.2, 0.5, 0.8, 0.9):
        assert refusal(encoded[: int(len(encoded) * part)]) == ErrorCode.IMAGE_UNREADABLE
    for cut in (1, 2, 3, 8, 20):
        try:
            picture = decode(encoded[:-cut])
        except ItemError as error:
            assert error.code == ErrorCode.IMAGE_UNREADABLE
        else:
            assert same(picture.pixels, expected(name))


@pytest.mark.parametrize("name", CUTTABLE)
def test_flipped_bits_give_a_picture_or_an_item_error(name: str) -> None:
    rng = random.Random(name)
    for _ in range(40):
        rotten = bytearray(SOURCES[name][0])
        for _ in range(rng.choice((1, 1, 4, 20))):
            rotten[rng.randrange(len(rotten) if rng.random() < 0.5 else min(300, len(rotten)))] ^= (
                1 << rng.randrange(8)
            )
        try:
            picture = decode(bytes(rotten), max_megapixels=1)
        except ItemError:
            continue
        encode(picture, "source", 90)


def test_damage_inside_a_png_is_found_by_its_checksum() -> None:
    rotten = bytearray(SOURCES["png RGB"][0])
    rotten[len(rotten) // 2] ^= 1
    assert refusal(bytes(rotten)) == ErrorCode.IMAGE_UNREADABLE


def test_damage_inside_a_jpeg_is_found_by_its_restart_markers() -> None:
    rotten = bytearray(pil(RGB, "JPEG", restart_marker_blocks=4))
    at = rotten.index(b"\xff\xd2")
    rotten[at : at + 2] = b"\0\0"
    assert refusal(bytes(rotten)) == ErrorCode.IMAGE_UNREADABLE


def test_padding_before_the_end_of_a_jpeg_is_no_damage() -> None:
    encoded = pil(RGB, "JPEG")
    padded = encoded[:-2] + bytes(3) + encoded[-2:] + b"trailing bytes of a camera"
    assert same(decode(padded).pixels, by_pillow(encoded))


def test_tags_that_libtiff_does_not_know_are_no_damage() -> None:
    for compression in (None, "jpeg"):
        picture = decode(pil(RGB, "TIFF", compression=compression, tiffinfo={65000: "mine", 65001: 7}))
        assert picture.mode == "RGB"


def many(form: str) -> bytes:
    first, second = Image.fromarray(RGB), Image.fromarray(RGB[::-1].copy())
    return pil(first, form, save_all=True, append_images=[second])


@pytest.mark.parametrize(
    "encoded",
    [
        many("TIFF"), many("PNG"), many("WEBP"), many("GIF"), pil(RGB, "BMP"), pil(RGB, "JPEG2000"),
        b"%PDF-1.7\n", b'<?xml version="1.0"?><svg/>', b"<svg></svg>", b"\n<!DOCTYPE html><html/>",
        b"\0\0\0\x18ftypheic", tif(GRAY.astype(np.float32)), tif(GRAY.astype(np.uint32)),
        tif(GRAY.astype(np.int16)), pil(Image.fromarray(RGB).convert("LAB"), "TIFF"),
        tif(np.dstack([CMYK, GRAY]), photometric="separated", extrasamples=["unassalpha"]),
    ],
)  # fmt: skip
def test_other_formats_and_samples_are_unsupported(encoded: bytes) -> None:
    assert refusal(encoded) == ErrorCode.UNSUPPORTED_FORMAT


@pytest.mark.parametrize(
    "encoded", [b"", b"\xff", b"plain text", b"\xff\xd8\xff", b"RIFF\0\0\0\0WEBP", b"II*\0"]
)
def test_what_is_no_picture_is_unreadable(encoded: bytes) -> None:
    assert refusal(encoded) == ErrorCode.IMAGE_UNREADABLE


def test_a_bomb_is_refused_by_its_header() -> None:
    start = time.perf_counter()
    for bomb in (png_claiming(60_000, 60_000), jpeg_frame(5, ">2H", 65_535, 65_535)):
        assert refusal(bomb) == ErrorCode.IMAGE_TOO_LARGE
    assert time.perf_counter() - start < 1


def test_a_tile_is_no_larger_than_it_has_to_be() -> None:
    """It is allocated whole: 20000 x 16000 pixels for a picture of 83 x 61. libvips sees to it."""
    tiled = tif(RGB, photometric="rgb", tile=(32, 32))
    with pytest.raises(ItemError, match="tile size out of range") as caught:
        decode(tag_set(tag_set(tiled, 322, 20_000), 323, 16_000))
    assert caught.value.code == ErrorCode.IMAGE_UNREADABLE
    assert same(decode(tif(RGB, photometric="rgb", tile=(256, 256))).pixels, RGB), (
        "a usual tile is larger too"
    )


def test_the_limit_is_in_megapixels() -> None:
    encoded, size = SOURCES["png RGB"][0], RGB.shape[0] * RGB.shape[1] / 1e6
    assert decode(encoded, max_megapixels=size).width == RGB.shape[1]
    assert refusal(encoded, max_megapixels=size * 0.99) == ErrorCode.IMAGE_TOO_LARGE


def test_a_picture_longer_than_the_format_allows() -> None:
    long = Picture(np.zeros((1, 16_384), np.uint8), "L", "png", True)
    with pytest.raises(ItemError, match="16384 x 1 is more than the 16383") as caught:
        encode(long, "webp", 90)
    assert caught.value.code == ErrorCode.UNSUPPORTED_FORMAT


@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_the_codec_library_is_shown_no_metadata(form: str) -> None:
    shown = bare(full(form), {"JPEG": "jpeg", "PNG": "png", "TIFF": "tiff", "WEBP": "webp"}[form])
    image = pyvips.Image.new_from_buffer(shown, "")
    assert not [name for name in image.get_fields() if "exif" in name or "icc" in name or "xmp" in name]
    assert same(image.numpy(), by_pillow(full(form)))


# Properties ----------------------------------------------------------------------------------------

SHAPES = {"L": (), "LA": (2,), "RGB": (3,), "RGBA": (4,), "CMYK": (4,)}


@st.composite
def pictures(draw: st.DrawFn) -> Picture:
    mode = draw(st.sampled_from(list(SHAPES)))
    shape = (draw(st.integers(1, 9)), draw(st.integers(1, 9)), *SHAPES[mode])
    pixels = draw(hnp.arrays(draw(st.sampled_from([np.uint8, np.uint16])), shape))
    return Picture(pixels, mode, "tiff" if mode == "CMYK" else "png", True)


@settings(deadline=None, max_examples=60)
@given(pictures(), st.sampled_from(FORMATS), st.sampled_from([50, 100]))
def test_any_picture_of_any_size(picture: Picture, output_format: str, quality: int) -> None:
    before = picture.pixels.copy()
    encoded = encode(picture, output_format, quality)
    assert same(picture.pixels, before)
    again = decode(encoded.data)
    assert (again.width, again.height) == (picture.width, picture.height)
    assert encoded.proof == "lossy" or same(again.pixels, picture.pixels)
    assert encode(picture, output_format, quality).data == encoded.data
