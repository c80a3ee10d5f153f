"""Prepare: photos that are cut into windows, and all that ends before."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from skimage import data

from restore.errors import FIT_MASKS, ErrorCode
from restore.item import Item
from restore.outcome import Outcome
from restore.photo import inputs as inputs_of_photos
from restore.photo.prepare import prepare
from restore.photo.state import Job, Prepared
from restore.recipe import Recipe
from tests.support.photos import KEY, output, restore, save, scratch

SEEN = {ErrorCode.MASK_UNREADABLE, ErrorCode.MASK_SIZE_MISMATCH, ErrorCode.MASK_FULL}
SEEN |= {ErrorCode.MASK_TOO_LARGE}
"""Failures that come when the photo itself has been decoded."""


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
    most = save(inputs / "most.png", 255 - scratch((512, 512)))
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
        ErrorCode.MASK_TOO_LARGE: Item("a", good, KEY, mask=most),
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


def test_a_mask_of_a_smaller_copy_is_fitted_only_when_asked(inputs: Path, job: Job) -> None:
    photo = save(inputs / "a.png", data.astronaut())
    small = Item("a", photo, KEY, mask=save(inputs / "m.png", scratch((256, 256))))
    refused = restore(small, job)
    assert refused.error_code == ErrorCode.MASK_SIZE_MISMATCH and FIT_MASKS in str(refused.error_message)
    done = restore(small, replace(job, fit_masks=True))
    assert done.status == "restored" and done.engine_steps == ("mask_fitted",)
    large = Item("a", photo, KEY, mask=save(inputs / "l.png", scratch((512, 512)).repeat(2, 0).repeat(2, 1)))
    assert restore(large, replace(job, fit_masks=True)).engine_steps == ("mask_fitted",)
    other = Item("a", photo, KEY, mask=save(inputs / "o.png", scratch((256, 512))))
    still = restore(other, replace(job, fit_masks=True))
    assert still.error_code == ErrorCode.MASK_SIZE_MISMATCH and FIT_MASKS not in str(still.error_message)
    exact = Item("a", photo, KEY, mask=save(inputs / "e.png", scratch((512, 512))))
    assert restore(exact, replace(job, fit_masks=True)).engine_steps == ()


def test_rows_that_share_a_seed_key_share_their_noise(inputs: Path, job: Job) -> None:
    photo, mask = save(inputs / "a.png", data.astronaut()), save(inputs / "m.png", scratch((512, 512)))

    def seeds(item_id: str, overrides: str) -> list[int]:
        prepared = prepare(Item(item_id, photo, KEY, mask=mask, overrides=overrides), job)
        assert isinstance(prepared, Prepared)
        return [task.seed for task in prepared.tasks]

    alone = seeds("a", "{}")
    assert seeds("a/soft", '{"feather":9,"seed_key":"a"}') == alone
    assert seeds("a/soft", '{"feather":9}') != alone
    assert seeds("a", '{"seed":1,"seed_key":"a"}') != alone


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


def test_a_copy_does_not_adopt_other_bytes(inputs: Path, job: Job) -> None:
    mask = save(inputs / "m.png", np.zeros((512, 512), np.uint8))
    item = Item("a", save(inputs / "a.png", data.astronaut()), KEY, mask=mask)
    job.store.create("images/a.0123456789ab.png", b"something else")
    assert restore(item, job).error_code == ErrorCode.VERIFY_FAILED
    assert job.store.read("images/a.0123456789ab.png") == b"something else"


@pytest.mark.parametrize("by_row", [False, True])
@pytest.mark.parametrize("mask", [None, "black"])
def test_outpainting_without_a_margin_asks_for_expand(
    inputs: Path, job: Job, by_row: bool, mask: str | None
) -> None:
    black = save(inputs / "m.png", np.zeros((512, 512), np.uint8)) if mask else None
    item = Item("a", save(inputs / "a.png", data.astronaut()), KEY, mask=black)
    if by_row:
        item = replace(item, overrides='{"mode":"outpaint"}')
    else:
        job = replace(job, recipe=Recipe(mode="outpaint"))
    outcome = restore(item, job)
    assert outcome.error_code == (ErrorCode.MASK_FULL if mask else ErrorCode.MASK_NOT_FOUND)
    message = outcome.error_message or ""
    assert "expand=0,0,0,0 adds no margin" in message and "set expand to LEFT,TOP,RIGHT,BOTTOM" in message
    assert "polarity" not in message and "--" not in message


def test_a_photo_without_a_mask_names_the_setting_that_copies_it(inputs: Path, job: Job) -> None:
    message = restore(Item("a", save(inputs / "a.png", data.astronaut()), KEY), job).error_message or ""
    assert "names no mask" in message and "the setting copy_unmasked" in message and "--" not in message


def test_a_mask_that_marks_most_of_a_photo_is_refused_until_it_may(inputs: Path, job: Job) -> None:
    """A black stroke on white, read with the default polarity, would repaint all but the stroke."""
    image, mask = save(inputs / "a.png", data.astronaut()), save(inputs / "m.png", 255 - scratch((512, 512)))
    item = Item("a", image, KEY, mask=mask)
    outcome = restore(item, job)
    assert outcome.error_code == ErrorCode.MASK_TOO_LARGE and (outcome.mask_coverage or 0) > 0.9
    message = outcome.error_message or ""
    assert "more than max_coverage 0.6; check mask_polarity (now white_is_damage)" in message
    right = replace(job, recipe=Recipe(mask_polarity="black_is_damage"))
    assert restore(item, right).status == "restored"
    raised = Item("b", image, KEY, mask=mask, overrides='{"max_coverage":1.0}')
    assert restore(raised, job).status == "restored"
    kept = replace(job, recipe=Recipe(mode="outpaint"))
    assert restore(Item("c", image, KEY, mask=save(inputs / "k.png", scratch((512, 512)))), kept).output
