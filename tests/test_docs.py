"""Documentation: each table names what the code has, queries run, links and names lead somewhere."""

from __future__ import annotations

import ast
import re
import subprocess
import tokenize
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs import __main__ as front
from jobs import nightly, restore_archive
from manifests import __main__ as manifests
from manifests.reading.rules import REQUIRED
from manifests.reading.schema import OPTIONAL, RESERVED
from restore.errors import ErrorCode
from restore.methods import METHODS
from restore.outcome import OUTCOME_SCHEMA, REMOVED, TOUCHED
from restore.recipe import Models, Recipe
from tests.support.schemas import EVENTS, RECORD

ROOT = Path(__file__).resolve().parents[1]
README_LINES = 150

LISTED = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
FILES = sorted(name for name in LISTED.stdout.splitlines() if (ROOT / name).is_file())
PAGES = [name for name in FILES if name.endswith(".md")]


def page(name: str) -> str:
    return (ROOT / name).read_text()


NAMED = (ast.FunctionDef, ast.ClassDef, ast.alias)

COMMANDS: dict[str, tuple[Callable[[list[str]], int], list[str]]] = {
    "restore_archive": (restore_archive.main, []),
    "nightly": (nightly.main, []),
    **{f"silverprint {name}": (front.main, [name]) for name in ("restore", "nightly", "doctor")},
    **{name: (manifests.main, [name]) for name in manifests.COMMANDS},
}


