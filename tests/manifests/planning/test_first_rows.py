"""A plan with a limit: the first rows of the plan of all, from versions of few."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests.planning import first_rows
from manifests.planning import versions as planning_versions
from manifests.planning.first_rows import plan_first
from manifests.planning.plan import Plan, plan
from manifests.planning.versions import as_given, fill_versions
from manifests.reading.schema import NORMAL_SCHEMA
from restore.identity import PIPELINE_VERSION, work_key
from restore.outcome import OUTCOME_SCHEMA
from restore.storage import versions
from restore.storage.access import AccessPolicy

HASHES = {"engine_hashes": {"auto": "e"}, "engine": "auto", "recipe_hash": "r"}
PHOTOS = 24


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("photos")
    paths = [folder / f"{number:03d}.jpg" for number in range(PHOTOS)]
    for path in paths:
        path.write_bytes(path.name.encode())
    return [str(path) for path in paths]


def manifest(images: Sequence[str], priorities: Sequence[float | None]) -> pa.Table:
    rows = [
        {"row": number, "item_id": Path(image).stem, "image": image, "priority": priority, "overrides": "{}"}
        | {"image_listed": False, "mask_listed": False}
        for number, (image, priority) in enumerate(zip(images, priorities, strict=False), start=2)
    ]
    return pa.Table.from_pylist(rows, schema=NORMAL_SCHEMA)


def committed(images: Sequence[str], fates: Sequence[str]) -> pa.Table:
    """Rows of earlier runs. A fate has a letter a run, in upper case for an earlier version of the photo."""
    found, rows = versions(images), []
    for image, fate in zip(images, fates, strict=False):
        for letter in fate:
            version = found[image] if letter.islower() else "older"
            code = {"f": "storage_unavailable", "u": "image_unreadable"}.get(letter.lower())
            rows.append(
                {"row_id": f"{len(rows):06d}-00000-000000", "item_id": Path(image).stem, "overrides": "{}"}
                | {"status": "failed" if code else "restored", "error_code": code, "image_version": version}
                | {"recipe_hash": "r", "engine_hash": "e", "pipeline_version": PIPELINE_VERSION}
                | {"work_key": work_key(version, None, "r", "{}", "e")}
            )
    return pa.Table.from_pylist(rows, schema=OUTCOME_SCHEMA)


def plans(images: Sequence[str], rows: pa.Table, past: pa.Table, limit: int) -> tuple[Plan, Plan]:
    """The plan of all rows with a limit, and that of the first rows."""
    policy = AccessPolicy((str(Path(images[0]).parent.resolve()),))
    compare: Any = partial(plan, committed=past, limit=limit, **HASHES)
    return compare(fill_versions(rows, policy)), plan_first(as_given(rows), policy, limit, compare)


FATES = st.lists(st.text("dDfFuU", max_size=3) | st.just("d") | st.just(""), min_size=PHOTOS, max_size=PHOTOS)
PRIORITIES = st.lists(st.sampled_from([None, None, 1.0, 2.0]), min_size=PHOTOS, max_size=PHOTOS)


@settings(max_examples=12, deadline=None)
@given(FATES, PRIORITIES, st.integers(0, 8))
def test_the_rows_to_do_are_those_of_the_whole_plan(
    photos: list[str], fates: list[str], priorities: list[float | None], limit: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(first_rows, "FIRST_ROWS", 2)
        patch.setattr(first_rows, "GROWTH", 2)
        whole, first = plans(photos, manifest(photos, priorities), committed(photos, fates), limit)
    assert first.todo.to_table() == whole.todo.to_table()
    assert sum(first.counts.values()) == sum(whole.counts.values()) == PHOTOS


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files whose versions are looked up, in the order of the look-ups."""
    names: list[str] = []

    def looked_up(uris: Sequence[str]) -> dict[str, str | None]:
        names.extend(sorted(Path(uri).stem for uri in uris))
        return versions(uris)

    monkeypatch.setattr(planning_versions, "versions", looked_up)
    monkeypatch.setattr(first_rows, "FIRST_ROWS", 4)
    monkeypatch.setattr(first_rows, "GROWTH", 2)
    return names


def looked_up(
    photos: list[str], fates: list[str], asked: list[str], limit: int = 2
) -> tuple[Plan, list[str]]:
    rows, past = manifest(photos, [None] * PHOTOS), committed(photos, fates)
    policy = AccessPolicy((str(Path(photos[0]).parent.resolve()),))
    compare: Any = partial(plan, committed=past, limit=limit, **HASHES)
    return plan_first(as_given(rows), policy, limit, compare), sorted(set(asked))


def test_versions_are_looked_up_until_the_limit_is_reached(photos: list[str], asked: list[str]) -> None:
    found, names = looked_up(photos, ["d"] * 5, asked)
    assert found.todo.to_table()["item_id"].to_pylist() == ["005", "006"]
    assert names == [f"{number:03d}" for number in range(8)]
    assert found.counts == {"done": 5, "new": 2, "over_limit": 1, "not_looked_up": 16}


def test_a_photo_that_failed_waits_for_those_further_on(photos: list[str], asked: list[str]) -> None:
    found, names = looked_up(photos, ["f", "d", "f", "d", "f", "d", "d", "d"], asked)
    assert found.todo.to_table()["item_id"].to_pylist() == ["008", "009"]
    assert len(names) == 16


def test_all_is_looked_up_where_no_row_is_planned(photos: list[str], asked: list[str]) -> None:
    found, names = looked_up(photos, ["d"] * PHOTOS, asked)
    assert found.counts == {"done": PHOTOS} and len(names) == PHOTOS


def test_a_small_manifest_is_counted_whole(
    photos: list[str], asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(first_rows, "FIRST_ROWS", PHOTOS)
    found, names = looked_up(photos, ["d", "u"], asked)
    assert found.counts == {"done": 1, "failed_before": 1, "new": 2, "over_limit": PHOTOS - 4}
    assert len(asked) == len(names) == PHOTOS, "each once"


def test_a_manifest_with_versions_is_compared_whole(photos: list[str], asked: list[str]) -> None:
    rows = manifest(photos, [None] * PHOTOS)
    rows = rows.set_column(
        rows.schema.get_field_index("image_version"), "image_version", pa.array(["v"] * PHOTOS)
    )
    compare: Any = partial(plan, committed=OUTCOME_SCHEMA.empty_table(), limit=1, **HASHES)
    found = plan_first(as_given(rows.cast(NORMAL_SCHEMA)), AccessPolicy(()), 1, compare)
    assert found.counts == {"new": 1, "over_limit": PHOTOS - 1} and not asked
