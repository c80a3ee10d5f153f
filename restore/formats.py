"""The file formats: one row each, and nothing else of this package imported.

A new format is a row here, a file of its metadata below `restore.imaging.metadata`, a decoder where libvips
has none, a saver in `restore.imaging.codec` where it is written, and its kinds in the tests.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, TypeAlias

Format: TypeAlias = str
"""A name of `FORMATS`; also the module of its metadata."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FormatRow:
    """One format.

    Attributes:
        label: as people write it.
        extensions: of files' names, without the dot; the first is the one that is written.
        signatures: alternatives; each is bytes by their offset, all of which a file of this format holds.
        loader: libvips' class is `VipsForeignLoad<loader>Buffer`; "" where libvips does not read it.
        turned_by_itself: whether it states its way up itself, and EXIF's Orientation is to be ignored.
        written: whether pictures are stored in it; a listing takes only files of such formats for photos.
        successor: the format that a lossy or unwritten one is stored in, unless the picture is CMYK.
        longest_side: the most pixels that a side can have.
        lossless: whether its compression keeps every sample.
        gray, alpha, cmyk, deep: whether it holds one channel, alpha, CMYK, 16 bits.
        any_samples: whether it holds samples of every depth, CIELAB, floating point, and channels beside the
            colours that are no plain alpha.
    """

    label: str
    extensions: tuple[str, ...]
    signatures: tuple[Mapping[int, bytes], ...]
    loader: str
    turned_by_itself: bool = False
    written: bool = True
    successor: Format = "png"
    longest_side: int = 2**31 - 1
    lossless: Literal["always", "optional", "never"] = "always"
    gray: bool = True
    alpha: bool = True
    cmyk: bool = False
    deep: bool = False
    any_samples: bool = False

    def claims(self, data: bytes) -> bool:
        """Whether the first bytes of a file are this format's."""
        return any(
            all(data[at : at + len(part)] == part for at, part in signature.items())
            for signature in self.signatures
        )


FORMATS: Mapping[Format, FormatRow] = MappingProxyType(
    {
        "jpeg": FormatRow(
            label="JPEG",
            extensions=("jpg", "jpeg"),
            signatures=({0: b"\xff\xd8\xff"},),
            loader="Jpeg",
            longest_side=65535,
            lossless="never",
            alpha=False,
            cmyk=True,
        ),
        "png": FormatRow(
            label="PNG",
            extensions=("png",),
            signatures=({0: b"\x89PNG\r\n\x1a\n"},),
            loader="Png",
            deep=True,
        ),
        "tiff": FormatRow(
            label="TIFF",
            extensions=("tif", "tiff"),
            signatures=tuple({0: start} for start in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")),
            loader="Tiff",
            cmyk=True,
            deep=True,
            any_samples=True,
        ),
        "webp": FormatRow(
            label="WebP",
            extensions=("webp",),
            signatures=({0: b"RIFF", 8: b"WEBP"},),
            loader="Webp",
            longest_side=16383,
            lossless="optional",
            gray=False,
        ),
        "jpeg2000": FormatRow(
            label="JPEG 2000",
            extensions=("jp2", "j2k", "jpf", "jpx", "jph", "j2c"),
            signatures=({0: b"\0\0\0\x0cjP  \r\n\x87\n"}, {0: b"\xff\x4f\xff\x51"}),
            loader="",
            written=False,
            successor="tiff",
        ),
        "avif": FormatRow(
            label="AVIF",
            extensions=("avif", "heif"),
            signatures=tuple({4: b"ftyp" + brand} for brand in (b"avif", b"avis", b"mif1", b"miaf")),
            loader="",
            turned_by_itself=True,
            written=False,
        ),
        "jpegxl": FormatRow(
            label="JPEG XL",
            extensions=("jxl",),
            signatures=({0: b"\xff\x0a"}, {0: b"\0\0\0\x0cJXL \r\n\x87\n"}),
            loader="",
            turned_by_itself=True,
            written=False,
        ),
    }
)

WRITTEN: tuple[Format, ...] = tuple(name for name, row in FORMATS.items() if row.written)
"""The formats that pictures are stored in."""


EXTENSIONS: Mapping[str, Format] = MappingProxyType(
    {extension: name for name in WRITTEN for extension in FORMATS[name].extensions}
)
"""The written format of each extension, in lower case."""
