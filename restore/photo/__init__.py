"""The story of one photo: prepare -> paint -> finish. No Ray, no torch.

`prepare` and `finish` are plain functions over one photo; `paint` takes several photos at once, so
that an engine can batch their windows. What passes between them holds windows and the source's
encoded bytes, never a decoded scan. A photo that cannot go on becomes its Outcome right there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from restore import identity
from restore.engines import Engine, Method, Painted, Sampler, Task, sizes_of
from restore.engines.prefill import prefill
from restore.errors import ErrorCode, ItemError
from restore.imaging import codec
from restore.imaging.metadata import xmp as provenance
from restore.imaging.thumbnails import damage_overlay, thumbnail
from restore.item import Item
from restore.outcome import TOUCHED, Outcome, Seconds, Thumbs
from restore.photo.memory_gate import Room
from restore.photo.routing import Shot, shots
from restore.recipe import Recipe, with_overrides
from restore.repair import mask as masks
from restore.repair import outpaint as canvas
from restore.repair import quality as figures
from restore.repair import verify as proof
from restore.repair.paste import Place, packed, paste
from restore.storage import AccessPolicy, Fetched, OutStore, fetch

Pixels = npt.NDArray[np.generic]
Mask = npt.NDArray[np.bool_]
Read = Callable[..., Fetched]
"""Reads an input as `restore.storage.fetch` does."""

CARRY_LIMIT = 64 * 2**20
"""Bytes of a source that travel from prepare to finish; a larger one is fetched again."""

STORE_LATER = 32 * 2**20
"""Bytes of an output that may wait for its upload while the next photo is composed."""

BYTES_A_PIXEL, BYTES_BESIDES = 9, 64 * 2**20
"""What a file may hold: four channels of 16 bits as badly compressed as can be, and metadata."""

_MASKS = 3
"""Bool masks of the whole picture that a step holds at once."""

EXTENSIONS: Mapping[str, str] = {"jpeg": "jpg", "png": "png", "tiff": "tif", "webp": "webp"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What all photos of one run share."""

    run_id: str
    recipe: Recipe
    auto: Method  # what engine=auto means under this run's profile
    engine_hashes: Mapping[str, str]
    store: OutStore
    access: AccessPolicy
    software_version: str
    device: str = "cpu"
    models: Mapping[Method, tuple[Mapping[str, str], ...]] = field(default_factory=dict)
    max_megapixels: float = 400.0
    room: Room = field(default_factory=Room)
    copy_unmasked: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """The photo as it was read. `data` is None when it is too large to carry."""

    data: bytes | None
    version: str
    sha256: str


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Prepared:
    """A photo whose windows wait to be painted.

    Attributes:
        places: where each task's window belongs, in the order of `tasks`.
        facts: the Outcome's fields that are known by now.
        ready_at: wall clock at the end of prepare, seconds since the epoch.
    """

    item: Item
    recipe: Recipe
    source: Source
    places: tuple[Place, ...]
    tasks: tuple[Task, ...]
    facts: Outcome
    ready_at: float = 0.0


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Repainted:
    """A photo whose windows are painted, at paint size, in the order of `places`."""

    item: Item
    recipe: Recipe
    source: Source
    places: tuple[Place, ...]
    painted: tuple[Pixels, ...]
    facts: Outcome


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Composed:
    """A restored picture that waits to be created.

    Attributes:
        output: its path in the output store.
        data: its file, verified.
        made: the Outcome but for what creating it tells.
        facts: what was known before, for the row of a photo that cannot be stored.
    """

    output: str
    data: bytes
    made: Outcome
    facts: Outcome


