"""Which directory of a TIFF is the photo, and what the others are.

Later pages and SubIFDs may be previews, pyramid levels, masks or a scanner's infrared channel (TIFF 6.0,
NewSubfileType; Adobe PageMaker 6.0 TIFF Technical Notes, SubIFDs). SilverFast stores its infrared scan as a
gray page of the photo's size whose type is a mask.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from restore.imaging.metadata import exif as tags
from restore.imaging.metadata.exif import Entry

_REDUCED, _MASK = 1, 4  # bits of NewSubfileType
_OLD_REDUCED = 2  # a value of SubfileType
_RAW_COLOURS = (32803, 34892)  # mosaic and linear raw samples
_RAW_COMPRESSIONS = (32767, 32769, 32770, 34713, 65535)  # Sony, Epson, Samsung, Nikon, Pentax
_MOST_PAGES = 1000  # more are counted as this many
_WANTED = frozenset(
    (
        *(tags.SUBFILE_TYPE, tags.OLD_SUBFILE_TYPE, tags.WIDTH, tags.HEIGHT, tags.BITS, tags.COMPRESSION),
        *(tags.PHOTOMETRIC, tags.SUB_IFDS, tags.DNG_VERSION),
    )
)


@dataclass(frozen=True, slots=True)
class Page:
    """One directory.

    Attributes:
        offset: where it begins.
        entries: those of its tags that say what it is.
    """

    offset: int
    entries: Mapping[int, Entry]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, px."""
        return tags.number(self.entries, tags.WIDTH, 0), tags.number(self.entries, tags.HEIGHT, 0)

    @property
    def kind(self) -> str:
        """What it says that it is: "photo", "preview page", "infrared page" or "mask page"."""
        stated = tags.number(self.entries, tags.SUBFILE_TYPE, 0)
        if stated & _MASK or tags.number(self.entries, tags.PHOTOMETRIC, 1) == 4:
            gray = tags.number(self.entries, tags.PHOTOMETRIC, 4) in (0, 1)
            deep = tags.number(self.entries, tags.BITS, 1) >= 8
            return "infrared page" if gray and deep else "mask page"
        reduced = stated & _REDUCED or tags.number(self.entries, tags.OLD_SUBFILE_TYPE, 1) == _OLD_REDUCED
        return "preview page" if reduced else "photo"


@dataclass(frozen=True, slots=True)
class Pages:
    """The directories of one file.

    Attributes:
        first: what the file's header points at; it may hold the metadata of a photo in a SubIFD.
        photo: the directory to restore.
        photos: how many pages of the main chain are photos.
        beside: names of the kinds of all other directories, in their order.
        refused: why no directory is an ordinary photo, in words, or None.
    """

    first: Page
    photo: Page
    photos: int
    beside: tuple[str, ...]
    refused: str | None


def pages_of(data: bytes) -> Pages:
    """Find the photo among the directories of a TIFF.

    Raises:
        ValueError: directories cannot be followed, lead in a circle or out of the file.
    """
    layout, offset = tags.first_directory(data)
    chain = list(_chain(data, layout, offset))
    subs = list(_subs(data, layout, chain[0]))
    full = [page for page in chain if page.kind == "photo"]
    hidden = [page for page in subs if page.kind == "photo"]
    photo = max(full[:1] or hidden or chain[:1], key=_area)
    beside = [page.kind for page in (*chain, *subs) if page is not photo and page not in full]
    names = ["further picture" if kind == "photo" else kind for kind in beside]
    larger = any(_area(page) > _area(photo) for page in hidden)
    refused = _raw(data, [*chain, *subs]) or ("a larger picture behind its first page" if larger else None)
    return Pages(chain[0], photo, max(len(full), 1), tuple(dict.fromkeys(names)), refused)


def _area(page: Page) -> int:
    return page.size[0] * page.size[1]


def _chain(data: bytes, layout: tags.Layout, offset: int) -> Iterator[Page]:
    seen: set[int] = set()
    room = len(data)  # honest directories do not lie on top of one another
    if offset == 0:
        raise ValueError("it has no directory")
    while offset and len(seen) < _MOST_PAGES:
        if offset in seen:
            raise ValueError("its directories lead in a circle")
        seen.add(offset)
        entries, following = tags.read_short_entries(data, layout, offset, _WANTED)
        yield Page(offset, entries)
        room -= following - offset
        if room < 0:
            raise ValueError("its directories lie on top of one another")
        offset = tags.next_directory(data, layout, following)


def _subs(data: bytes, layout: tags.Layout, first: Page) -> Iterator[Page]:
    pointers = first.entries.get(tags.SUB_IFDS)
    for offset in pointers.numbers()[:_MOST_PAGES] if pointers else []:
        yield Page(offset, tags.read_short_entries(data, layout, offset, _WANTED)[0])


def _raw(data: bytes, pages: list[Page]) -> str | None:
    """The kind of a camera's raw file, whose other pages are previews; None for any other file."""
    if any(tags.DNG_VERSION in page.entries for page in pages):
        return "a camera raw file (DNG); develop it to a TIFF"
    numbers = {tags.number(page.entries, tags.PHOTOMETRIC, 1) for page in pages}
    codecs = {tags.number(page.entries, tags.COMPRESSION, 1) for page in pages}
    if numbers & {*_RAW_COLOURS} or codecs & {*_RAW_COMPRESSIONS} or data[8:10] == b"CR":
        return "a camera raw file; develop it to a TIFF"
    return None
