"""csv_cells.py: no cell is a formula, and each comes back as it was."""

from __future__ import annotations

import re

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifests.query.csv_cells import marked, unmarked

FORMULAS = (
    "=1+1",
    "+1-cmd|' /C calc'!A0",
    "-2+3",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    "\x00=1",
    "＝1",
    "＋1",
)
CELLS = st.lists(
    st.none() | st.text(st.sampled_from("'=+-@\t\r\n\x00＝＋－＠1.e a"), max_size=5) | st.text(max_size=3)
)


def of(*cells: str | None) -> pa.Array:
    return pa.array(cells, pa.string())


@pytest.mark.parametrize("cell", FORMULAS)
def test_a_formula_is_written_as_text(cell: str) -> None:
    assert marked(of(cell)).to_pylist() == [f"'{cell}"]


@pytest.mark.parametrize(
    "cell",
    ["a=1", "1-2", "'quoted'", " =1", "", "-3.5", "+49", "-.5", "-1e-3", "+1.", "0", "'", "''a", "a@b.c"],
)
def test_numbers_and_other_text_are_written_as_they_are(cell: str) -> None:
    assert marked(of(cell)).to_pylist() == [cell] == unmarked(of(cell)).to_pylist()


@given(cells=CELLS)
def test_every_cell_comes_back_as_it_was(cells: list[str | None]) -> None:
    written = marked(of(*cells))
    assert unmarked(written).to_pylist() == cells
    number = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
    for cell in written.to_pylist():
        assert not cell or cell[0] not in "=+-@\t\r\n\x00＝＋－＠" or number.fullmatch(cell)


@pytest.mark.parametrize("cell", ["'-5", "'a", "'", "''", "'1=1"])
def test_what_we_would_not_have_marked_is_read_as_it_is(cell: str) -> None:
    assert unmarked(of(cell)).to_pylist() == [cell]
