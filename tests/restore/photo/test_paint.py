"""Paint: windows of several photos in batches, and failures that stay with their photo."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from threading import Barrier

import numpy as np

from restore import engines
from restore.engines import Painted, Task
from restore.errors import ErrorCode, ItemError
from restore.item import Item
from restore.outcome import Outcome
from restore.photo.paint import paint
from restore.photo.prepare import prepare
from restore.photo.state import Job, PaintedPhoto, Prepared
from tests.support.photos import KEY, save


class Recorder:
    """An engine that returns its windows and remembers how it was called."""

    sizes = None

    def __init__(self) -> None:
        self.calls: list[list[Task]] = []

    def paint(self, tasks: object) -> list[Painted | ItemError]:
        batch = list(tasks)  # type: ignore[call-overload]
        self.calls.append(batch)
        return [
            ItemError(ErrorCode.OUT_OF_MEMORY, "too big")
            if task.sampler.prompt == "huge"
            else Painted(task.window.copy(), (f"batch {len(batch)}",))
            for task in batch
        ]


def prepared_photo(inputs: Path, job: Job, name: str, overrides: str = "{}") -> Prepared:
    mask = np.zeros((600, 600), np.uint8)
    mask[300:304, 300:304] = 255
    pixels = np.random.default_rng(len(name)).integers(0, 255, (600, 600, 3), np.uint8)
    item = Item(
        name,
        save(inputs / f"{name}.png", pixels),
        KEY,
        mask=save(inputs / f"{name}-m.png", mask),
        overrides=overrides,
    )
    prepared = prepare(item, job)
    assert isinstance(prepared, Prepared)
    return prepared


def test_what_needs_no_device_is_painted_while_the_device_is_at_work(inputs: Path, job: Job) -> None:
    both = Barrier(2)

    class Meeting(Recorder):
        def paint(self, tasks: object) -> list[Painted | ItemError]:
            both.wait(30)  # broken where one engine waits for the other to end
            return [replace(one, device="card") for one in super().paint(tasks) if isinstance(one, Painted)]

    job = replace(job, engine_hashes={**job.engine_hashes, "sdxl": "x"})
    photos = [
        prepared_photo(inputs, job, "thin"),
        prepared_photo(inputs, job, "large", '{"engine":"sdxl"}'),
        prepared_photo(inputs, job, "thin too"),
    ]
    done = paint(photos, {"telea": Meeting(), "sdxl": Meeting()}, 8)
    assert [value.item.item_id for value in done if isinstance(value, PaintedPhoto)] == [
        "thin",
        "large",
        "thin too",
    ]
    assert {value.draft.device for value in done if isinstance(value, PaintedPhoto)} == {"card"}


def test_windows_of_several_photos_share_a_call_if_they_are_alike(inputs: Path, job: Job) -> None:
    engine = Recorder()
    photos = [
        prepared_photo(inputs, job, "a"),
        prepared_photo(inputs, job, "b", '{"prompt":"a face","guidance_scale":3.0}'),
        prepared_photo(inputs, job, "c", '{"num_inference_steps":20}'),
        prepared_photo(inputs, job, "d"),
    ]
    done = paint(photos, {"telea": engine}, 2)
    assert [len(call) for call in engine.calls] == [2, 1, 1]
    assert [value.item.item_id for value in done if isinstance(value, PaintedPhoto)] == list("abcd")
    assert all(
        np.array_equal(value.painted[0], prepared.tasks[0].window)
        for value, prepared in zip(done, photos, strict=True)
        if isinstance(value, PaintedPhoto)
    )


def test_a_window_that_fails_alone_fails_its_photo_alone(inputs: Path, job: Job) -> None:
    photos = [
        prepared_photo(inputs, job, "a"),
        prepared_photo(inputs, job, "b", '{"prompt":"huge"}'),
    ]
    good, bad = paint(photos, {"telea": Recorder()}, 8)
    assert isinstance(good, PaintedPhoto) and good.draft.engine_steps == ("batch 2",)
    assert isinstance(bad, Outcome) and bad.error_code == ErrorCode.OUT_OF_MEMORY


def test_a_failed_photo_passes_paint_untouched(inputs: Path, job: Job) -> None:
    failed = prepare(Item("a", str(inputs / "none.png"), KEY), job)
    engine = Recorder()
    assert paint([failed], {"telea": engine}, 8) == [failed]
    assert engine.calls == []


def test_a_photo_is_the_same_whatever_its_neighbours(inputs: Path, job: Job) -> None:
    names = ["a", "b", "c"]
    photos = [prepared_photo(inputs, job, name) for name in names]
    alone = [paint([value], engines.build(["telea"]), 8)[0] for value in photos]
    together = paint(photos[::-1], engines.build(["telea"]), 2)[::-1]
    for one, other in zip(alone, together, strict=True):
        assert isinstance(one, PaintedPhoto) and isinstance(other, PaintedPhoto)
        assert all(np.array_equal(p, q) for p, q in zip(one.painted, other.painted, strict=True))
