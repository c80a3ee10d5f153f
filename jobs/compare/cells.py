"""The manifest of a comparison: a row for every photo by every variant."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from jobs.compare.variants import Variant
from manifests.reading.schema import Manifest
from restore.errors import UsageError

MAX_CELLS = 100_000
PHOTO, VARIANT = "x_photo", "x_variant"
"""Columns that say which photo and which variant a row is of."""

_KEPT = ("image", "mask", "reference", "priority")


def require_cells(manifest: Manifest, photos: int, variants: int) -> None:
    """Raises UsageError for a manifest that holds the comparison's own columns, or too many cells."""
    taken = {PHOTO, VARIANT}.intersection(manifest.extra)
    if taken:
        raise UsageError(
            f"{manifest.uri}: {', '.join(sorted(taken))} are columns of a comparison; rename them"
        )
    if photos * variants > MAX_CELLS:
        raise UsageError(
            f"{photos:,} photos by {variants} variants are {photos * variants:,} pictures; the limit is "
            f"{MAX_CELLS:,}: take fewer photos with --limit, or fewer variants"
        )


def write_cells(manifest: Manifest, photos: int, variants: Sequence[Variant], path: str) -> None:
    """Write the manifest of the first `photos` photos by these variants, a Parquet file.

    A variant's field goes before the row's own. The noise comes from the photo's id in all variants, so they
    differ in nothing but their fields.
    """
    rows = [cell for photo in _photos(manifest, photos) for cell in _cells(photo, variants)]
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {name: pa.array([row.get(name) for row in rows], pa.string()) for name in names}
    pq.write_table(pa.table(columns), path)


def _photos(manifest: Manifest, photos: int) -> Iterator[Mapping[str, Any]]:
    for batch in manifest.table.slice(0, photos).to_batches(max_chunksize=10_000):
        yield from batch.to_pylist()


def _cells(photo: Mapping[str, Any], variants: Sequence[Variant]) -> Iterator[dict[str, str | None]]:
    extra = {name: value for name, value in photo.items() if name.startswith("x_")}
    kept = {name: None if photo[name] is None else str(photo[name]) for name in _KEPT}
    for side in ("image", "mask"):  # a listed version may be an old one; the present one is looked up
        kept[f"{side}_version"] = None if photo[f"{side}_listed"] else photo[f"{side}_version"]
    own = {name: _text(value) for name, value in json.loads(photo["overrides"]).items()}
    for variant in variants:
        yield {
            "item_id": f"{photo['item_id']}/{variant.segment}",
            **kept,
            **extra,
            "seed_key": photo["item_id"],
            **own,
            **variant.overrides,
            PHOTO: photo["item_id"],
            VARIANT: variant.name,
        }


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
