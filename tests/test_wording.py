"""Wording: messages below the commands name settings, and plain English keeps its terms."""

from __future__ import annotations

import re
import subprocess
import tokenize
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

COMMAND_LINES = (
    "restore/cli.py",
    "restore/weights/",
    "manifests/__main__.py",
    "manifests/commands/",
)

UNCLEAR = re.compile(
    r"(?<![a-z])(told|gone|whoever|so (many|much|few)|of ours|of our own|no more(?! than))(?![a-z])",
    re.IGNORECASE,
)
"""Words that this project replaces: a value or a name, missing, any, a number, its, no longer."""

NOT_OURS = re.compile(
    r"vendor/|support/data/|constraints\.txt|LICENSE|\.png$|\.gitignore|tests/test_wording\.py"
)


def files() -> list[str]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


def texts(name: str) -> Iterator[tuple[int, str]]:
    """Yield the line and the text of each string and comment of a Python file."""
    with (ROOT / name).open("rb") as file:
        for token in tokenize.tokenize(file.readline):
            if token.type in {tokenize.STRING, tokenize.COMMENT}:
                yield token.start[0], token.string


def test_only_command_lines_name_flags() -> None:
    """`restore` and the rest of `manifests` serve callers without flags: they name the setting."""
    below = [name for name in files() if re.match(r"(restore|manifests)/.*\.py$", name)]
    flags = [
        f"{name}:{line}: {flag}"
        for name in below
        if not name.startswith(COMMAND_LINES)
        for line, text in texts(name)
        for flag in re.findall(r"(?<![\w-])--[a-z][a-z-]+", text)
    ]
    assert not flags, "\n".join(flags)


def test_unclear_words_stay_away() -> None:
    found = [
        f"{name}:{number}: {line.strip()}"
        for name in files()
        if not NOT_OURS.search(name)
        for number, line in enumerate((ROOT / name).read_text().splitlines(), 1)
        if UNCLEAR.search(line)
    ]
    assert not found, "\n".join(found)
