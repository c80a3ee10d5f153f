"""How the samples of a TIFF page lie, which of two readers decodes them, and what is refused by name.

Only mixes of photometric interpretation, planes, bits, sample format, compression and alpha are accepted
that a second decoder reads alike: libvips scrambles some of the others without a word. The table of all
mixes is in README.md of `restore.imaging`; a test holds it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from restore.imaging.metadata import exif as tags
from restore.imaging.metadata.exif import Entry
from restore.imaging.pixels import Alpha

ALPHA_CODES: Mapping[Alpha, int] = {"unspecified": 0, "premultiplied": 1, "straight": 2}
"""Values of the tag ExtraSamples (TIFF 6.0)."""

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, MASK, CMYK, YCBCR, CIELAB = 0, 1, 2, 3, 4, 5, 6, 8
UNSIGNED, FLOAT, UNDEFINED = 1, 3, 4
_COLOURS = {WHITE_IS_ZERO: 1, BLACK_IS_ZERO: 1, RGB: 3, PALETTE: 1, CMYK: 4, YCBCR: 3, CIELAB: 3}
_NAMES = {
    WHITE_IS_ZERO: "gray whose white is zero",
    BLACK_IS_ZERO: "gray",
    RGB: "RGB",
    PALETTE: "a palette",
    CMYK: "CMYK",
    YCBCR: "YCbCr",
    CIELAB: "CIELAB",
}
_GRAY = (WHITE_IS_ZERO, BLACK_IS_ZERO)
_PHOTOMETRICS = {
    4: "a transparency mask",
    9: "ICC Lab",
    10: "ITU Lab",
    32803: "a camera's raw mosaic",
    32844: "LogL",
    32845: "LogLuv",
    34892: "a camera's linear raw samples",
    51177: "depths",
}
_SAMPLE_FORMATS = {2: "signed", 5: "complex", 6: "complex"}

NO_COMPRESSION, JPEG, WEBP = 1, 7, 50001
_CCITT, _ZSTD, _LZMA = (2, 3, 4), 50000, 34925
_FOR_LIBVIPS = frozenset([NO_COMPRESSION, *_CCITT, 5, JPEG, 8, 32773, 32946, WEBP])
_ACCEPTED = _FOR_LIBVIPS | {_ZSTD, _LZMA}
_COMPRESSIONS = {
    6: "old-style JPEG, which TIFF's authors withdrew in 1995",
    9: "JBIG",
    10: "JBIG",
    32766: "NeXT",
    32809: "ThunderScan",
    33003: "JPEG 2000",
    33005: "JPEG 2000",
    33004: "JPEG 2000",
    34661: "JBIG",
    34676: "SGI LogLuv",
    34677: "SGI LogLuv",
    34712: "JPEG 2000",
    34713: "a Nikon camera's raw data",
    34887: "LERC",
    34892: "lossy JPEG of a DNG",
    50002: "JPEG XL",
    52546: "JPEG XL",
}
_FOR_LIBVIPS_BITS = {
    WHITE_IS_ZERO: (1, 2, 4, 8, 16),
    BLACK_IS_ZERO: (1, 2, 4, 8, 16),
    RGB: (8, 16),
    PALETTE: (2, 4, 8),
    CMYK: (8, 16),
    YCBCR: (8,),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """What a directory states of its samples, in TIFF's own numbers.

    Attributes:
        bits: of one sample; 0 where they differ.
        extra: values of ExtraSamples, one for each channel beside the colours.
        sides: of a tile; None for strips.
        colour_map: the palette's levels: all red, all green, all blue ones, uint16.
    """

    width: int
    height: int
    photometric: int
    compression: int
    bits: int
    sample_format: int
    channels: int
    extra: tuple[int, ...]
    planar: bool
    tiled: bool
    predictor: int
    fill_order: int
    ink_set: int
    colour_map: tuple[int, ...]

    @property
    def floating(self) -> bool:
        """Whether samples are floating point numbers, 1.0 being white."""
        return self.sample_format == FLOAT

    @property
    def alpha(self) -> Alpha:
        """What the channel beside the colours is."""
        code = self.extra[0] if self.extra else 2
        return next((name for name, value in ALPHA_CODES.items() if value == code), "unspecified")


def samples_of(entries: Mapping[int, Entry]) -> Samples:
    """The samples that a directory describes.

    Raises:
        ValueError: its tags contradict each other.
    """
    channels = tags.number(entries, tags.SAMPLES, 1)
    bits = entries[tags.BITS].numbers() if tags.BITS in entries else [1]
    if len(bits) not in (1, channels):
        raise ValueError(f"it states {len(bits)} depths for {channels} channels")
    photometric = tags.number(entries, tags.PHOTOMETRIC, BLACK_IS_ZERO)
    beside = max(channels - _COLOURS.get(photometric, channels), 0)
    stated = entries[tags.EXTRA_SAMPLES].numbers() if tags.EXTRA_SAMPLES in entries else []
    colour_map = entries[tags.COLOUR_MAP].numbers() if tags.COLOUR_MAP in entries else []
    if photometric == PALETTE and len(colour_map) != 3 << bits[0]:
        raise ValueError(f"its palette has {len(colour_map)} levels for {bits[0]} bits")
    return Samples(
        width=tags.number(entries, tags.WIDTH, 0),
        height=tags.number(entries, tags.HEIGHT, 0),
        photometric=photometric,
        compression=tags.number(entries, tags.COMPRESSION, NO_COMPRESSION),
        bits=bits[0] if len(set(bits)) == 1 else 0,
        sample_format=tags.number(entries, tags.SAMPLE_FORMAT, UNSIGNED),
        channels=channels,
        extra=tuple([*stated, *[0] * beside][:beside]),
        planar=tags.number(entries, tags.PLANAR, 1) == 2,
        tiled=tags.TILE_OFFSETS in entries,
        predictor=tags.number(entries, tags.PREDICTOR, 1),
        fill_order=tags.number(entries, tags.FILL_ORDER, 1),
        ink_set=tags.number(entries, tags.INK_SET, 1),
        colour_map=tuple(colour_map),
    )


def refused(samples: Samples) -> str | None:
    """The feature of a TIFF's samples that is not accepted, in words; None where they are accepted."""
    checks = (_refused_compression, _refused_colours, _refused_channels, _refused_depth, _refused_mix)
    return next((f"TIFF of {feature}" for check in checks if (feature := check(samples))), None)


