"""Makes a small archive of damaged old photographs, with masks and the undamaged truth, to restore.

The photographs are those of scikit-image's own data folder that are in the public domain or CC0;
`PHOTOS` credits each. They are printed anew, faded, sepia or gray, with grain, and then damaged.
The same seed gives the same files, byte for byte.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from zlib import crc32

import numpy as np
from skimage import data

from jobs.demo.damage import Field, Model, crease, damage, dust, scratches, stain, torn_corner
from jobs.demo.old_print import Tone, enlarged, printed
from jobs.demo.scan_files import WRITERS, png

Box = tuple[float, float, float, float]
"""left, top, right, bottom, each 0..1 of the picture."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Photo:
    """One photograph of the archive.

    Attributes:
        source: the loader in `skimage.data`.
        crop: the part of the source that is printed.
        long_side: of the print, px.
        border: the print's white margin over its shorter side; 0 = none.
        file: how it is stored, a key of `jobs.demo.scan_files.WRITERS`.
        models: what happened to it; none leaves a blank mask.
        overrides: the manifest row's recipe columns.
    """

    item_id: str
    title: str
    credit: str
    source: str
    crop: Box = (0, 0, 1, 1)
    long_side: int = 1000
    tone: Tone = "gray"
    border: float = 0.0
    file: str = "jpeg"
    models: tuple[Model, ...] = ()
    overrides: Mapping[str, str] = field(default_factory=dict)


_NASA = "NASA Great Images, public domain"
_VARSHNEY = "Lav Varshney, CC0"
_WALT = "Stefan van der Walt, CC0"
_MICHETTI = "Rachel Michetti, courtesy of Pikolo Espresso Bar, CC0"
_SPACEX = "SpaceX, public domain"

PHOTOS: tuple[Photo, ...] = (
    Photo(
        item_id="astronaut",
        title="Portrait with a spaceship, folded and torn",
        credit=_NASA,
        source="astronaut",
        long_side=1100,
        tone="sepia",
        border=0.045,
        models=(
            crease,
            partial(torn_corner, corner="top_right", size=0.08),
            partial(dust, specks=30, hairs=2),
        ),
    ),
    Photo(
        item_id="astronaut-oval",
        title="Oval cut-out, its corners transparent",
        credit=_NASA,
        source="astronaut",
        crop=(0.2, 0.0, 0.72, 0.62),
        long_side=720,
        tone="sepia",
        file="png_oval",
        models=(partial(scratches, count=3), partial(dust, specks=25, hairs=2)),
    ),
    Photo(
        item_id="brick-wall",
        title="A wall, folded twice",
        credit="CC0Textures Bricks25, CC0",
        source="brick",
        long_side=900,
        border=0.04,
        models=(crease, partial(crease, upright=True)),
    ),
    Photo(
        item_id="cameraman",
        title="The cameraman, scratched",
        credit=_VARSHNEY,
        source="camera",
        long_side=1024,
        file="png",
        models=(partial(scratches, count=7), partial(dust, specks=50, hairs=3)),
    ),
    Photo(
        item_id="cameraman-broken",
        title="A scan whose copying broke off",
        credit=_VARSHNEY,
        source="camera",
        crop=(0.3, 0.1, 0.8, 0.8),
        long_side=800,
        file="jpeg_broken",
        models=(scratches,),
    ),
    Photo(
        item_id="cat",
        title="The cat, a snapshot scanned on its side",
        credit=_WALT,
        source="chelsea",
        long_side=1200,
        tone="faded",
        border=0.04,
        file="jpeg_turned",
        models=(partial(crease, upright=True), partial(dust, specks=40, hairs=3)),
    ),
    Photo(
        item_id="coffee",
        title="A cup, and what was spilt of it",
        credit=_MICHETTI,
        source="coffee",
        long_side=1200,
        tone="faded",
        file="webp",
        models=(
            partial(stain, at=(0.12, 0.24), size=0.11),
            partial(stain, at=(0.05, 0.47), size=0.045),
            partial(dust, specks=20, hairs=1),
        ),
        overrides={"dilate_kernel": "9", "feather": "8"},
    ),
    Photo(
        item_id="coins",
        title="Greek coins, a museum's print",
        credit="Brooklyn Museum, no known copyright restrictions",
        source="coins",
        long_side=900,
        tone="sepia",
        file="tiff",
        models=(crease, partial(torn_corner, corner="bottom_left", size=0.13)),
    ),
    Photo(
        item_id="deep-field",
        title="Glass plate of the deep sky, 16 bit",
        credit="NASA, Hubble eXtreme Deep Field, public domain",
        source="hubble_deep_field",
        long_side=1200,
        file="tiff_deep",
        models=(partial(scratches, count=6), partial(dust, specks=60, hairs=4)),
        overrides={"engine": "ns"},
    ),
    Photo(
        item_id="gravel",
        title="The drive, undamaged",
        credit="CC0Textures Gravel04, CC0",
        source="gravel",
        long_side=700,
    ),
    Photo(
        item_id="launch-pad",
        title="The launch pad, an early scan in 64 grays",
        credit=_SPACEX,
        source="rocket",
        crop=(0.3, 0.05, 0.78, 1.0),
        long_side=840,
        file="png_palette",
        models=(partial(scratches, count=5), partial(dust, specks=20, hairs=1)),
    ),
    Photo(
        item_id="meadow",
        title="Grass, and a drop of tea",
        credit="DeviantArt, linolafett, CC0",
        source="grass",
        long_side=800,
        tone="sepia",
        file="png",
        models=(partial(stain, at=(0.62, 0.55), size=0.08), partial(scratches, count=3)),
        overrides={"dilate_kernel": "9"},
    ),
    Photo(
        item_id="retina",
        title="A clinic's slide, with dust and hairs, 16 bit",
        credit="Mikael Häggström, Medical gallery 2014, CC0",
        source="retina",
        long_side=1000,
        tone="faded",
        file="tiff_deep",
        models=(partial(dust, specks=90, hairs=9), partial(scratches, count=2)),
    ),
    Photo(
        item_id="rocket",
        title="The launch, creased and torn",
        credit=_SPACEX,
        source="rocket",
        long_side=1400,
        tone="faded",
        models=(
            crease,
            partial(torn_corner, corner="top_left"),
            partial(scratches, count=4),
            partial(dust, specks=40, hairs=2),
        ),
    ),
)
"""The archive, with the credit of each photograph as its loader's documentation in scikit-image gives it."""


