"""TIFF files of every mix of photometric interpretation, planes, bits, sample format, compression and alpha.

They are written here byte by byte, with the codecs of imagecodecs, so that no TIFF library decides what a
mix looks like. The samples that went in are the truth that a reader is compared with.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import imagecodecs
import numpy as np
import numpy.typing as npt
from skimage import data

Array = npt.NDArray[Any]

PHOTOMETRIC = {
    "white is zero": 0, "gray": 1, "RGB": 2, "palette": 3, "mask": 4, "CMYK": 5, "YCbCr": 6,
    "CIELAB": 8, "ICCLab": 9, "ITULab": 10, "CFA": 32803, "LinearRaw": 34892, "LogL": 32844, "LogLuv": 32845,
}  # fmt: skip
COLOURS = {
    "RGB": 3, "CMYK": 4, "YCbCr": 3, "CIELAB": 3, "ICCLab": 3, "ITULab": 3, "LinearRaw": 3, "LogLuv": 3,
}  # fmt: skip
COMPRESSION = {
    "none": 1, "LZW": 5, "old JPEG": 6, "JPEG": 7, "Deflate": 8, "PackBits": 32773, "old Deflate": 32946,
    "JPEG 2000": 33004, "LERC": 34887, "LZMA": 34925, "Zstd": 50000, "WebP": 50001, "JPEG XL": 50002,
}  # fmt: skip
ALPHA: Mapping[str, tuple[int, ...]] = {
    "": (),
    "unspecified": (0,),
    "premultiplied": (1,),
    "alpha": (2,),
    "two extra": (2, 0),
}
SAMPLE_FORMAT = {"unsigned": 1, "signed": 2, "float": 3, "complex": 6}
HEIGHT, WIDTH = 37, 53


@dataclass(frozen=True)
class Mix:
    """One kind of TIFF.

    Attributes:
        alpha: a name of `ALPHA`.
        tile: whether in tiles of 16 x 32 samples, not strips of 16 rows.
        order: byte order, "<" or ">".
        subsampling: of YCbCr, horizontal and vertical.
        fine_palette: whether its levels need their 16 bits.
    """

    photometric: str = "RGB"
    planar: bool = False
    bits: int = 8
    sample_format: str = "unsigned"
    compression: str = "none"
    alpha: str = ""
    tile: bool = False
    predictor: int = 1
    order: str = "<"
    big: bool = False
    fill_order: int = 1
    subsampling: tuple[int, int] | None = None
    fine_palette: bool = False

    @property
    def samples(self) -> int:
        """Samples of one pixel."""
        return COLOURS.get(self.photometric, 1) + len(ALPHA[self.alpha])

    @property
    def dtype(self) -> np.dtype[Any]:
        """The smallest type that holds a sample."""
        if self.sample_format == "float":
            return np.dtype(f"f{self.bits // 8}")
        if self.sample_format == "complex":
            return np.dtype(f"c{self.bits // 8}")
        size = next(size for size in (1, 2, 4, 8) if 8 * size >= self.bits)
        return np.dtype(f"{'i' if self.sample_format == 'signed' else 'u'}{size}")

    @property
    def kind(self) -> str:
        """Its samples, without how they are stored."""
        depth = f"{self.bits}-bit" + (f" {self.sample_format}" if self.sample_format != "unsigned" else "")
        return f"{self.photometric}, {depth}" + (f", {self.alpha}" if self.alpha else "")

    @property
    def name(self) -> str:
        """All that is not usual about it."""
        words = [
            self.kind,
            self.compression,
            "planar" if self.planar else "",
            "tiles" if self.tile else "",
            f"predictor {self.predictor}" if self.predictor > 1 else "",
            "big-endian" if self.order == ">" else "",
            "BigTIFF" if self.big else "",
            "fill order 2" if self.fill_order == 2 else "",
            "fine palette" if self.fine_palette else "",
            "" if self.subsampling is None else "subsampled {}x{}".format(*self.subsampling),
        ]
        return ", ".join(word for word in words if word)


def truth(mix: Mix) -> Array:
    """The samples `(H, W, S)` of a mix, in the type of the mix: a photograph with noise in its low bits."""
    photo = data.astronaut()[40 : 40 + 2 * HEIGHT : 2, 180 : 180 + 2 * WIDTH : 2].astype(np.float64) / 255
    noise = np.random.default_rng(5).uniform(0, 1 / 64, (HEIGHT, WIDTH, mix.samples))
    planes = [
        photo[..., index % 3] if index < 3 else 1 - photo[..., index % 3] for index in range(mix.samples)
    ]
    values = np.clip(np.stack(planes, axis=-1) * (1 - 1 / 64) + noise, 0, 1)
    if mix.alpha == "premultiplied":
        values[..., :-1] *= values[..., -1:]
    if mix.sample_format in ("float", "complex"):
        return values.astype(mix.dtype)
    whole = (2**mix.bits - 1) / (2 if mix.sample_format == "signed" else 1)
    return np.floor(values * whole).astype(mix.dtype)


Tag = tuple[int, int, tuple[int, ...]]
"""A tag's number, type and values; a RATIONAL takes two."""


