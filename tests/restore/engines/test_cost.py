"""Cost: the real models counted on the meta device, and the table that planning uses."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import astuple
from pathlib import Path

import pytest
import torch
from diffusers import UNet2DConditionModel

from restore.engines.cost import MEASURED, RATES, TABLE, window_tflop
from restore.engines.diffusion.flops import SD2, gigabytes, models, tflop, unet_tflop
from restore.methods import SDXL_SIZES, sizes_of
from restore.recipe import Recipe

ROOT = Path(__file__).resolve().parents[3]


def test_the_real_models_are_as_large_as_the_published_ones() -> None:
    sizes = {name: gigabytes(model) for name, model in models().items()}
    published = {"base": 5.14, "refiner": 4.52, "vae": 0.17, "text_encoder": 0.25, "text_encoder_2": 1.39}
    assert sizes == pytest.approx(published, rel=0.01, abs=0.005)
    assert sum(sizes.values()) == pytest.approx(11.5, rel=0.01), "the second text encoder and VAE are shared"


@pytest.mark.parametrize(
    ("side", "expected"),
    [(512, (1.59, 1.62, 1.12, 2.51)), (1024, (6.76, 7.29, 4.88, 10.47))],
)
def test_their_arithmetic_is_as_counted_elsewhere(side: int, expected: tuple[float, ...]) -> None:
    counted = tflop(models(), (side, side))
    assert astuple(counted) == pytest.approx(expected, rel=0.01)
    if (side, side) in SDXL_SIZES:
        assert astuple(counted) == pytest.approx(astuple(TABLE[side, side]), rel=1e-3), "the table is stale"


def test_every_window_size_is_in_the_table() -> None:
    assert set(TABLE) == {*SDXL_SIZES, *(sizes_of("sd2") or ())}
    with torch.device("meta"):
        sd2 = UNet2DConditionModel(**SD2)
    assert unet_tflop(sd2, (512, 512)) == pytest.approx(TABLE[512, 512].base, rel=1e-3)


def test_a_window_costs_what_its_calls_do() -> None:
    size = (1024, 1024)
    base, refiner, vae = 6.762, 7.286, 2 * 4.879 + 10.470
    recipe = Recipe(num_inference_steps=10, strength=1.0, refine=False, guidance_scale=1.0)
    assert window_tflop(size, recipe, "sdxl") == pytest.approx(vae + 10 * base)
    guided = recipe.model_copy(update={"guidance_scale": 7.5})
    assert window_tflop(size, guided, "sdxl") == pytest.approx(vae + 20 * base)
    half = guided.model_copy(update={"guidance_cutoff": 0.5})
    assert window_tflop(size, half, "sdxl") == pytest.approx(vae + 15 * base)
    both = guided.model_copy(update={"refine": True})
    assert window_tflop(size, both, "sdxl") == pytest.approx(vae + 16 * base + 4 * refiner)
    late = both.model_copy(update={"guidance_cutoff": 0.9})
    assert window_tflop(size, late, "sdxl") == pytest.approx(vae + 16 * base + 3 * refiner)
    comparator = 2 * 1.117 + 2.515 + 20 * 0.804
    assert window_tflop((512, 512), both, "sd2") == pytest.approx(comparator), "no refiner there"


def test_the_rates_are_the_measured_one_and_others_by_the_benchmark() -> None:
    assert list(RATES) == sorted(RATES, key=lambda name: -RATES[name])
    assert RATES[MEASURED] == pytest.approx(287) and RATES["H100"] / RATES["L4"] == pytest.approx(2.26 / 0.25)


def test_planning_needs_no_torch() -> None:
    code = "import restore.engines.cost, sys; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
