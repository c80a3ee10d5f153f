"""CSV as spreadsheets write it: their separators, encodings, empty columns and empty rows."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from itertools import chain

SEPARATORS = (",", ";", "\t")
"""Tried in this order. A spreadsheet writes `;` where its language writes a decimal comma."""

_HINT = "sep="  # Excel reads its separator from such a first line


def separator_of(lines: Iterator[str]) -> tuple[str, Iterator[str], int]:
    """How a CSV's cells are separated.

    Returns:
        The separator, the lines from the header on, and the number of lines before the header.
    """
    first = next(lines, None)
    if first is None:
        return ",", iter(()), 0
    if first.lower().startswith(_HINT) and len(first.strip()) == len(_HINT) + 1:
        return first.strip()[-1], lines, 1
    return _separator(first), chain([first], lines), 0


def _separator(header: str) -> str:
    """The first separator by which the header has a cell `item_id` or `image` among others; else a comma."""
    for separator in SEPARATORS:
        try:
            cells = [cell.strip() for cell in next(csv.reader([header], delimiter=separator), [])]
        except csv.Error:  # the reading says so, with the line
            continue
        if len(cells) > 1 and {"item_id", "image"} & set(cells):
            return separator
    return ","


def named_columns(header: list[str]) -> list[str]:
    """The header without the unnamed columns at its end, which trailing separators make."""
    names = list(header)
    while names and not names[-1].strip():
        names.pop()
    return names


def trimmed(cells: list[str], width: int) -> list[str]:
    """A record without the empty cells beyond `width`."""
    kept = len(cells)
    while kept > width and not cells[kept - 1].strip():
        kept -= 1
    return cells[:kept] if kept < len(cells) else cells


def is_empty(cells: list[str]) -> bool:
    """Whether a record holds nothing but separators and blanks."""
    return not any(cell.strip() for cell in cells)