@dataclass(frozen=True)
class Leaf:
    """A page of a file with several.

    Attributes:
        samples: `(H, W, S)`; those of `truth` where there are none.
        tags: further ones, such as NewSubfileType.
        subs: its SubIFDs.
    """

    mix: Mix
    samples: Array | None = None
    tags: tuple[Tag, ...] = ()
    subs: tuple[Leaf, ...] = ()


def tiff(mix: Mix, samples: Array | None = None, *tags: Tag) -> bytes:
    """A file of the mix that holds `samples`, by default those of `truth`."""
    return book(Leaf(mix, samples, tags))


def book(*pages: Leaf) -> bytes:
    """A file of several pages, in the byte order of the first."""
    order, big = pages[0].mix.order, pages[0].mix.big
    head = struct.pack(order + ("HHHQ" if big else "HL"), *((43, 8, 0, 0) if big else (42, 0)))
    body = bytearray((b"II" if order == "<" else b"MM") + head)
    pointer = 8 if big else 4
    for page in pages:
        pointer = _bind(body, page, pointer, order, big)
    return bytes(body)


def _bind(body: bytearray, page: Leaf, pointer: int, order: str, big: bool) -> int:
    """Append a page, point at it from `pointer`, and return where the next page is to be pointed at."""
    offset = "Q" if big else "L"
    subs = []
    for sub in page.subs:
        place = len(body)
        body += bytes(8)  # its SubIFD is found by the tag; this is never read
        _bind(body, sub, place, order, big)
        subs.append(struct.unpack_from(order + offset, body, place)[0])
    samples = truth(page.mix) if page.samples is None else page.samples
    places, sizes = [], []
    for part in cut(page.mix, samples):
        segment = encoded(page.mix, part)
        places.append(len(body))
        sizes.append(len(segment))
        body += segment + bytes(len(segment) % 2)
    where = (324, 325) if page.mix.tile else (273, 279)
    tags = [*structure(page.mix, samples.shape), (where[0], 4, tuple(places)), (where[1], 4, tuple(sizes))]
    tags += [*page.tags, *([(330, 4, tuple(subs))] if subs else [])]
    struct.pack_into(order + offset, body, pointer, len(body))
    following = len(body) + (8 if big else 2) + len(tags) * (20 if big else 12)
    body += directory(sorted(tags), len(body), order, big)
    return following


def cut(mix: Mix, samples: Array) -> Iterator[Array]:
    """The strips or tiles of all planes, in their order; tiles at the edge are filled up."""
    height, width = samples.shape[:2]
    rows, columns = (16, 32) if mix.tile else (16, width)
    for plane in np.split(samples, samples.shape[2], axis=2) if mix.planar else [samples]:
        for top in range(0, height, rows):
            for left in range(0, width, columns):
                part = plane[top : top + rows, left : left + columns]
                missing = (rows - part.shape[0], columns - part.shape[1])
                yield np.pad(part, ((0, missing[0]), (0, missing[1]), (0, 0)), "edge") if mix.tile else part


