"""Cells: a manifest of photos by variants that a run reads as any other."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from jobs.compare.cells import MAX_CELLS, require_cells, write_cells
from jobs.compare.variants import of_grid
from manifests.reading.schema import Manifest, read_manifest
from restore.errors import UsageError


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    file = tmp_path / "photos.csv"
    file.write_text(
        "item_id,image,mask,image_version,reference,feather,seed_key,x_box\n"
        "a,a.png,m.png,v1,truth.png,2,,7\nbox/b,b.png,,,,,own,\nc,c.png,,,,,,\n"
    )
    return read_manifest(str(file))


def test_every_photo_meets_every_variant(manifest: Manifest, tmp_path: Path) -> None:
    variants = of_grid(["dilate_kernel=1,9"], None, ()).possible
    path = str(tmp_path / "cells.parquet")
    write_cells(manifest, 2, variants, path)
    cells = read_manifest(path)
    rows = {row["item_id"]: row for row in cells.table.to_pylist()}
    names = [f"{photo}/dilate_kernel={kernel}" for photo in ("a", "box/b") for kernel in (1, 9)]
    assert list(rows) == names
    first = rows[names[0]]
    assert first["image"] == str(tmp_path / "a.png") and first["mask"] == str(tmp_path / "m.png")
    assert first["reference"] == str(tmp_path / "truth.png") and first["image_version"] == "v1"
    assert (first["x_box"], first["x_photo"], first["x_variant"]) == ("7", "a", "dilate_kernel=1")
    assert json.loads(first["overrides"]) == {"dilate_kernel": 1, "feather": 2, "seed_key": "a"}
    assert json.loads(rows[names[2]]["overrides"]) == {"dilate_kernel": 1, "seed_key": "own"}


def test_a_variant_goes_before_the_rows_own_value(manifest: Manifest, tmp_path: Path) -> None:
    path = str(tmp_path / "cells.parquet")
    write_cells(manifest, 3, of_grid(["feather=0,8"], None, ()).possible, path)
    overrides = [json.loads(text) for text in read_manifest(path).table["overrides"].to_pylist()]
    assert [each["feather"] for each in overrides] == [0, 8] * 3


def test_too_many_cells_and_columns_of_its_own_are_refused(manifest: Manifest, tmp_path: Path) -> None:
    require_cells(manifest, 1000, MAX_CELLS // 1000)
    with pytest.raises(UsageError, match="--limit"):
        require_cells(manifest, 1001, MAX_CELLS // 1000)
    file = tmp_path / "taken.csv"
    file.write_text("item_id,image,x_photo\na,a.png,1\n")
    with pytest.raises(UsageError, match="x_photo"):
        require_cells(read_manifest(str(file)), 1, 1)
