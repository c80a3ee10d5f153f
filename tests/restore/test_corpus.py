"""Every difficult input of `tests.support.corpus` on a photo's way, without Ray: its typed outcome."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from restore import engines, identity
from restore.item import Item
from restore.outcome import Outcome
from restore.photo.paint import paint
from restore.photo.prepare import prepare
from restore.photo.state import Job
from restore.recipe import Recipe
from restore.storage import AccessPolicy, OutStore, resolve
from tests.support import corpus
from tests.support.corpus import Kind, kinds
from tests.support.photos import finish

ENGINES = engines.build(["telea"])
SECONDS = 10
"""No kind takes a tenth of this on an idle machine; what takes minutes is a hang."""


def restored(kind: Kind, folder: Path) -> tuple[Outcome, OutStore]:
    inputs = folder / "in"
    inputs.mkdir()
    row = corpus.write(kind, inputs, 0)
    base = str(inputs / "manifest.csv")
    store = OutStore.open(str(folder / "out"))
    job = Job(
        run_id="run",
        recipe=Recipe(),
        auto="telea",
        engine_hashes={name: identity.engine_hash("ns") for name in ("auto", "telea", "ns")},
        store=store,
        access=AccessPolicy((str(inputs.resolve()),)),
        software_version="0",
    )
    item = Item(
        item_id=row["item_id"],
        image=resolve(row["image"], base),
        mask=resolve(row["mask"], base) if "mask" in row else None,
        overrides=identity.overrides_json(kind.columns),
        work_key="0123456789abcdef",
    )
    prepared = prepare(item, job)
    painted = paint([prepared], ENGINES, 8)[0]
    return (painted if isinstance(painted, Outcome) else finish(painted, job)), store


@pytest.mark.parametrize("kind", kinds(), ids=lambda kind: kind.name[:60])
def test_a_difficult_input_has_its_outcome(kind: Kind, tmp_path: Path) -> None:
    began = time.monotonic()
    outcome, store = restored(kind, tmp_path)
    assert (outcome.status, outcome.error_code) == (kind.status, kind.code), outcome.error_message
    assert time.monotonic() - began < SECONDS
    if kind.code:
        assert outcome.error_message and outcome.output is None and store.names() == []
        return
    assert outcome.output and (outcome.proof, outcome.changed_outside_mask) == ("exact", 0)
    output = store.read(outcome.output)
    if kind.status == "copied":
        assert output == kind.image
    else:
        assert corpus.known_pixels_changed(kind, output) == 0


def test_there_are_kinds_enough_and_each_is_its_own() -> None:
    names = [kind.name for kind in kinds()]
    assert len(set(names)) == len(names) >= 60
    assert {kind.status for kind in kinds()} == {"restored", "copied", "failed"}
