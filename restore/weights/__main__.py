"""`python -m restore.weights fetch|verify|list [ROLE ...]`: the models of this node."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Annotated

from restore.cli import FLAT, application, argument, call, exit_code, leave, option, options
from restore.errors import EngineError
from restore.methods import CHECKPOINTS, Role
from restore.recipe import read_recipe
from restore.storage.uris import redact
from restore.weights.cache import digest, fetch, is_present, verify

app = application("weights", "Fetch, verify and list models.")


@dataclass(frozen=True, slots=True)
class WeightsSettings:
    """Which models: all that the recipe names, or those of some roles."""

    roles: Annotated[tuple[str, ...], argument(f"all, or some of {', '.join(CHECKPOINTS)}")] = ()
    _: KW_ONLY
    recipe: Annotated[str | None, option("recipe in TOML, for its models", "FILE")] = None
    set: Annotated[tuple[str, ...], options("name a model", "models.ROLE=NAME")] = ()


@app.command(name="fetch")
def fetch_models(settings: Annotated[WeightsSettings, FLAT] = WeightsSettings()) -> int:
    """Copy models onto this node and record their sha256; then list them."""
    for role, name in _models(settings):
        fetch(role, name)
    return list_models(settings)


@app.command(name="verify")
def verify_models(settings: Annotated[WeightsSettings, FLAT] = WeightsSettings()) -> int:
    """Read every file again and hold it against its recorded sha256. Returns 1 when one differs."""
    found = [(role, name, verify(role, name)) for role, name in _models(settings)]
    return _print([(role, name, "; ".join(faults)) for role, name, faults in found])


@app.command(name="list")
def list_models(settings: Annotated[WeightsSettings, FLAT] = WeightsSettings()) -> int:
    """Name each model and whether it is on this node. Returns 1 when one is missing."""
    return _print([(role, name, "") for role, name in _models(settings)])


def _models(settings: WeightsSettings) -> list[tuple[Role, str]]:
    unknown = [role for role in settings.roles if role not in CHECKPOINTS]
    if unknown:
        raise EngineError(f"{', '.join(unknown)}: no such role; known are {', '.join(CHECKPOINTS)}")
    models = read_recipe(settings.recipe, settings.set).models
    named = [(role, models.named(role)) for role in settings.roles or CHECKPOINTS]
    return [(role, name) for role, name in named if name]


def _print(found: Sequence[tuple[Role, str, str]]) -> int:
    """A line for each role, name and fault; 1 when any model is missing or has a fault."""
    good = True
    for role, name, fault in found:
        present = is_present(role, name)
        state = fault or (digest(role, name)[:12] if present else "missing")
        good = good and present and not fault
        print(f"{role:8} {redact(name)}  {state}")
    return 0 if good else 1


def main(argv: Sequence[str] | None = None) -> int:
    """Returns 0, or 1 when a model is missing or not as recorded."""
    return exit_code(lambda: int(call(app, argv)))


if __name__ == "__main__":
    leave(main())
