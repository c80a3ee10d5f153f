"""The engines of a run: which rows ask for which, what they are loaded from, and what their pictures hash to.

Computable on the driver: no torch, no GPU.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from restore import identity
from restore.engines import EngineConfig
from restore.errors import EngineError
from restore.methods import METHODS, THIN, UNTRAINED, Method, Role
from restore.recipe import Models, Recipe
from restore.weights.cache import Weights, ensure


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSelection:
    """The engines of a run: plain data, so that it travels to the actors.

    Attributes:
        methods: all that a row may ask for.
        models: their names; each node finds its own directories.
        weights: what the driver found, which every node must find too.
        config: the engines' settings, but for the directories.
        hashes: engine hash by the name that a recipe gives the engine, "auto" included.
    """

    methods: tuple[Method, ...]
    models: Models
    weights: Mapping[Role, Weights]
    config: EngineConfig
    hashes: Mapping[str, str]

    def rows(self) -> dict[Method, tuple[dict[str, str], ...]]:
        """For each method, its models as the metadata column `models` holds them."""
        return {
            method: tuple(self.weights[role].row() for role in METHODS[method].roles if role in self.weights)
            for method in self.methods
        }

    def directories(self) -> dict[Role, str]:
        """The verified directories of this node.

        Raises:
            EngineError: when weights are missing here, or are others than the driver's.
        """
        here = ensure(self.weights, self.models)
        other = [role for role, found in here.items() if found.digest != self.weights[role].digest]
        if other:
            raise EngineError(
                f"models.{other[0]}={self.weights[other[0]].name} is not the same on this node as on the "
                "driver; pin it to a revision, or bring the same files to all nodes"
            )
        return {role: found.directory for role, found in here.items()}


def select_engines(
    names: Collection[str], auto: Method, recipe: Recipe, config: EngineConfig
) -> EngineSelection:
    """The engines for all `names` that rows give, and for the recipe's own.

    Args:
        names: as in the recipe's field `engine`; one that is unknown fails its row, not the run.
        auto: what engine=auto means.

    Raises:
        EngineError: when weights are missing.
    """
    asked = {*names, recipe.engine}
    methods: set[Method] = {name for name in METHODS if name in asked}
    if "auto" in asked:
        methods |= {THIN, auto} if METHODS[auto].trained else {auto}
    roles = sorted({role for method in methods for role in METHODS[method].roles})
    found = ensure(roles, recipe.models)
    hashes = {method: _hash(method, found, recipe) for method in methods.union(UNTRAINED)}
    if "auto" in asked:
        one, other = hashes[THIN], hashes[auto]
        hashes["auto"] = identity.auto_hash(one, other) if METHODS[auto].trained else other
    return EngineSelection(
        methods=tuple(sorted(methods)), models=recipe.models, weights=found, config=config, hashes=hashes
    )


def _hash(method: Method, found: Mapping[Role, Weights], recipe: Recipe) -> str:
    digests = {role: found[role].digest for role in METHODS[method].roles if role in found}
    return identity.engine_hash(method, recipe.dtype, digests)
