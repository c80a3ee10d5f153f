"""One picture in this process: the steps of a run without Ray, for scripts and notebooks."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from restore import engines, identity
from restore.engines import Device, Engine, EngineConfig
from restore.engines.selection import select_engines
from restore.errors import ErrorCode, ItemError, UsageError
from restore.imaging import codec
from restore.imaging.picture import Picture
from restore.imaging.pixels import Mode, Pixels
from restore.item import Item
from restore.methods import THIN, Method
from restore.outcome import Figures, Outcome
from restore.photo.finish import compose, upload
from restore.photo.paint import paint
from restore.photo.prepare import filled, prepare
from restore.photo.state import Job, PaintedPhoto, Prepared
from restore.recipe import Recipe, recipe_of
from restore.storage import AccessPolicy, OutStore

ImageLike: TypeAlias = "str | os.PathLike[str] | Image.Image | npt.NDArray[Any]"
"""A file, a PIL image, or an array `(H, W)` or `(H, W, C)` of 1 to 4 channels: gray, gray and alpha, RGB,
RGBA; uint8 or uint16 over their full range, or float32 whose white is 1."""

_CHANNELS: Mapping[int, Mode] = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
_PIL_MODES: Mapping[str, Mode] = {
    **{"L": "L", "LA": "LA", "RGB": "RGB", "RGBA": "RGBA", "CMYK": "CMYK"},
    "I;16": "L",
}

LOADED = 2
"""Sets of engines that stay loaded between calls."""


@dataclass(frozen=True, slots=True, eq=False)
class RestoredImage:
    """A restored picture. `numpy.asarray` gives its pixels.

    Attributes:
        pixels: `(H, W)` or `(H, W, C)`, upright, in the photo's own mode and depth; read-only.
        mode: what its channels are.
        data: the file that a run would have stored, with the photo's metadata.
        row: the row that a run would have recorded: engine, steps, windows, proof, timings.
    """

    pixels: Pixels
    mode: Mode
    data: bytes
    row: Outcome

    @property
    def figures(self) -> Figures:
        """Measurements of the repair."""
        return self.row.figures

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the file. FileExistsError if there is one of that name already."""
        with Path(path).open("xb") as file:
            file.write(self.data)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Pixels:
        return np.array(self.pixels, dtype=dtype, copy=copy)


@dataclass(frozen=True, slots=True, kw_only=True)
class SingleSettings:
    """What is not in the recipe.

    Attributes:
        auto: what engine=auto means.
        batch: windows of one engine call.
        max_megapixels, copy_unmasked, fit_masks: as in `restore.photo.state.Job`.
    """

    auto: Method = THIN
    device: Device = "cpu"
    batch: int = 8
    max_megapixels: float = 400.0
    copy_unmasked: bool = False
    fit_masks: bool = False


def restore_image(
    image: ImageLike,
    mask: ImageLike | None = None,
    *,
    item_id: str | None = None,
    device: Device = "cpu",
    **recipe: Any,
) -> RestoredImage:
    """Restore one picture: the same pixels, bit for bit, as a run's.

    Args:
        image: the photo. It is never changed.
        mask: of the photo's size, read as a run reads it; a bool array is True where damaged.
        item_id: a trained engine's noise comes from it, so a run's picture takes the id of its row. By
            default the file's name without extension.
        device: of the engine. Loaded engines are kept for the next call.
        recipe: fields of `restore.recipe.Recipe`, such as `engine="telea"` or `feather=2`. engine=auto means
            the classical method.

    Raises:
        UsageError: a field or an array that cannot be used.
        ItemError: the picture cannot be restored; `code` says why.
        EngineError: the engine cannot be built here.
    """
    wanted = recipe_of(recipe)
    with tempfile.TemporaryDirectory(prefix="silverprint-") as folder:
        photo = _file(image, Path(folder, "image"))
        cover = None if mask is None else _file(_as_values(mask, wanted), Path(folder, "mask"))
        named = item_id or (photo.stem if isinstance(image, (str, os.PathLike)) else "image")
        row, data = restore_file(photo, cover, wanted, named, SingleSettings(device=device))
    if data is None:
        raise ItemError(ErrorCode(row.error_code or ""), row.error_message or "")
    restored = codec.decode(data)
    return RestoredImage(restored.pixels, restored.mode, data, row)


