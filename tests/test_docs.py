"""README: its queries run, its tables name what there is."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from jobs.settings import NightlySettings, RestoreSettings
from manifests.commands.manifest import DiffSettings
from restore.errors import ErrorCode
from restore.outcome import OUTCOME_SCHEMA, TOUCHED
from restore.recipe import Recipe

HERE = Path(__file__).parent
README = (HERE.parent / "README.md").read_text()
SECURITY = (HERE.parent / ".github/SECURITY.md").read_text()


def row(number: int, item: str, status: str, code: str | None) -> dict[str, object]:
    now = datetime.now(UTC)
    texts = {field.name: "x" for field in OUTCOME_SCHEMA if not field.nullable and field.type == pa.string()}
    times = {"started_at": now, "committed_at": now, "pipeline_version": 1, "attempts": 1}
    told = {"status": status, "error_code": code, "error_message": code and f"told in {number}"}
    mine = {
        "row_id": f"{number:06d}",
        "item_id": item,
        "output": f"images/{number}.png" if status == "restored" else None,
    }
    return {**texts, **times, **told, **mine, "figures": {"seam": float(number)}}


def test_the_queries_answer_what_they_say(tmp_path: Path) -> None:
    outcomes = [
        ("a", "restored", None),
        ("a", "restored", None),
        ("a", "failed", "mask_full"),
        ("b", "failed", "mask_full"),
        ("b", "restored", None),
        ("c", "restored", None),
        ("c", "removed", None),
    ]
    for number, outcome in enumerate(outcomes):
        part = tmp_path / f"restored/metadata/run={number}/part-00000.parquet"
        part.parent.mkdir(parents=True)
        pq.write_table(pa.Table.from_pylist([row(number, *outcome)], schema=OUTCOME_SCHEMA), part)
        if number == 2:  # as compaction leaves it until the sources go
            pq.write_table(
                pq.read_table(part, partitioning=None), part.with_name("compact-00000-00000.parquet")
            )
    (block,) = re.findall(r"```sql\n(.*?)```", README, re.DOTALL)
    queries = [
        query for query in block.replace("'restored/", f"'{tmp_path}/restored/").split(";") if query.strip()
    ]
    current, failed, worst = (duckdb.sql(query).fetchall() for query in queries)
    assert sorted(current) == [("a", "images/1.png"), ("b", "images/4.png")]
    assert failed == [("mask_full", 1, "told in 2")]
    assert [seam for _, seam in worst] == [6.0, 5.0, 4.0, 3.0, 2.0, 1.0, 0.0]


def test_every_column_setting_option_and_code_is_named() -> None:
    settings = {**RestoreSettings.__dataclass_fields__, **NightlySettings.__dataclass_fields__}
    options = ["--" + name.replace("_", "-") for name in settings]
    options += [
        "--" + name.replace("_", "-") for name in DiffSettings.__dataclass_fields__ if name != "manifests"
    ]
    for name in [*OUTCOME_SCHEMA.names, *Recipe.model_fields, *options, *ErrorCode, TOUCHED]:
        assert re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", README), f"README does not name {name}"


def test_security_names_tests_that_are_there() -> None:
    """A file is named by the end of its path, a test by `::name` after its file or alone."""
    sources = {f"/{path.relative_to(HERE)}": path.read_text() for path in HERE.rglob("test_*.py")}
    named = re.findall(r"`((?:\w+/)*test_\w+\.py)?(?:::(test_\w+))?`", SECURITY)
    assert len({file for file, _ in named if file}) >= 10
    for file, test in named:
        texts = [text for path, text in sources.items() if not file or path.endswith(f"/{file}")]
        assert texts, f"SECURITY.md names {file}"
        assert not test or any(f"def {test}(" in text for text in texts), f"SECURITY.md names {file}::{test}"
