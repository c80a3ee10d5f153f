"""`manifests preview`: the page of masks over photos."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from manifests.__main__ import main
from tests.support.archives import make_archive, read_manifest_rows, write_manifest


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Four photos: one mask is inverted, one photo is missing, one id holds markup."""
    manifest = make_archive(tmp_path / "in", 4)
    rows = read_manifest_rows(manifest)
    inverted = tmp_path / "in" / rows[1]["mask"]
    Image.fromarray(255 - np.asarray(Image.open(inverted))).save(inverted)
    (tmp_path / "in" / rows[2]["image"]).unlink()
    rows[3]["item_id"] = "<b>bold & more"
    return write_manifest(manifest, rows)


def cards(page: Path) -> dict[str, str]:
    found = re.findall(r"<li>.*?</li>", page.read_text(), re.DOTALL)
    return {re.search(r"<strong>(.*?)</strong>", card)[1]: card for card in found}  # type: ignore[index]


def pictures(card: str) -> list[np.ndarray]:
    encoded = re.findall(r"base64,([^\"]+)", card)
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(text)))) for text in encoded]


def test_the_page_shows_what_a_run_would_repaint_and_what_would_fail(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "masks.html"
    assert main(["preview", str(manifest), "--out", str(page)]) == 3
    said = capsys.readouterr().out
    assert "4 photos, 2 of them would fail" in said and "mask_too_large" in said and "image_not_found" in said
    found = cards(page)
    assert list(found) == [
        "box-1/photo 001",
        "box-2/photo 002",
        "box-0/photo 000",
        "&lt;b&gt;bold &amp; more",
    ]
    assert "mask_polarity" in found["box-1/photo 001"] and "no picture" in found["box-2/photo 002"]
    before, damage = pictures(found["box-0/photo 000"])
    assert before.shape[:2] == damage.shape[:2] and 0 < (damage[..., 3] > 0).mean() < 0.1
    _, inverted = pictures(found["box-1/photo 001"])
    assert (inverted[..., 3] > 0).mean() > 0.9, "a photo that would fail shows why"
    assert re.search(r"0\.\d% marked, 640 x 480 px", found["box-0/photo 000"])


def test_a_recipe_changes_what_is_marked(manifest: Path, tmp_path: Path) -> None:
    page = tmp_path / "masks.html"
    main(
        [
            "preview",
            str(manifest),
            "--out",
            str(page),
            "--set",
            "mask_polarity=black_is_damage",
            "--rows",
            "2",
        ]
    )
    found = cards(page)
    assert list(found) == ["box-0/photo 000", "box-1/photo 001"]
    assert "mask_too_large" in found["box-0/photo 000"] and "mask_too_large" not in found["box-1/photo 001"]


@pytest.mark.parametrize("wrong", [["--out", "sheet.png"], ["--out", "a.html", "--rows", "0"]])
def test_bad_settings_are_refused_by_name(
    manifest: Path, wrong: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["preview", str(manifest), *wrong]) == 2
    assert wrong[-1] in capsys.readouterr().err