def prepare(item: Item, job: Job, read: Read = fetch) -> Prepared | Outcome:
    """Fetch by `read`, decode, find the damage, cut the windows.

    A photo of which only the versions have changed ends here, its `reused_from` naming the row that says the
    rest.
    """
    began = time.perf_counter()
    facts = first_facts(item, job)
    try:
        recipe = with_overrides(job.recipe, item.overridden())
        facts = replace(facts, recipe=identity.canonical(recipe.model_dump()), seed=recipe.seed)
        image = _fetch(item.image, item.image_version, ErrorCode.IMAGE_NOT_FOUND, job, read)
        source = Source(_carried(image.data), image.version, identity.sha256_bytes(image.data))
        facts = replace(
            facts, image_version=image.version, image_sha256=source.sha256, read_bytes=len(image.data)
        )
        mask = _fetch_mask(item, job, read)
        if mask is not None:
            mask_sha256 = identity.sha256_bytes(mask.data)
            facts = replace(
                facts,
                mask_version=mask.version,
                mask_sha256=mask_sha256,
                read_bytes=facts.read_bytes + len(mask.data),
            )
        fetched, began = time.perf_counter() - began, time.perf_counter()
        if _only_touched(item, facts):
            return _timed(_touched(facts, item), began, fetched)
        with job.room.taken(_needs(image.data, recipe, job, copies=1) + _needs_mask(mask, job)):
            began = time.perf_counter()  # the wait for room is nobody's work
            picture = codec.decode(image.data, max_megapixels=job.max_megapixels)
            facts = _with_picture(facts, canvas.extended(picture, recipe.margins, job.max_megapixels))
            damage = _damage(mask, picture, recipe, job)
            facts = replace(facts, mask_coverage=masks.coverage(canvas.on_canvas(damage, recipe.margins)))
            if not damage.any() and not any(recipe.margins):
                return _copy(image.data, picture, _timed(facts, began, fetched), job)
            ready = _ready(item, recipe, source, picture, damage, facts, job)
            return replace(ready, facts=_timed(ready.facts, began, fetched), ready_at=time.time())
    except ItemError as error:
        return failed(facts, error)


def _needs(data: bytes, recipe: Recipe, job: Job, copies: int) -> int:
    """Bytes that a step takes for a source whose samples it holds so often at once, with its bool masks."""
    header = _header(data, job)
    if header is None:
        return 0
    canvas_share = canvas.growth((header.width, header.height), recipe.margins)
    held = copies + (canvas_share > 1)
    decoding = 1 + (header.orientation > 1) + 2 * header.whole
    whole = int(header.bytes * max(decoding, held * canvas_share))
    return len(data) + whole + int(_MASKS * header.width * header.height * canvas_share)


def _needs_mask(mask: Fetched | None, job: Job) -> int:
    header = mask and _header(mask.data, job)
    return header.bytes * (1 + 2 * header.whole) if header else 0


def _header(data: bytes, job: Job) -> codec.Header | None:
    """None where decoding will say why not, without taking memory."""
    try:
        return codec.read_header(data, max_megapixels=job.max_megapixels)
    except ItemError:
        return None


def _only_touched(item: Item, facts: Outcome) -> bool:
    """Whether the inputs have new versions and yet the very bytes that the former picture was made from."""
    return (
        item.former is not None
        and facts.image_sha256 == item.former_image_sha256
        and facts.mask_sha256 == item.former_mask_sha256
    )


def _touched(facts: Outcome, item: Item) -> Outcome:
    """A photo that is not painted again. The driver has its former row, and fills in what is the same."""
    return replace(facts, status="restored", reason=TOUCHED, reused_from=item.former)


def _ready(
    item: Item,
    recipe: Recipe,
    source: Source,
    picture: codec.Picture,
    damage: Mask,
    facts: Outcome,
    job: Job,
) -> Prepared:
    """The photo with its windows cut. `damage` is not dilated yet."""
    grown = canvas.on_canvas(_dilated(damage, recipe), recipe.margins)
    damage = canvas.on_canvas(damage, recipe.margins)
    whole = canvas.extended(picture, recipe.margins, job.max_megapixels)
    cuts = tuple(shots(whole, damage, grown, recipe, job.auto))
    methods: list[Method] = sorted({shot.method for shot in cuts})
    return Prepared(
        item=item,
        recipe=recipe,
        source=source,
        places=tuple(Place(shot.window, packed(shot.part), shot.tones) for shot in cuts),
        tasks=tuple(_tasks(cuts, item, recipe)),
        facts=replace(
            facts,
            engine="+".join(methods),
            engine_hash=job.engine_hashes[recipe.engine],
            models=tuple(model for method in methods for model in job.models.get(method, ())),
            dtype=recipe.dtype if any(sizes_of(method) for method in methods) else None,
            windows=tuple(asdict(shot.window) for shot in cuts),
        ),
    )


def _timed(facts: Outcome, began: float, fetched: float) -> Outcome:
    return replace(facts, seconds=Seconds(fetch=fetched, prepare=time.perf_counter() - began))


def first_facts(item: Item, job: Job) -> Outcome:
    """What is known of the outcome before the photo is touched."""
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
    """The hash that the row's work key was made with; a bad engine name stands for itself there."""
    name = str(item.overridden().get("engine", job.recipe.engine))
    return job.engine_hashes.get(name, name)


