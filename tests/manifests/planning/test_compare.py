"""Compare: what `diff` counts, and the manifest of what is to be done."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from manifests.planning.compare import Changes, against_store, between, write_todo
from manifests.planning.plan import plan
from manifests.planning.versions import fill_versions
from manifests.reading.schema import Manifest, input_policy, read_manifest
from restore.errors import ManifestError
from tests.manifests.planning.test_plan import ENGINES, Log

OLD = """item_id,image,mask,image_version,mask_version,seed
same,a.tif,a.png,i1,m1,3
half known,b.tif,b.png,i1,,
new bytes,c.tif,c.png,i1,m1,
new path,d.tif,d.png,i1,m1,
redrawn,e.tif,e.png,i1,m1,
unmasked,f.tif,f.png,i1,m1,
other seed,g.tif,g.png,i1,m1,3
missing,h.tif,h.png,i1,m1,
"""
NEW = """item_id,image,mask,image_version,mask_version,seed,x_box
fresh,z.tif,z.png,i1,m1,,7
other seed,g.tif,g.png,i1,m1,4,7
unmasked,f.tif,,i1,m1,,7
redrawn,e.tif,e.png,i1,m2,9,7
new path,d2.tif,d.png,i1,m1,,7
new bytes,c.tif,c.png,i2,m2,,7
half known,b.tif,b.png,,m1,,7
same,a.tif,a.png,i1,m1,3,
"""


def manifest(folder: Path, name: str, text: str) -> Manifest:
    (folder / name).write_text(text)
    return read_manifest(str(folder / name))


def test_two_manifests_differ_by_the_first_difference_of_each_row(tmp_path: Path) -> None:
    old, new = manifest(tmp_path, "old.csv", OLD), manifest(tmp_path, "new.csv", NEW)
    changes = between(old.table, new.table)
    assert changes.first == {
        "added": ["fresh"],
        "removed": ["missing"],
        "image_changed": ["new path", "new bytes"],
        "mask_changed": ["unmasked", "redrawn"],
        "overrides_changed": ["other seed"],
    }
    counts = {reason: len(ids) for reason, ids in changes.first.items()}
    assert changes.counts == {**counts, "unchanged": 2}
    assert "2 image_changed     new path, new bytes\n" in changes.text()
    assert json.loads(json.dumps(changes.summary()))["counts"] == changes.counts
    write_todo(changes, new, new.table, str(tmp_path / "todo.parquet"))
    todo = read_manifest(str(tmp_path / "todo.parquet"))
    wanted = {row["item_id"]: row for row in new.table.to_pylist()}
    assert [row["item_id"] for row in todo.table.to_pylist()] == list(wanted)[:6]
    for row in todo.table.to_pylist():
        assert {**row, "row": 0} == {**wanted[row["item_id"]], "row": 0}


def test_equal_manifests_leave_nothing_to_do(tmp_path: Path) -> None:
    old = manifest(tmp_path, "old.csv", OLD)
    changes = between(old.table, old.table)
    assert changes.counts == {"unchanged": 8} and changes.todo.num_rows == 0


def compared(found: Manifest, log: Log, recipe: str = "r1") -> tuple[Changes, pa.Table]:
    wanted = fill_versions(found.table, input_policy(found.uri, (), allow_http=False))
    planned = plan(wanted, log.table(), recipe_hash=recipe, engine_hashes=ENGINES, engine="auto")
    return against_store(planned, wanted, log.table()), wanted.to_table()


def test_a_store_says_what_was_removed_and_names_the_first_of_each(tmp_path: Path) -> None:
    found, log = manifest(tmp_path, "m.csv", NEW), Log()
    wanted = {row["item_id"]: row for row in compared(found, log)[1].to_pylist()}
    log.add(wanted["same"])
    log.add({**wanted["same"], "item_id": "missing"})
    log.add({**wanted["same"], "item_id": "never there"}, code="mask_full")
    log.add(wanted["redrawn"], code="mask_full")
    log.add({**wanted["new bytes"], "image_version": "i1"})
    changes, _ = compared(found, log)
    assert changes.counts == {"done": 1, "removed": 1, "failed_before": 1, "image_changed": 1, "new": 5}
    assert changes.first["removed"] == ["missing"] and changes.first["failed_before"] == ["redrawn"]
    assert changes.first["new"] == ["fresh", "other seed", "unmasked", "new path", "half known"]
    assert changes.todo.num_rows == 6


def test_a_reused_picture_is_among_what_is_to_be_done(tmp_path: Path) -> None:
    found, log = manifest(tmp_path, "m.csv", NEW.splitlines()[0] + "\n" + NEW.splitlines()[-1] + "\n"), Log()
    (row,) = compared(found, log)[1].to_pylist()
    log.add(row)
    log.add(row, recipe="r2")
    assert compared(found, log)[0].todo.to_pylist() == [{"item_id": "same", "reason": "reused"}]


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
VALUES = {
    "prompt": TEXTS,
    "seed": TEXTS | st.integers(0, 10**12).map(str),
    "guidance_scale": st.floats(0, 1e9).map(str),
    "refine": st.sampled_from(["yes", "FALSE", "maybe"]),
}


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.fixed_dictionaries({}, optional=VALUES), min_size=1, max_size=4))
def test_what_is_to_be_done_has_the_same_work_keys_wherever_it_is_read(
    tmp_path: Path, rows: list[dict[str, str]]
) -> None:
    """Versions become pins and overrides columns again: the run does what the diff said, and not twice."""
    lines = [
        json.dumps({"item_id": str(number), "image": "s3://b/i", "image_version": f'"{number}"', **row})
        for number, row in enumerate(rows)
    ]
    found = manifest(tmp_path, "m.jsonl", "\n".join(lines))
    changes, wanted = compared(found, Log())
    write_todo(changes, found, wanted, str(tmp_path / "todo.parquet"))
    todo = read_manifest(str(tmp_path / "todo.parquet"))
    keys = [_keys(one) for one in (found, todo)]
    assert keys[0] == keys[1] and len(keys[0]) == len(rows)


def _keys(found: Manifest) -> dict[str, str]:
    wanted = fill_versions(found.table, input_policy(found.uri, (), allow_http=False))
    done = plan(wanted, Log().table(), recipe_hash="r1", engine_hashes=ENGINES, engine="auto")
    return {row["item_id"]: row["work_key"] for row in done.todo.to_pylist()}


def test_the_order_of_work_stays_and_the_name_must_say_parquet(tmp_path: Path) -> None:
    found = manifest(tmp_path, "m.csv", "item_id,image,priority\na,a.tif,\nb,b.tif,2.5\n")
    changes = between(found.table.slice(0, 0), found.table)
    write_todo(changes, found, found.table, str(tmp_path / "todo.parquet"))
    assert read_manifest(str(tmp_path / "todo.parquet")).table["priority"].to_pylist() == [None, 2.5]
    with pytest.raises(ManifestError, match=r"name it \.parquet"):
        write_todo(changes, found, found.table, str(tmp_path / "todo.csv"))
