"""The table of methods: every user of it reads the rows, and a new row is enough."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cluster.profiles import PROFILES
from restore import identity
from restore.engines import build
from restore.engines.cost import TABLE
from restore.errors import EngineError
from restore.methods import METHODS, TRAINED, UNTRAINED, sizes_of
from restore.recipe import Recipe

ROOT = Path(__file__).resolve().parents[2]

# Adds a row before anything reads the table, as an edit of methods.py would.
NEW_ROW = """
import sys, types
import restore.methods as methods
source = open(methods.__file__).read().replace(
    '"ns": MethodRow(engine=_CLASSICAL),',
    '"ns": MethodRow(engine=_CLASSICAL), "toy": MethodRow(engine=Engine("toy", 7, "toy_engine:build")),',
)
assert "toy_engine" in source
exec(compile(source, methods.__file__, "exec"), methods.__dict__)
sys.modules["toy_engine"] = types.SimpleNamespace(build=lambda config: "the toy engine")
"""


def with_new_row(code: str) -> str:
    """What `code` prints in a process whose table has one more row."""
    run = subprocess.run(
        [sys.executable, "-c", NEW_ROW + code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()


def test_an_unknown_method_is_no_engine() -> None:
    with pytest.raises(EngineError, match=f"engine=magic is not known; known are {', '.join(METHODS)}"):
        build(["magic"])


def test_a_new_row_is_built_by_its_own_builder() -> None:
    code = "from restore.engines import build; print(build(['toy'])['toy'])"
    assert with_new_row(code) == "the toy engine"


def test_a_new_row_is_accepted_by_the_recipe_and_hashed_by_its_own_version() -> None:
    code = (
        "from restore.recipe import Recipe; from restore import identity; "
        "print(Recipe(engine='toy').engine, identity.engine_hash('toy'), identity.engine_hash('ns'))"
    )
    expected = identity.sha256_text('["toy",7]'), identity.engine_hash("ns")
    assert with_new_row(code) == f"toy {expected[0]} {expected[1]}"


def test_a_new_row_is_selected_with_its_own_hash() -> None:
    code = (
        "from restore.engines import EngineConfig; from restore.engines.selection import select_engines; "
        "from restore.recipe import Recipe; "
        "found = select_engines({'toy'}, 'ns', Recipe(engine='toy'), EngineConfig()); "
        "print(found.methods, found.hashes['toy'])"
    )
    assert with_new_row(code) == "('toy',) " + identity.sha256_text('["toy",7]')


@pytest.mark.parametrize("method", METHODS)
def test_a_recipe_may_name_every_method(method: str) -> None:
    assert Recipe(engine=method).engine == method


def test_every_window_size_has_a_cost() -> None:
    assert {size for method in METHODS for size in sizes_of(method) or ()} == set(TABLE)


def test_methods_with_weights_paint_windows_of_fixed_sizes() -> None:
    assert all(sizes_of(method) for method in TRAINED) and {"sdxl", "sd2"} <= set(TRAINED)
    assert {"telea", "ns"} <= set(UNTRAINED)


def test_every_profile_means_a_method_by_auto() -> None:
    assert {profile.auto for profile in PROFILES.values()} <= set(METHODS)
