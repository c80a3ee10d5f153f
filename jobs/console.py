"""What an operator reads before a run and after it."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from jobs.exit_codes import ALL_WELL, VERDICTS
from jobs.forecast import capacity
from jobs.run_spec import Listing, RunSpec
from manifests.listing.found import LEFT_OUT, MEANING, Found, printable
from manifests.planning.missing import missing_inputs
from manifests.planning.plan import Plan
from manifests.reading.invalid import invalid_overrides
from restore.item import Item
from restore.photo.estimate import estimate, sample
from restore.run.events import Events
from restore.run.ledger import Tally

FAILURES_SHOWN = 10
"""Rows known to fail that a dry run names; the rest are counted."""

NAMES_SHOWN = 10
"""Names printed of each kind of finding; the rest are counted."""


def print_listing(listing: Listing, spec: RunSpec) -> None:
    """Print how many photos were listed, and each kind of finding with its first names."""
    listed = listing.listed
    lines = [f"{listing.images}: {listed.photos} photos, {listed.rows} of them in the manifest"]
    print("\n".join([*lines, *_findings(listed.findings())]), file=spec.console, flush=True)


def _findings(found: Iterable[tuple[str, Found]]) -> Iterator[str]:
    """A line for each kind."""
    for name, findings in found:
        what, _ = MEANING[name]
        yield f"  {what} ({findings.count}): {names_shown(findings.first, findings.count)}"


def names_shown(first: Sequence[str], count: int) -> str:
    """The first names of `count`, as a terminal may show them."""
    more = ", ..." if count > NAMES_SHOWN else ""
    return ", ".join(map(printable, first[:NAMES_SHOWN])) + more


def print_plan(planned: Plan, spec: RunSpec, events: Events) -> None:
    """Print what is to be done and why, and write it as an event."""
    print(describe(planned, spec), file=spec.console, flush=True)
    events.plan(
        spec.settings.manifest,
        spec.wanted.num_rows,
        planned.todo.num_rows,
        planned.reused.num_rows,
        planned.counts,
    )


def describe(planned: Plan, spec: RunSpec) -> str:
    """The number of rows to be done, by reason, in a few lines."""
    reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(planned.counts.items()))
    return (
        f"{spec.settings.manifest}: {spec.wanted.num_rows} rows: {reasons or 'none'}\n"
        f"to do: {planned.todo.num_rows}, to reuse: {planned.reused.num_rows}, "
        f"profile {spec.profile.name}, engine {spec.recipe.engine}"
    )


def print_failures(planned: Plan, spec: RunSpec) -> None:
    """Print the planned rows that are known to fail: bad recipe columns, missing files, no mask."""
    found = chain(
        invalid_overrides(planned.todo, spec.recipe),
        missing_inputs(planned.todo, spec.recipe, spec.settings.copy_unmasked, spec.access),
    )
    counts, first = Counter[str](), list[str]()
    for fault in found:
        counts[fault.code] += 1
        if len(first) < FAILURES_SHOWN:
            first.append(f"  {fault.item_id}: {fault.code}: {fault.message}")
    if counts:
        codes = ", ".join(f"{count} {code}" for code, count in counts.most_common())
        lines = [f"{counts.total()} would fail: {codes}", *first]
        more = counts.total() - len(first)
        print("\n".join([*lines, *([f"  and {more} more"] if more else [])]), file=spec.console)


def print_estimate(planned: Plan, spec: RunSpec) -> None:
    """Print an estimate of the work, from a sample of the photos and from earlier runs."""
    photos = planned.todo.num_rows
    if not photos:
        return
    rows = planned.todo.take(sample(photos))
    found = estimate([Item.from_row(row) for row in rows.to_pylist()], photos, spec.job("dry run"))
    for line in (found.text(), *capacity(found, spec)):
        print(line, file=spec.console)


def print_summary(
    run_id: str, verdict: str, tally: Tally, message: str, spec: RunSpec, failed_before: int
) -> None:
    """The verdict of a run, its photos by result, and what its listing left out; a reused photo was not
    painted.

    Args:
        failed_before: rows that failed in earlier runs and are not tried again.
    """
    console = spec.console
    counts = ", ".join(f"{count} {result}" for result, count in sorted(tally.results.items()))
    none = "nothing to do" if verdict == VERDICTS[ALL_WELL] else "no photo recorded"
    left_out = spec.listing.listed.left_out if spec.listing else 0
    but = f", {left_out} file{'s' if left_out > 1 else ''} left out" if left_out else ""
    print(f"run {run_id}: {verdict}{but}: {counts or none}", file=console)
    if spec.listing:
        for line in _findings(spec.listing.listed.findings(LEFT_OUT)):
            print(line, file=console)
    for error, count in tally.codes.most_common():
        print(f"  {count} failed with {error}", file=console)
    if failed_before:
        text = "failed in earlier runs and were not tried again; --retry-failed tries them"
        print(f"  {failed_before} {text}", file=console)
    if tally.referenced:
        print(
            f"  inside the damage, over {tally.referenced} with a reference: "
            f"PSNR {tally.psnr / tally.referenced:.2f} dB, SSIM {tally.ssim / tally.referenced:.3f}",
            file=console,
        )
    if message:
        print(f"silverprint: {message}", file=sys.stderr)
