"""What passes between the steps of one photo: prepare, paint, compose, upload.

`prepare`, `compose` and `upload` are functions over one photo; `paint` takes several, so that an
engine can batch their windows. The values hold windows and the source's encoded bytes, never a
decoded scan. A step that fails returns the photo's row, an Outcome, instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from restore import identity
from restore.engines import Task
from restore.errors import ItemError
from restore.imaging.pixels import Pixels
from restore.item import Item
from restore.methods import Method
from restore.outcome import Outcome
from restore.photo.memory_gate import MemoryGate
from restore.recipe import Recipe
from restore.repair.paste import WindowPlacement
from restore.storage import AccessPolicy, OutStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What all photos of one run share.

    Attributes:
        auto: the method that engine=auto means under this run's profile.
        engine_hashes: by the recipe's engine name, part of the work key.
        models: by method, the rows of the models that it loads.
        max_megapixels: largest photo, mask or canvas that is decoded.
        copy_unmasked: whether a photo without a mask is copied as it is.
        fit_masks: whether a mask of the photo's shape and another size is enlarged or reduced.
    """

    run_id: str
    recipe: Recipe
    auto: Method
    engine_hashes: Mapping[str, str]
    store: OutStore
    access: AccessPolicy
    software_version: str
    device: str = "cpu"
    models: Mapping[Method, tuple[Mapping[str, str], ...]] = field(default_factory=dict)
    max_megapixels: float = 400.0
    memory_gate: MemoryGate = field(default_factory=MemoryGate)
    copy_unmasked: bool = False
    fit_masks: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """The photo's file as it was read; `data` is None where it is too large to carry."""

    data: bytes | None
    version: str
    sha256: str


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Prepared:
    """A photo whose windows wait to be painted.

    Attributes:
        placements: where each task's window belongs, in the order of `tasks`.
        draft: the row with the fields that are known so far.
        ready_at: wall clock at the end of prepare, seconds since the epoch.
    """

    item: Item
    recipe: Recipe
    source: Source
    placements: tuple[WindowPlacement, ...]
    tasks: tuple[Task, ...]
    draft: Outcome
    ready_at: float = 0.0


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class PaintedPhoto:
    """A photo whose windows are painted, at paint size, in the order of `placements`."""

    item: Item
    recipe: Recipe
    source: Source
    placements: tuple[WindowPlacement, ...]
    painted: tuple[Pixels, ...]
    draft: Outcome


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class FinishedPhoto:
    """A restored picture that waits to be created.

    Attributes:
        output: its path in the output store.
        data: its file, verified.
        made: its row, without the fields that the upload sets.
        draft: the row before the picture was made, for a photo whose upload fails.
    """

    output: str
    data: bytes
    made: Outcome
    draft: Outcome


def first_draft(item: Item, job: Job) -> Outcome:
    """The row of a photo that no step has read yet."""
    return Outcome(
        item_id=item.item_id,
        run_id=job.run_id,
        status="failed",
        work_key=item.work_key,
        reason=item.reason,
        image=item.image,
        image_version=item.image_version,
        mask=item.mask,
        mask_version=item.mask_version,
        recipe_hash=identity.recipe_hash(job.recipe),
        overrides=item.overrides,
        pipeline_version=identity.PIPELINE_VERSION,
        engine_hash=_engine_hash(item, job),
        attempts=item.attempts + 1,
        started_at=datetime.now(UTC),
        software_version=job.software_version,
        device=job.device,
        extra=item.extra,
    )


def _engine_hash(item: Item, job: Job) -> str:
    """The engine hash in the row's work key; an unknown engine's name stands there in its place."""
    name = str(item.overridden().get("engine", job.recipe.engine))
    return job.engine_hashes.get(name, name)


def failed(draft: Outcome, error: ItemError) -> Outcome:
    """The failed row of a photo, with all that the draft holds."""
    return replace(
        draft,
        status="failed",
        error_code=str(error.code),
        error_message=error.message,
        own_fault=error.own,
    )
