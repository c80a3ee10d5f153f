"""Overlap: originals inside the output store, and an output store among the originals."""

from __future__ import annotations

import pyarrow as pa
import pytest

from manifests.planning.overlap import image_beside, image_inside


def wanted(*images: str) -> pa.Table:
    return pa.table({"row": list(range(len(images))), "image": list(images)})


@pytest.mark.parametrize(
    ("images", "root", "inside", "beside"),
    [
        (["/in/a.png"], "/out", None, None),
        (["/in/a.png", "/out/b.png", "/out/c.png"], "/out", "/out/b.png", "/out/b.png"),
        (["/out/images/a.png"], "/out", "/out/images/a.png", None),
        (["/in/a.png"], "/in/out", None, "/in/a.png"),
        (["/in/box/a.png"], "/in/out", None, None),
        (["/in/a.png"], "/input", None, None),
        (["s3://b/in/a.png"], "s3://b/in/out/", None, "s3://b/in/a.png"),
        (["s3://b/out/a.png"], "s3://b/out", "s3://b/out/a.png", "s3://b/out/a.png"),
    ],
)
def test_originals_and_results_that_share_a_folder_are_found(
    images: list[str], root: str, inside: str | None, beside: str | None
) -> None:
    rows = wanted(*images)
    assert (image_inside(rows, root), image_beside(rows, root)) == (inside, beside)