def filled(photo: Prepared) -> Prepared:
    """The photo with what sized engines are given in the place of its damage.

    The end of preparing it, on the CPUs, so that no GPU waits; a forecast of the work does without.
    """
    began = time.perf_counter()
    tasks = tuple(
        replace(task, window=prefill(task.window, task.mask), filled=True) if sizes_of(task.method) else task
        for task in photo.tasks
    )
    seconds = photo.facts.seconds
    seconds = replace(seconds, prepare=seconds.prepare + time.perf_counter() - began)
    return replace(photo, tasks=tasks, facts=replace(photo.facts, seconds=seconds), ready_at=time.time())


def _fetch(uri: str, version: str | None, missing: ErrorCode, job: Job, read: Read = fetch) -> Fetched:
    job.access.check(uri)
    most = int(job.max_megapixels * 1e6 * BYTES_A_PIXEL) + BYTES_BESIDES
    return read(uri, version=version, missing=missing, max_bytes=most)


def _fetch_mask(item: Item, job: Job, read: Read) -> Fetched | None:
    if item.mask is None:
        return None
    try:
        return _fetch(item.mask, item.mask_version, ErrorCode.MASK_NOT_FOUND, job, read)
    except ItemError as error:
        raise _of_mask(error) if error.code is ErrorCode.IMAGE_TOO_LARGE else error from None


def _carried(data: bytes) -> bytes | None:
    return data if len(data) <= CARRY_LIMIT else None


def _with_picture(facts: Outcome, picture: codec.Picture) -> Outcome:
    return replace(
        facts,
        width=picture.width,
        height=picture.height,
        bit_depth=picture.bit_depth,
        color_mode=picture.mode,
        thumbs=Thumbs(before=thumbnail(picture)),
    )


def _damage(mask: Fetched | None, picture: codec.Picture, recipe: Recipe, job: Job) -> Mask:
    """The pixels to repaint as the mask says them, before dilation: the damage, or all but it to outpaint."""
    shape = (picture.height, picture.width)
    if mask is None:
        if not (job.copy_unmasked or any(recipe.margins)):
            raise ItemError(
                ErrorCode.MASK_NOT_FOUND,
                "the row names no mask; add one, or copy such photos as they are with --copy-unmasked",
            )
        return np.zeros(shape, bool)
    damage = masks.damage_from(
        _read_mask(mask.data, job.max_megapixels),
        shape,
        picture.orientation,
        polarity=recipe.mask_polarity,
        threshold=recipe.mask_threshold,
    )
    return ~damage if recipe.mode == "outpaint" else damage


def _read_mask(data: bytes, max_megapixels: float) -> codec.Picture:
    try:
        return codec.decode(data, max_megapixels=max_megapixels)
    except ItemError as error:
        raise _of_mask(error) from None


def _of_mask(error: ItemError) -> ItemError:
    return ItemError(ErrorCode.MASK_UNREADABLE, f"the mask: {error.message}")


def _dilated(damage: Mask, recipe: Recipe) -> Mask:
    dilated = masks.dilate(damage, recipe.dilate_kernel, recipe.dilate_iterations)
    if dilated.all():
        raise ItemError(
            ErrorCode.MASK_FULL,
            "no known pixel is left after dilation; check mask_polarity "
            f"(now {recipe.mask_polarity}), mask_threshold and the dilation",
        )
    return dilated


def _tasks(cuts: Sequence[Shot], item: Item, recipe: Recipe) -> Iterator[Task]:
    sampler = Sampler(
        prompt=recipe.prompt,
        negative_prompt=recipe.negative_prompt,
        num_inference_steps=recipe.num_inference_steps,
        guidance_scale=recipe.guidance_scale,
        strength=recipe.strength,
        high_noise_frac=recipe.high_noise_frac,
        refine=recipe.refine,
        scheduler=recipe.scheduler,
        guidance_cutoff=recipe.guidance_cutoff,
    )
    for number, shot in enumerate(cuts):
        yield Task(
            method=shot.method,
            window=shot.pixels,
            mask=shot.mask,
            sampler=sampler,
            seed=identity.item_seed(recipe.seed, item.item_id, number),
        )


