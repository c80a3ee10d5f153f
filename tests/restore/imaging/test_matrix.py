"""The matrix: every kind of file is restored exactly, by a second decoder's judgement, or refused by name.

Each file goes through a whole restoration; a wrong pixel, or damage where there is none, fails there.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.formats import Verdict, raster_table, restored_rasters, table, verdicts

PAGE = (Path(__file__).resolve().parents[3] / "restore/imaging/README.md").read_text()
COMMAND = "print it with `python -m tests.bench formats`"


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[Verdict]:
    return list(verdicts(tmp_path_factory.mktemp("matrix")))


def test_there_are_mixes_enough(found: list[Verdict]) -> None:
    assert len({verdict.mix for verdict in found}) == len(found) >= 600
    assert sum(verdict.refused is None for verdict in found) >= 400


def test_the_page_shows_the_table(found: list[Verdict]) -> None:
    assert table(found) in PAGE, COMMAND


def test_every_png_jpeg_and_webp_is_restored_exactly(tmp_path: Path) -> None:
    restored = list(restored_rasters(tmp_path))
    assert len(restored) >= 70
    assert raster_table(restored) in PAGE, COMMAND
