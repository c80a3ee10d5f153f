"""The plan: every reason, the work key in SQL, and nothing done twice."""

from __future__ import annotations

import gc
import time
from collections.abc import Mapping
from itertools import count
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests.planning.plan import Plan, named_engines, plan
from manifests.planning.plan import work_key as sql_work_key
from restore.errors import FIT_MASKS
from restore.identity import PIPELINE_VERSION, overrides_json, work_key
from restore.item import PLAN_SCHEMA, Item
from restore.outcome import OUTCOME_SCHEMA

CON = duckdb.connect()
ENGINES = {"auto": "hash-classical", "telea": "hash-classical", "ns": "hash-ns"}
WANTED = pa.schema([pa.field("row", pa.int64()), *PLAN_SCHEMA, pa.field("priority", pa.float64())])
PLANNED = {"work_key", "reason", "attempts", "former", "former_image_sha256", "former_mask_sha256"}
TEXT = (
    st.none()
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
    | st.sampled_from(["\x00", "\x1b", "\x7f", "\u2028", "\\u001F", '"e1"', "\\", "\U0001f4f7"])
)


def row(item_id: str = "a", **values: Any) -> dict[str, Any]:
    photo = {"image": f"/in/{item_id}.tif", "image_version": "i1", "mask": "/in/m.png", "mask_version": "m1"}
    pins = {"image_pinned": False, "mask_pinned": False, "overrides": "{}"}
    return {"item_id": item_id, **photo, **pins, **values}


def manifest(*rows: Mapping[str, Any], extra: tuple[str, ...] = ()) -> pa.Table:
    schema = pa.schema([f for f in WANTED if f.name not in PLANNED])
    schema = pa.schema([*schema, *(pa.field(name, pa.string()) for name in extra)])
    numbered = [{**values, "row": number} for number, values in enumerate(rows, start=2)]
    return pa.Table.from_pylist(numbered, schema=schema)


def key(values: Mapping[str, Any], recipe: str = "r1", engine: str = "hash-classical") -> str:
    return work_key(values["image_version"], values["mask_version"], recipe, values["overrides"], engine)


