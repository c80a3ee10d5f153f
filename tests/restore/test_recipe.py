"""Recipe: layers, validation, and errors that name field, value and what is allowed."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from restore.errors import ErrorCode, ItemError, UsageError
from restore.recipe import (
    FIXED_AT_LOAD,
    INTRODUCED,
    Models,
    Recipe,
    base_steps,
    load_recipe,
    override_kinds,
    with_overrides,
)


def test_each_layer_overrides_the_one_before() -> None:
    recipe = load_recipe("feather = 8\nquality = 90\n", {"quality": "80"})
    assert (recipe.feather, recipe.quality, recipe.seed) == (8, 80, 0)
    row = with_overrides(recipe, {"quality": 70, "prompt": "a street"})
    assert (row.feather, row.quality, row.prompt) == (8, 70, "a street")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"feathr": "1"}, ("feathr", "feather")),
        ({"feather": "soft"}, ("feather", "'soft'", "integer")),
        ({"feather": "65"}, ("feather", "'65'", "64")),
        ({"dilate_kernel": "4"}, ("dilate_kernel", "'4'", "3 or 5")),
        ({"engine": "magic"}, ("engine", "'magic'", "telea")),
        ({"guidance_scale": "nan"}, ("guidance_scale", "finite")),
        ({"strength": "0.1"}, ("strength=0.1", "high_noise_frac=0.8", "refine=false")),
        ({"models.inpant": "x"}, ("models.inpant", "did you mean models.inpaint")),
        ({"models": "x"}, ("models", "dictionary")),
        ({"dtype": "float64"}, ("dtype", "'float64'", "bfloat16")),
        ({"engine": "sdxl", "models.refiner": ""}, ("models.refiner", "refine=false")),
        ({"expand": "1,2,3"}, ("expand", "left,top,right,bottom")),
        ({"expand": "1,2,3,-4"}, ("expand", "8192")),
        ({"expand": "8,0,0,0"}, ("expand=8,0,0,0", "mode=outpaint")),
    ],
)
def test_errors_name_field_value_and_what_is_allowed(
    settings: dict[str, str], words: tuple[str, ...]
) -> None:
    with pytest.raises(UsageError) as caught:
        load_recipe(None, settings)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_all_faults_are_reported_at_once() -> None:
    with pytest.raises(UsageError) as caught:
        load_recipe("feather = 99\nseed = -1\n")
    assert "feather" in str(caught.value) and "seed" in str(caught.value)


def test_broken_toml_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="TOML"):
        load_recipe("feather = ")


def test_a_bad_row_value_is_the_rows_fault() -> None:
    with pytest.raises(ItemError) as caught:
        with_overrides(Recipe(), {"num_inference_steps": "many"})
    assert caught.value.code is ErrorCode.INVALID_ROW
    assert "num_inference_steps" in caught.value.message and "'many'" in caught.value.message


def test_a_recipe_is_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Recipe().feather = 3  # type: ignore[misc]


def test_the_defaults_that_hashes_leave_out_are_golden() -> None:
    """A changed value here redoes every photo. Record the former default in CHANGED_DEFAULTS instead."""
    assert dict(INTRODUCED) == {
        "engine": "auto",
        "prompt": "",
        "negative_prompt": "",
        "num_inference_steps": 30,
        "guidance_scale": 7.5,
        "strength": 0.99,
        "high_noise_frac": 0.8,
        "refine": True,
        "seed": 0,
        "scheduler": "checkpoint",
        "mask_polarity": "white_is_damage",
        "mask_threshold": 128,
        "dilate_kernel": 5,
        "dilate_iterations": 1,
        "feather": 4,
        "window_context": 64,
        "thin_radius": 3.0,
        "max_coverage": 0.6,
        "seed_key": "",
        "output_format": "source",
        "quality": 95,
        "mode": "inpaint",
        "expand": "0,0,0,0",
        "guidance_cutoff": 1.0,
    }


def test_the_models_are_golden() -> None:
    assert Recipe().models.model_dump() == {
        "inpaint": "diffusers/stable-diffusion-xl-1.0-inpainting-0.1"
        "@115134f363124c53c7d878647567d04daf26e41e",
        "refiner": "stabilityai/stable-diffusion-xl-refiner-1.0@5d4cfe854c9a9a87939ff3653551c2b3c99a4356",
        "vae": "madebyollin/sdxl-vae-fp16-fix@207b116dae70ace3637169f1ddd2434b91b3a8cd",
        "sd2": "sd2-community/stable-diffusion-2-inpainting@5f74973cbb64c8568780732c17f43eb269d63a0d",
    }


def test_models_are_set_one_by_one_over_the_files_table() -> None:
    recipe = load_recipe('[models]\ninpaint = "/m/a"\nvae = ""\n', {"models.refiner": "s3://m/r"})
    assert (recipe.models.inpaint, recipe.models.refiner, recipe.models.vae) == ("/m/a", "s3://m/r", "")
    assert recipe.models.sd2 == Models().sd2


def test_default_models_are_pinned_to_a_commit() -> None:
    assert all(re.fullmatch(r"[\w-]+/[\w.-]+@[0-9a-f]{40}", name) for name in Models().model_dump().values())


@pytest.mark.parametrize("spelled", ["10, 0,20,5", [10, 0, 20, 5], "10,00,20,5"])
def test_expand_has_one_spelling(spelled: object) -> None:
    recipe = Recipe.model_validate({"expand": spelled, "mode": "outpaint"})
    assert recipe.expand == "10,0,20,5" and recipe.margins == (10, 0, 20, 5)


def test_what_an_actor_fixes_at_load_is_no_row_override() -> None:
    assert not set(FIXED_AT_LOAD) & set(override_kinds())


def test_override_kinds_are_golden() -> None:
    kinds = override_kinds()
    assert kinds["prompt"] == "str" and kinds["seed"] == "int"
    assert kinds["strength"] == "float" and kinds["refine"] == "bool" and kinds["engine"] == "str"


@given(steps=st.integers(1, 200), strength=st.floats(0.01, 1), split=st.floats(0.01, 0.99))
def test_an_accepted_recipe_leaves_the_base_a_step(steps: int, strength: float, split: float) -> None:
    settings = {"num_inference_steps": steps, "strength": strength, "high_noise_frac": split}
    try:
        recipe = Recipe.model_validate(settings)
    except ValueError:
        loose = Recipe.model_construct(**{**Recipe().model_dump(), **settings})
        assert base_steps(loose) < 1
    else:
        assert 1 <= base_steps(recipe) <= steps


@pytest.mark.parametrize("scale", [0.0, 1.0])
def test_a_negative_prompt_that_would_do_nothing_is_refused(scale: float) -> None:
    with pytest.raises(ValueError, match="negative_prompt would do nothing; raise guidance_scale above 1"):
        Recipe(negative_prompt="blur", guidance_scale=scale)
    assert Recipe(negative_prompt="blur", guidance_scale=1.1).negative_prompt == "blur"
    with pytest.raises(ItemError, match="negative_prompt would do nothing"):
        with_overrides(Recipe(guidance_scale=scale), {"negative_prompt": "blur"})


def test_a_recipe_survives_json() -> None:
    recipe = Recipe(prompt="größer\n", seed=2**63 - 1)
    assert Recipe.model_validate(json.loads(json.dumps(recipe.model_dump()))) == recipe
