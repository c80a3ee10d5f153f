"""Thumbnails of pictures that an earlier run made: taken from its report, or made from the picture."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from restore.outcome import Figures
from restore.report import earlier_thumbnails
from restore.report.earlier_thumbnails import EarlierThumbnails
from restore.report.files import script, script_value
from restore.storage import OutStore
from tests.support.runs import failure, outcome, pictured, png, reported

PAINTED = "000001-00000-000000"
REUSED = "000007-00000-000000"


@pytest.fixture
def store(tmp_path: Path) -> OutStore:
    return OutStore.open(str(tmp_path / "out"))


def row(number: int, **more: Any) -> dict[str, Any]:
    """A committed row of a later run that shows the picture of `PAINTED`."""
    output = outcome(number).output
    draft = {"row_id": REUSED, "item_id": outcome(number).item_id, "reused_from": PAINTED}
    return {**draft, "output": output, "output_bytes": 10, **more}


def test_a_script_gives_its_value_back() -> None:
    value = {"item_id": ['a,b);\n</script>"é'], "n": [1.5, None]}
    assert script_value(script("index", value)) == value


def test_thumbnails_are_taken_from_the_report_of_the_run_that_painted(store: OutStore) -> None:
    photos = [failure(5), pictured(outcome(1), 1), pictured(outcome(2), 2)]
    reported(store, photos)
    for photo in photos[1:]:
        item = photo.item_id
        found = EarlierThumbnails(store, [REUSED]).read(row(1, item_id=item))
        thumbs = photo.thumbs
        assert found == {"before": thumbs.before, "after": thumbs.after, "damage": thumbs.damage}
    # A row of that run itself, as the report on the archive meets it.
    own = row(1, row_id=PAINTED, reused_from=None)
    assert set(EarlierThumbnails(store, [PAINTED]).read(own)) == {"before", "after", "damage"}


def test_a_photo_that_is_not_wanted_gets_none(store: OutStore) -> None:
    reported(store, [pictured(outcome(1), 1)])
    assert EarlierThumbnails(store, ["another"]).read(row(1)) == {}


def test_a_lost_thumbnail_is_left_out(store: OutStore) -> None:
    path = Path(store.root, reported(store, [pictured(outcome(1), 1)])).parent
    (path / "thumbs/000000-before.jpg").unlink()
    assert set(EarlierThumbnails(store, [REUSED]).read(row(1))) == {"after", "damage"}


def test_a_photo_without_thumbnails_gets_one_made_from_its_picture(store: OutStore) -> None:
    reported(store, [outcome(1, figures=Figures())])
    picture = png(1)
    store.create(outcome(1).output or "", picture)
    found = EarlierThumbnails(store, [REUSED]).read(row(1, output_bytes=len(picture)))
    assert set(found) == {"after"}
    assert Image.open(io.BytesIO(found["after"])).size[0] <= 480


def test_only_so_many_are_made_and_none_of_huge_pictures(
    store: OutStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(earlier_thumbnails, "MAX_MADE", 2)
    for number in range(4):
        store.create(outcome(number).output or "", png(number))
    earlier = EarlierThumbnails(store, [REUSED])
    huge = row(0, output_bytes=earlier_thumbnails.MAX_PICTURE_BYTES + 1)
    assert earlier.read(huge) == {}
    assert [bool(earlier.read(row(number))) for number in range(4)] == [True, True, False, False]


def test_a_picture_that_is_lost_or_broken_costs_only_its_thumbnail(
    store: OutStore, caplog: pytest.LogCaptureFixture
) -> None:
    store.create(outcome(2).output or "", b"no picture")
    earlier = EarlierThumbnails(store, [REUSED])
    assert earlier.read(row(1)) == {} and earlier.read(row(2)) == {}
    assert outcome(1).item_id in caplog.text and outcome(2).item_id in caplog.text
    assert earlier.read(row(3, output=None)) == {}