class Log:
    """Committed rows, each newer than the one before."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self._ids = count(1)

    def add(
        self, values: Mapping[str, Any], *, code: str | None = None, recipe: str = "r1", **more: Any
    ) -> str:
        engine = more.pop("engine_hash", "hash-classical")
        row_id = f"{next(self._ids):06d}-00000-000000"
        filled = {
            "row_id": row_id,
            "status": "failed" if code else "restored",
            "error_code": code,
            "recipe_hash": recipe,
            "engine_hash": engine,
            "pipeline_version": PIPELINE_VERSION,
            "work_key": key(values, recipe, engine),
        }
        self.rows.append({**values, **filled, **more})
        return row_id

    def table(self) -> pa.Table:
        names = [*OUTCOME_SCHEMA.names]
        columns = [
            pa.array([r.get(name) for r in self.rows], OUTCOME_SCHEMA.field(name).type) for name in names
        ]
        return pa.Table.from_arrays(columns, names)


def planned(wanted: pa.Table, log: Log, recipe: str = "r1", **more: Any) -> Plan:
    return plan(wanted, log.table(), recipe_hash=recipe, engine_hashes=ENGINES, engine="auto", **more)


def reason(log: Log, values: Mapping[str, Any], **more: Any) -> str:
    counts = planned(manifest(values), log, **more).counts
    assert sum(counts.values()) == 1
    return next(iter(counts))


def test_new_and_done() -> None:
    log = Log()
    assert reason(log, row()) == "new"
    log.add(row("another"))  # the same versions, so the same key: still another item
    assert reason(log, row()) == "new"
    log.add(row())
    assert reason(log, row()) == "done"
    log.add(row(), code="timed_out", recipe="r2")  # a later failure leaves the current picture as it is
    assert reason(log, row()) == "done"


def test_the_newest_row_is_chosen_by_run_then_part_then_row() -> None:
    """Also where a run had more parts than fit, so that their numbers outgrew five digits."""
    for older, newer in (
        ("000001-100000-000001", "000002-00000-000000"),
        ("000001-00009-000099", "000001-00010-000000"),
        ("000001-00000-000009", "000001-00000-000010"),
    ):
        log = Log()
        log.add(row(), row_id=older)
        log.add(row(mask_version="m2"), row_id=newer)
        assert reason(log, row()) == "reused" and reason(log, row(mask_version="m2")) == "done"


def test_what_was_pruned_is_new_when_it_comes_back() -> None:
    log = Log()
    log.add(row(mask_version="m0"))
    log.add(row())
    log.add(row(), status="removed")
    for back in (row(), row(mask_version="m0"), row(mask_version="m2")):
        assert reason(log, back) == "new", "no earlier picture is left to be reused"
    log.add(row(), code="image_unreadable")
    assert reason(log, row()) == "failed_before"
    log.add(row(mask_version="m0"))
    log.add(row())
    assert reason(log, row()) == "done" and reason(log, row(mask_version="m0")) == "reused"


def test_copied_counts_as_done() -> None:
    log = Log()
    log.add(row(), status="copied")
    assert reason(log, row()) == "done"


def test_done_is_judged_by_the_key_even_where_the_row_says_other_inputs() -> None:
    log = Log()
    log.add(row(image_version=None), image_version="read later", work_key=key(row(image_version=None)))
    assert reason(log, row(image_version=None)) == "done"


@pytest.mark.parametrize("failed", [None, "image_unreadable"])
@pytest.mark.parametrize(
    ("past", "expected"),
    [
        ({"image_version": "i0"}, "image_changed"),
        ({"image_version": None}, "image_changed"),
        ({"mask_version": "m0", "recipe": "r0"}, "mask_changed"),
        ({"recipe": "r0", "overrides": '{"seed":1}'}, "recipe_changed"),
        ({"overrides": '{"seed":1}', "engine_hash": "old"}, "overrides_changed"),
        ({"engine_hash": "old"}, "engine_changed"),
        ({"pipeline_version": PIPELINE_VERSION - 1, "work_key": "k0"}, "pipeline_changed"),
    ],
)
def test_first_difference_from_the_last_outcome(
    past: dict[str, Any], failed: str | None, expected: str
) -> None:
    log = Log()
    log.add(row(image_version="much older"))
    log.add({**row(), **{name: past[name] for name in past.keys() & row().keys()}}, code=failed, **past)
    assert reason(log, row()) == expected


@pytest.mark.parametrize("code", ["storage_denied", "storage_unavailable", "changed_during_run"])
def test_passing_failures_are_always_retried(code: str) -> None:
    log = Log()
    for _ in range(3):
        log.add(row(), code=code)
    assert reason(log, row()) == "retry"
    assert reason(log, row(), retry_failed=True) == "retry"


@pytest.mark.parametrize("pin", ["image_pinned", "mask_pinned"])
def test_a_pin_that_does_not_match_waits_for_another_pin(pin: str) -> None:
    log = Log()
    log.add(row(), code="changed_during_run")
    assert reason(log, row(**{pin: True})) == "failed_before"
    assert reason(log, row(**{pin: True}), retry_failed=True) == "retry_failed"
    assert reason(log, row(**{pin: True, "image_version": "i2"})) == "image_changed"


@pytest.mark.parametrize("code", ["image_not_found", "mask_not_found"])
def test_what_a_listing_had_and_reading_did_not_is_tried_again(code: str) -> None:
    log, name = Log(), code.removesuffix("_not_found")
    for _ in range(3):
        log.add(row(), code=code)
    assert reason(log, row()) == "retry"
    assert reason(log, row(**{f"{name}_pinned": True})) == "failed_before", "a person's pin waits for another"
    missing = {f"{name}_version": None}
    log.add(row(**missing), code=code)
    assert reason(log, row(**missing)) == "failed_before", "no listing had it"
    log = Log()
    log.add(row(), code="image_not_found", error_message="the reference: /r.png does not exist")
    assert reason(log, row()) == "failed_before", "a listing has no references"


@pytest.mark.parametrize("code", ["worker_crashed", "timed_out"])
def test_crashes_are_retried_once(code: str) -> None:
    log = Log()
    log.add(row(), code="storage_unavailable")
    log.add(row(), code=code)
    assert reason(log, row()) == "retry"
    log.add(row(), code="worker_crashed")
    assert reason(log, row()) == "failed_before"
    assert reason(log, row(), retry_failed=True) == "retry_failed"


def test_bad_photos_wait_for_a_change_or_the_order_to_retry() -> None:
    log = Log()
    log.add(row(), code="mask_full")
    log.add(row(), code="mask_full")
    assert reason(log, row()) == "failed_before"
    result = planned(manifest(row()), log, retry_failed=True)
    assert result.todo.to_table().select(["reason", "attempts"]).to_pylist() == [
        {"reason": "retry_failed", "attempts": 2}
    ]


def test_going_back_to_an_earlier_recipe_reuses() -> None:
    log = Log()
    first = log.add(row(), recipe="r1")
    log.add(row(), recipe="r2")
    result = planned(manifest(row(x_box="7"), extra=("x_box",)), log, recipe="r1")
    assert result.counts == {"reused": 1} and result.todo.num_rows == 0
    (reused,) = result.reused.to_pylist()
    assert (reused["reused_from"], reused["work_key"], reused["x_box"]) == (first, key(row()), "7")
    log.add(row(), recipe="r1", reused_from=first)
    assert reason(log, row(), recipe="r1") == "done"
    assert reason(log, row(), recipe="r2") == "reused"


def test_rows_that_come_twice_count_once() -> None:
    log = Log()
    log.add(row(), code="timed_out")
    log.add(row("b"))
    log.add(row("b"), recipe="r2")
    log.rows *= 2
    result = planned(manifest(row(), row("b")), log)
    assert result.counts == {"retry": 1, "reused": 1}
    assert (result.todo.num_rows, result.reused.num_rows, result.todo.to_table()["attempts"].to_pylist()) == (
        1,
        1,
        [1],
    )


SHA = {"image_sha256": "a" * 64, "mask_sha256": None}


def former(log: Log, values: Mapping[str, Any], **more: Any) -> tuple[Any, ...]:
    (item,) = planned(manifest(values), log, **more).todo.to_pylist()
    return item["former"], item["former_image_sha256"], item["former_mask_sha256"]


def test_a_photo_with_new_versions_only_carries_its_former_row() -> None:
    log = Log()
    log.add(row(image_version="i0"), **SHA)
    current = log.add(row(image_version="i1"), **SHA)
    new = row(image_version="i2", mask_version="m2")
    assert former(log, new) == (current, "a" * 64, None)
    assert former(log, new, recipe="r2") == (None, None, None)
    assert former(log, {**new, "overrides": '{"seed":1}'}) == (None, None, None)
    assert former(log, {**new, "overrides": '{"engine":"ns"}'}) == (None, None, None)
    log.add(new, code="changed_during_run")
    assert reason(log, new) == "retry" and former(log, new)[0] == current
    log.rows[1]["pipeline_version"] = PIPELINE_VERSION - 1
    assert former(log, new) == (None, None, None), "the current picture counts, and no earlier one"


def test_a_touched_photo_is_done() -> None:
    log = Log()
    old = log.add(row(), **SHA)
    log.add(row(image_version="i2"), reason="touched", reused_from=old, **SHA)
    assert reason(log, row(image_version="i2")) == "done"
    assert reason(log, row()) == "reused"


def test_the_first_of_each_reason_are_named() -> None:
    log = Log()
    log.add(row("5"))
    log.add(row("6"), code="mask_full")
    first = planned(manifest(*(row(str(n)) for n in range(20))), log).first
    assert first == {"failed_before": ["6"], "new": [str(n) for n in (*range(5), *range(7, 12))]}


def test_engine_overrides_have_their_own_hash() -> None:
    named = [row("a", overrides='{"engine":"ns"}'), row("b", overrides='{"engine":"ostrich"}'), row("c")]
    todo = planned(manifest(*named), Log()).todo.to_table()
    hashes = ["hash-ns", "ostrich", "hash-classical"]
    assert todo["work_key"].to_pylist() == [key(r, engine=e) for r, e in zip(named, hashes, strict=True)]
    prompt = row(overrides=overrides_json({"prompt": 'an "engine":"ns" in steam'}))
    assert planned(manifest(prompt), Log()).todo.to_table()["work_key"].to_pylist() == [key(prompt)]


def test_a_long_plan_takes_every_fourth_row_from_elsewhere() -> None:
    rows = [row(f"{n:03d}") for n in range(200)]
    order = [int(item) for item in planned(manifest(*rows), Log()).todo.to_table()["item_id"].to_pylist()]
    assert sorted(order) == list(range(200))
    for start in range(0, 180):
        window = order[start : start + 20]
        elsewhere = [n for n in window if abs(n - sorted(window)[10]) > 30]
        assert len(elsewhere) >= 2, f"{window} lie together"
    stays = [n for n in order if n % 4 != 3]
    assert stays == sorted(stays), "the others keep their order"
    few = [int(item) for item in planned(manifest(*rows[:39]), Log()).todo.to_table()["item_id"].to_pylist()]
    assert few == list(range(39))
    limited = planned(manifest(*rows), Log(), limit=60).todo.to_table()["item_id"].to_pylist()
    assert sorted(map(int, limited)) == list(range(60)), "a limit means the first rows"


def test_order_and_limit() -> None:
    rows = [row(str(n), priority=p) for n, p in enumerate([None, 1.0, 5.0, None, 5.0])]
    log = Log()
    log.add(row("4"))
    result = planned(manifest(*rows), log, limit=3)
    assert result.todo.to_table()["item_id"].to_pylist() == ["2", "1", "0"]
    assert result.counts == {"new": 3, "done": 1, "over_limit": 1}
    assert planned(manifest(*rows), log, limit=0).counts == {"done": 1, "over_limit": 4}


def test_photos_that_failed_wait_for_those_that_failed_less_often() -> None:
    rows = [row(str(n), priority=p) for n, p in enumerate([None, None, None, 1.0])]
    log = Log()
    for item in "0", "0", "1", "3":
        log.add(row(item), code="storage_unavailable")
    order = planned(manifest(*rows), log).todo.to_table()["item_id"].to_pylist()
    assert order == ["3", "2", "1", "0"], "a priority comes before all"
    assert planned(manifest(*rows), log, limit=2).todo.to_table()["item_id"].to_pylist() == ["3", "2"]


def test_plan_rows_become_items() -> None:
    todo = planned(manifest(row(x_a="1"), extra=("x_a",)), Log()).todo.to_table()
    assert todo.schema == pa.schema([*PLAN_SCHEMA, pa.field("x_a", pa.string())])
    (item,) = map(Item.from_row, todo.to_pylist())
    assert item == Item("a", "/in/a.tif", key(row()), **{**ITEM, "extra": {"x_a": "1"}})


ITEM: dict[str, Any] = {"image_version": "i1", "mask": "/in/m.png", "mask_version": "m1"}


def test_engines_that_rows_name_are_found() -> None:
    rows = ['{"engine":"ns"}', "{}", '{"prompt":"an \\"engine\\":\\"x\\""}', '{"engine":"ostrich","seed":1}']
    table = manifest(*(row(str(n), overrides=text) for n, text in enumerate(rows)))
    assert named_engines(table) == {"ns", "ostrich"}


def test_a_plans_files_go_with_it() -> None:
    result = planned(manifest(row()), Log())
    path = result.todo.path
    assert path.exists()
    del result
    gc.collect()
    assert not path.exists()


def test_an_empty_manifest_plans_nothing() -> None:
    result = planned(manifest(), Log())
    assert (result.todo.num_rows, result.reused.num_rows, dict(result.counts)) == (0, 0, {})


VALUES = st.text(st.characters(exclude_categories=["Cs"]), max_size=6) | st.floats(
    allow_nan=False, allow_infinity=False
)
OVERRIDES = st.dictionaries(st.sampled_from(["prompt", "guidance_scale", "seed", "refine"]), VALUES)
PLAIN = TEXT.map(lambda text: text or "")


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(TEXT, TEXT, PLAIN, OVERRIDES.map(overrides_json), PLAIN), min_size=1, max_size=5))
def test_sql_work_key_equals_python(rows: list[tuple[Any, ...]]) -> None:
    names = ("image_version", "mask_version", "recipe_hash", "overrides", "engine_hash")
    columns = [pa.array(column, pa.string()) for column in zip(*rows, strict=True)]
    CON.register("keyed", pa.Table.from_arrays(columns, names))
    found = CON.sql(
        f"SELECT {sql_work_key()} FROM (SELECT *, {PIPELINE_VERSION} AS pipeline_version FROM keyed)"
    )
    assert [value for (value,) in found.fetchall()] == [work_key(*values) for values in rows]


ITEMS = st.lists(
    st.builds(
        row,
        item_id=st.sampled_from("abcdef"),
        image_version=st.sampled_from(["i1", "i2", None]),
        overrides=st.sampled_from(["{}", '{"seed":1}', '{"engine":"ns"}']),
    ),
    unique_by=lambda values: values["item_id"],
    min_size=1,
)


@settings(max_examples=10, deadline=None)
@given(
    st.lists(st.tuples(ITEMS, st.sampled_from(["r1", "r2"]), st.sets(st.sampled_from("abcdef"))), max_size=4)
)
def test_what_was_done_is_never_planned_again(runs: list[tuple[list[dict[str, Any]], str, set[str]]]) -> None:
    log = Log()
    for rows, recipe, failing in runs:
        result = planned(manifest(*rows), log, recipe=recipe)
        assert sum(result.counts.values()) == len(rows)
        for values in [*result.todo.to_pylist(), *result.reused.to_pylist()]:
            code = (
                "image_unreadable" if values["item_id"] in failing and values["reason"] != "reused" else None
            )
            engine = "hash-ns" if "engine" in values["overrides"] else "hash-classical"
            log.add(values, code=code, recipe=recipe, engine_hash=engine)
            assert log.rows[-1]["work_key"] == values["work_key"]
        again = planned(manifest(*rows), log, recipe=recipe)
        assert again.todo.num_rows == again.reused.num_rows == 0


def test_two_hundred_thousand_rows_take_seconds() -> None:
    rows = 200_000
    wanted = CON.sql(f"""
        SELECT i AS row, 'item-' || i AS item_id, '/in/' || i AS image, md5('' || i) AS image_version,
            false AS image_pinned, NULL::VARCHAR AS mask, NULL::VARCHAR AS mask_version, false AS mask_pinned,
            NULL::VARCHAR AS reference, NULL::DOUBLE AS priority, '{{}}' AS overrides
        FROM range({rows}) AS t(i)""").to_arrow_table()
    log = Log()
    log.add(row())
    first = planned(wanted, log).todo.to_table()
    assert len(first) == rows
    done = {
        "row_id": first["item_id"],
        "status": pa.repeat("restored", rows),
        "recipe_hash": pa.repeat("r1", rows),
    }
    same = ("item_id", "work_key", "image_version", "mask_version", "overrides")
    done |= {name: first[name] for name in same}
    done |= {"engine_hash": pa.repeat("hash-classical", rows), "pipeline_version": pa.repeat(1, rows)}
    done |= dict.fromkeys(
        ("error_code", "error_message", "image_sha256", "mask_sha256"), pa.nulls(rows, pa.string())
    )
    began = time.monotonic()
    counts = plan(wanted, pa.table(done), recipe_hash="r1", engine_hashes=ENGINES, engine="auto").counts
    assert counts == {"done": rows}
    assert time.monotonic() - began < 60  # half a second on a quiet machine


def test_masks_of_scaled_copies_are_wanted_again_once_they_may_be_fitted() -> None:
    log = Log()
    log.add(
        row(), code="mask_size_mismatch", error_message=f"the mask is 4x3 pixels; enlarge it with {FIT_MASKS}"
    )
    assert reason(log, row()) == "failed_before"
    assert reason(log, row(), fit_masks=True) == "retry"
    other = row("b")
    log.add(other, code="mask_size_mismatch", error_message="the mask is 4x4 pixels; make one at full size")
    assert reason(log, other, fit_masks=True) == "failed_before", "it would fail again every night"


def test_rows_without_a_mask_are_wanted_again_once_they_may_be_copied() -> None:
    log = Log()
    bare = row(mask=None, mask_version=None)
    log.add(bare, code="mask_not_found")
    assert reason(log, bare) == "failed_before"
    assert reason(log, bare, copy_unmasked=True) == "retry"
    missing = row("b", mask_version=None)
    log.add(missing, code="mask_not_found")
    assert reason(log, missing, copy_unmasked=True) == "failed_before", "its mask is named and missing"
