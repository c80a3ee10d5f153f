"""Converts windows of any scan to 8-bit sRGB, the only colours of a diffusion model, and back.

Colours go through the scan's ICC profile; gray, CMYK and alpha are converted to RGB and back. Windows of 16
bits or of dark scans would lose levels or use few of them, so they are stretched linearly over the tones that
they hold. The paint is converted back by the same line.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import ImageCms

from restore.imaging.opencv import cv2
from restore.imaging.pixels import LUMA_WEIGHTS, Floats, Mask, Mode, Pixels, to_16_bit, to_depth, white_level
from restore.imaging.vips import image_of, pyvips, samples_of

Rgb = npt.NDArray[np.uint8]

DARK_LEVEL = 0.5
"""An 8-bit window whose brightest tone is darker than this share of white is stretched too."""
CLIPPED_SHARE = 0.001  # of the known values at either end may be clipped, since they are dust and specks
HEADROOM_SHARE = 0.05  # of the stretch at either end, so that the paint may be a little darker or brighter
MIN_SPAN = 0.05  # of white; a flat window is not stretched into its noise
MAX_SAMPLES = 50_000  # px; enough for a quantile
_HOW: dict[str, Any] = {"intent": "relative", "black_point_compensation": True}
_TONES = np.arange(256, dtype=np.uint8)


@dataclass(frozen=True, slots=True)
class Range:
    """The levels that a stretch maps to black and white: of sRGB, or of a floating point photo's own."""

    low: float = 0.0
    high: float = 1.0


