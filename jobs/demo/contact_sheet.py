"""Draws a contact sheet: each photo before, with its damage marked in red, and after."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageChops, ImageDraw, ImageFont, ImageOps

Pixels = npt.NDArray[np.generic]


@dataclass(frozen=True, slots=True, eq=False)
class Panel:
    """One photo of the sheet.

    Attributes:
        title: the item's id.
        before: uint8 or uint16 pixels, `(H, W)` or `(H, W, C)` with C = 1 gray, 2 gray and alpha, 3 RGB
            or 4 RGBA; None leaves a plain tile.
        mask: `(H, W)`, not 0 = damage; None leaves a plain tile.
        after: as `before`; None where the photo failed, and the tile shows the caption instead.
        caption: status and figures, or `code: message` of the error.

    The letters are those of Pillow's own font: Latin, no arrows.
    """

    title: str
    before: Pixels | None
    mask: npt.NDArray[np.generic] | None
    after: Pixels | None
    caption: str


_TILE = (320, 240)
_GAP = 8
_MARGIN = 36
_HEADER = 54
_PANEL = (3 * _TILE[0] + 2 * _GAP, _TILE[1] + _HEADER)
_BETWEEN = (48, 30)
_ALONE = 3
"""Up to this many photos stand one below the other; more stand two in a row."""

_GROUND = (250, 249, 246)
_PLATE = (238, 236, 231)
_DARK = (34, 34, 34)
_QUIET = (112, 108, 102)
_FAILED = (168, 50, 38)
_RED = (225, 28, 28)
_COLUMNS = ("before", "damage", "after")


def contact_sheet(rows: Sequence[Panel], path: Path) -> None:
    """Write the sheet as a PNG of 256 colours, about 80 kB a photo.

    Raises:
        ValueError: when there is no photo, or pixels of a shape or type that `Panel` does not name.
    """
    if not rows:
        raise ValueError("a contact sheet needs at least one photo; got none")
    across = 1 if len(rows) <= _ALONE else 2
    sheet = Image.new("RGB", _sheet_size(len(rows), across), _GROUND)
    for index, panel in enumerate(rows):
        down, right = divmod(index, across)
        corner = (
            _MARGIN + right * (_PANEL[0] + _BETWEEN[0]),
            _MARGIN + down * (_PANEL[1] + _BETWEEN[1]),
        )
        sheet.paste(_drawn(panel), corner)
    # Grain makes full colour more than twice as large, and hardly shows what the palette lacks.
    sheet.quantize(256, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(path, "PNG", optimize=True)


def _sheet_size(count: int, across: int) -> tuple[int, int]:
    down = -(-count // across)
    width = across * _PANEL[0] + (across - 1) * _BETWEEN[0] + 2 * _MARGIN
    height = down * _PANEL[1] + (down - 1) * _BETWEEN[1] + 2 * _MARGIN
    return width, height


def _drawn(panel: Panel) -> Image.Image:
    image = Image.new("RGB", _PANEL, _GROUND)
    _heading(ImageDraw.Draw(image), panel)
    tiles = (_photo_tile(panel.before), _damage_tile(panel.before, panel.mask), _after_tile(panel))
    for column, tile in enumerate(tiles):
        image.paste(tile, (column * (_TILE[0] + _GAP), _HEADER))
    return image


def _heading(draw: ImageDraw.ImageDraw, panel: Panel) -> None:
    """The title, what became of the photo at its right, and a name above each tile."""
    failed = panel.after is None
    caption = panel.caption.partition(":")[0] if failed else panel.caption
    room = _PANEL[0] - draw.textlength(caption, _font(15)) - 24
    draw.text((0, 20), _fitted(draw, panel.title, 19, room), _DARK, _font(19), anchor="ls")
    draw.text((_PANEL[0], 20), caption, _FAILED if failed else _QUIET, _font(15), anchor="rs")
    for column, name in enumerate(_COLUMNS):
        draw.text((column * (_TILE[0] + _GAP), 45), name, _QUIET, _font(13), anchor="ls")


def _fitted(draw: ImageDraw.ImageDraw, text: str, size: int, room: float) -> str:
    """`text`, cut with dots where it is wider than `room` px."""
    if draw.textlength(text, _font(size)) <= room:
        return text
    while text and draw.textlength(text + "...", _font(size)) > room:
        text = text[:-1]
    return text + "..."


def _photo_tile(pixels: Pixels | None) -> Image.Image:
    return _mounted(_thumbnail(pixels)) if pixels is not None else _plain("no picture", _QUIET)


def _damage_tile(before: Pixels | None, mask: npt.NDArray[np.generic] | None) -> Image.Image:
    """The photo in pale gray with the damage in red; scratches thinner than a pixel stay visible."""
    if mask is None:
        return _plain("no mask", _QUIET)
    covered = Image.fromarray(np.where(mask != 0, 255, 0).astype(np.uint8))
    small = ImageOps.contain(covered, _TILE, Image.Resampling.BOX)
    red = small.point([min(255, 3 * level) for level in range(256)])
    under = Image.new("L", small.size, 255)
    if before is not None:
        under = ImageOps.contain(_rgb(before), _TILE).convert("L").resize(small.size)
    pale = ImageChops.blend(under, Image.new("L", small.size, 255), 0.45).convert("RGB")
    return _mounted(Image.composite(Image.new("RGB", small.size, _RED), pale, red))


def _after_tile(panel: Panel) -> Image.Image:
    return _mounted(_thumbnail(panel.after)) if panel.after is not None else _plain(panel.caption, _FAILED)


def _mounted(photo: Image.Image) -> Image.Image:
    tile = Image.new("RGB", _TILE, _PLATE)
    tile.paste(photo, ((_TILE[0] - photo.width) // 2, (_TILE[1] - photo.height) // 2))
    return tile


def _plain(text: str, colour: tuple[int, int, int]) -> Image.Image:
    tile = Image.new("RGB", _TILE, _PLATE)
    wrapped = textwrap.fill(text, 40, max_lines=9, placeholder=" ...")
    middle = (_TILE[0] / 2, _TILE[1] / 2)
    ImageDraw.Draw(tile).text(middle, wrapped, colour, _font(14), anchor="mm", align="center", spacing=5)
    return tile


def _thumbnail(pixels: Pixels) -> Image.Image:
    return ImageOps.contain(_rgb(pixels), _TILE, Image.Resampling.LANCZOS)


def _rgb(pixels: Pixels) -> Image.Image:
    """Pixels of any mode as 8-bit RGB; what is transparent shows the tile's ground."""
    eight = _eight_bit(pixels)
    channels = 1 if eight.ndim == 2 else eight.shape[2]
    modes = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
    if channels not in modes:
        raise ValueError(f"cannot show pixels of {channels} channels; give 1, 2, 3 or 4")
    image = Image.fromarray(eight[..., 0] if eight.ndim == 3 and channels == 1 else eight)
    if channels in (1, 3):
        return image.convert("RGB")
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, (*_PLATE, 255)), image).convert("RGB")


def _eight_bit(pixels: Pixels) -> npt.NDArray[np.uint8]:
    if pixels.dtype == np.uint8:
        return np.ascontiguousarray(pixels, np.uint8)
    if pixels.dtype == np.uint16:
        return np.rint(pixels.astype(np.float32) / 257).astype(np.uint8)
    raise ValueError(f"cannot show pixels of type {pixels.dtype}; give uint8 or uint16")


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