def paint(
    photos: Sequence[Prepared | Outcome],
    engines: Mapping[Method, Engine],
    batch_size: int,
    clock: Callable[[], float] = time.time,
) -> list[Repainted | Outcome]:
    """Paint the windows of several photos, regrouped so that one call holds like windows only."""
    started = clock()
    waiting = [
        (number, task)
        for number, photo in enumerate(photos)
        if isinstance(photo, Prepared)
        for task in photo.tasks
    ]
    results: list[list[Painted | ItemError]] = [[] for _ in photos]
    spent = [0.0 for _ in photos]
    answers: dict[int, Painted | ItemError] = {}
    for batch, painted, share in _answered(waiting, engines, batch_size):
        for index, answer in zip(batch, painted, strict=True):
            answers[index] = answer
            spent[waiting[index][0]] += share
    for index, (number, _) in enumerate(waiting):
        results[number].append(answers[index])
    return [
        photo if isinstance(photo, Outcome) else _repainted(photo, results[number], started, spent[number])
        for number, photo in enumerate(photos)
    ]


def _answered(
    waiting: Sequence[tuple[int, Task]], engines: Mapping[Method, Engine], batch_size: int
) -> Iterator[tuple[list[int], Sequence[Painted | ItemError], float]]:
    """Every batch's indexes, what came of them, and the seconds that one of its windows took."""

    def painted(batch: list[int]) -> tuple[list[int], Sequence[Painted | ItemError], float]:
        began = time.perf_counter()
        tasks = [waiting[index][1] for index in batch]
        answers = engines[tasks[0].method].paint(tasks)
        return batch, answers, (time.perf_counter() - began) / len(batch)

    batches = list(_batches(waiting, batch_size))
    native = [batch for batch in batches if sizes_of(waiting[batch[0]][1].method) is None]
    sized = [batch for batch in batches if batch not in native]
    with ThreadPoolExecutor(1) as beside:
        # What needs no device is painted while the device is at work: it shall not wait for a core.
        later = [beside.submit(painted, batch) for batch in native] if sized else []
        yield from map(painted, sized or native)
        for done in later:
            yield done.result()


def _batches(waiting: Sequence[tuple[int, Task]], batch_size: int) -> Iterator[list[int]]:
    """Indexes of tasks that one engine call can take: same method, size, depth and sampler settings."""
    groups: dict[tuple[object, ...], list[int]] = {}
    for index, (_, task) in enumerate(waiting):
        settings = replace(task.sampler, prompt="", negative_prompt="", guidance_scale=0.0)
        like = (task.method, task.window.shape, task.window.dtype.str, settings)
        groups.setdefault(like, []).append(index)
    for group in groups.values():
        for start in range(0, len(group), batch_size):
            yield group[start : start + batch_size]


def _repainted(
    photo: Prepared, answers: Sequence[Painted | ItemError], started: float, spent: float
) -> Repainted | Outcome:
    seconds = replace(photo.facts.seconds, wait=max(0.0, started - photo.ready_at), paint=spent)
    facts = replace(photo.facts, seconds=seconds)
    for answer in answers:
        if isinstance(answer, ItemError):
            return failed(facts, answer)
    painted = [answer for answer in answers if isinstance(answer, Painted)]
    steps = dict.fromkeys(step for answer in painted for step in answer.steps)
    scheduler = next((answer.scheduler for answer in painted if answer.scheduler), None)
    device = next((answer.device for answer in painted if answer.device), facts.device)
    return Repainted(
        item=photo.item,
        recipe=photo.recipe,
        source=photo.source,
        places=photo.places,
        painted=tuple(answer.window for answer in painted),
        facts=replace(facts, engine_steps=tuple(steps), scheduler=scheduler, device=device),
    )


def finish(photo: Repainted, job: Job) -> Outcome:
    """Back to source space, composite, encode, verify, create, outcome."""
    composed = compose(photo, job)
    return composed if isinstance(composed, Outcome) else store(composed, job)


def compose(photo: Repainted, job: Job) -> Composed | Outcome:
    """All of `finish` before the output is created; a large output is created too, in the room it has."""
    try:
        data = _source_bytes(photo)
        copies = 3 if photo.item.reference is None else 4
        with job.room.taken(_needs(data, photo.recipe, job, copies)):
            composed = _composed(photo, data, job)
            return composed if len(composed.data) <= STORE_LATER else store(composed, job)
    except ItemError as error:
        return failed(photo.facts, error)


def store(composed: Composed, job: Job) -> Outcome:
    """The rest of `finish`: create the output. Takes next to no CPU, so it can go on beside other work."""
    began = time.perf_counter()
    try:
        sha256, size = _create(composed.output, composed.data, job)
    except ItemError as error:
        return failed(composed.facts, error)
    return replace(
        composed.made,
        output_sha256=sha256,
        output_bytes=size,
        seconds=replace(composed.made.seconds, upload=time.perf_counter() - began),
    )