def _refused_compression(samples: Samples) -> str | None:
    if samples.compression in _ACCEPTED:
        return None
    return f"compression {samples.compression}" + (
        f" ({_COMPRESSIONS[samples.compression]})" if samples.compression in _COMPRESSIONS else ""
    )


def _refused_colours(samples: Samples) -> str | None:
    if samples.photometric not in _COLOURS:
        number = samples.photometric
        return _PHOTOMETRICS.get(number, f"photometric interpretation {number}")
    if samples.photometric == CMYK and samples.ink_set != 1:
        return "inks other than CMYK"
    if samples.photometric == YCBCR and (samples.compression != JPEG or samples.planar):
        return "YCbCr samples other than those of JPEG; save it as RGB"
    return None


def _refused_channels(samples: Samples) -> str | None:
    name, beside = _NAMES[samples.photometric], len(samples.extra)
    if samples.channels < _COLOURS[samples.photometric]:
        return f"{name} in {samples.channels} channels"
    simple_palette = samples.photometric == PALETTE and for_libvips(samples)
    if beside > (samples.photometric in (*_GRAY, RGB) or simple_palette):
        return f"{name} with {beside} further channel{'s' * (beside > 1)}"
    return None


def _refused_depth(samples: Samples) -> str | None:
    if samples.sample_format not in (UNSIGNED, FLOAT, UNDEFINED):
        kind = _SAMPLE_FORMATS.get(samples.sample_format, f"sample format {samples.sample_format}")
        return f"{samples.bits}-bit {kind} samples"
    if samples.bits == 0:
        return "channels of different depths"
    if samples.floating:
        if samples.bits not in (16, 32):
            return f"{samples.bits}-bit floating point samples"
        known = samples.photometric in (BLACK_IS_ZERO, RGB)
        return None if known else f"floating point samples of {_NAMES[samples.photometric]}"
    if samples.bits > 16 or (samples.photometric == CIELAB and samples.bits not in (8, 16)):
        return f"{samples.bits}-bit samples"
    return None


def _refused_mix(samples: Samples) -> str | None:
    if samples.compression in (JPEG, WEBP):
        return _refused_by_codec(samples)
    if samples.compression in _CCITT:
        plain = (samples.bits, samples.channels) == (1, 1)
        return None if plain else "CCITT compression of more than 1 bit"
    fitting = {1: True, 2: not samples.floating and samples.bits in (8, 16), 3: samples.floating}
    return None if fitting.get(samples.predictor) else f"predictor {samples.predictor} in its depth"


def _refused_by_codec(samples: Samples) -> str | None:
    if samples.bits != 8:
        return f"{samples.bits}-bit samples in JPEG or WebP"
    if samples.planar and (samples.tiled or samples.photometric not in (RGB, CMYK)):
        return "JPEG or WebP of one plane each"
    if samples.compression == WEBP:
        return None if samples.photometric == RGB else "WebP of other colours than RGB"
    known = not samples.extra and samples.photometric not in (PALETTE, CIELAB)
    return None if known else "JPEG of other colours than gray, RGB, YCbCr or CMYK"


def for_libvips(samples: Samples) -> bool:
    """Whether libvips decodes accepted samples as the second decoder does; else tifffile decodes them."""
    plain = samples.compression in _FOR_LIBVIPS and not samples.floating
    bits = samples.bits in _FOR_LIBVIPS_BITS.get(samples.photometric, ())
    alone = samples.photometric in (RGB, CMYK) or samples.channels == 1
    one_by_one = samples.planar and (samples.tiled or not alone)
    inverted = samples.photometric == WHITE_IS_ZERO and bool(samples.extra)
    fine_palette = samples.photometric == PALETTE and not _of_8_bits(samples.colour_map)
    low_alpha = samples.bits < 8 and bool(samples.extra)
    return plain and bits and not (one_by_one or inverted or fine_palette or low_alpha)


def _of_8_bits(levels: tuple[int, ...]) -> bool:
    """Whether a palette holds nothing that its levels' upper bytes do not: libvips takes these alone."""
    return all(level % 257 == 0 for level in levels) or all(level % 256 == 0 for level in levels)
