"""The PromQL of cluster/observability: every expression, and what each asks for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import yaml

FOLDER = Path(__file__).resolve().parents[2] / "cluster/observability"
DASHBOARD: dict[str, Any] = json.loads((FOLDER / "dashboard.json").read_text())
ALERTS: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((FOLDER / "alerts.yaml").read_text())["groups"]
    for rule in group["rules"]
]


def queries() -> dict[str, str]:
    """Every expression by where it stands, with Grafana's variables filled in."""
    panels = {
        f"{panel['title']} {target['refId']}": filled(target["expr"])
        for panel in DASHBOARD["panels"]
        for target in panel.get("targets", ())
    }
    return panels | {rule["alert"]: rule["expr"] for rule in ALERTS}


def filled(expression: str) -> str:
    for variable, value in (("$__rate_interval", "1m"), ("$__range", "1h"), ("$session", ".*")):
        expression = expression.replace(variable, value)
    return expression


def selectors(expression: str) -> Iterator[tuple[str, set[str]]]:
    """Each metric that an expression reads, with the labels that it must have: those matched, and those of
    aggregations around it.

    Raises:
        ValueError: when it is no PromQL.
    """
    yield from _selectors(promql_parser.parse(expression), set())


def _selectors(node: Any, grouped: set[str]) -> Iterator[tuple[str, set[str]]]:
    selector = getattr(node, "vector_selector", node)
    if isinstance(selector, promql_parser.VectorSelector):
        yield selector.name, grouped | {matcher.name for matcher in selector.matchers.matchers}
    if isinstance(node, promql_parser.AggregateExpr):
        assert str(node.modifier).startswith(("by", "None")), f"{node.modifier}: labels are kept by name"
        grouped = grouped | set(node.modifier.labels if node.modifier else ())
    for part in ("expr", "lhs", "rhs", "param"):
        if (below := getattr(node, part, None)) is not None:
            yield from _selectors(below, grouped)
    for argument in getattr(node, "args", ()):
        yield from _selectors(argument, grouped)
