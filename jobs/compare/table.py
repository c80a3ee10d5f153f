"""What came of each variant, as lines for people."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean, median
from typing import Any

from jobs.compare.cells import PHOTO, VARIANT
from jobs.compare.variants import Variant
from manifests.catalog.rows import committed_rows, present_batches
from restore.storage import OutStore

FIGURES: Mapping[str, tuple[str, str]] = {
    "psnr": ("PSNR dB", ".2f"),
    "ssim": ("SSIM", ".3f"),
    "seam": ("seam", ".2f"),
    "colour_step": ("colour step", ".2f"),
    "grain": ("grain", ".2f"),
}
"""Figures of a row: heading and format. Each is the mean of the variant's photos."""

_COLUMNS = ("item_id", "status", "figures", "seconds", PHOTO, VARIANT)


def table(store: OutStore, variants: Sequence[Variant], baseline: str, photos: set[str]) -> Iterator[str]:
    """A line of headings and one for each variant, over the photos of this comparison.

    PSNR stands beside its mean difference to the baseline over the photos that both restored: the spread
    between photos is far larger than between variants, so only pairs compare.
    """
    rows = _rows(store, photos)
    base = {row[PHOTO]: row for row in rows[baseline]}
    width = max(len(variant.name) for variant in variants)
    headings = [f"{heading:>12}" for heading, _ in FIGURES.values()]
    yield f"{'variant':{width}}  photos  failed{''.join(headings)}  seconds  PSNR to the baseline"
    for variant in variants:
        found = rows[variant.name]
        done = [row for row in found if row["status"] != "failed"]
        cells = [_mean([row["figures"][name] for row in done], form) for name, (_, form) in FIGURES.items()]
        counts = f"{len(found):6}  {len(found) - len(done):6}"
        seconds = _mean([row["seconds"]["paint"] for row in done], ".2f")
        figures = "".join(f"{cell:>12}" for cell in cells)
        yield f"{variant.name:{width}}  {counts}{figures}  {seconds:>7}  {_difference(done, base)}"


def _rows(store: OutStore, photos: set[str]) -> Mapping[str, list[dict[str, Any]]]:
    committed, by_variant = committed_rows(store), defaultdict[str, list[dict[str, Any]]](list)
    for batch in present_batches(committed, _COLUMNS):
        for row in batch.to_pylist():
            if row[PHOTO] in photos:
                by_variant[row[VARIANT]].append(row)
    return by_variant


def _mean(values: Sequence[float | None], form: str) -> str:
    known = [value for value in values if value is not None]
    return format(fmean(known), form) if known else "-"


def _difference(done: Sequence[Mapping[str, Any]], base: Mapping[str, Mapping[str, Any]]) -> str:
    pairs = [(_psnr(row), _psnr(base.get(row[PHOTO]))) for row in done]
    gains = [mine - theirs for mine, theirs in pairs if mine is not None and theirs is not None]
    if not gains:
        return "-"
    better = sum(gain > 0 for gain in gains)
    return f"{fmean(gains):+.2f} dB, median {median(gains):+.2f}, better in {better} of {len(gains)}"


def _psnr(row: Mapping[str, Any] | None) -> float | None:
    found: float | None = None if row is None else row["figures"]["psnr"]
    return found
