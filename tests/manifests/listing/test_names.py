"""names.py: a path's id is one that a manifest takes, and says which path it was."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from urllib.parse import unquote

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests.listing import names
from manifests.query import sql
from manifests.reading.rules import ITEM_ID_FAULT, UNUSABLE

SEGMENTS = st.text(st.sampled_from([*UNUSABLE, *"%23aé写 \u0301\n\x1b\x7f\x85"]), max_size=6)
STEMS = st.lists(SEGMENTS, min_size=1, max_size=3).map("/".join)


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with sql.connection() as con:
        yield con


def item_id(con: duckdb.DuckDBPyConnection, stem: str) -> str:
    ((found,),) = con.sql(f"SELECT {names.item_id('$stem')}", params={"stem": stem}).fetchall()
    return str(found)


def fault(con: duckdb.DuckDBPyConnection, item_id: str) -> str | None:
    query = f"SELECT {ITEM_ID_FAULT} FROM (SELECT $item_id AS item_id)"
    ((found,),) = con.sql(query, params={"item_id": item_id}).fetchall()
    return None if found is None else str(found)


@given(stem=STEMS)
@settings(max_examples=300, deadline=None)
def test_an_id_is_valid_and_decodes_to_its_path(con: duckdb.DuckDBPyConnection, stem: str) -> None:
    normal = unicodedata.normalize("NFC", stem)
    found = item_id(con, stem)
    if normal and fault(con, normal) is None:
        assert found == normal, "what can be an id stays as it is"
        return
    # A combining mark behind an encoded character would join its last letter: such a photo is left out.
    assert not found or fault(con, found) in {None, "is not in Unicode normal form NFC"}
    pairs = zip(normal.split("/"), found.split("/"), strict=True)
    for before, after in pairs:
        decoded = "" if after == names.EMPTY else unquote(after)
        assert before in {after, decoded}, "each segment is as it was, or decodes to it"


@given(stems=st.tuples(STEMS, STEMS))
@settings(max_examples=300, deadline=None)
def test_two_encoded_paths_have_two_ids(con: duckdb.DuckDBPyConnection, stems: tuple[str, str]) -> None:
    """Of two paths of one folder and one id, one needs no encoding: that is a collision, which is named."""
    first, second = (unicodedata.normalize("NFC", stem) for stem in stems)
    if first == second or item_id(con, first) != item_id(con, second):
        return
    for one, other in zip(first.split("/"), second.split("/"), strict=True):
        needs = [not name or item_id(con, name) != name for name in (one, other)]
        assert one == other or needs in ([True, False], [False, True])


@pytest.mark.parametrize(
    ("stem", "wanted"),
    [
        ("IMG#12", "IMG%2312"),
        ("scan [2]", "scan %5B2%5D"),
        ("what?", "what%3F"),
        ("100%", "100%"),
        ("IMG%2312", "IMG%2312"),
        ("50%/5% #1", "50%/5%25 %231"),
        ("x//y", "x/%2F/y"),
        ("/y", "%2F/y"),
        ("a\x85\t", "a%C2%85%09"),
        ("e\u0301#", "\u00e9%23"),
        ("a::b", "a::b"),
    ],
)
def test_ids_never_change(con: duckdb.DuckDBPyConnection, stem: str, wanted: str) -> None:
    """An id that moved would restore its photo again under another name."""
    assert item_id(con, stem) == wanted