def _composed(photo: Repainted, data: bytes, job: Job) -> Composed:
    began = time.perf_counter()
    recipe = photo.recipe
    source = codec.decode(data, max_megapixels=job.max_megapixels)
    picture = canvas.extended(source, recipe.margins, job.max_megapixels)
    pasted = paste(picture, photo.places, photo.painted, recipe.feather, recipe.margins)
    making = _making(photo.facts)
    restored = _told_of(replace(picture, pixels=pasted.pixels), making)
    encoded = codec.encode(restored, recipe.output_format, recipe.quality, provenance.packet(making))
    changed = proof.changed_pixels(encoded, picture, restored, pasted.zone, job.max_megapixels)
    measured = figures.measured(restored, _reference(photo.item, job), pasted.damage, recipe.feather)
    output = identity.output_name(photo.item.item_id, photo.item.work_key, encoded.extension)
    thumbs = replace(photo.facts.thumbs, after=thumbnail(restored), damage=damage_overlay(pasted.damage))
    made = replace(
        photo.facts,
        status="restored",
        output=output,
        proof=encoded.proof,
        changed_outside_mask=changed,
        dropped=tuple(dict.fromkeys((*picture.dropped, *encoded.dropped))),
        figures=measured,
        thumbs=thumbs,
        seconds=replace(photo.facts.seconds, finish=time.perf_counter() - began),
    )
    return Composed(output=output, data=encoded.data, made=made, facts=photo.facts)


def _making(facts: Outcome) -> provenance.Making:
    return provenance.Making(
        engine=facts.engine or "",
        source_sha256=facts.image_sha256 or "",
        recipe_hash=facts.recipe_hash,
        software=f"Silverprint {facts.software_version}",
    )


def _told_of(picture: codec.Picture, making: provenance.Making) -> codec.Picture:
    """The picture with its making in its XMP. A packet that cannot be edited gives way to one of ours."""
    if picture.xmp is None:
        return replace(picture, xmp=provenance.packet(making))
    try:
        return replace(picture, xmp=provenance.merged(picture.xmp, making))
    except ValueError:
        return replace(picture, xmp=provenance.packet(making), dropped=(*picture.dropped, "xmp"))


def _source_bytes(photo: Repainted) -> bytes:
    if photo.source.data is not None:
        return photo.source.data
    again = fetch(photo.item.image, version=photo.source.version, missing=ErrorCode.CHANGED_DURING_RUN)
    if identity.sha256_bytes(again.data) != photo.source.sha256:
        raise ItemError(
            ErrorCode.CHANGED_DURING_RUN,
            f"{photo.item.image} was read twice and its bytes differ; it is tried again in the next run",
        )
    return again.data


def _create(output: str, data: bytes, job: Job) -> tuple[str, int]:
    """Create the output, or adopt what a killed run left under its name. Returns sha256 and size."""
    created = job.store.create(output, data)
    if created.existing is None:
        return created.sha256, len(data)
    proof.require_same(output, created.existing, data, job.max_megapixels)
    return identity.sha256_bytes(created.existing), len(created.existing)


def _reference(item: Item, job: Job) -> codec.Picture | None:
    """The undamaged truth, where the row names one. A bad one fails the row before anything is stored."""
    if item.reference is None:
        return None
    try:
        truth = _fetch(item.reference, None, ErrorCode.IMAGE_NOT_FOUND, job)
        return codec.decode(truth.data, max_megapixels=job.max_megapixels)
    except ItemError as error:
        raise ItemError(error.code, f"the reference: {error.message}") from None


def _copy(data: bytes, picture: codec.Picture, facts: Outcome, job: Job) -> Outcome:
    """Nothing to repair: the source's own bytes are the output."""
    began = time.perf_counter()
    output = identity.output_name(facts.item_id, facts.work_key, EXTENSIONS[picture.format])
    created = job.store.create(output, data)
    if created.existing is not None:
        raise ItemError(ErrorCode.VERIFY_FAILED, f"{output} exists and is not a copy of {facts.image}")
    return replace(
        facts,
        status="copied",
        output=output,
        output_sha256=created.sha256,
        output_bytes=len(data),
        proof="exact",
        changed_outside_mask=0,
        seconds=replace(facts.seconds, upload=time.perf_counter() - began),
    )


def failed(facts: Outcome, error: ItemError) -> Outcome:
    """The failed row of a photo, with all that was known of it."""
    return replace(facts, status="failed", error_code=str(error.code), error_message=error.message)