def range_of(window: Pixels, known: Mask, mode: Mode, icc: bytes | None) -> Range:
    """Choose the stretch of a window: the full range, except for 16-bit and dark scans.

    Args:
        window: `(H, W)` or `(H, W, C)`, uint8 or uint16, in the scan's colours.
        known: bool `(H, W)`, True = not damaged; only these pixels count.
    """
    places = np.flatnonzero(known)
    if len(places) == 0:
        return Range()
    tones = window[np.unravel_index(places[:: len(places) // MAX_SAMPLES + 1], known.shape)]
    colours, base = _without_alpha(tones[None], mode)
    levels = _levels(colours, base, _profile(base, icc))
    low, high = np.quantile(levels, (CLIPPED_SHARE, 1 - CLIPPED_SHARE)).tolist()
    if window.dtype == np.uint8 and high >= DARK_LEVEL:
        return Range()
    centre, span = (low + high) / 2, max(high - low, MIN_SPAN) * (1 + 2 * HEADROOM_SHARE)
    bottom, top = (min(low, 0.0), max(high, 1.0)) if window.dtype.kind == "f" else (0.0, 1.0)
    return Range(max(centre - span / 2, bottom), min(centre + span / 2, top))


def to_srgb(window: Pixels, mode: Mode, icc: bytes | None, tones: Range) -> Rgb:
    """Convert a window to the sRGB that a diffusion model receives.

    Args:
        window: `(H, W)` or `(H, W, C)`, uint8 or uint16, in the scan's colours.
        icc: the scan's profile; it is ignored where it does not fit the mode.

    Returns:
        `(H, W, 3)` sRGB uint8, new, without alpha.
    """
    colours, base = _without_alpha(window, mode)
    profile = _profile(base, icc)
    if colours.dtype == np.uint8 and base not in ("CMYK", "LAB") and profile is None:
        shown = _looked_up(colours, _stretched(_levels(_TONES, "RGB", None), tones))
        return np.asarray(shown if base == "RGB" else np.repeat(shown[..., None], 3, axis=2), np.uint8)
    return _stretched(_levels(colours, base, profile), tones)


def from_srgb(painted: Rgb, like: Pixels, mode: Mode, icc: bytes | None, tones: Range) -> Pixels:
    """Undo `to_srgb` on a painted window.

    Args:
        painted: `(H, W, 3)` sRGB uint8.
        like: the scan's own window, of the same height and width; its alpha is taken over.

    Returns:
        A new array of the shape and dtype of `like`, in its colours.
    """
    colours, base = _without_alpha(like, mode)
    profile = _profile(base, icc)
    if base == "RGB" and profile is None:
        back = _looked_up(painted, _colours(_unstretched(_TONES, tones), base, None, like.dtype))
    else:
        back = _colours(_unstretched(painted, tones), base, profile, like.dtype)
    if base == mode:
        return back.reshape(like.shape)
    return np.dstack([back.reshape(colours.shape), like[..., -1]])


def _stretched(levels: Floats, tones: Range) -> Rgb:
    stretched = (levels - np.float32(tones.low)) * np.float32(255 / (tones.high - tones.low))
    shown: Rgb = np.clip(np.rint(stretched), 0, 255).astype(np.uint8)
    return shown


def _unstretched(shown: Rgb, tones: Range) -> Floats:
    return shown.astype(np.float32) * np.float32((tones.high - tones.low) / 255) + np.float32(tones.low)


def _looked_up(pixels: Pixels, table: Pixels) -> Pixels:
    """Each sample replaced by its entry in a table of 256, which saves converting millions."""
    found: Pixels = cv2.LUT(np.ascontiguousarray(pixels), table)
    return found


def _without_alpha(window: Pixels, mode: Mode) -> tuple[Pixels, Mode]:
    if mode == "LA":
        return window[..., 0], "L"
    return (window[..., :3], "RGB") if mode == "RGBA" else (window, mode)


def _profile(base: Mode, icc: bytes | None) -> bytes | None:
    """The profile to convert by: None for sRGB, and for gray and RGB without a profile that fits."""
    if icc is None or base == "LAB" or not fits(icc, base) or _is_srgb(icc):
        return None
    return icc


def fits(icc: bytes, mode: Mode) -> bool:
    """Whether an ICC profile is one of this mode's kind of colours; alpha does not matter."""
    spaces = {"L": b"GRAY", "RGB": b"RGB ", "CMYK": b"CMYK", "LAB": b"Lab "}
    return icc[16:20] == spaces[mode.removesuffix("A")]


@lru_cache(maxsize=64)
def _is_srgb(icc: bytes) -> bool:
    profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
    return "sRGB" in ImageCms.getProfileDescription(profile)


def _levels(colours: Pixels, base: Mode, icc: bytes | None) -> Floats:
    """sRGB levels `(H, W, 3)`, 0 to 1; those of floating point colours as they are, unless by a profile."""
    if base == "LAB":
        return lab_to_srgb(colours, 16).astype(np.float32) / np.float32(65535)
    white = np.float32(white_level(colours.dtype))
    if icc is None and base != "CMYK":
        levels = colours.astype(np.float32) / white
        return np.repeat(levels[..., None], 3, axis=2) if base == "L" else levels
    image = image_of(to_16_bit(colours) if colours.dtype.kind == "f" else colours, base)
    if icc is not None:
        image.set_type(pyvips.GValue.blob_type, "icc-profile-data", icc)
    converted = image.icc_transform(
        "srgb", embedded=icc is not None, input_profile="cmyk", depth=16, **_HOW
    ).numpy()
    return np.asarray(converted.astype(np.float32) / np.float32(65535))


def _colours(levels: Floats, base: Mode, icc: bytes | None, dtype: np.dtype[np.generic]) -> Pixels:
    """sRGB levels `(H, W, 3)` in the scan's colours and depth."""
    white = white_level(dtype)
    if base == "LAB":
        return _srgb_to_lab(levels, dtype)
    if icc is None and base != "CMYK":
        scaled = levels if base == "RGB" else cv2.transform(levels, LUMA_WEIGHTS[None])
        return to_depth(scaled * white, dtype)
    image = image_of(to_depth(levels * 65535, np.dtype(np.uint16)), "RGB")
    known = image.icc_import(input_profile="srgb", **_HOW)
    depth = 8 if dtype == np.uint8 else 16
    if icc is None:
        return np.asarray(known.icc_export(output_profile="cmyk", depth=depth, **_HOW).numpy())
    known = known.copy()
    known.set_type(pyvips.GValue.blob_type, "icc-profile-data", icc)
    exported = np.asarray(known.icc_export(depth=depth, **_HOW).numpy())
    return exported if dtype.kind == "u" else exported.astype(dtype) / dtype.type(65535)


def lab_to_srgb(lab: Pixels, depth: int | None = None) -> Pixels:
    """A picture of mode LAB, `(H, W, 3)` uint8 or uint16, as sRGB of the same depth, or of `depth` bits."""
    white, half = white_level(lab.dtype), 128 * 256 ** (lab.dtype.itemsize - 1)
    values = lab.astype(np.float32)
    values[..., 0] *= np.float32(100 / white)
    values[..., 1:] = (values[..., 1:] - half) * np.float32(128 / half)
    image = pyvips.Image.new_from_array(values, interpretation="lab")
    return samples_of(
        image.icc_export(output_profile="srgb", pcs="lab", depth=depth or 8 * lab.dtype.itemsize, **_HOW)
    )


def _srgb_to_lab(levels: Floats, dtype: np.dtype[np.generic]) -> Pixels:
    """sRGB levels `(H, W, 3)`, 0 to 1, as a picture of mode LAB."""
    image = image_of(to_depth(levels * 65535, np.dtype(np.uint16)), "RGB")
    values = np.array(image.icc_import(input_profile="srgb", pcs="lab", **_HOW).numpy(), np.float32)
    white, half = white_level(dtype), 128 * 256 ** (dtype.itemsize - 1)
    values[..., 0] *= np.float32(white / 100)
    values[..., 1:] = values[..., 1:] * np.float32(half / 128) + half
    return to_depth(values, dtype)


def range_of_levels(window: Floats) -> Range:
    """The range of a floating point window that `to_levels` spreads over uint16: all that it holds."""
    low, high = float(window.min()), float(window.max())
    return Range(low, high if high > low else low + 1.0)


def to_levels(window: Floats, tones: Range) -> Pixels:
    """A floating point window as uint16, for an engine that paints native crops. A new array."""
    scaled = (window.astype(np.float64) - tones.low) / (tones.high - tones.low)
    return to_depth(scaled * 65535, np.dtype(np.uint16))


def from_levels(painted: Pixels, tones: Range) -> Floats:
    """Undo `to_levels` on a painted window: float32, to within a 65535th of the range."""
    scaled = painted.astype(np.float64) * ((tones.high - tones.low) / 65535)
    values: Floats = (scaled + tones.low).astype(np.float32)
    return values