def restore_file(
    photo: Path, mask: Path | None, recipe: Recipe, item_id: str, settings: SingleSettings
) -> tuple[Outcome, bytes | None]:
    """Restore one local file.

    Returns:
        The row that a run would record, and the restored file; None where the row has failed.

    Raises:
        EngineError: when the engine cannot be built.
    """
    config = EngineConfig(
        device=settings.device,
        dtype=recipe.dtype,
        offload=recipe.offload,
        compile=recipe.compile,
        batch=settings.batch,
    )
    selection = select_engines((), settings.auto, recipe, config)
    with tempfile.TemporaryDirectory(prefix="silverprint-picture-") as folder:
        job = Job(
            run_id="picture",
            recipe=recipe,
            auto=settings.auto,
            engine_hashes=selection.hashes,
            models=selection.rows(),
            store=OutStore.open(folder),
            access=AccessPolicy(tuple(str(file.resolve().parent) for file in (photo, mask) if file)),
            software_version=version("silverprint"),
            device=settings.device,
            max_megapixels=settings.max_megapixels,
            copy_unmasked=settings.copy_unmasked,
            fit_masks=settings.fit_masks,
        )
        prepared = prepare(_item(photo, mask, item_id, job), job)
        if isinstance(prepared, Prepared):
            loaded = _loaded(selection.methods, replace(config, directories=selection.directories()))
            row = _painted(prepared, loaded, config.batch, job)
        else:
            row = prepared
        return row, None if row.output is None else job.store.read(row.output)


def _item(photo: Path, mask: Path | None, item_id: str, job: Job) -> Item:
    recipe = job.recipe
    key = identity.work_key(None, None, identity.recipe_hash(recipe), "{}", job.engine_hashes[recipe.engine])
    return Item(item_id, str(photo.resolve()), key, mask=str(mask.resolve()) if mask else None)


def _painted(photo: Prepared, loaded: Mapping[Method, Engine], batch: int, job: Job) -> Outcome:
    (painted,) = paint([filled(photo)], loaded, batch)
    if not isinstance(painted, PaintedPhoto):
        return painted
    composed = compose(painted, job)
    return composed if isinstance(composed, Outcome) else upload(composed, job)


@lru_cache(maxsize=LOADED)
def _loaded(methods: tuple[Method, ...], config: EngineConfig) -> Mapping[Method, Engine]:
    return engines.build(methods, config)


def _file(image: ImageLike, place: Path) -> Path:
    """The picture as a file: its own, or a lossless one at `place`."""
    if isinstance(image, (str, os.PathLike)):
        return Path(image)
    picture = _of_pil(image) if isinstance(image, Image.Image) else _of_array(np.asarray(image))
    encoded = codec.encode(picture, "source", 100)
    written = place.with_suffix(f".{encoded.extension}")
    written.write_bytes(encoded.data)
    return written


def _of_pil(image: Image.Image) -> Picture:
    upright = ImageOps.exif_transpose(image)
    if upright.mode == "1":
        upright = upright.convert("L")
    elif upright.mode in ("P", "PA"):
        upright = upright.convert("RGBA" if upright.has_transparency_data else "RGB")
    if upright.mode not in _PIL_MODES:
        known = ", ".join(_PIL_MODES)
        raise UsageError(f"a PIL image of mode {image.mode} is not read; convert it to one of {known}")
    icc = image.info.get("icc_profile")
    mode = _PIL_MODES[upright.mode]
    return Picture(np.asarray(upright), mode, "tiff" if mode == "CMYK" else "png", lossless=True, icc=icc)


def _of_array(pixels: npt.NDArray[Any]) -> Picture:
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[..., 0]
    channels = 1 if pixels.ndim == 2 else pixels.shape[2] if pixels.ndim == 3 else 0
    if channels not in _CHANNELS or pixels.size == 0:
        raise UsageError(f"an array of shape {pixels.shape} is no picture; give (H, W) or (H, W, 1 to 4)")
    if pixels.dtype not in (np.uint8, np.uint16, np.float32):
        raise UsageError(f"an array of {pixels.dtype} is not read; give uint8, uint16 or float32")
    form = "tiff" if pixels.dtype == np.float32 else "png"
    return Picture(np.ascontiguousarray(pixels), _CHANNELS[channels], form, lossless=True)


def _as_values(mask: ImageLike, recipe: Recipe) -> ImageLike:
    """A bool array as the values of a mask of the recipe's polarity."""
    if not (isinstance(mask, np.ndarray) and mask.dtype == np.bool_):
        return mask
    white = mask if recipe.mask_polarity == "white_is_damage" else ~mask
    return white.astype(np.uint8) * np.uint8(255)
