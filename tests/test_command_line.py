"""A command line from a settings class: options by name, arguments by place."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from restore.command_line import argument, option, parse


@dataclass(frozen=True, kw_only=True)
class Example:
    store: str = argument("one", metavar="OUT")
    files: tuple[str, ...] = argument("one or more", metavar="FILE")
    count: int | None = option("a number", None, metavar="N")
    name: str = option("must be given", metavar="NAME")
    deep: bool = option("a switch", False)


def parsed(*argv: str) -> Example:
    return parse(Example, "example", "An example.", argv)


def test_arguments_by_place_and_options_by_name() -> None:
    given = parsed("out", "a", "b", "--name", "n", "--count", "3", "--deep")
    assert given == Example(store="out", files=("a", "b"), count=3, name="n", deep=True)


def test_an_option_left_out_takes_its_default() -> None:
    assert parsed("out", "a", "--name", "n") == Example(store="out", files=("a",), name="n")


@pytest.mark.parametrize("argv", [[], ["out"], ["out", "a"], ["out", "a", "--name", "n", "--count", "x"]])
def test_what_is_missing_or_no_number_ends_with_2(argv: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parsed(*argv)
    assert caught.value.code == 2
