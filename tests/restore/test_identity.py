"""Identity: golden hashes. When one of these changes, every archive in the world is painted again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from restore import identity
from restore.recipe import Models, Recipe


def test_recipe_hash_is_golden() -> None:
    assert identity.recipe_hash(Recipe()) == identity.sha256_text("{}")
    changed = Recipe(feather=8, prompt="straße")
    assert identity.recipe_hash(changed) == identity.sha256_text('{"feather":8,"prompt":"straße"}')
    assert identity.recipe_hash(changed) == "175ac70563f1a1731fc5551e330d518e114a79c745e0b17e630afad6384c0ff1"


def test_a_setting_at_its_first_default_is_left_out() -> None:
    assert identity.recipe_hash(Recipe(feather=4)) == identity.recipe_hash(Recipe())
    assert identity.recipe_hash(Recipe(feather=5)) != identity.recipe_hash(Recipe())


def test_work_key_is_golden() -> None:
    text = '["v1","e1",null,"r",{"seed":7},1,"h"]'
    key = identity.work_key("e1", None, "r", '{"seed":7}', "h")
    assert key == identity.sha256_text(text)
    assert key == "534361e71e1b4db32aaedb9c5185bb803fd5b49c5edc275ab6d67933e0f3d3ba"


def test_engine_hash_is_golden() -> None:
    assert identity.engine_hash("ns") == identity.sha256_text('["classical",2]')


def test_what_the_engine_is_loaded_with_is_in_its_hash_and_not_in_the_recipes() -> None:
    loaded = Recipe(models=Models(vae=""), dtype="float32", offload="model", compile="full")
    assert identity.recipe_hash(loaded) == identity.recipe_hash(Recipe())
    digests = {"inpaint": "a", "vae": "b"}
    assert identity.engine_hash("sdxl", "float16", digests) == identity.sha256_text(
        '["sdxl",1,"float16",{"inpaint":"a","vae":"b"}]'
    )
    assert identity.auto_hash("a", "b") == identity.sha256_text('["auto","a","b"]')


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"seed": "7"}, {"seed": 7}),
        ({"strength": "0.5"}, {"strength": 0.5}),
        ({"guidance_scale": 7}, {"guidance_scale": "7.0"}),
        ({"refine": "True"}, {"refine": True}),
        ({"seed": None, "prompt": "a"}, {"prompt": "a"}),
    ],
)
def test_csv_and_parquet_rows_have_the_same_overrides(
    one: dict[str, object], other: dict[str, object]
) -> None:
    assert identity.overrides_json(one) == identity.overrides_json(other)


def test_a_value_that_does_not_parse_stays_a_string() -> None:
    assert identity.overrides_json({"seed": "many"}) == '{"seed":"many"}'


def test_output_name_carries_twelve_digits_of_the_key() -> None:
    assert identity.output_name("a/b", "0123456789abcdef", "png") == "images/a/b.0123456789ab.png"


@given(st.integers(0, 2**63 - 1), st.text(max_size=20), st.integers(0, 50))
def test_seeds_differ_by_item_and_window(seed: int, item: str, window: int) -> None:
    one = identity.item_seed(seed, item, window)
    assert 0 <= one < 2**63
    assert one == identity.item_seed(seed, item, window)
    assert one != identity.item_seed(seed, item, window + 1)
    assert one != identity.item_seed(seed, item + "x", window)
