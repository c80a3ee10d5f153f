"""litter.py: names that are no photographs, and names that are."""

from __future__ import annotations

import pytest

from manifests.listing.litter import is_litter


@pytest.mark.parametrize(
    "name",
    [
        *("@eaDir", "#recycle", "#snapshot", "@Recycle", "@Recently-Snapshot", "@__thumb", ".@__thumb"),
        *("Thumbs.db", "THUMBS.DB", "ehthumbs.db", "desktop.ini", "$RECYCLE.BIN", "$Recycle.Bin"),
        *("System Volume Information", "__MACOSX", ".DS_Store", "._photo.jpg", ".Trash-1000", ".Trashes"),
        *(".thumbnails", ".Spotlight-V100", ".fseventsd", "Icon\r", "lost+found"),
        *("Picasa.ini", ".picasa.ini", "Catalog Previews.lrdata", "Smart Previews.LRDATA"),
    ],
)
def test_litter(name: str) -> None:
    assert is_litter(name)


@pytest.mark.parametrize(
    "name",
    [
        *("a.jpg", "_a.jpg", "recycle", "eaDir", "thumbs.jpg", "thumbs.db.jpg", "Thumbnails", "#12.jpg"),
        *("@home.jpg", "$100.png", "System", "Icon", "lrdata", "lrdata.jpg", "__a", "lost", "~a.jpg", "a."),
    ],
)
def test_photographs(name: str) -> None:
    assert not is_litter(name)
