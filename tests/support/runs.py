"""Runs as the main job leaves them, made of outcomes that a test writes itself: rows, pictures, report."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from restore.imaging.codec import encode
from restore.imaging.picture import Picture
from restore.imaging.thumbnails import damage_overlay, thumbnail
from restore.outcome import Figures, Outcome, Seconds, Thumbs, outcomes_table, with_thumbs
from restore.report.thumbnail_store import ThumbnailStore
from restore.report.writer import write_report
from restore.run.lease import acquire
from restore.run.ledger import Ledger
from restore.storage import OutStore
from tests.support.archives import damage, damaged, photograph

RUN = "20260101T000000Z-000001"
NEXT_RUN = "20260102T000000Z-000002"
STARTED = datetime(2026, 1, 1, tzinfo=UTC)


def outcome(number: int, **more: Any) -> Outcome:
    """A restored photo; the higher its number the worse its seam and suspicion."""
    draft: dict[str, Any] = {
        "item_id": f"box-{number % 3}/photo {number:05d}",
        "run_id": RUN,
        "status": "restored",
        "work_key": f"key{number}",
        "reason": "new",
        "image": f"/archive/images/{number}.jpg",
        "mask": f"/archive/masks/{number}.png",
        "output": f"images/box-{number % 3}/photo {number:05d}.0123456789ab.png",
        "recipe_hash": "r",
        "recipe": '{"engine":"auto","prompt":"an old photograph","seed":0}',
        "pipeline_version": 1,
        "started_at": STARTED + timedelta(seconds=number / 10),
        "software_version": "0",
        "engine": "telea" if number % 2 else "ns",
        "width": 640,
        "height": 480,
        "windows": (
            {"x": 40, "y": 60, "width": 200, "height": 120, "paint_width": 200, "paint_height": 120},
        ),
        "seconds": Seconds(0.01, 0.05, 1.0, 0.02, 0.2, 0.01),
        "figures": Figures(0.5 + number / 100, 1.0, 0.5),
        "suspicion": number / 100,
        "extra": {"x_title": f"Photo {number}"},
    }
    return Outcome(**{**draft, **more})


def failure(number: int, code: str = "image_unreadable", message: str = "cut short", **more: Any) -> Outcome:
    """A failed photo."""
    draft = {
        "status": "failed",
        "error_code": code,
        "error_message": message,
        "output": None,
        "windows": (),
        "suspicion": None,
    }
    return outcome(
        number,
        **{
            **draft,
            "engine": None,
            "figures": Figures(),
            "suspicion": None,
            "seconds": Seconds(0.01),
            **more,
        },
    )


def pictured(one: Outcome, number: int) -> Outcome:
    """With pictures of a photograph before and after, and of its damage."""
    before, after = (Picture(make(number), "RGB", "png", True) for make in (damaged, photograph))
    pictures = Thumbs(thumbnail(before), thumbnail(after), damage_overlay(damage(number) > 0))
    return replace(one, thumbs=pictures)


def stream(outcomes: Sequence[Outcome], size: int = 100) -> Iterable[pa.Table]:
    """As the pipeline yields them."""
    for start in range(0, len(outcomes), size):
        some = outcomes[start : start + size]
        yield with_thumbs(outcomes_table(some, ["x_title"]), some)


def png(number: int) -> bytes:
    """A restored photograph as it is stored."""
    return encode(Picture(photograph(number), "RGB", "png", True), "png", 95).data


def committed(
    store: OutStore, outcomes: Sequence[Outcome], album: ThumbnailStore, run_id: str = RUN
) -> list[str]:
    """The rows' parts, their pictures in the album."""
    with acquire(store) as lease:
        ledger = Ledger(store, lease, run_id, ["x_title"], max_failed=1)
        for table in album.watch(stream(outcomes)):
            ledger.add(table)
        ledger.commit()
        return ledger.parts


def reported(store: OutStore, outcomes: Sequence[Outcome], **record: Any) -> str:
    """Rows and report of a run; the report's path below OUT."""
    draft = {
        "run_id": RUN,
        "verdict": "some_failed",
        "message": "",
        "manifest": "/archive/manifest.csv",
        "profile": "local",
        "started_at": STARTED.isoformat(),
        "seconds": 12.5,
        "recipe": {"engine": "auto", "prompt": ""},
        "versions": {"silverprint": "0"},
    }
    run_id = record.get("run_id", RUN)
    with ThumbnailStore() as album:
        parts = committed(store, outcomes, album, run_id)
        album.close()
        return write_report(store, run_id, parts, album, {**draft, **record})
