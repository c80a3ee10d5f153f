"""What an operator reads before a run and after it."""

from __future__ import annotations

import sys

from jobs.forecast import capacity
from jobs.run_spec import Order
from manifests.planning.plan import Plan
from restore.item import Item
from restore.photo.estimate import estimate, sample
from restore.run.events import Events
from restore.run.ledger import Tally


def announce(planned: Plan, order: Order, events: Events) -> None:
    """Say what would be done and why, to people and to machines."""
    print(describe(planned, order), file=order.people, flush=True)
    events.plan(
        order.settings.manifest,
        order.wanted.num_rows,
        planned.todo.num_rows,
        planned.reused.num_rows,
        planned.counts,
    )


def describe(planned: Plan, order: Order) -> str:
    """How many rows would be done and why, in a few lines."""
    reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(planned.counts.items()))
    return (
        f"{order.settings.manifest}: {order.wanted.num_rows} rows: {reasons or 'none'}\n"
        f"to do: {planned.todo.num_rows}, to reuse: {planned.reused.num_rows}, "
        f"profile {order.profile.name}, engine {order.recipe.engine}"
    )


def foretell(planned: Plan, order: Order) -> None:
    """Say about what it takes, told from a few of the photos and from earlier runs."""
    photos = planned.todo.num_rows
    if not photos:
        return
    rows = planned.todo.take(sample(photos))
    found = estimate([Item.from_row(row) for row in rows.to_pylist()], photos, order.job("dry run"))
    for line in (found.text(), *capacity(found, order)):
        print(line, file=order.people)


def sum_up(run_id: str, verdict: str, tally: Tally, message: str, order: Order) -> None:
    """What became of a run."""
    people = order.people
    counts = ", ".join(f"{count} {status}" for status, count in sorted(tally.status.items()))
    print(f"run {run_id}: {verdict}: {counts or 'nothing to do'}", file=people)
    for error, count in tally.codes.most_common():
        print(f"  {count} failed with {error}", file=people)
    if tally.referenced:
        print(
            f"  inside the damage, over {tally.referenced} with a reference: "
            f"PSNR {tally.psnr / tally.referenced:.2f} dB, SSIM {tally.ssim / tally.referenced:.3f}",
            file=people,
        )
    if message:
        print(f"silverprint: {message}", file=sys.stderr)
