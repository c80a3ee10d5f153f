"""Variants: the axes of a grid, the tables of a file, and what cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.compare.variants import of_file, of_grid
from restore.errors import UsageError


def names(*axes: str) -> list[str]:
    return [variant.name for variant in of_grid(axes, None, ()).possible]


def test_a_grid_is_the_product_of_its_axes() -> None:
    found = of_grid(["dilate_kernel=1,5", "feather=0,4"], None, ["prompt=a wall"])
    assert [variant.name for variant in found.possible] == [
        "dilate_kernel=1, feather=0",
        "dilate_kernel=1, feather=4",
        "dilate_kernel=5, feather=0",
        "dilate_kernel=5, feather=4",
    ]
    last = found.possible[-1]
    assert last.fields == {"dilate_kernel": "5", "feather": "4"} and last.recipe.prompt == "a wall"
    assert not found.impossible


def test_seeds_are_a_range_or_drawn() -> None:
    assert names("seed=1..4") == [f"seed={seed}" for seed in range(1, 5)]
    three, five = names("seed=random:3"), names("seed=random:5")
    assert five[:3] == three and len(set(five)) == 5, "more of them keep the first ones"
    other = [variant.name for variant in of_grid(["seed=random:3"], None, ["seed=7"]).possible]
    assert not set(other) & set(three)


def test_a_value_with_a_comma_is_quoted() -> None:
    found = of_grid(['prompt="a wall, of brick",sky'], None, ()).possible
    assert [variant.recipe.prompt for variant in found] == ["a wall, of brick", "sky"]


def test_cells_that_cannot_be_are_left_out_with_their_reason() -> None:
    found = of_grid(["strength=0.1,0.99", "high_noise_frac=0.7,0.9"], None, ())
    assert [variant.name for variant in found.possible] == [
        f"strength=0.99, high_noise_frac={split}" for split in (0.7, 0.9)
    ]
    assert set(found.impossible) == {f"strength=0.1, high_noise_frac={split}" for split in (0.7, 0.9)}
    assert all("leaves the base no step" in why for why in found.impossible.values())


@pytest.mark.parametrize(
    ("axes", "words"),
    [
        (["feather"], "give it as NAME=V1,V2"),
        (["feather="], "give it as NAME=V1,V2"),
        (["feather=1,1"], "a value comes twice"),
        (["feather=1", "feather=2"], "an axis already"),
        (["feathr=1,2"], "feather"),
        (["feather=99"], "99"),
        (["seed=8..1"], "must rise"),
        (["seed=1..600"], "at most"),
        (['prompt="a'], "double quote"),
        (["seed=1..400", "feather=1,2"], "400 seed x 2 feather are 800 variants"),
        (["strength=0.8,0.80"], "make the same pictures"),
    ],
)
def test_an_axis_that_cannot_be_read_is_named(axes: list[str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        of_grid(axes, None, ())


def test_a_file_names_its_variants(tmp_path: Path) -> None:
    file = tmp_path / "variants.toml"
    file.write_text(
        '[variants.base]\nrefine = false\n[variants."refiner + dilated"]\ndilate_kernel = 9\n'
        '[variants.wide]\nmode = "outpaint"\nexpand = [8, 0, 0, 0]\n[variants.half]\ndtype = "bfloat16"\n'
        '[variants.other.models]\ninpaint = "/weights/other"\n'
    )
    found = {variant.name: variant for variant in of_file(str(file), None, ()).possible}
    assert list(found) == ["base", "refiner + dilated", "wide", "half", "other"]
    assert found["base"].overrides == {"refine": "false"} and found["wide"].recipe.margins == (8, 0, 0, 0)
    assert found["half"].fixed == ("dtype=bfloat16",) and not found["half"].overrides
    assert found["other"].fixed == ("models.inpaint=/weights/other",)
    assert found["other"].recipe.models.named("inpaint") == "/weights/other"


@pytest.mark.parametrize(
    "text", ["", "feather = 3", "[variants]", "[variants]\na = 3", "[variants.a", "[x.a]"]
)
def test_a_file_without_variants_says_what_to_write(tmp_path: Path, text: str) -> None:
    file = tmp_path / "variants.toml"
    file.write_text(text)
    with pytest.raises(UsageError, match="--variants"):
        of_file(str(file), None, ())


def test_a_name_becomes_the_end_of_an_id() -> None:
    (plain,) = of_grid(["prompt=a wall? [brick/stone]"], None, ()).possible
    assert plain.segment == "prompt=a wall%3F %5Bbrick%2Fstone%5D"
    one, other = of_grid([f"prompt={'brick ' * 60}a,{'brick ' * 60}b"], None, ()).possible
    assert one.segment != other.segment and len(one.segment.encode()) <= 120
