"""The first step of one photo, on a CPU: fetch, decode, find the damage, cut the windows."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace

from restore import identity
from restore.engines import Sampler, Task
from restore.engines.prefill import prefill
from restore.errors import ErrorCode, ItemError
from restore.formats import FORMATS
from restore.imaging import codec
from restore.imaging.picture import Picture
from restore.imaging.pixels import Mask
from restore.imaging.thumbnails import thumbnail
from restore.item import Item
from restore.methods import Method, any_trained, sizes_of
from restore.outcome import TOUCHED, Outcome, Seconds, Thumbs
from restore.photo.damage import damage_of, dilated, fetch_mask
from restore.photo.inputs import Read, fetch_input, memory_for_mask, memory_for_photo
from restore.photo.routing import EngineWindow, cut_engine_windows
from restore.photo.state import Job, Prepared, Source, failed, first_draft
from restore.recipe import Recipe, with_overrides
from restore.repair import mask as masks
from restore.repair import outpaint
from restore.repair.paste import WindowPlacement, packed
from restore.storage import Fetched, fetch

MAX_CARRIED_BYTES = 64 * 2**20
"""Largest source that travels from prepare to finish, bytes; a larger one is fetched again."""


def prepare(item: Item, job: Job, read: Read = fetch) -> Prepared | Outcome:
    """Fetch by `read`, decode, find the damage and cut the windows.

    Returns:
        The photo with its windows; or its row, where it failed, where there is nothing to repair (`copied`),
        or where only the versions of its inputs have changed. Then `reused_from` names its former row.
    """
    began = time.perf_counter()
    draft = first_draft(item, job)
    try:
        recipe = with_overrides(job.recipe, item.overridden())
        draft = replace(draft, recipe=identity.canonical(recipe.model_dump()), seed=recipe.seed)
        image = fetch_input(item.image, item.image_version, ErrorCode.IMAGE_NOT_FOUND, job, read)
        source = Source(_carried(image.data), image.version, identity.sha256_bytes(image.data))
        draft = replace(
            draft, image_version=image.version, image_sha256=source.sha256, read_bytes=len(image.data)
        )
        mask = fetch_mask(item, job, read)
        if mask is not None:
            mask_sha256 = identity.sha256_bytes(mask.data)
            draft = replace(
                draft,
                mask_version=mask.version,
                mask_sha256=mask_sha256,
                read_bytes=draft.read_bytes + len(mask.data),
            )
        fetched, began = time.perf_counter() - began, time.perf_counter()
        if _only_touched(item, draft):
            return _timed(_touched(draft, item), began, fetched)
        with job.memory_gate.reserve(_memory(image, mask, recipe, job)):
            began = time.perf_counter()  # waiting for memory is no work
            picture = codec.decode(image.data, max_megapixels=job.max_megapixels)
            draft = _with_picture(draft, outpaint.extended(picture, recipe.margins, job.max_megapixels))
            found = damage_of(mask, picture, recipe, job)
            damage = found.pixels
            draft = replace(
                draft,
                mask_coverage=masks.coverage(outpaint.on_canvas(damage, recipe.margins)),
                engine_steps=found.steps,
            )
            if not damage.any() and not any(recipe.margins):
                return _copy(image.data, picture, _timed(draft, began, fetched), job)
            ready = _cut(item, recipe, source, picture, damage, draft, job)
            return replace(ready, draft=_timed(ready.draft, began, fetched), ready_at=time.time())
    except ItemError as error:
        return failed(draft, error)


def _memory(image: Fetched, mask: Fetched | None, recipe: Recipe, job: Job) -> int:
    return memory_for_photo(image.data, recipe, job, copies=1) + memory_for_mask(mask, job)


def _only_touched(item: Item, draft: Outcome) -> bool:
    """Whether the inputs have new versions but the same bytes as when the former picture was made."""
    return (
        item.former is not None
        and draft.image_sha256 == item.former_image_sha256
        and draft.mask_sha256 == item.former_mask_sha256
    )


def _touched(draft: Outcome, item: Item) -> Outcome:
    """The row of a photo that is not painted again. The driver fills in the rest from the former row."""
    return replace(draft, status="restored", reason=TOUCHED, reused_from=item.former)


def _cut(
    item: Item,
    recipe: Recipe,
    source: Source,
    picture: Picture,
    damage: Mask,
    draft: Outcome,
    job: Job,
) -> Prepared:
    """The photo with its windows cut. `damage` is not dilated yet."""
    grown = outpaint.on_canvas(dilated(damage, recipe), recipe.margins)
    damage = outpaint.on_canvas(damage, recipe.margins)
    whole = outpaint.extended(picture, recipe.margins, job.max_megapixels)
    cuts = tuple(cut_engine_windows(whole, damage, grown, recipe, job.auto))
    methods: list[Method] = sorted({cut.method for cut in cuts})
    return Prepared(
        item=item,
        recipe=recipe,
        source=source,
        placements=tuple(
            WindowPlacement(cut.window, packed(cut.part), cut.tones, sizes_of(cut.method) is None)
            for cut in cuts
        ),
        tasks=tuple(_tasks(cuts, item, recipe)),
        draft=replace(
            draft,
            engine="+".join(methods),
            engine_hash=job.engine_hashes[recipe.engine],
            models=tuple(model for method in methods for model in job.models.get(method, ())),
            dtype=recipe.dtype if any_trained(methods) else None,
            windows=tuple(asdict(cut.window) for cut in cuts),
        ),
    )


def _timed(draft: Outcome, began: float, fetched: float) -> Outcome:
    return replace(draft, seconds=Seconds(fetch=fetched, prepare=time.perf_counter() - began))


def filled(photo: Prepared) -> Prepared:
    """The photo with its damage prefilled in all windows of sized engines.

    It runs on the CPUs, so that no GPU waits for it. A forecast of the work leaves it out.
    """
    began = time.perf_counter()
    tasks = tuple(
        replace(task, window=prefill(task.window, task.unknown), filled=True)
        if sizes_of(task.method)
        else task
        for task in photo.tasks
    )
    seconds = photo.draft.seconds
    seconds = replace(seconds, prepare=seconds.prepare + time.perf_counter() - began)
    return replace(photo, tasks=tasks, draft=replace(photo.draft, seconds=seconds), ready_at=time.time())


def _carried(data: bytes) -> bytes | None:
    return data if len(data) <= MAX_CARRIED_BYTES else None


def _with_picture(draft: Outcome, picture: Picture) -> Outcome:
    return replace(
        draft,
        width=picture.width,
        height=picture.height,
        bit_depth=picture.bit_depth,
        color_mode=picture.mode,
        thumbs=Thumbs(before=thumbnail(picture)),
    )


def _tasks(cuts: Sequence[EngineWindow], item: Item, recipe: Recipe) -> Iterator[Task]:
    sampler = Sampler.of(recipe)
    for number, cut in enumerate(cuts):
        yield Task(
            method=cut.method,
            window=cut.pixels,
            mask=cut.mask,
            hidden=cut.hidden,
            sampler=sampler,
            seed=identity.item_seed(recipe.seed, recipe.seed_key or item.item_id, number),
        )


def _copy(data: bytes, picture: Picture, draft: Outcome, job: Job) -> Outcome:
    """The row of a photo with nothing to repair; its own bytes become the output."""
    began = time.perf_counter()
    output = identity.output_name(draft.item_id, draft.work_key, FORMATS[picture.format].extensions[0])
    created = job.store.create(output, data)
    if created.existing is not None:
        raise ItemError(ErrorCode.VERIFY_FAILED, f"{output} exists and is not a copy of {draft.image}")
    return replace(
        draft,
        status="copied",
        output=output,
        output_sha256=created.sha256,
        output_bytes=len(data),
        proof="exact",
        changed_outside_mask=0,
        seconds=replace(draft.seconds, upload=time.perf_counter() - began),
    )
