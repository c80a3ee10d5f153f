"""Whether this interpreter has the libraries that a command needs, in one line and not a traceback."""

from __future__ import annotations

import sys
from importlib.util import find_spec

LIBRARIES = ("ray", "pyarrow", "duckdb", "pyvips", "cv2", "pydantic", "cyclopts", "fsspec")


def require() -> None:
    """End the process with one line when `python -m` runs a command without the libraries.

    A program that imports this package meets Python's own ImportError instead: `-m` alone stands in
    `sys.argv[0]` while the command's package is imported.
    """
    missing = [name for name in LIBRARIES if find_spec(name) is None]
    if missing and sys.argv[:1] == ["-m"]:
        sys.exit(
            f"silverprint: {sys.executable} lacks {', '.join(missing)}; run `make install`, then use "
            ".venv/bin/python, or activate .venv"
        )