@pytest.mark.parametrize("command", COMMANDS)
def test_the_page_of_a_command_names_its_options(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    main, words = COMMANDS[command]
    with suppress(SystemExit):
        main([*words, "--help"])
    shown = capsys.readouterr().out
    listed = set(re.findall(r"^\W*?(?:-\w, )?(--[a-z][a-z-]*)", shown, re.MULTILINE)) - {
        "--help",
        "--version",
    }
    owner = "manifests/README.md" if main is manifests.main else "jobs/README.md"
    missing = [option for option in sorted(listed) if not names(page(owner), option)]
    assert shown and not missing, f"{owner} does not name {missing}"


def names(text: str, word: str) -> bool:
    return re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", text) is not None


def column_names(field: pa.Field) -> list[str]:
    """Return a column's name and the names of its struct's fields."""
    kind = field.type.value_type if pa.types.is_list(field.type) else field.type
    return [field.name, *([part.name for part in kind] if pa.types.is_struct(kind) else [])]


# The page that owns a table, and every name that the table must hold.
OWNED = {
    "jobs/README.md": [*ErrorCode, *RECORD, *EVENTS, *(f for e in EVENTS.values() for f in e)],
    "manifests/README.md": [
        *(name for field in OUTCOME_SCHEMA for name in column_names(field)),
        TOUCHED,
        REMOVED,
        *REQUIRED,
        *OPTIONAL,
        *RESERVED,
    ],
    "restore/engines/README.md": [*Recipe.model_fields, *METHODS, *Models.model_fields],
}


@pytest.mark.parametrize("name", OWNED)
def test_the_page_of_a_package_names_everything_that_it_owns(name: str) -> None:
    text = page(name)
    missing = [word for word in OWNED[name] if not names(text, word)]
    assert not missing, f"{name} does not name {missing}"


# --- links and names


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_to_files_and_headings(name: str) -> None:
    for link in re.findall(r"\]\((?!\w+:)([^)\s]*)\)", page(name)):
        path, _, anchor = link.partition("#")
        target = ((ROOT / name).parent / path).resolve() if path else ROOT / name
        assert target.exists(), f"{name} links to {link}"
        assert not anchor or anchor in headings(target.read_text()), f"{name} links to {link}"


def headings(text: str) -> set[str]:
    """Return the anchors that a code host makes of the headings."""
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("name", PAGES)
def test_files_and_tests_that_a_page_names_are_there(name: str) -> None:
    text = page(name)
    for path in re.findall(r"`((?:restore|manifests|jobs|cluster|tests)/[\w./-]*)`", text):
        assert (ROOT / path).exists() or (ROOT / "tests" / path).exists(), f"{name} names {path}"
    for path in re.findall(r"`((?:\w+/)*test_\w+\.py)", text):
        assert any(f"/{file}".endswith(f"/{path}") for file in FILES), f"{name} names {path}"
    for test in re.findall(r"`(test_\w+)`", text):
        assert f"def {test}(" in all_tests(), f"{name} names {test}"


def all_tests() -> str:
    return "\n".join(page(name) for name in FILES if re.search(r"(^|/)test_\w+\.py$", name))


def test_modules_that_prose_names_are_there() -> None:
    """`restore.imaging.codec` in a comment, docstring or string names a module or something in one."""
    dotted = re.compile(r"(?<![\w./@-])((?:restore|manifests|jobs|cluster|tests)(?:\.[A-Za-z_]\w*)+)")
    lost = [
        f"{name}: {found}"
        for name in FILES
        if name.endswith((".py", ".md", ".toml", ".yaml")) and not name.startswith("tests/support/data/")
        for found in dotted.findall(prose(name))
        if not is_known(found.split("."))
    ]
    assert not lost, "\n".join(lost)


def prose(name: str) -> str:
    """Return a file's text; of Python code its comments and strings."""
    if not name.endswith(".py"):
        return page(name)
    with (ROOT / name).open("rb") as file:
        tokens = list(tokenize.tokenize(file.readline))
    return "\n".join(token.string for token in tokens if token.type in {tokenize.COMMENT, tokenize.STRING})


def is_known(parts: list[str]) -> bool:
    """Return whether dotted names lead to a module, or to a name at the top level of one."""
    place = ROOT
    for number, part in enumerate(parts):
        if (place / f"{part}.py").is_file():
            return not parts[number + 1 :] or parts[number + 1] in top_level(place / f"{part}.py")
        if not (place / part).is_dir():
            return part in top_level(place / "__init__.py")
        place = place / part
    return True


@cache
def top_level(path: Path) -> set[str]:
    """Return the names that a module defines or imports at its top level."""
    if not path.is_file():
        return set()
    nodes = [node for top in ast.parse(path.read_text()).body for node in (top, *ast.iter_child_nodes(top))]
    names = {node.name.split(".")[0] for node in nodes if isinstance(node, NAMED)}
    return (
        names
        | {node.asname for node in nodes if isinstance(node, ast.alias) and node.asname}
        | {node.id for node in nodes if isinstance(node, ast.Name)}
    )


def test_the_front_page_is_short() -> None:
    assert len(page("README.md").splitlines()) <= README_LINES


# --- the queries of manifests/README.md


def row(number: int, item: str, status: str, code: str | None) -> dict[str, object]:
    now = datetime.now(UTC)
    texts = {field.name: "x" for field in OUTCOME_SCHEMA if not field.nullable and field.type == pa.string()}
    times = {"started_at": now, "committed_at": now, "pipeline_version": 1, "attempts": 1}
    outcome = {"status": status, "error_code": code, "error_message": code and f"fault {number}"}
    mine = {
        "row_id": f"{number:06d}",
        "item_id": item,
        "output": f"images/{number}.png" if status == "restored" else None,
    }
    return {**texts, **times, **outcome, **mine, "suspicion": float(number)}


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
        if number in {1, 2}:  # as compaction leaves them until it removes the sources
            copied = part.with_name("compact-00000-00000.parquet")
            pq.write_table(pq.read_table(part, partitioning=None), copied)
    current, failed, worst = (duckdb.sql(query).fetchall() for query in queries(tmp_path))
    assert sorted(current) == [("a", "images/1.png"), ("b", "images/4.png")]
    assert failed == [("mask_full", 1, "fault 2")]
    assert worst == [("b", 4.0), ("a", 1.0)]


def queries(folder: Path) -> Iterator[str]:
    (block,) = re.findall(r"```sql\n(.*?)```", page("manifests/README.md"), re.DOTALL)
    return filter(str.strip, block.replace("'restored/", f"'{folder}/restored/").split(";"))
