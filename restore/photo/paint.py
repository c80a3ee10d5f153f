"""The second step, by the engines: paint the windows of several photos in batches of one size."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from restore.engines import Engine, Painted, Task
from restore.errors import ItemError
from restore.methods import Method, sizes_of
from restore.outcome import Outcome
from restore.photo.state import PaintedPhoto, Prepared, failed


def paint(
    photos: Sequence[Prepared | Outcome],
    engines: Mapping[Method, Engine],
    batch_size: int,
    clock: Callable[[], float] = time.time,
) -> list[PaintedPhoto | Outcome]:
    """Paint the windows of several photos, grouped so that one engine call holds windows of one kind.

    Args:
        photos: prepared photos; rows of photos that are done already are passed on.
        engines: by method, for every task of the photos.
        batch_size: most windows of one call.
        clock: seconds since the epoch.

    Returns:
        For each of `photos`, in their order, the painted photo or its row.
    """
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
    for batch, painted, share in _answers(waiting, engines, batch_size):
        for index, answer in zip(batch, painted, strict=True):
            answers[index] = answer
            spent[waiting[index][0]] += share
    for index, (number, _) in enumerate(waiting):
        results[number].append(answers[index])
    return [
        photo
        if isinstance(photo, Outcome)
        else _painted_photo(photo, results[number], started, spent[number])
        for number, photo in enumerate(photos)
    ]


def _answers(
    waiting: Sequence[tuple[int, Task]], engines: Mapping[Method, Engine], batch_size: int
) -> Iterator[tuple[list[int], Sequence[Painted | ItemError], float]]:
    """For each batch its indexes, their answers, and the seconds that one of its windows took."""

    def painted(batch: list[int]) -> tuple[list[int], Sequence[Painted | ItemError], float]:
        began = time.perf_counter()
        tasks = [waiting[index][1] for index in batch]
        answers = engines[tasks[0].method].paint(tasks)
        return batch, answers, (time.perf_counter() - began) / len(batch)

    batches = list(_batches(waiting, batch_size))
    native = [batch for batch in batches if sizes_of(waiting[batch[0]][1].method) is None]
    sized = [batch for batch in batches if batch not in native]
    with ThreadPoolExecutor(1) as beside:
        # Windows that need no device are painted while the device works, so that it never waits for a core.
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


def _painted_photo(
    photo: Prepared, answers: Sequence[Painted | ItemError], started: float, spent: float
) -> PaintedPhoto | Outcome:
    seconds = replace(photo.draft.seconds, wait=max(0.0, started - photo.ready_at), paint=spent)
    draft = replace(photo.draft, seconds=seconds)
    for answer in answers:
        if isinstance(answer, ItemError):
            return failed(draft, answer)
    painted = [answer for answer in answers if isinstance(answer, Painted)]
    steps = dict.fromkeys([*draft.engine_steps, *(step for answer in painted for step in answer.steps)])
    scheduler = next((answer.scheduler for answer in painted if answer.scheduler), None)
    device = next((answer.device for answer in painted if answer.device), draft.device)
    return PaintedPhoto(
        item=photo.item,
        recipe=photo.recipe,
        source=photo.source,
        placements=photo.placements,
        painted=tuple(answer.window for answer in painted),
        draft=replace(draft, engine_steps=tuple(steps), scheduler=scheduler, device=device),
    )
