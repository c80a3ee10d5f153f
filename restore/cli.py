"""A command line derived from a settings class: one dataclass field, one option or argument.

Cyclopts reads the fields' `Annotated` types. Measured against tyro 1.0, it takes `--set a=1 b=2 --set c=3` as
one list of three, says what is wrong in one line, and writes completions for bash, zsh and fish.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Annotated, Any, NoReturn, TypeVar

from cyclopts import App, CycloptsError, Parameter, UnknownCommandError
from rich.console import Console

from restore.errors import ItemError, SystemicError

T = TypeVar("T")

HELP_WIDTH = 100

FLAT = Parameter(name="*")
"""Annotates a command's settings: their fields are its options, without a prefix."""


def option(
    text: str, metavar: str | None = None, choices: Sequence[str] | None = None, alias: str | None = None
) -> Parameter:
    """What the help says of a settings field that is given by name: `--field-name VALUE`."""
    return Parameter(help=text, metavar=metavar, choices=choices, alias=alias, negative=())


def options(text: str, metavar: str) -> Parameter:
    """A field that takes several values after its name, and may be named again."""
    return Parameter(help=text, metavar=metavar, consume_multiple=(1, None), negative=(), show_default=False)


def argument(text: str) -> Parameter:
    """A field that is given by its place. Its dataclass is not keyword-only; its options' fields are."""
    return Parameter(help=text, negative=())


def application(name: str, text: str, **more: Any) -> App:
    """An empty command line: `--help`, `--version`, plain text, one line for an error."""
    console = Console(width=HELP_WIDTH, markup=False, highlight=False, emoji=False)
    return App(
        name=name,
        help=text,
        version=version("silverprint"),
        help_format="plaintext",
        help_formatter="plain",
        console=console,
        result_action="return_value",
        **more,
    )


def add_command(app: App, name: str, kind: type[T], run: Callable[[T], int]) -> None:
    """A command of `app`: its options from the settings class, its help from the docstring of `run`."""

    def command(settings: T) -> int:
        return run(settings)

    command.__annotations__ = {"settings": Annotated[kind, FLAT]}
    command.__doc__ = run.__doc__
    app.command(command, name=name)


def parse(kind: type[T], prog: str, description: str, argv: Sequence[str] | None, **more: Any) -> T:
    """argv -> settings. Leaves the process with exit code 2 on a bad command line."""
    app = application(prog, description, **more)
    app.default(_identity(kind))
    settings: T = call(app, argv)
    return settings


def call(app: App, argv: Sequence[str] | None) -> Any:
    """Run the command that `argv` names. Leaves the process with exit code 2 on a bad command line."""
    words = sys.argv[1:] if argv is None else list(argv)
    if not words and app.default_command is None:
        app.help_print(console=Console(stderr=True, width=HELP_WIDTH, markup=False, highlight=False))
        raise SystemExit(2)
    try:
        found = app(words, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        name = " ".join(app.name)
        print(f"silverprint: {_one_line(error)} ({name} --help lists what there is)", file=sys.stderr)
        raise SystemExit(2) from None
    if found is None:
        raise SystemExit(0)  # help or version was printed
    return found


def _identity(kind: type[T]) -> Callable[[T], T]:
    def settings_of(settings: T) -> T:
        return settings

    settings_of.__annotations__ = {"settings": Annotated[kind, FLAT]}
    return settings_of


def _one_line(error: CycloptsError) -> str:
    text = " ".join(str(error).split())
    if isinstance(error, UnknownCommandError) and error.app:  # its own list of commands ends after eight
        known = [name for name in error.app if not name.startswith("-")]
        text = text.partition(" Available commands:")[0] + f" Commands are {', '.join(known)}."
    return text


def exit_code(run: Callable[[], int]) -> int:
    """The exit code of `run`, which says on stderr why it could not go on."""
    try:
        return run()
    except SystemicError as error:
        print(f"silverprint: {error}", file=sys.stderr)
        return error.exit_code
    except ItemError as error:  # it belongs to no photo, so to a store that does not answer
        print(f"silverprint: {error.message}; what is committed stays", file=sys.stderr)
        return 1


def leave(code: int) -> NoReturn:
    """End the process with this exit code, without the interpreter's own shutdown.

    A scan of a store that was left before its last row still reads in Arrow's threads. One that comes to
    its Python part while the interpreter is being taken down aborts the process, exit code and all.
    """
    gc.collect()  # closes what holds temporary files
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