def encoded(mix: Mix, part: Array) -> bytes:
    """One strip or tile."""
    if mix.compression == "JPEG":
        return jpeg(mix, part)
    if mix.compression in IMAGE_CODECS:
        return IMAGE_CODECS[mix.compression](np.ascontiguousarray(part))
    if mix.subsampling is not None:
        part = subsampled(part, *mix.subsampling)
    if mix.predictor == 2:
        part = predicted(part)
    if mix.predictor == 3:
        stored = imagecodecs.floatpred_encode(np.ascontiguousarray(part), axis=-2).tobytes()
    else:
        stored = packed(part, mix.bits, mix.order)
    stored = CODECS[mix.compression](stored)
    return imagecodecs.bitorder_encode(stored) if mix.fill_order == 2 else stored


def predicted(part: Array) -> Array:
    """Differences to the sample on the left (TIFF 6.0, section 14)."""
    difference = part.copy()
    difference[:, 1:] -= part[:, :-1]
    return difference


def packed(part: Array, bits: int, order: str) -> bytes:
    """Samples one after another, the highest bit first; each row begins a new byte."""
    if bits in (8, 16, 32, 64, 128):
        return part.astype(part.dtype.newbyteorder(order)).tobytes()
    rows = part.reshape(part.shape[0], -1).astype(np.uint64)
    places = np.arange(bits - 1, -1, -1, dtype=np.uint64)
    return np.packbits(
        ((rows[..., None] >> places) & 1).astype(np.uint8).reshape(len(rows), -1), axis=1
    ).tobytes()


