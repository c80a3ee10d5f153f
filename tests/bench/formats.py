"""Every kind of file through a restoration, judged by a second decoder: the table of `restore/imaging`."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from restore import identity
from restore.item import Item
from restore.outcome import Outcome
from restore.photo.state import Job
from restore.recipe import Recipe
from restore.storage import AccessPolicy, OutStore
from tests.support import photos
from tests.support.corpus import mask_of
from tests.support.rasters import Raster, rasters
from tests.support.rasters import second as second_raster
from tests.support.second_decoder import second
from tests.support.tiffs import ALPHA, Mix, mixes, tiff, truth

ALPHA_NAMES = {
    "unspecified": "a channel that is no alpha",
    "premultiplied": "premultiplied alpha",
    "alpha": "alpha",
    "two extra": "alpha and another channel",
}
REACH = 6  # px farther than this from the damage nothing may change: kernel 5 and feather 4


@dataclass(frozen=True)
class Verdict:
    """What became of one file.

    Attributes:
        refused: the message of a file that is refused by name, up to the way out.
        stored: what a restored file is, where it is not what the source was: "8-bit", "RGB".
    """

    mix: Mix
    refused: str | None = None
    stored: str | None = None


def verdicts(folder: Path) -> Iterator[Verdict]:
    """Restore every mix and judge it.

    Raises:
        AssertionError: a file was restored wrongly, or refused without a name.
    """
    job = _job(folder)
    (folder / "mask.png").write_bytes(mask_of(_damage()))
    for number, mix in enumerate(mixes()):
        source = tiff(mix)
        (folder / f"{number}.tif").write_bytes(source)
        outcome = photos.restore(_item(folder, number), job)
        yield _judged(mix, source, outcome, job)


def restored_rasters(folder: Path) -> Iterator[Raster]:
    """Restore every PNG, JPEG and WebP, and judge it.

    Raises:
        AssertionError: a file was refused, or restored wrongly.
    """
    job = _job(folder)
    (folder / "mask.png").write_bytes(mask_of(_damage()))
    for number, raster in enumerate(rasters()):
        (folder / f"{number}.tif").write_bytes(raster.data)
        outcome = photos.restore(_item(folder, number), job)
        assert (outcome.status, outcome.proof) == ("restored", "exact"), (
            f"{raster.name}: {outcome.error_message}"
        )
        assert (outcome.output or "").endswith(raster.extension), outcome.output
        found = second_raster(photos.output(outcome, job))
        assert (found.shape, found.dtype) == (raster.shown.shape, raster.shown.dtype), raster.name
        changed = (found != raster.shown).any(axis=2)
        assert not changed[_known()].any(), f"{raster.group}, {raster.name}: {changed.sum()} pixels differ"
        yield raster


def _judged(mix: Mix, source: bytes, outcome: Outcome, job: Job) -> Verdict:
    if outcome.status == "failed":
        assert outcome.error_code == "unsupported_format", f"{mix.name}: {outcome.error_message}"
        return Verdict(mix, refused=(outcome.error_message or "").partition("; accepted are")[0])
    assert (outcome.status, outcome.proof, outcome.changed_outside_mask) == ("restored", "exact", 0), mix.name
    before, after = second(source), second(photos.output(outcome, job))
    if mix.compression != "JPEG":  # which changes samples when it is made
        assert np.array_equal(before.samples, truth(mix)), f"{mix.name}: the file does not hold its truth"
    wanted, found = before.shown(), after.shown()
    assert (wanted.shape, wanted.dtype) == (found.shape, found.dtype), mix.name
    changed = (wanted != found).any(axis=2)
    assert not changed[_known()].any(), f"{mix.name}: {changed.sum()} pixels differ"
    assert changed.any() or mix.bits < 8, f"{mix.name}: nothing was painted"
    assert after.extra == ALPHA[mix.alpha], f"{mix.name}: ExtraSamples is {after.extra}"
    kept_bits = after.bits == before.bits and after.floating == before.floating
    return Verdict(mix, stored=None if kept_bits else f"{after.bits}-bit")


def _damage() -> npt.NDArray[np.bool_]:
    damage = np.zeros(truth(Mix()).shape[:2], bool)
    damage[18:20, 16:36] = True
    return damage


def _known() -> npt.NDArray[np.bool_]:
    rows, columns = np.nonzero(_damage())
    known = np.ones(_damage().shape, bool)
    known[rows.min() - REACH : rows.max() + REACH + 1, columns.min() - REACH : columns.max() + REACH + 1] = (
        False
    )
    return known


def _job(folder: Path) -> Job:
    return Job(
        run_id="run",
        recipe=Recipe(),
        auto="telea",
        engine_hashes={name: identity.engine_hash("ns") for name in ("auto", "telea", "ns")},
        store=OutStore.open(str(folder / "out")),
        access=AccessPolicy((str(folder.resolve()),)),
        software_version="0",
    )


def _item(folder: Path, number: int) -> Item:
    return Item(
        item_id=f"mix-{number}",
        image=str(folder.resolve() / f"{number}.tif"),
        mask=str(folder.resolve() / "mask.png"),
        overrides="{}",
        work_key=photos.KEY,
    )


def table(found: Iterable[Verdict]) -> str:
    """Markdown: a row for each kind of colours and alpha, with all depths and ways of storing them."""
    groups: dict[str, list[Verdict]] = {}
    for verdict in found:
        mix = verdict.mix
        beside = f" and {ALPHA_NAMES[mix.alpha]}" if mix.alpha else ""
        groups.setdefault(mix.photometric + beside, []).append(verdict)
    head = "| colours | files | exact, in the source's depth | exact, in another depth | refused by name |"
    return "\n".join([head, "|---|---|---|---|---|", *(_row(name, tried) for name, tried in groups.items())])


def _row(name: str, tried: list[Verdict]) -> str:
    kept = [verdict for verdict in tried if verdict.refused is None]
    same = _depths(verdict for verdict in kept if verdict.stored is None)
    other = _depths(verdict for verdict in kept if verdict.stored)
    reasons: dict[str, None] = {}
    for verdict in tried:
        if verdict.refused:
            reasons[verdict.refused.removeprefix("found ").removeprefix("TIFF of ")] = None
    refused = f"{len(tried) - len(kept)}: {', '.join(reasons)}" if reasons else ""
    return f"| {name} | {len(tried)} | {same} | {other} | {refused} |"


def _depths(kept: Iterable[Verdict]) -> str:
    """The number of files, and their depths in order."""
    mixes = [verdict.mix for verdict in kept]
    depths = sorted(
        {(mix.sample_format, mix.bits) for mix in mixes}, key=lambda depth: (depth[0] == "float", depth)
    )
    words = [f"{bits}-bit{'' if form == 'unsigned' else f' {form}'}" for form, bits in depths]
    return f"{len(mixes)}: {', '.join(words)}" if mixes else ""


def raster_table(found: Iterable[Raster]) -> str:
    """Markdown: a row for each kind of PNG, JPEG and WebP."""
    groups: dict[str, list[str]] = {}
    for raster in found:
        groups.setdefault(raster.group, []).append(raster.name)
    rows = [f"| {group} | {len(names)}, all exact | {'; '.join(names)} |" for group, names in groups.items()]
    return "\n".join(["| format | files | kinds |", "|---|---|---|", *rows])


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = list(verdicts(Path(folder)))
    with tempfile.TemporaryDirectory() as folder:
        print(raster_table(restored_rasters(Path(folder))))
    exact = sum(verdict.refused is None for verdict in found)
    print(f"{len(found)} TIFFs: {exact} restored exactly, {len(found) - exact} refused by name")
    print(table(found))
