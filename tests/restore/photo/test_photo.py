"""Photo: one photo's whole way on real pictures, without Ray."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from threading import Barrier
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageOps
from skimage import data

from restore import engines, identity
from restore.engines import Painted, Task
from restore.errors import ErrorCode, ItemError
from restore.imaging import codec
from restore.item import Item
from restore.methods import SDXL_SIZES
from restore.outcome import Outcome
from restore.photo import inputs as inputs_of_photos
from restore.photo import prepare as prepare_step
from restore.photo.finish import finish
from restore.photo.paint import paint
from restore.photo.prepare import filled, prepare
from restore.photo.state import Job, PaintedPhoto, Prepared
from restore.recipe import Recipe
from restore.storage import AccessPolicy, OutStore

KEY = "0123456789abcdef"


SEEN = {ErrorCode.MASK_UNREADABLE, ErrorCode.MASK_SIZE_MISMATCH, ErrorCode.MASK_FULL}
"""Failures that come when the photo itself has been decoded."""


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(
        run_id="run",
        recipe=Recipe(),
        auto="telea",
        engine_hashes={name: identity.engine_hash("ns") for name in ("auto", "telea", "ns")},
        store=OutStore.open(str(tmp_path / "out")),
        access=AccessPolicy((str(tmp_path / "in"),)),
        software_version="0",
    )


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    return folder


def scratch(shape: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """A crease across and a speck: 255 = damage."""
    mask = np.zeros(shape, np.uint8)
    cv2.line(mask, (40, 30), (shape[1] - 60, shape[0] // 2), 255, 3)
    cv2.circle(mask, (shape[1] // 3, shape[0] - 60), 6, 255, -1)
    return mask


def save(path: Path, pixels: npt.NDArray[np.generic], **options: object) -> str:
    Image.fromarray(pixels).save(path, **options)
    return str(path)


def restore(item: Item, job: Job) -> Outcome:
    prepared = prepare(item, job)
    painted = paint([prepared], engines.build(["telea", "ns"]), 8)[0]
    return painted if isinstance(painted, Outcome) else finish(painted, job)


def output(outcome: Outcome, job: Job) -> bytes:
    assert outcome.output is not None
    return job.store.read(outcome.output)


def test_a_photo_is_restored_and_its_row_tells_all(inputs: Path, job: Job) -> None:
    truth = data.astronaut()
    mask = scratch(truth.shape[:2])
    damaged = np.where(mask[..., None] > 0, np.uint8(255), truth)
    item = Item(
        item_id="nasa/astronaut",
        image=save(inputs / "a.png", damaged),
        mask=save(inputs / "m.png", mask),
        reference=save(inputs / "t.png", truth),
        work_key=KEY,
        extra={"x_title": "Eileen Collins"},
    )
    outcome = restore(item, job)
    assert (outcome.status, outcome.error_message) == ("restored", None)
    assert outcome.output == "images/nasa/astronaut.0123456789ab.png"
    stored = output(outcome, job)
    assert outcome.output_sha256 == identity.sha256_bytes(stored) and outcome.output_bytes == len(stored)
    pixels = np.asarray(Image.open(io.BytesIO(stored)))
    far = cv2.dilate(mask, np.ones((13, 13), np.uint8)) == 0  # kernel 5 and feather 4 reach 6 px
    assert np.array_equal(pixels[far], damaged[far])
    hole = mask > 0
    error = np.abs(pixels[hole].astype(int) - truth[hole]).mean()
    assert error < np.abs(damaged[hole].astype(int) - truth[hole]).mean() / 4
    assert (outcome.proof, outcome.changed_outside_mask) == ("exact", 0)
    assert (outcome.width, outcome.height, outcome.bit_depth, outcome.color_mode) == (512, 512, 8, "RGB")
    assert outcome.mask_coverage == pytest.approx(hole.mean())
    assert outcome.figures.psnr is not None and outcome.figures.psnr > 20
    assert outcome.figures.ssim is not None and outcome.figures.seam is not None
    assert outcome.engine == "telea" and outcome.extra == {"x_title": "Eileen Collins"}
    assert outcome.windows and outcome.seconds.finish > 0 and outcome.attempts == 1
    assert outcome.read_bytes == sum((inputs / name).stat().st_size for name in ("a.png", "m.png"))
    small = [Image.open(io.BytesIO(one)).size for one in (outcome.thumbs.before, outcome.thumbs.after) if one]
    assert small == [(480, 480)] * 2 and outcome.thumbs.damage is not None


def test_the_same_bytes_under_a_new_version_are_not_painted_again(inputs: Path, job: Job) -> None:
    image, mask = save(inputs / "a.png", data.astronaut()), save(inputs / "m.png", scratch((512, 512)))
    first = restore(Item("a", image, KEY, mask=mask), job)
    former: dict[str, Any] = {
        "mask": mask,
        "former": "row",
        "former_image_sha256": first.image_sha256,
        "former_mask_sha256": first.mask_sha256,
    }
    again = prepare(Item("a", image, KEY, reason="image_changed", **former), job)
    assert isinstance(again, Outcome)
    assert (again.reason, again.reused_from, again.work_key) == ("touched", "row", KEY)
    assert again.image_version == first.image_version and again.seconds.fetch > 0 and again.width is None
    for other in ("former", "former_image_sha256", "former_mask_sha256"):
        changed = prepare(Item("a", image, KEY, **{**former, other: None}), job)
        assert isinstance(changed, Prepared), f"another {other} is another photo"


def test_a_16_bit_gray_tiff_stays_one(inputs: Path, job: Job) -> None:
    truth = data.camera().astype(np.uint16) * 257 + 3
    mask = scratch(truth.shape)
    damaged = np.where(mask > 0, np.uint16(65535), truth)
    item = Item("c", save(inputs / "c.tif", damaged), KEY, mask=save(inputs / "m.png", mask))
    outcome = restore(item, job)
    assert outcome.status == "restored" and outcome.bit_depth == 16 and outcome.color_mode == "L"
    pixels = np.asarray(Image.open(io.BytesIO(output(outcome, job))))
    assert pixels.dtype == np.uint16
    far = cv2.dilate(mask, np.ones((13, 13), np.uint8)) == 0
    assert np.array_equal(pixels[far], damaged[far])


def test_a_jpeg_rotated_by_exif_is_restored_upright_as_png(inputs: Path, job: Job) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = save(inputs / "r.jpg", data.coffee(), exif=exif, quality=92)
    upright = np.asarray(ImageOps.exif_transpose(Image.open(path)))
    mask = scratch(upright.shape[:2])
    outcome = restore(Item("r", path, KEY, mask=save(inputs / "m.png", mask)), job)
    assert outcome.output is not None and outcome.output.endswith(".png")
    stored = Image.open(io.BytesIO(output(outcome, job)))
    pixels = np.asarray(ImageOps.exif_transpose(stored))
    far = cv2.dilate(mask, np.ones((13, 13), np.uint8)) == 0
    assert np.array_equal(pixels[far], upright[far])


def test_nothing_to_repair_is_copied_byte_for_byte(inputs: Path, job: Job) -> None:
    path = save(inputs / "a.jpg", data.coffee(), quality=90)
    blank = save(inputs / "m.png", np.zeros(data.coffee().shape[:2], np.uint8))
    outcome = restore(Item("a", path, KEY, mask=blank), job)
    assert (outcome.status, outcome.output) == ("copied", "images/a.0123456789ab.jpg")
    assert output(outcome, job) == Path(path).read_bytes()
    assert outcome.proof == "exact" and outcome.changed_outside_mask == 0


def test_the_failures_of_a_photo_are_typed_rows(inputs: Path, job: Job, tmp_path: Path) -> None:
    good = save(inputs / "a.png", data.astronaut())
    mask = save(inputs / "m.png", scratch((512, 512)))
    full = save(inputs / "full.png", np.full((512, 512), 255, np.uint8))
    small = save(inputs / "small.png", scratch((256, 256)))
    ones = save(inputs / "ones.png", (scratch((512, 512)) > 0).astype(np.uint8))
    (inputs / "cut.png").write_bytes(Path(good).read_bytes()[:20_000])
    (inputs / "text.png").write_text("<html>not found</html>")
    secret = save(tmp_path / "secret.png", data.astronaut())
    (inputs / "link.png").symlink_to(secret)
    cases = {
        ErrorCode.IMAGE_NOT_FOUND: Item("a", str(inputs / "none.png"), KEY, mask=mask),
        ErrorCode.IMAGE_UNREADABLE: Item("a", str(inputs / "cut.png"), KEY, mask=mask),
        ErrorCode.UNSUPPORTED_FORMAT: Item("a", str(inputs / "text.png"), KEY, mask=mask),
        ErrorCode.MASK_NOT_FOUND: Item("a", good, KEY, mask=str(inputs / "none.png")),
        ErrorCode.MASK_UNREADABLE: Item("a", good, KEY, mask=ones),
        ErrorCode.MASK_SIZE_MISMATCH: Item("a", good, KEY, mask=small),
        ErrorCode.MASK_FULL: Item("a", good, KEY, mask=full),
        ErrorCode.STORAGE_DENIED: Item("a", str(inputs / "link.png"), KEY, mask=mask),
        ErrorCode.CHANGED_DURING_RUN: Item("a", good, KEY, mask=mask, image_version="1-1"),
        ErrorCode.INVALID_ROW: Item("a", good, KEY, mask=mask, overrides='{"feather":"soft"}'),
    }
    for code, item in cases.items():
        outcome = restore(item, job)
        assert (outcome.status, outcome.error_code) == ("failed", code), outcome.error_message
        assert outcome.error_message and outcome.output is None
        assert outcome.thumbs.after is None and (outcome.thumbs.before is not None) == (code in SEEN), code
        if code in (ErrorCode.MASK_NOT_FOUND, ErrorCode.MASK_FULL):
            assert outcome.image_sha256, "a failed row tells what was known by then"
    assert restore(cases[ErrorCode.MASK_FULL], job).mask_coverage == 1.0


def test_no_mask_is_copied_only_when_asked(inputs: Path, job: Job) -> None:
    item = Item("a", save(inputs / "a.png", data.astronaut()), KEY)
    assert restore(item, job).error_code == ErrorCode.MASK_NOT_FOUND
    assert restore(item, replace(job, copy_unmasked=True)).status == "copied"


def test_too_many_megapixels_are_refused(inputs: Path, job: Job) -> None:
    item = Item("a", save(inputs / "a.png", data.astronaut()), KEY)
    assert restore(item, replace(job, max_megapixels=0.2)).error_code == ErrorCode.IMAGE_TOO_LARGE


def test_a_file_larger_than_any_picture_is_not_read(
    inputs: Path, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inputs_of_photos, "BYTES_BESIDES", 0)
    small = replace(job, max_megapixels=0.01)
    good, large = save(inputs / "a.png", data.astronaut()[:90, :90]), inputs / "large.png"
    with large.open("wb") as file:
        file.truncate(1 << 40)  # a hole: reading a terabyte would end badly
    masked = Item("a", str(large), KEY, mask=good)
    assert restore(masked, small).error_code == ErrorCode.IMAGE_TOO_LARGE
    outcome = restore(Item("a", good, KEY, mask=str(large)), small)
    assert outcome.error_code == ErrorCode.MASK_UNREADABLE and "the mask: " in (outcome.error_message or "")


def test_the_picture_of_a_killed_run_is_adopted(inputs: Path, job: Job) -> None:
    mask = save(inputs / "m.png", scratch((512, 512)))
    item = Item("a", save(inputs / "a.png", data.astronaut()), KEY, mask=mask)
    first, second = restore(item, job), restore(item, job)
    assert second.status == "restored" and second.output_sha256 == first.output_sha256


def test_a_row_tells_of_the_bytes_that_were_adopted_not_of_our_own(inputs: Path, job: Job) -> None:
    mask = save(inputs / "m.png", scratch((512, 512)))
    item = Item("a", save(inputs / "a.png", data.astronaut()), KEY, mask=mask)
    ours = restore(item, job)
    recoded = io.BytesIO()
    Image.open(io.BytesIO(output(ours, job))).save(recoded, "png", compress_level=1)
    job.store.overwrite("images/a.0123456789ab.png", recoded.getvalue())
    adopted = restore(item, job)
    assert adopted.status == "restored" and adopted.output_sha256 != ours.output_sha256
    assert adopted.output_sha256 == identity.sha256_bytes(recoded.getvalue())
    assert adopted.output_bytes == len(recoded.getvalue())


def test_a_copy_does_not_adopt_other_bytes(inputs: Path, job: Job) -> None:
    mask = save(inputs / "m.png", np.zeros((512, 512), np.uint8))
    item = Item("a", save(inputs / "a.png", data.astronaut()), KEY, mask=mask)
    job.store.create("images/a.0123456789ab.png", b"something else")
    assert restore(item, job).error_code == ErrorCode.VERIFY_FAILED
    assert job.store.read("images/a.0123456789ab.png") == b"something else"


def test_another_picture_under_our_name_is_never_replaced(inputs: Path, job: Job) -> None:
    mask = save(inputs / "m.png", scratch((512, 512)))
    item = Item("a", save(inputs / "a.png", data.astronaut()), KEY, mask=mask)
    other = codec.encode(codec.decode(Path(item.image).read_bytes()), "png", 95).data
    job.store.create("images/a.0123456789ab.png", other)
    assert restore(item, job).error_code == ErrorCode.VERIFY_FAILED
    job2 = replace(job, run_id="r2")
    assert restore(replace(item, item_id="b"), job2).status == "restored"
    assert job.store.read("images/a.0123456789ab.png") == other


def test_a_large_source_is_fetched_again_and_must_be_the_same(
    inputs: Path, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepare_step, "CARRY_LIMIT", 1000)
    path = Path(save(inputs / "a.png", data.astronaut()))
    item = Item("a", str(path), KEY, mask=save(inputs / "m.png", scratch((512, 512))))
    prepared = prepare(item, job)
    assert isinstance(prepared, Prepared) and prepared.source.data is None
    painted = paint([prepared], engines.build(["telea"]), 8)[0]
    assert isinstance(painted, PaintedPhoto)
    assert finish(painted, job).status == "restored"
    path.write_bytes(path.read_bytes() + b" ")
    assert finish(painted, job).error_code == ErrorCode.CHANGED_DURING_RUN


def test_lossy_output_says_so(inputs: Path, job: Job) -> None:
    mask = save(inputs / "m.png", scratch((512, 512)))
    item = Item(
        "a", save(inputs / "a.png", data.astronaut()), KEY, mask=mask, overrides='{"output_format":"jpeg"}'
    )
    outcome = restore(item, job)
    assert outcome.status == "restored" and outcome.proof == "lossy"
    assert outcome.changed_outside_mask is not None and outcome.changed_outside_mask > 0


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


@pytest.mark.parametrize(
    ("overrides", "golden"),
    [
        ('{"engine":"ns"}', "e502b0eca1b30f94"),
        ('{"engine":"telea","feather":9,"dilate_kernel":9}', "852781bc43604e57"),
        ('{"engine":"ns","window_context":16,"output_format":"tiff"}', "e502b0eca1b30f94"),
    ],
)
def test_the_pixels_are_golden(inputs: Path, job: Job, overrides: str, golden: str) -> None:
    mask = save(inputs / "m.png", scratch((512, 512)))
    item = Item("g", save(inputs / "a.png", data.astronaut()), KEY, mask=mask, overrides=overrides)
    pixels = codec.decode(output(restore(item, job), job)).pixels
    assert identity.sha256_bytes(pixels.tobytes())[:16] == golden, (
        "the pixels around the engine changed: raise PIPELINE_VERSION in restore/identity.py"
    )


class Sized:
    """A sized engine that checks what it is given and paints the damage green."""

    sizes = SDXL_SIZES

    def __init__(self) -> None:
        self.tasks: list[Task] = []

    def paint(self, tasks: object) -> list[Painted | ItemError]:
        batch = list(tasks)  # type: ignore[call-overload]
        self.tasks += batch
        for task in batch:
            height, width = task.mask.shape
            assert (width, height) in SDXL_SIZES and task.window.shape == (height, width, 3)
            assert task.window.dtype == np.uint8 and task.filled
        green = np.uint8([20, 230, 20])
        return [
            Painted(np.where(t.mask[..., None], green, t.window), ("vae_tiling",), "Euler") for t in batch
        ]


MODELS = ({"role": "inpaint", "id": "a/b", "revision": "c", "sha256": "d"},)


def sdxl(job: Job) -> Job:
    hashes = {"auto": "both", "sdxl": "one", "ns": identity.engine_hash("ns")}
    return replace(
        job, auto="sdxl", engine_hashes=hashes, models={"sdxl": MODELS}, recipe=Recipe(dtype="bfloat16")
    )


def restore_with(engine: Sized, item: Item, job: Job) -> Outcome:
    prepared = prepare(item, job)
    prepared = filled(prepared) if isinstance(prepared, Prepared) else prepared
    built = {**engines.build(["ns"]), "sdxl": engine}
    painted = paint([prepared], built, 8)[0]  # type: ignore[arg-type]
    return painted if isinstance(painted, Outcome) else finish(painted, job)


def test_auto_on_a_gpu_sends_thin_damage_to_the_classical_engine(inputs: Path, job: Job) -> None:
    mask = np.zeros((512, 512), np.uint8)
    cv2.line(mask, (40, 30), (452, 256), 255, 1)
    cv2.circle(mask, (170, 452), 6, 255, -1)
    item = Item("a", save(inputs / "a.png", data.astronaut()), KEY, mask=save(inputs / "m.png", mask))
    engine, job = Sized(), sdxl(job)
    both = restore_with(engine, item, job)
    assert (both.status, both.engine, both.engine_hash) == ("restored", "ns+sdxl", "both"), both.error_message
    assert both.models == MODELS and both.dtype == "bfloat16" and both.scheduler == "Euler"
    assert both.engine_steps == ("vae_tiling",)
    pixels = np.asarray(Image.open(io.BytesIO(output(both, job)))).astype(int)
    speck, crease = pixels[452, 170], pixels[30, 40]
    assert speck[1] > speck[0] + 50 and crease[1] < crease[0] + 50
    far = cv2.dilate(mask, np.ones((13, 13), np.uint8)) == 0
    assert np.array_equal(pixels[far], data.astronaut()[far])

    cv2.circle(mask, (170, 452), 7, 0, -1)
    thin = restore_with(engine, replace(item, mask=save(inputs / "thin.png", mask), work_key="1" * 16), job)
    assert (thin.engine, thin.dtype, thin.models, thin.scheduler) == ("ns", None, (), None)
    chosen = replace(item, overrides='{"engine":"sdxl"}', work_key="2" * 16)
    alone = restore_with(engine, chosen, job)
    assert (alone.engine, alone.engine_hash) == ("sdxl", "one")


def test_outpainting_repaints_all_but_what_the_mask_shows(inputs: Path, job: Job) -> None:
    keep = np.zeros((512, 512), np.uint8)
    keep[100:400, 150:350] = 255
    overrides = '{"engine":"sdxl","mode":"outpaint"}'
    item = Item(
        "a",
        save(inputs / "a.png", data.astronaut()),
        KEY,
        mask=save(inputs / "m.png", keep),
        overrides=overrides,
    )
    job = sdxl(job)
    outcome = restore_with(Sized(), item, job)
    assert outcome.status == "restored", outcome.error_message
    pixels = np.asarray(Image.open(io.BytesIO(output(outcome, job))))
    assert np.array_equal(pixels[110:390, 160:340], data.astronaut()[110:390, 160:340])
    assert pixels[50, 50, 1] > pixels[50, 50, 0] + 50
    assert outcome.mask_coverage == pytest.approx(1 - 300 * 200 / 512**2)


@pytest.mark.parametrize("masked", [False, True])
def test_margins_extend_the_canvas_and_keep_every_pixel(inputs: Path, job: Job, masked: bool) -> None:
    truth = data.coffee()
    height, width = truth.shape[:2]
    keep = np.full((height, width), 255, np.uint8)
    keep[200:220, 300:330] = 0
    overrides = '{"engine":"sdxl","expand":"64,0,32,100","mode":"outpaint"}'
    mask = save(inputs / "m.png", keep) if masked else None
    item = Item("a", save(inputs / "a.jpg", truth, quality=95), KEY, mask=mask, overrides=overrides)
    source = np.asarray(Image.open(item.image))
    job = sdxl(job)
    outcome = restore_with(Sized(), item, job)
    assert outcome.status == "restored", outcome.error_message
    assert (outcome.width, outcome.height) == (width + 96, height + 100)
    assert (outcome.proof, outcome.changed_outside_mask) == ("exact", 0)
    pixels = np.asarray(Image.open(io.BytesIO(output(outcome, job))))
    assert pixels.shape == (height + 100, width + 96, 3)
    known = cv2.dilate(255 - keep, np.ones((13, 13), np.uint8)) == 0 if masked else np.ones_like(keep, bool)
    assert np.array_equal(pixels[:height, 64:-32][known], source[known])
    assert pixels[height + 50, 200, 1] > pixels[height + 50, 200, 0] + 50
    too_large = restore_with(Sized(), item, replace(job, max_megapixels=0.25))
    assert too_large.error_code == ErrorCode.IMAGE_TOO_LARGE