def make_archive(folder: Path, *, seed: int = 1) -> Path:
    """Write images, masks, references and `manifest.csv` below `folder`.

    Returns:
        The manifest's path. Its URIs are relative to it.
    """
    for name in ("images", "masks", "references"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    rows = [_make(photo, folder, seed) for photo in PHOTOS]
    manifest = folder / "manifest.csv"
    with manifest.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [*_COLUMNS, *_override_columns()], restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return manifest


_COLUMNS = ("item_id", "image", "mask", "reference", "x_title", "x_credit")


def _override_columns() -> list[str]:
    return sorted({name for photo in PHOTOS for name in photo.overrides})


def _make(photo: Photo, folder: Path, seed: int) -> dict[str, str]:
    """Write one photo's files; its row of the manifest."""
    writer = WRITERS[photo.file]
    truth = writer.pixels(_print(photo, seed))
    damaged = damage(truth, _rng(photo, seed, "damage"), photo.models)
    paths = {
        "image": f"images/{photo.item_id}.{writer.extension}",
        "mask": f"masks/{photo.item_id}.png",
        "reference": f"references/{photo.item_id}.{writer.extension}",
    }
    (folder / paths["image"]).write_bytes(writer.image(damaged.pixels))
    (folder / paths["mask"]).write_bytes(png(damaged.mask.astype(np.uint8) * 255))
    (folder / paths["reference"]).write_bytes(writer.reference(truth))
    return {
        "item_id": photo.item_id,
        **paths,
        "x_title": photo.title,
        "x_credit": photo.credit,
        **photo.overrides,
    }


def _rng(photo: Photo, seed: int, purpose: str) -> np.random.Generator:
    """A generator of this photo's own, so that a photo more or less changes no other."""
    return np.random.default_rng([seed, crc32(f"{photo.item_id} {purpose}".encode())])


def _print(photo: Photo, seed: int) -> Field:
    """The photograph as an old print, undamaged, float32 0..1."""
    pixels = getattr(data, photo.source)()
    height, width = pixels.shape[:2]
    left, top, right, bottom = photo.crop
    crop = pixels[round(top * height) : round(bottom * height), round(left * width) : round(right * width)]
    picture = enlarged(crop, photo.long_side)
    return printed(picture, _rng(photo, seed, "print"), tone=photo.tone, border=photo.border)
