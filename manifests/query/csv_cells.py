"""Cells of CSV that a spreadsheet would run as formulas: marked as text when written, unmarked when read.

As OWASP advises against formula injection, a cell that begins as a formula does is written with a single
quote before it. Spreadsheets show the quote or hide it, and run nothing.
https://owasp.org/www-community/attacks/CSV_Injection
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

MARK = "'"

# The full-width forms are what some spreadsheets take for the same; a quote of its own has to survive too.
_FORMULA = "^'*[=+\\-@\\t\\r\\n\\x00\uff1d\uff0b\uff0d\uff20]"
_NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"


def marked(cells: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """Text cells as they are written: with `MARK` before each that begins as a formula does.

    Numbers stay numbers, negative ones too: a spreadsheet reads them and runs nothing.
    """
    return pc.if_else(_begins_a_formula(cells), pc.binary_join_element_wise(MARK, cells, ""), cells)


def unmarked(cells: pa.Array) -> pa.Array:
    """Text cells as they were before `marked`: exactly those, whatever they hold."""
    if not pc.any(pc.starts_with(cells, MARK)).as_py():
        return cells
    rest = pc.utf8_slice_codeunits(cells, len(MARK))
    is_marked = pc.and_(pc.starts_with(cells, MARK), _begins_a_formula(rest))
    return pc.if_else(is_marked, rest, cells)


def _begins_a_formula(cells: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    is_number = pc.match_substring_regex(cells, _NUMBER)
    return pc.and_(pc.match_substring_regex(cells, _FORMULA), pc.invert(is_number))
