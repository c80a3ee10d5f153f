"""Dashboard, alerts and scraping are checked without a cluster: by PromQL's grammar, the declared metrics and
the schemas of Ray and Prometheus's operator. e2e/test_metrics.py holds them against a running head.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from ray._private.ray_constants import PROMETHEUS_SERVICE_DISCOVERY_FILE
from ray.dashboard.modules.reporter.reporter_agent import METRICS_GAUGES

from restore.run.metrics import METRICS
from tests.support.queries import ALERTS, DASHBOARD, FOLDER, queries, selectors

ROOT = Path(__file__).resolve().parents[2]
RAYS_OWN = {"SessionName", "NodeAddress", "WorkerId"}
"""Labels that Ray adds; e2e/test_metrics.py sees them."""

SCHEMAS: dict[str, Any] = json.loads((ROOT / "tests/support/data/prometheus_operator.json").read_text())
README = (ROOT / "cluster/observability/README.md").read_text()


def exported() -> dict[str, set[str]]:
    """Every metric that Ray exports for us, by its labels."""
    found = {}
    for metric in METRICS:
        labels = {*metric.labels, *RAYS_OWN}
        if metric.kind == "histogram":
            found[f"ray_{metric.name}_bucket"] = labels | {"le"}
        else:
            found[f"ray_{metric.name}"] = labels
    return found


@pytest.mark.parametrize("where", queries())
def test_every_expression_reads_what_is_exported(where: str) -> None:
    read = list(selectors(queries()[where]))
    assert read
    for name, labels in read:
        if name.startswith("ray_silverprint_"):
            assert labels <= exported()[name], f"{name} has not all of {labels}"
        else:
            assert name.removeprefix("ray_") in METRICS_GAUGES, f"Ray does not export {name}"


def test_what_is_exported_is_shown() -> None:
    shown = {name for expression in queries().values() for name, _ in selectors(expression)}
    assert set(exported()) <= shown


@pytest.mark.parametrize("bad", ["sum(rate(x)", "rate(x)", "sum by (a) (x[5m])"])
def test_wrong_expressions_are_found(bad: str) -> None:
    with pytest.raises(ValueError):
        list(selectors(bad))


def test_labels_of_aggregations_and_matchers_are_asked_for() -> None:
    [(name, labels)] = selectors('sum by (a) (rate(x{b="c"}[5m])) > 1')
    assert (name, labels) == ("x", {"a", "b"})


def test_the_dashboard_can_be_imported_anywhere() -> None:
    variables = {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    assert variables["session"]["definition"].partition("(")[2].partition(",")[0] in exported()
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        for part in (panel, *panel.get("targets", ())):
            assert panel["type"] == "row" or part["datasource"]["uid"] == "${datasource}", panel["title"]
        assert all("$session" in target["expr"] for target in panel.get("targets", ())), panel["title"]
    placements = [panel["gridPos"] for panel in panels]
    cells = [
        (x, y)
        for place in placements
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(set(cells)) == len(cells) and max(x for x, _ in cells) < 24, "panels lie side by side"


def test_alerts_are_known_by_name_and_say_what_to_do() -> None:
    for rule in ALERTS:
        assert rule["annotations"]["summary"] and rule["annotations"]["description"]
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert f"`{rule['alert']}`" in README, rule["alert"]


def test_a_lease_is_held_too_long_after_the_night_and_before_its_end_by_force() -> None:
    [job] = yaml.safe_load_all((ROOT / "cluster/kuberay/rayjob.yaml").read_text())
    [rule] = [rule for rule in ALERTS if rule["alert"] == "SilverprintLeaseHeldTooLong"]
    hours = float(rule["expr"].partition("> ")[2].partition(" * 3600")[0])
    assert 8 < hours < job["spec"]["activeDeadlineSeconds"] / 3600, "22:00 to 06:00, and then KubeRay's end"


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is Prometheus's own")
@pytest.mark.parametrize(
    "check",
    ["check config cluster/observability/prometheus.yaml", "test rules tests/support/data/alerts.yaml"],
)
def test_prometheus_takes_the_files_and_fires_when_it_should(check: str) -> None:
    ran = subprocess.run(["promtool", *check.split()], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_the_operator_takes_the_monitor_and_finds_every_ray_pod() -> None:
    monitor = yaml.safe_load((FOLDER / "podmonitor.yaml").read_text())
    assert (monitor["apiVersion"], monitor["kind"]) == ("monitoring.coreos.com/v1", "PodMonitor")
    jsonschema.validate(monitor["spec"], SCHEMAS["PodMonitor"])
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**monitor["spec"], "podMetricsEndpoint": []}, SCHEMAS["PodMonitor"])
    [kustomization] = yaml.safe_load_all((ROOT / "cluster/kuberay/kustomization.yaml").read_text())
    assert monitor["metadata"]["namespace"] == kustomization["namespace"], "it scrapes its own namespace"
    [expression] = monitor["spec"]["selector"]["matchExpressions"]
    assert expression["key"] == "ray.io/node-type" and set(expression["values"]) == {"head", "worker"}


def test_the_readme_makes_a_rule_of_the_operator_out_of_the_alerts() -> None:
    """The command is run as it stands, with `cat` for kubectl."""
    [command] = re.findall(r"^    (\{ printf .*?)\s*\| kubectl apply -f -$", README, re.MULTILINE | re.DOTALL)
    made = subprocess.run(["bash", "-euc", command], cwd=ROOT, capture_output=True, text=True, check=True)
    rule = yaml.safe_load(made.stdout)
    assert (rule["kind"], rule["metadata"]["namespace"]) == ("PrometheusRule", "silverprint")
    jsonschema.validate(rule["spec"], SCHEMAS["PrometheusRule"])
    assert [one for group in rule["spec"]["groups"] for one in group["rules"]] == ALERTS


def test_a_prometheus_beside_the_head_reads_rays_own_list() -> None:
    config = yaml.safe_load((FOLDER / "prometheus.yaml").read_text())
    [[path]] = [found["files"] for job in config["scrape_configs"] for found in job["file_sd_configs"]]
    assert Path(path).name == PROMETHEUS_SERVICE_DISCOVERY_FILE
    assert [(FOLDER / name).exists() for name in config["rule_files"]] == [True]


def test_the_readme_explains_every_metric() -> None:
    rows = re.findall(r"^\| `(silverprint_\w+)`(.*?) \| \w.* \|$", README, re.MULTILINE)
    documented = {name: set(re.findall(r"`(\w+)`", labels)) for name, labels in rows}
    assert documented == {metric.name: set(metric.labels) for metric in METRICS}
