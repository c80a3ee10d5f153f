"""The last step of one photo, on a CPU: composite, encode, verify, upload."""

from __future__ import annotations

import time
from dataclasses import replace

from restore import identity
from restore.errors import ErrorCode, ItemError
from restore.imaging import codec
from restore.imaging.metadata import xmp
from restore.imaging.picture import Picture
from restore.imaging.thumbnails import damage_overlay, thumbnail
from restore.item import Item
from restore.methods import any_trained
from restore.outcome import Outcome
from restore.photo.inputs import fetch_input, memory_for_photo
from restore.photo.state import FinishedPhoto, Job, PaintedPhoto, failed
from restore.repair import outpaint, quality, verify
from restore.repair.paste import paste
from restore.storage import AccessPolicy, fetch

MAX_WAITING_BYTES = 32 * 2**20
"""Largest output that may wait for its upload while the next photo is composed, bytes."""


def compose(photo: PaintedPhoto, job: Job) -> FinishedPhoto | Outcome:
    """The restored picture, encoded and verified.

    An output above `MAX_WAITING_BYTES` is uploaded at once, within the memory that the photo has reserved.

    Returns:
        The picture that waits for `upload`; or the photo's row, where it failed or is uploaded already.
    """
    try:
        data = _source_bytes(photo, job.access)
        copies = 3 if photo.item.reference is None else 4
        with job.memory_gate.reserve(memory_for_photo(data, photo.recipe, job, copies)):
            composed = _composed(photo, data, job)
            return composed if len(composed.data) <= MAX_WAITING_BYTES else upload(composed, job)
    except ItemError as error:
        return failed(photo.draft, error)


def upload(composed: FinishedPhoto, job: Job) -> Outcome:
    """Create the output in the job's store. It takes little CPU, so other work can run beside it."""
    began = time.perf_counter()
    try:
        sha256, size = _create(composed.output, composed.data, job)
    except ItemError as error:
        return failed(composed.draft, error)
    return replace(
        composed.made,
        output_sha256=sha256,
        output_bytes=size,
        seconds=replace(composed.made.seconds, upload=time.perf_counter() - began),
    )


def _composed(photo: PaintedPhoto, data: bytes, job: Job) -> FinishedPhoto:
    began = time.perf_counter()
    recipe = photo.recipe
    source = codec.decode(data, max_megapixels=job.max_megapixels)
    picture = outpaint.extended(source, recipe.margins, job.max_megapixels)
    pasted = paste(picture, photo.placements, photo.painted, recipe.feather, recipe.margins)
    making = _making(photo.draft)
    restored = _with_making(replace(picture, pixels=pasted.pixels), making)
    encoded = codec.encode(restored, recipe.output_format, recipe.quality, xmp.packet(making))
    changed = verify.changed_pixels(encoded, picture, restored, pasted.editable_area, job.max_megapixels)
    measured = quality.measured(restored, _reference(photo.item, job), pasted.damage, recipe.feather)
    output = identity.output_name(photo.item.item_id, photo.item.work_key, encoded.extension)
    thumbs = replace(photo.draft.thumbs, after=thumbnail(restored), damage=damage_overlay(pasted.damage))
    made = replace(
        photo.draft,
        status="restored",
        output=output,
        proof=encoded.proof,
        changed_outside_mask=changed,
        dropped=tuple(dict.fromkeys((*picture.dropped, *encoded.dropped))),
        figures=measured,
        suspicion=quality.suspicion(measured, photo.draft.mask_coverage or 0.0),
        thumbs=thumbs,
        seconds=replace(photo.draft.seconds, finish=time.perf_counter() - began),
    )
    return FinishedPhoto(output=output, data=encoded.data, made=made, draft=photo.draft)


def _making(draft: Outcome) -> xmp.Making:
    engine = draft.engine or ""
    return xmp.Making(
        engine=engine,
        source_sha256=draft.image_sha256 or "",
        recipe_hash=draft.recipe_hash,
        software=f"Silverprint {draft.software_version}",
        trained=any_trained(engine.split("+")),
    )


def _with_making(picture: Picture, making: xmp.Making) -> Picture:
    """The picture with its making in its XMP. A packet that cannot be edited is replaced."""
    if picture.xmp is None:
        return replace(picture, xmp=xmp.packet(making))
    try:
        return replace(picture, xmp=xmp.merged(picture.xmp, making))
    except ValueError:
        return replace(picture, xmp=xmp.packet(making), dropped=(*picture.dropped, "xmp"))


def _source_bytes(photo: PaintedPhoto, access: AccessPolicy) -> bytes:
    if photo.source.data is not None:
        return photo.source.data
    again = fetch(
        photo.item.image,
        version=photo.source.version,
        missing=ErrorCode.CHANGED_DURING_RUN,
        access=access,
    )
    if identity.sha256_bytes(again.data) != photo.source.sha256:
        raise ItemError(
            ErrorCode.CHANGED_DURING_RUN,
            f"{photo.item.image} was read twice and its bytes differ; the next run tries it again",
        )
    return again.data


def _create(output: str, data: bytes, job: Job) -> tuple[str, int]:
    """Create the output, or adopt the same picture of a killed run. Returns sha256 and size in bytes."""
    created = job.store.create(output, data)
    if created.existing is None:
        return created.sha256, len(data)
    verify.require_same(output, created.existing, data, job.max_megapixels)
    return identity.sha256_bytes(created.existing), len(created.existing)


def _reference(item: Item, job: Job) -> Picture | None:
    """The undamaged truth, where the row names one. A bad one fails the row before the upload."""
    if item.reference is None:
        return None
    try:
        truth = fetch_input(item.reference, None, ErrorCode.IMAGE_NOT_FOUND, job)
        return codec.decode(truth.data, max_megapixels=job.max_megapixels)
    except ItemError as error:
        raise ItemError(error.code, f"the reference: {error.message}", error.own) from None
