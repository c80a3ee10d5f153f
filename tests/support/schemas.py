"""What a run says about itself, frozen: a field may be added, none renamed or taken away."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

Kinds = type | tuple[type, ...]

EVENTS: dict[str, dict[str, Kinds]] = {
    "plan": {"manifest": str, "rows": int, "todo": int, "reused": int, "reasons": dict},
    "progress": {
        "attempted": int,
        "total": int,
        "failed": int,
        "photos_per_second": (float, type(None)),
        "seconds_left": (float, type(None)),
    },
    "failed": {"item_id": str, "code": str, "message": str},
    "part": {"path": str, "rows": int, "committed": int},
    "stop": {"message": str},
    "end": {
        "verdict": str,
        "exit_code": int,
        "status": dict,
        "errors": dict,
        "report": (str, type(None)),
        "left_out": int,
    },
}

RECORD: dict[str, Kinds] = {
    "run_id": str,
    "epoch": int,
    "verdict": str,
    "exit_code": int,
    "message": str,
    "manifest": str,
    "images": (str, type(None)),
    "listed": (dict, type(None)),
    "left_out": int,
    "profile": str,
    "planned": int,
    "reasons": dict,
    "status": dict,
    "errors": dict,
    "committed": int,
    "parts": list,
    "unrecorded": dict,
    "failed_before": int,
    "photos_per_second": (float, type(None)),
    "recipe": dict,
    "recipe_hash": str,
    "engine_hashes": dict,
    "pipeline_version": int,
    "versions": dict,
    "started_at": str,
    "ended_at": str,
    "seconds": float,
    "report": (str, type(None)),
}

VERDICTS = {0: "complete", 1: "stopped", 3: "some_failed", 4: "budget_spent"}


def check_event(line: str) -> dict[str, Any]:
    """One line of `--log json` is one event; returns it."""
    event: dict[str, Any] = json.loads(line)
    fields = EVENTS[event["event"]]
    assert list(event) == ["ts", "event", "run_id", *fields]
    _check_kinds(event, fields)
    _check_time(event["ts"])
    return event


def check_record(data: bytes) -> dict[str, Any]:
    """The bytes of a run record; returns it."""
    record: dict[str, Any] = json.loads(data)
    assert set(record) == set(RECORD)
    _check_kinds(record, RECORD)
    assert record["verdict"] == VERDICTS[record["exit_code"]]
    assert all(isinstance(n, int) for name in ("reasons", "status", "errors") for n in record[name].values())
    assert all(part.startswith(f"metadata/run={record['run_id']}/part-") for part in record["parts"])
    assert {"silverprint", "ray", "pyarrow", "pyvips"} <= set(record["versions"])
    for name in ("started_at", "ended_at"):
        _check_time(record[name])
    return record


def _check_kinds(found: dict[str, Any], fields: dict[str, Kinds]) -> None:
    wrong = {name: found[name] for name, kind in fields.items() if not isinstance(found[name], kind)}
    assert not wrong, wrong


def _check_time(text: str) -> None:
    assert datetime.fromisoformat(text).utcoffset() is not None, f"{text} names no time zone"
