"""Every photo of a manifest by every variant of a recipe.

python -m jobs.compare --manifest URI --output URI --grid dilate_kernel=1,5,9
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from jobs.compare.compare import compare
from jobs.settings import RECIPE_HELP, CompareSettings
from restore.cli import exit_code, leave, parse


def main(argv: Sequence[str] | None = None) -> int:
    """argv -> settings -> comparison -> exit code."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    name, text = "python -m jobs.compare", "Restore photos by several variants of a recipe."
    return exit_code(lambda: compare(parse(CompareSettings, name, text, argv, help_epilogue=RECIPE_HELP)))


if __name__ == "__main__":
    leave(main())
