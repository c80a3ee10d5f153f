"""The matrix: every mix of TIFF is restored exactly, by a second decoder's judgement, or refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.formats import Verdict, table, verdicts

PAGE = Path(__file__).resolve().parents[3] / "restore/imaging/README.md"


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[Verdict]:
    """Each file went through a whole restoration; a wrong pixel, or damage that is none, fails here."""
    return list(verdicts(tmp_path_factory.mktemp("matrix")))


def test_there_are_mixes_enough(found: list[Verdict]) -> None:
    assert len({verdict.mix for verdict in found}) == len(found) >= 600
    assert sum(verdict.refused is None for verdict in found) >= 400


def test_the_page_shows_the_table(found: list[Verdict]) -> None:
    assert table(found) in PAGE.read_text(), "print it with `python -m tests.bench formats`"
