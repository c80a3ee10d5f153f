"""A command line, derived from its settings: one dataclass field, one option or argument; and its end."""

from __future__ import annotations

import argparse
import gc
import os
import sys
from collections.abc import Sequence
from dataclasses import MISSING, field, fields
from typing import Any, NoReturn, TypeVar, get_type_hints

T = TypeVar("T")


def argument(text: str, metavar: str) -> Any:
    """A settings field that is given by its place. A tuple takes one or more."""
    return field(metadata={"help": text, "metavar": metavar, "choices": None, "placed": True})


def option(text: str, default: Any = MISSING, metavar: str | None = None, choices: Any = None) -> Any:
    """A settings field with what its option's help says. Without a default it must be given."""
    metadata = {"help": text, "metavar": metavar, "choices": choices, "placed": False}
    if default is MISSING:
        return field(metadata=metadata)
    return field(default=default, metadata=metadata)


def parse(kind: type[T], prog: str, description: str, argv: Sequence[str] | None) -> T:
    """argv -> settings. Leaves the process with exit code 2 on a bad command line."""
    parser = argparse.ArgumentParser(prog=prog, description=description, allow_abbrev=False)
    hints = get_type_hints(kind)
    for setting in fields(kind):  # type: ignore[arg-type]
        _add(parser, setting.name, hints[setting.name], setting)
    values = vars(parser.parse_args(argv))
    for name, value in values.items():
        if isinstance(value, list):
            values[name] = tuple(value)
    return kind(**values)


def leave(code: int) -> NoReturn:
    """End the process with this exit code, and without Python's own end.

    A scan of a store that was left before its last row still reads in Arrow's threads. One that comes to
    its Python part while the interpreter is being taken down aborts the process, exit code and all.
    """
    gc.collect()  # what holds temporary files lets them go
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _add(parser: argparse.ArgumentParser, name: str, hint: Any, setting: Any) -> None:
    if setting.metadata["placed"]:
        many: dict[str, Any] = {"nargs": "+"} if hint == tuple[str, ...] else {}
        parser.add_argument(name, help=setting.metadata["help"], metavar=setting.metadata["metavar"], **many)
    else:
        _add_option(parser, name, hint, setting)


def _add_option(parser: argparse.ArgumentParser, name: str, hint: Any, setting: Any) -> None:
    flag = "--" + name.replace("_", "-")
    required = setting.default is MISSING
    common: dict[str, Any] = {"dest": name, "help": setting.metadata["help"]}
    if not required:
        common["default"] = setting.default
    if hint is bool:
        parser.add_argument(flag, action="store_true", **common)
    elif hint == tuple[str, ...]:
        common["default"] = []
        parser.add_argument(flag, nargs="+", action="extend", metavar=setting.metadata["metavar"], **common)
    else:
        kind = next((t for t in (int, float) if t in (hint, *getattr(hint, "__args__", ()))), str)
        parser.add_argument(
            flag,
            type=kind,
            required=required,
            metavar=setting.metadata["metavar"],
            choices=setting.metadata["choices"],
            **common,
        )
