"""A file's path as an item_id: as it is where it can be one, else percent-encoded segment by segment."""

from __future__ import annotations

from urllib.parse import quote

from manifests.query import sql
from manifests.reading.rules import UNUSABLE, UNUSABLE_CLASS

EMPTY = "%2F"
"""Stands for an empty segment, which keys of object stores may have; no other segment can decode to it."""

_CONTROLS = (*range(0x01, 0x20), *range(0x7F, 0xA0))  # as \p{Cc}, without NUL, which no path may hold
_ENCODED = ("%", *UNUSABLE, *map(chr, _CONTROLS))  # the percent sign first, or it would encode the codes
_NEEDS_IT = rf"{UNUSABLE_CLASS}|\p{{Cc}}"


def item_id(stem: str) -> str:
    """SQL of the id of a file.

    A segment that can stand in an id stays as it is, a percent sign in it too. In any other segment the
    percent sign and all that no id may hold are percent-encoded as UTF-8 (RFC 3986). So two segments never
    get one id if both are encoded or none is. `a%23` and `a#` do, and which of them is meant is not guessed.

    Args:
        stem: SQL of the file's path below its root, without the extension.
    """
    normal = f"nfc_normalize({stem})"
    segments = f"list_transform(string_split({normal}, '/'), lambda segment: {_segment('segment')})"
    needs_it = f"regexp_matches({normal}, '{_NEEDS_IT}|^/|/$|//')"
    return f"if({needs_it}, array_to_string({segments}, '/'), {normal})"


def _segment(name: str) -> str:
    encoded = name
    for character in _ENCODED:
        encoded = f"replace({encoded}, chr({ord(character)}), {sql.text(quote(character))})"
    return (
        f"CASE WHEN {name} = '' THEN '{EMPTY}' "
        f"WHEN regexp_matches({name}, '{_NEEDS_IT}') THEN {encoded} ELSE {name} END"
    )
