"""numba's compiler: machine code of a function, kept on disk where the machine has a folder for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., object])


def compiled(function: Function) -> Function:
    """`function`, compiled at its first call. It lets other threads run, and does not reorder arithmetic.

    numba keeps the code in `__pycache__`, or in the user's cache folder where the package is read-only, and
    the next process reads it there. Where both are read-only, each process compiles it again.
    """
    try:
        return cast(Function, numba.njit(nogil=True, cache=True)(function))
    except RuntimeError:  # no folder to cache in
        return cast(Function, numba.njit(nogil=True)(function))
