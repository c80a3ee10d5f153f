"""The run spec: recipe, manifest, engines and store, read from the settings before anything is written."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType
from typing import Any, TextIO

from cluster.profiles import PROFILES, Profile
from jobs.settings import RestoreSettings
from manifests.catalog.rows import committed_rows
from manifests.listing.found import MEANING, Listed
from manifests.planning.first_rows import plan_first
from manifests.planning.overlap import image_beside, image_inside
from manifests.planning.plan import Plan, named_engines, plan
from manifests.planning.versions import as_given, fill_versions
from manifests.query.spool import SpooledTable
from manifests.reading.schema import input_policy, read_manifest
from restore import identity
from restore.engines import EngineConfig
from restore.engines.selection import EngineSelection, select_engines
from restore.photo.memory_gate import MemoryGate
from restore.photo.state import Job
from restore.recipe import Recipe, read_recipe
from restore.run.events import Events
from restore.storage import AccessPolicy, OutStore, require_answer
from restore.storage.uris import redact

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Listing:
    """The listing that a run's manifest was made of.

    Attributes:
        images: the folder that was listed.
        present: a Parquet file of the names that the folder holds, of `listing.build.PRESENT`.
    """

    images: str
    listed: Listed
    present: Path

    def summary(self) -> dict[str, Any]:
        """For the run record."""
        found = {name: value for name, value in asdict(self.listed).items() if name != "manifest"}
        for name, _ in self.listed.findings():
            found[name]["meaning"] = "; ".join(MEANING[name])
        return {"images": self.images, "listed": found, "left_out": self.listed.left_out}


NO_LISTING: Mapping[str, Any] = MappingProxyType({"images": None, "listed": None, "left_out": 0})
"""`Listing.summary` of a run over a manifest that a person gave."""


@dataclass(frozen=True, slots=True)
class RunSpec:
    """All that a run needs, checked before it writes to the store.

    Attributes:
        wanted: the manifest's rows, with the stores' versions; with a limit, as the manifest gives them.
    """

    settings: RestoreSettings
    recipe: Recipe
    profile: Profile
    engines: EngineSelection
    wanted: SpooledTable
    access: AccessPolicy
    store: OutStore
    listing: Listing | None = None

    def plan(self) -> Plan:
        """The diff of what is wanted against what is committed. With a limit, versions are looked up here."""
        compare = partial(
            plan,
            committed=committed_rows(self.store),
            recipe_hash=identity.recipe_hash(self.recipe),
            engine_hashes=self.engines.hashes,
            engine=self.recipe.engine,
            retry_failed=self.settings.retry_failed,
            copy_unmasked=self.settings.copy_unmasked,
            fit_masks=self.settings.fit_masks,
            limit=self.settings.limit,
        )
        if self.settings.limit is None:
            return compare(self.wanted)
        return plan_first(self.wanted, self.access, self.settings.limit, compare)

    def events(self, run_id: str | None) -> Events:
        """Events of a run, if they were asked for."""
        return Events(run_id, sys.stdout if self.settings.log == "json" else None)

    @property
    def console(self) -> TextIO:
        """Where text goes: stderr when stdout holds JSON events."""
        return sys.stderr if self.settings.log == "json" else sys.stdout

    def job(self, run_id: str) -> Job:
        """What all photos of a run share."""
        return Job(
            run_id=run_id,
            recipe=self.recipe,
            auto=self.profile.auto,
            engine_hashes=self.engines.hashes,
            models=self.engines.rows(),
            store=self.store,
            access=self.access,
            software_version=version("silverprint"),
            device=self.profile.device,
            max_megapixels=self.settings.max_megapixels,
            memory_gate=MemoryGate(_bytes(self.settings.node_memory)),
            copy_unmasked=self.settings.copy_unmasked,
            fit_masks=self.settings.fit_masks,
        )


def load_run_spec(settings: RestoreSettings) -> RunSpec:
    """Read recipe and manifest.

    Raises:
        SystemicError: on the first of them that cannot be used.
    """
    profile = PROFILES[settings.profile]
    recipe = read_recipe(settings.recipe, settings.set)
    require_answer(settings.output)
    access = input_policy(settings.manifest, settings.allow_root, settings.allow_http)
    given = read_manifest(settings.manifest).table
    wanted = fill_versions(given, access) if settings.limit is None else as_given(given)
    store = OutStore.open(settings.output)
    _warn_of_overlap(wanted, store)
    return RunSpec(
        settings=settings,
        recipe=recipe,
        profile=profile,
        engines=_select_engines(settings, profile, recipe, named_engines(wanted)),
        wanted=wanted,
        access=access,
        store=store,
    )


def _warn_of_overlap(wanted: SpooledTable, store: OutStore) -> None:
    """No run replaces an original, wherever the store lies; a person who cleans up one folder may."""
    shared = image_inside(wanted, store.root) or image_beside(wanted, store.root)
    if shared:
        text = "--output %s and %s share a folder; keep originals and results apart"
        log.warning(text, store.root, redact(shared))


def _bytes(gibibytes: float | None) -> int | None:
    return None if gibibytes is None else int(gibibytes * 2**30)


def _select_engines(
    settings: RestoreSettings, profile: Profile, recipe: Recipe, named: set[str]
) -> EngineSelection:
    """The engines that the recipe and any row of the manifest ask for."""
    config = EngineConfig(
        device=profile.device,
        dtype=recipe.dtype,
        offload=recipe.offload,
        compile=recipe.compile,
        batch=settings.batch_size or profile.batch_size,
    )
    return select_engines(named, profile.auto, recipe, config)
