"""Command line of the weights cache."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from restore.errors import EngineError, SystemicError
from restore.methods import CHECKPOINTS, Role
from restore.recipe import Models, read_recipe
from restore.storage.uris import redact
from restore.weights.cache import _absent, _entry, _weights, fetch, verify


def main(argv: Sequence[str] | None = None) -> int:
    """Returns 0, or 1 when a model is missing or not as recorded."""
    parser = argparse.ArgumentParser(prog="python -m restore.weights", description="Models of this node.")
    parser.add_argument("action", choices=("fetch", "verify", "list"))
    parser.add_argument("roles", nargs="*", metavar="ROLE", help=", ".join(CHECKPOINTS))
    parser.add_argument("--recipe", metavar="FILE", help="recipe in TOML, for its models")
    parser.add_argument("--set", nargs="+", action="extend", default=[], metavar="models.ROLE=NAME")
    given = parser.parse_args(argv)
    try:
        recipe = read_recipe(given.recipe, given.set)
        return _act(given.action, given.roles or [*CHECKPOINTS], recipe.models)
    except (SystemicError, OSError) as error:
        print(f"silverprint: {error}", file=sys.stderr)
        return 1


def _act(action: str, roles: Sequence[Role], models: Models) -> int:
    unknown = [role for role in roles if role not in CHECKPOINTS]
    if unknown:
        raise EngineError(f"{', '.join(unknown)}: no such role; known are {', '.join(CHECKPOINTS)}")
    code = 0
    for role in roles:
        name = getattr(models, role)
        if not name:
            continue
        if action == "fetch":
            fetch(role, name)
        faults = verify(role, name) if action == "verify" else []
        present = not _absent(role, name) and _entry(role, name) is not None
        state = "; ".join(faults) or (f"{_weights(role, name).digest[:12]}" if present else "missing")
        code = max(code, int(bool(faults) or not present))
        print(f"{role:8} {redact(name)}  {state}")
    return code


if __name__ == "__main__":
    sys.exit(main())
