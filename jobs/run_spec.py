"""A job's settings, read and understood: recipe, manifest, engines, store. Nothing is done yet."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib.metadata import version
from typing import TextIO

from cluster.profiles import PROFILES, Profile
from jobs.settings import RestoreSettings
from manifests.catalog.rows import committed_rows
from manifests.planning.plan import Plan, named_engines, plan
from manifests.query.spool import Spooled
from manifests.reading.schema import fill_versions, input_policy, read_manifest
from restore import identity
from restore.engines import EngineConfig
from restore.engines.selection import Choice, choose
from restore.photo import Job
from restore.photo.memory_gate import Room
from restore.recipe import Recipe, read_recipe
from restore.run.events import Events
from restore.storage import AccessPolicy, OutStore


@dataclass(frozen=True, slots=True)
class Order:
    """The settings, read and understood: all that a run needs before it touches the store."""

    settings: RestoreSettings
    recipe: Recipe
    profile: Profile
    choice: Choice
    wanted: Spooled
    access: AccessPolicy
    store: OutStore

    def plan(self) -> Plan:
        """The diff of what is wanted against what is committed."""
        return plan(
            self.wanted,
            committed_rows(self.store),
            recipe_hash=identity.recipe_hash(self.recipe),
            engine_hashes=self.choice.hashes,
            engine=self.recipe.engine,
            retry_failed=self.settings.retry_failed,
            copy_unmasked=self.settings.copy_unmasked,
            limit=self.settings.limit,
        )

    def events(self, run_id: str | None) -> Events:
        """Events of a run, if they were asked for."""
        return Events(run_id, sys.stdout if self.settings.log == "json" else None)

    @property
    def people(self) -> TextIO:
        """Where lines for people go: not among the events."""
        return sys.stderr if self.settings.log == "json" else sys.stdout

    def job(self, run_id: str) -> Job:
        """What all photos of a run share."""
        return Job(
            run_id=run_id,
            recipe=self.recipe,
            auto=self.profile.auto,
            engine_hashes=self.choice.hashes,
            models=self.choice.rows(),
            store=self.store,
            access=self.access,
            software_version=version("silverprint"),
            device=self.profile.device,
            max_megapixels=self.settings.max_megapixels,
            room=Room(_bytes(self.settings.node_memory)),
            copy_unmasked=self.settings.copy_unmasked,
        )


def read_order(settings: RestoreSettings) -> Order:
    """Read recipe and manifest.

    Raises:
        SystemicError: on the first of them that cannot be used.
    """
    profile = PROFILES[settings.profile]
    recipe = read_recipe(settings.recipe, settings.set)
    access = input_policy(settings.manifest, settings.allow_root, settings.allow_http)
    wanted = fill_versions(read_manifest(settings.manifest), access)
    return Order(
        settings=settings,
        recipe=recipe,
        profile=profile,
        choice=_choice(settings, profile, recipe, named_engines(wanted)),
        wanted=wanted,
        access=access,
        store=OutStore.open(settings.output),
    )


def _bytes(gibibytes: float | None) -> int | None:
    return None if gibibytes is None else int(gibibytes * 2**30)


def _choice(settings: RestoreSettings, profile: Profile, recipe: Recipe, named: set[str]) -> Choice:
    """The engines that the recipe and any row of the manifest ask for."""
    config = EngineConfig(
        device=profile.device,
        dtype=recipe.dtype,
        offload=recipe.offload,
        compile=recipe.compile,
        batch=settings.batch_size or profile.batch_size,
    )
    return choose(named, profile.auto, recipe, config)