def subsampled(part: Array, across: int, down: int) -> Array:
    """Blocks of luma samples, each followed by its two chroma samples (TIFF 6.0, section 21)."""
    height, width = (-(-part.shape[0] // down) * down, -(-part.shape[1] // across) * across)
    full = np.pad(part, ((0, height - part.shape[0]), (0, width - part.shape[1]), (0, 0)), "edge")
    blocks = full.reshape(height // down, down, width // across, across, 3).swapaxes(1, 2)
    luma = blocks[..., 0].reshape(*blocks.shape[:2], -1)
    return np.concatenate([luma, blocks[:, :, 0, 0, 1:]], axis=2).reshape(height // down, -1, 1)


def jpeg(mix: Mix, part: Array) -> bytes:
    """A whole JPEG: lossless (ITU-T T.81, process 14) where its samples have more than 8 bits."""
    part = np.ascontiguousarray(part)
    if mix.bits > 8:
        return imagecodecs.ljpeg_encode(part.reshape(part.shape[0], -1), bitspersample=mix.bits)
    space = {1: "GRAYSCALE", 3: "RGB", 4: "CMYK"}[part.shape[2]]
    stored = "YCBCR" if mix.photometric == "YCbCr" and part.shape[2] == 3 else space
    factors = {None: "444", (1, 1): "444", (2, 1): "422", (2, 2): "420"}[mix.subsampling]
    return imagecodecs.jpeg8_encode(
        part.squeeze(2) if part.shape[2] == 1 else part,
        level=95,
        colorspace=space,
        outcolorspace=stored,
        subsampling=factors if stored == "YCBCR" else None,
    )


CODECS: Mapping[str, Callable[[bytes], bytes]] = {
    "none": bytes,
    "LZW": imagecodecs.lzw_encode,
    "Deflate": imagecodecs.zlib_encode,
    "old Deflate": imagecodecs.zlib_encode,
    "PackBits": imagecodecs.packbits_encode,
    "LZMA": imagecodecs.lzma_encode,
    "Zstd": imagecodecs.zstd_encode,
    "old JPEG": bytes,
}
IMAGE_CODECS: Mapping[str, Callable[[Array], bytes]] = {
    "JPEG 2000": lambda part: imagecodecs.jpeg2k_encode(part.squeeze(), level=0),
    "JPEG XL": lambda part: imagecodecs.jpegxl_encode(part.squeeze(), lossless=True),
    "LERC": lambda part: imagecodecs.lerc_encode(part.squeeze()),
    "WebP": lambda part: imagecodecs.webp_encode(part, lossless=True),
}


def structure(mix: Mix, shape: tuple[int, ...]) -> Iterator[tuple[int, int, tuple[int, ...]]]:
    """Tags about how the samples lie, but for the places of the segments."""
    yield 256, 4, (shape[1],)
    yield 257, 4, (shape[0],)
    yield 258, 3, (mix.bits,) * shape[2]
    yield 259, 3, (COMPRESSION[mix.compression],)
    yield 262, 3, (PHOTOMETRIC[mix.photometric],)
    yield 277, 3, (shape[2],)
    yield 284, 3, (2 if mix.planar else 1,)
    if mix.fill_order == 2:
        yield 266, 3, (2,)
    yield from [(322, 3, (32,)), (323, 3, (16,))] if mix.tile else [(278, 3, (16,))]
    if mix.predictor > 1:
        yield 317, 3, (mix.predictor,)
    if mix.photometric == "palette":
        yield 320, 3, palette(mix)
    if mix.photometric == "YCbCr":
        yield 530, 3, mix.subsampling or (1, 1)
    if ALPHA[mix.alpha]:
        yield 338, 3, ALPHA[mix.alpha]
    if mix.sample_format != "unsigned":
        yield 339, 3, (SAMPLE_FORMAT[mix.sample_format],) * shape[2]


def palette(mix: Mix) -> tuple[int, ...]:
    """A colour map: all red, then all green, then all blue levels."""
    steps = np.linspace(0, 255, 2**mix.bits).astype(int)
    levels = np.array([*steps, *steps[::-1], *(steps * 7 % 256)]) * 257
    return tuple(int(level) for level in (levels ^ (0x5A if mix.fine_palette else 0)))


def directory(tags: list[tuple[int, int, tuple[int, ...]]], start: int, order: str, big: bool) -> bytes:
    """A directory to lie at `start`, its values behind it."""
    room, size = (8, 20) if big else (4, 12)
    at = start + (8 if big else 2) + len(tags) * size + room
    records, tail = bytearray(struct.pack(order + ("Q" if big else "H"), len(tags))), bytearray()
    for tag, kind, values in tags:
        form = {1: "B", 2: "B", 3: "H", 4: "L", 5: "L", 7: "B", 13: "L"}[kind]
        stored = struct.pack(f"{order}{len(values)}{form}", *values)
        count = len(values) // 2 if kind == 5 else len(values)
        records += struct.pack(order + ("HHQ" if big else "HHL"), tag, kind, count)
        if len(stored) > room:
            records += struct.pack(order + ("Q" if big else "L"), at + len(tail))
            tail += stored + bytes(len(stored) % 2)
        else:
            records += stored.ljust(room, b"\0")
    return bytes(records) + bytes(room) + bytes(tail)


def mixes() -> Iterator[Mix]:
    """Every mix that a file may be of, each once: the usual ones with all compressions and layouts."""
    seen = set()
    for mix in _all():
        if mix not in seen:
            seen.add(mix)
            yield mix


LOSSLESS = ("none", "LZW", "Deflate", "PackBits", "Zstd", "LZMA")


def _all() -> Iterator[Mix]:
    for base in _usual():
        for compression in LOSSLESS:
            yield replace(base, compression=compression)
        for planar in (False, True):
            for tile in (False, True):
                yield replace(base, planar=planar and base.samples > 1, tile=tile, compression="Deflate")
                yield replace(base, planar=planar and base.samples > 1, tile=tile)
                if base.bits >= 8:
                    yield replace(
                        base, planar=planar and base.samples > 1, tile=tile, compression="LZW", predictor=2
                    )
        yield replace(base, order=">")
        yield replace(base, order=">", compression="LZW", tile=True)
        yield replace(base, big=True)
        yield replace(base, big=True, order=">")
        yield replace(base, fill_order=2)
        yield replace(base, fill_order=2, compression="LZW")
    yield from _alphas()
    yield from _deep()
    yield from _colours()
    yield from _codecs()


def _usual() -> Iterator[Mix]:
    for photometric in ("white is zero", "gray", "RGB", "CMYK"):
        for bits in (8, 16):
            yield Mix(photometric, bits=bits)
    for bits in (1, 2, 4):
        yield Mix("gray", bits=bits)
    yield Mix("white is zero", bits=1)
    yield Mix("palette", bits=4)
    yield Mix("palette")


def _alphas() -> Iterator[Mix]:
    for photometric in ("gray", "white is zero", "RGB", "CMYK"):
        for alpha in ALPHA:
            for bits in (8, 16):
                for planar in (False, True):
                    for tile in (False, True):
                        yield Mix(photometric, alpha=alpha, bits=bits, planar=planar, tile=tile)
    yield Mix("palette", alpha="alpha")
    yield Mix("palette", fine_palette=True)
    yield Mix("palette", fine_palette=True, bits=4, tile=True, compression="LZW")


def _deep() -> Iterator[Mix]:
    for photometric in ("gray", "white is zero", "RGB", "CMYK"):
        for bits in (2, 4, 6, 10, 12, 14, 24, 32, 64):
            for planar in (False, True):
                yield Mix(photometric, bits=bits, planar=planar and photometric in COLOURS)
            yield Mix(photometric, bits=bits, tile=True, compression="Deflate")
        for bits in (16, 32, 64):
            yield Mix(photometric, bits=bits, sample_format="float")
            yield Mix(photometric, bits=bits, sample_format="float", compression="Deflate", predictor=3)
            yield Mix(
                photometric, bits=bits, sample_format="float", compression="LZW", tile=True, planar=True
            )
            yield Mix(photometric, bits=bits, sample_format="float", order=">")
        for bits in (8, 16, 32):
            yield Mix(photometric, bits=bits, sample_format="signed")
        yield Mix(photometric, bits=64, sample_format="complex")
    for bits in (1, 2, 6, 12, 16):
        yield Mix("palette", bits=bits)
    yield Mix("RGB", alpha="alpha", bits=32, sample_format="float")
    yield Mix("RGB", alpha="alpha", bits=12)


def _colours() -> Iterator[Mix]:
    for photometric in ("CIELAB", "ICCLab", "ITULab", "LinearRaw", "LogLuv", "YCbCr"):
        for bits in (8, 16):
            for planar in (False, True):
                for compression in ("none", "LZW"):
                    yield Mix(photometric, bits=bits, planar=planar, compression=compression)
                    yield Mix(photometric, bits=bits, planar=planar, compression=compression, tile=True)
    yield Mix("CIELAB", alpha="alpha")
    for factors in ((2, 1), (2, 2), (4, 4), (1, 2)):
        for compression in ("none", "LZW", "Deflate"):
            yield Mix("YCbCr", subsampling=factors, compression=compression)
    for photometric in ("mask", "CFA", "LogL"):
        for bits in (1, 8, 16):
            yield Mix(photometric, bits=bits)


def _codecs() -> Iterator[Mix]:
    for photometric in ("gray", "RGB", "YCbCr", "CMYK"):
        for tile in (False, True):
            for planar in (False, True):
                yield Mix(photometric, compression="JPEG", tile=tile, planar=planar and photometric != "gray")
        yield Mix(photometric, compression="old JPEG")
        for bits in (12, 16):
            for tile in (False, True):
                yield Mix(photometric, compression="JPEG", bits=bits, tile=tile)
    for factors in ((2, 1), (2, 2)):
        for tile in (False, True):
            yield Mix("YCbCr", compression="JPEG", subsampling=factors, tile=tile)
    for compression in ("JPEG 2000", "JPEG XL", "LERC"):
        for photometric in ("gray", "RGB"):
            for bits in (8, 16):
                yield Mix(photometric, compression=compression, bits=bits)
    yield Mix("RGB", compression="WebP")
    yield Mix("RGB", compression="WebP", alpha="alpha")
    yield Mix("RGB", compression="old Deflate")
