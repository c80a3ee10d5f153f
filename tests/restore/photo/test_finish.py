"""Finish: what is stored of restored photos, and its row."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
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
from restore.photo import prepare as prepare_step
from restore.photo.paint import paint
from restore.photo.prepare import filled, prepare
from restore.photo.state import Job, PaintedPhoto, Prepared
from restore.recipe import Recipe
from tests.support.photos import KEY, finish, output, restore, save, scratch


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
    monkeypatch.setattr(prepare_step, "MAX_CARRIED_BYTES", 1000)
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
