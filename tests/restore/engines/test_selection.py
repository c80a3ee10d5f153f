"""Choice: which engines a run loads, from what, and what their pictures hash to."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from restore import identity
from restore.engines import EngineConfig
from restore.engines.selection import EngineSelection, select_engines
from restore.errors import EngineError
from restore.recipe import Models, Recipe
from restore.weights.cache import ensure
from tests.support.tiny_checkpoints import Checkpoints

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SILVERPRINT_WEIGHTS", str(tmp_path / "cache"))


def recipe(checkpoints: Checkpoints, **more: object) -> Recipe:
    names = {role: str(getattr(checkpoints, role)) for role in ("inpaint", "refiner", "vae", "sd2")}
    return Recipe(models=Models(**names), **more)  # type: ignore[arg-type]


def chosen(names: set[str], auto: str, wanted: Recipe) -> EngineSelection:
    return select_engines(names, auto, wanted, EngineConfig())  # type: ignore[arg-type]


def test_the_classical_engines_need_no_weights() -> None:
    choice = chosen({"auto", "telea"}, "ns", Recipe())
    assert choice.methods == ("ns", "telea") and not choice.weights
    classical = dict.fromkeys(("auto", "ns", "telea"), identity.engine_hash("ns"))
    assert choice.hashes == {**classical, "heal": identity.engine_hash("heal")}


def test_auto_on_a_gpu_is_two_engines_and_a_hash_of_both(checkpoints: Checkpoints) -> None:
    choice = chosen(set(), "sdxl", recipe(checkpoints))
    assert choice.methods == ("ns", "sdxl") and set(choice.weights) == {"inpaint", "refiner", "vae"}
    assert choice.hashes["auto"] not in (choice.hashes["sdxl"], choice.hashes["ns"])
    assert [row["role"] for row in choice.rows()["sdxl"]] == ["inpaint", "refiner", "vae"]
    assert choice.rows()["ns"] == ()
    assert choice.directories() == {role: str(getattr(checkpoints, role)) for role in choice.weights}


def test_the_hash_tells_weights_and_dtype_apart(checkpoints: Checkpoints) -> None:
    asked = {"sdxl"}
    first = chosen(asked, "ns", recipe(checkpoints)).hashes["sdxl"]
    assert chosen(asked, "ns", recipe(checkpoints, offload="model", compile="full")).hashes["sdxl"] == first
    assert chosen(asked, "ns", recipe(checkpoints, dtype="float32")).hashes["sdxl"] != first
    base = recipe(checkpoints)
    own_vae = base.model_copy(update={"models": base.models.model_copy(update={"vae": ""})})
    assert chosen(asked, "ns", own_vae).hashes["sdxl"] != first


def test_a_row_may_ask_for_what_the_recipe_does_not(checkpoints: Checkpoints) -> None:
    choice = chosen({"sd2", "telea", "magic"}, "ns", recipe(checkpoints, engine="telea"))
    assert choice.methods == ("sd2", "telea") and set(choice.weights) == {"sd2"}
    assert "magic" not in choice.hashes


def test_a_node_with_other_weights_is_found_out(checkpoints: Checkpoints, tmp_path: Path) -> None:
    copied = Path(shutil.copytree(checkpoints.vae, tmp_path / "vae"))
    choice = chosen({"sdxl"}, "ns", recipe(replace(checkpoints, vae=copied)))
    (copied / "config.json").write_text((copied / "config.json").read_text() + "\n")
    with pytest.raises(EngineError, match=r"models\.vae.*not the same on this node"):
        choice.directories()
    assert ensure(["vae"], choice.models)["vae"].digest != choice.weights["vae"].digest


def test_the_driver_needs_no_torch() -> None:
    code = (
        "import restore.pipeline.flow, sys; sys.exit(any(m in sys.modules for m in ('torch', 'diffusers')))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
