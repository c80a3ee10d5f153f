"""A run over the folder `in` into the store `out`."""

from __future__ import annotations

from pathlib import Path

import pytest

from restore import identity
from restore.photo.state import Job
from restore.recipe import Recipe
from restore.storage import AccessPolicy, OutStore


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(
        run_id="run",
        recipe=Recipe(),
        auto="telea",
        engine_hashes={name: identity.engine_hash("ns") for name in ("auto", "telea", "ns")},
        store=OutStore.open(str(tmp_path / "out")),
        access=AccessPolicy((str(tmp_path / "in"),)),
        software_version="0",
    )


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    return folder
