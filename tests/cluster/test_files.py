"""Deployment files, checked without a cluster by the schemas of Kubernetes, KubeRay, Ray and AWS."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import botocore.session
import botocore.validate
import jsonschema
import kubernetes_validate
import pytest
import ray
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

from cluster.profiles import PROFILES, Profile
from jobs.settings import NightlySettings, deadline
from restore.cli import parse
from restore.engines.cost import RATES, window_tflop
from restore.methods import CHECKPOINTS
from restore.recipe import Recipe

ROOT = Path(__file__).resolve().parents[2]
KUBERAY = ROOT / "cluster/kuberay"
KUBERNETES = ("1.33", "1.37")
CREDENTIAL = re.compile(r"KEY|SECRET|TOKEN|PASSWORD|CREDENTIAL", re.IGNORECASE)
FETCH = "python -m restore.weights fetch inpaint refiner vae"


def documents(path: Path) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


RAYJOB: dict[str, Any] = documents(KUBERAY / "rayjob.yaml")[0]
CLUSTER: dict[str, Any] = RAYJOB["spec"]["rayClusterSpec"]
GROUPS: dict[str, dict[str, Any]] = {group["groupName"]: group for group in CLUSTER["workerGroupSpecs"]}
CRON: dict[str, Any] = documents(KUBERAY / "cronjob.yaml")[0]
AWS: dict[str, Any] = yaml.safe_load((ROOT / "cluster/ray-up/aws.yaml").read_text())


def templates() -> dict[str, dict[str, Any]]:
    """Return the pod templates of a night by group name."""
    groups = {name: group["template"] for name, group in GROUPS.items()}
    return {"head": CLUSTER["headGroupSpec"]["template"], **groups}


def mappings(node: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(node, dict):
        yield node
        node = list(node.values())
    if isinstance(node, list):
        for part in node:
            yield from mappings(part)


def nightly() -> NightlySettings:
    program, _, module, *argv = shlex.split(RAYJOB["spec"]["entrypoint"])
    assert (program, module) == ("python", "jobs.nightly")
    return parse(NightlySettings, "nightly", "A night.", argv)


def profile() -> Profile:
    return PROFILES[nightly().profile]


# --- the image


def instructions() -> list[str]:
    """The Dockerfile's lines, continuations joined, comments left out."""
    lines = (ROOT / "cluster/Dockerfile").read_text().splitlines()
    text = "\n".join(line for line in lines if not line.lstrip().startswith("#"))
    return [line for line in re.sub(r"\\\n\s*", " ", text).splitlines() if line.strip()]


def copied() -> list[str]:
    """Return the paths that the Dockerfile copies from the build context."""
    copies = [line.split()[1:-1] for line in instructions() if line.startswith("COPY ")]
    return [source for sources in copies if not sources[0].startswith("--from") for source in sources]


def test_the_image_is_built_from_what_is_tracked_and_let_in() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    let_in = [line[2:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:2] == "!/"]
    assert sorted(set(copied())) == sorted(let_in), "let in but not copied, or copied but not let in"
    for path in let_in:
        assert re.search(rf"^{re.escape(path)}(/|$)", tracked, re.MULTILINE), path
    assert "*" in (ROOT / ".dockerignore").read_text().splitlines(), "everything else stays out"


def test_the_image_holds_every_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    installed = project["tool"]["setuptools"]["packages"]["find"]["include"]
    assert {pattern.removesuffix("*") for pattern in installed} <= set(copied())


def test_the_image_is_pinned_unprivileged_and_without_weights() -> None:
    bases = [line.split()[1] for line in instructions() if line.startswith("FROM ")]
    assert bases and all(re.fullmatch(r"python:3\.\d+-slim-\w+", base) for base in bases)
    users = [line.split()[1] for line in instructions() if line.startswith("USER ")]
    assert users == ["1000:1000"], "nothing after it goes back to root"
    installs = [line for line in instructions() if "pip install" in line]
    assert all("--no-cache-dir" in line for line in installs)
    assert all("-c constraints.txt" in line or "--no-deps" in line for line in installs)
    assert not re.search(r"restore\.weights|safetensors|huggingface\.co", "\n".join(instructions()))
    assert not any(line.startswith("ADD ") for line in instructions())


def test_the_image_lists_the_libraries_that_pyproject_names() -> None:
    [line] = [line for line in instructions() if "tomllib" in line]
    code = re.search(r"python -c '(.*?)'", line)
    assert code is not None
    ran = subprocess.run(
        [sys.executable, "-c", code[1]], cwd=ROOT, capture_output=True, text=True, check=True
    )
    names = {re.split(r"[\[<>=]", line)[0] for line in ran.stdout.splitlines()}
    assert {"ray", "torch", "diffusers", "gcsfs", "adlfs", "boto3"} <= names
    assert not names & {"pytest", "moto", "ruff", "silverprint"}
    pinned = {line.split("==")[0].lower() for line in (ROOT / "constraints.txt").read_text().splitlines()}
    assert {name.lower().replace("_", "-") for name in names} <= {name.replace("_", "-") for name in pinned}


# --- KubeRay


@pytest.mark.parametrize("version", KUBERNETES)
def test_kubernetes_accepts_every_file(version: str) -> None:
    for path in sorted(KUBERAY.glob("*.yaml")):
        for document in documents(path):
            if document["kind"] not in {"RayJob", "Kustomization"}:
                kubernetes_validate.validate(document, version, strict=True)
    for name, template in templates().items():
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": template["spec"]}
        kubernetes_validate.validate(pod, version, strict=True)


def test_kubernetes_schema_finds_a_wrong_field() -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "x"},
        "spec": {"containers": [], "toleration": []},
    }
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(pod, KUBERNETES[0], strict=True)


def test_kuberay_accepts_the_job() -> None:
    schema = json.loads((ROOT / "tests/support/data/kuberay_rayjob.json").read_text())
    assert RAYJOB["apiVersion"] == "ray.io/v1"
    jsonschema.validate(RAYJOB["spec"], schema)
    for wrong in ({"backOffLimit": 1}, {"rayClusterSpec": {**CLUSTER, "autoscaler": True}}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**RAYJOB["spec"], **wrong}, schema)


def test_kustomize_names_what_is_there() -> None:
    [kustomization] = documents(KUBERAY / "kustomization.yaml")
    [generated] = kustomization["configMapGenerator"]
    named = {*kustomization["resources"], *generated["files"], "kustomization.yaml"}
    assert named == {path.name for path in KUBERAY.iterdir()}
    [volume] = [v for v in cron_pod()["volumes"] if "configMap" in v]
    assert volume["configMap"]["name"] == generated["name"]


def cron_pod() -> dict[str, Any]:
    pod: dict[str, Any] = CRON["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    return pod


def test_a_night_ends_by_its_own_hour_before_anything_kills_it() -> None:
    minute, hour, *rest = CRON["spec"]["schedule"].split()
    assert rest == ["*", "*", "*"] and CRON["spec"]["timeZone"] == "Etc/UTC"
    start = datetime(2026, 1, 1, int(hour), int(minute), tzinfo=UTC)
    end = deadline(nightly(), start)
    assert end is not None
    budget = timedelta(seconds=end - start.timestamp())
    spec = RAYJOB["spec"]
    job = timedelta(seconds=spec["activeDeadlineSeconds"])
    assert job >= budget + timedelta(minutes=30), "the report and the last part need time"
    watch = CRON["spec"]["jobTemplate"]["spec"]["activeDeadlineSeconds"]
    assert job.total_seconds() + spec["ttlSecondsAfterFinished"] <= watch < 24 * 3600
    assert spec["preRunningDeadlineSeconds"] < budget.total_seconds()


def test_only_lost_infrastructure_is_retried() -> None:
    spec = RAYJOB["spec"]
    assert spec["submissionMode"] == "K8sJobMode", "HTTPMode submits again after a failed night"
    assert spec["backoffLimit"] == 0, "KubeRay's own retry ignores why a job failed"
    assert spec["submitterConfig"]["backoffLimit"] > 0
    assert spec["shutdownAfterJobFinishes"] is True and spec["ttlSecondsAfterFinished"] > 0
    assert CRON["spec"]["concurrencyPolicy"] == "Forbid"
    assert CRON["spec"]["jobTemplate"]["spec"]["backoffLimit"] == 0


def test_head_holds_no_work_and_idle_gpus_are_released() -> None:
    assert CLUSTER["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    gpu = GROUPS["gpu"]
    assert gpu["minReplicas"] == 0 and gpu["idleTimeoutSeconds"] > 0
    assert gpu["replicas"] == gpu["maxReplicas"], "a night requests only GPUs that exist"
    tolerated = " ".join(toleration["key"] for toleration in gpu["template"]["spec"]["tolerations"])
    assert "nvidia.com/gpu" in tolerated and "spot" in tolerated
    assert "tolerations" not in GROUPS["cpu"]["template"]["spec"]
    assert CLUSTER["enableInTreeAutoscaling"] is True and CLUSTER["autoscalerOptions"]["version"] == "v2"


def test_a_gpu_pod_holds_whole_actors_and_cpus_beside_them() -> None:
    resources = worker(GROUPS["gpu"]["template"])["resources"]
    assert resources["requests"] == resources["limits"]
    gpus, cpus = (float(resources["requests"][name]) for name in ("nvidia.com/gpu", "cpu"))
    assert nightly().profile == "gpu"
    actors = profile().actors(cpus, gpus)
    assert actors >= 1 and actors * profile().gpus_per_actor == gpus, "part of a GPU is paid for and idle"
    assert cpus >= actors * profile().cpus_per_actor + 1, "prepare and finish need a core there too"
    assert "nvidia.com/gpu" not in worker(GROUPS["cpu"]["template"])["resources"]["limits"]


def worker(template: Mapping[str, Any]) -> dict[str, Any]:
    """Return Ray's container: KubeRay takes the first."""
    container: dict[str, Any] = template["spec"]["containers"][0]
    return container


def test_weights_are_fetched_where_they_are_read() -> None:
    holders = {name for name, template in templates().items() if "initContainers" in template["spec"]}
    assert holders == {"head", "gpu"}
    for name in holders:
        spec = templates()[name]["spec"]
        [init] = spec["initContainers"]
        assert FETCH in init["args"][0] and init["image"] == worker(templates()[name])["image"]
        [mount] = worker(templates()[name])["volumeMounts"]
        [volume] = spec["volumes"]
        assert mount["readOnly"] and mount["name"] == volume["name"] and "hostPath" in volume
        assert f"SILVERPRINT_WEIGHTS={mount['mountPath']}/" in (ROOT / "cluster/Dockerfile").read_text()
    assert set(FETCH.split()[4:]) <= set(CHECKPOINTS)


def test_one_image_and_the_locked_ray() -> None:
    images = {c["image"] for t in templates().values() for c in mappings(t) if "image" in c}
    assert images == {AWS["docker"]["image"]} and not images.pop().endswith(":latest")
    assert CLUSTER["rayVersion"] == ray.__version__
    assert f"ray=={CLUSTER['rayVersion']}\n" in (ROOT / "constraints.txt").read_text()


def test_secrets_are_referenced_and_never_written() -> None:
    for document in (RAYJOB, CRON, AWS):
        for node in mappings(document):
            name = str(node.get("name", ""))
            assert not (CREDENTIAL.search(name) and "value" in node), name
            assert node.get("kind") != "Secret"
    for name, template in templates().items():
        assert worker(template)["envFrom"] == [{"secretRef": {"name": "silverprint-store"}}], name
    options = [option.split()[1] for option in AWS["docker"]["run_options"] if option.startswith("--env ")]
    assert not [option for option in options if re.match(r"\w*(KEY|SECRET|PASSWORD|TOKEN)\w*=", option)]


def test_containers_gain_no_rights() -> None:
    pods = [template["spec"] for template in templates().values()] + [cron_pod()]
    for spec in pods:
        assert spec["securityContext"]["runAsNonRoot"] is True
        for container in [*spec["containers"], *spec.get("initContainers", [])]:
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_the_cron_job_has_only_the_rights_that_its_script_uses() -> None:
    account, role, binding = documents(KUBERAY / "rbac.yaml")
    assert account["metadata"]["name"] == cron_pod()["serviceAccountName"] == binding["subjects"][0]["name"]
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    [kustomization] = documents(KUBERAY / "kustomization.yaml")
    assert binding["subjects"][0]["namespace"] == kustomization["namespace"], "kustomize does not fill it in"
    [rule] = role["rules"]
    [container] = cron_pod()["containers"]
    used = set(re.findall(r"kubectl (\w+)", container["args"][0]))
    assert rule == {"apiGroups": ["ray.io"], "resources": ["rayjobs"], "verbs": sorted(used)}


KUBECTL = """#!/bin/sh
case "$*" in
  "create -f /etc/silverprint/rayjob.yaml -o name") echo rayjob.ray.io/night ;;
  "get rayjob.ray.io/night -o jsonpath={.status.jobDeploymentStatus}")
    state=$(head -n 1 states); sed -i 1d states; [ "$state" != refused ] || exit 1; printf %s "$state" ;;
  "get rayjob.ray.io/night -o jsonpath={.status.jobStatus} "*) echo state ;;
  *) echo "not expected: $*" >&2; exit 64 ;;
esac
"""


@pytest.mark.parametrize(("states", "code"), [("Running refused Complete", 0), ("Initializing Failed", 1)])
def test_the_cron_job_stays_until_the_night_has_ended(tmp_path: Path, states: str, code: int) -> None:
    for name, script in (("kubectl", KUBECTL), ("sleep", "#!/bin/sh\n")):
        (tmp_path / name).write_text(script)
        (tmp_path / name).chmod(0o755)
    (tmp_path / "states").write_text("\n".join(states.split()) + "\n")
    [container] = cron_pod()["containers"]
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    command = [*container["command"], *container["args"]]
    ran = subprocess.run(
        command, cwd=tmp_path, env={"PATH": path}, capture_output=True, text=True, check=False, timeout=30
    )
    assert (ran.returncode, ran.stdout.split(), ran.stderr) == (
        code,
        ["rayjob.ray.io/night", "state"],
        "",
    )
    assert not (tmp_path / "states").read_text(), "the script has read every state"


# --- ray up


@pytest.fixture(scope="module")
def launched() -> dict[str, Any]:
    """Return the file as `ray up` completes it before its first call to AWS."""
    prepared: dict[str, Any] = prepare_config(AWS)
    return prepared


def test_ray_accepts_the_file(launched: dict[str, Any]) -> None:
    validate_config(launched)
    with pytest.raises(jsonschema.ValidationError):
        validate_config({**launched, "idle_timeout": 5})
    assert not [
        c for c in launched["setup_commands"] + launched["worker_setup_commands"] if "pip install" in c
    ]


def test_aws_accepts_every_node(launched: dict[str, Any]) -> None:
    service = botocore.session.get_session().get_service_model("ec2")
    shape = service.operation_model("RunInstances").input_shape
    for name, kind in launched["available_node_types"].items():
        request = {**kind["node_config"], "MinCount": 1, "MaxCount": 1}
        faults = botocore.validate.ParamValidator().validate(request, shape)
        assert not faults.has_errors(), f"{name}: {faults.generate_report()}"
        assert request["MetadataOptions"] == {"HttpTokens": "required"}


def test_ray_up_gives_the_same_roles(launched: dict[str, Any]) -> None:
    kinds = launched["available_node_types"]
    assert kinds[launched["head_node_type"]]["resources"] == {"CPU": 0}
    assert kinds["gpu"]["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"}
    assert "InstanceMarketOptions" not in kinds["head"]["node_config"]
    resources = kinds["gpu"]["resources"]
    assert profile().actors(resources["CPU"], resources["GPU"]) * profile().gpus_per_actor == resources["GPU"]
    assert kinds["gpu"]["min_workers"] >= 1, "a night requests only GPUs that exist"
    assert sum(kind["max_workers"] for kind in kinds.values()) <= launched["max_workers"]
    for commands in (launched["head_setup_commands"], kinds["gpu"]["worker_setup_commands"]):
        assert any(FETCH in command for command in commands)
    assert "--autoscaling-config=" in " ".join(launched["head_start_ray_commands"])


# --- cluster/README.md


def test_the_cost_table_is_what_the_rates_say() -> None:
    text = (ROOT / "cluster/README.md").read_text()
    rows = re.findall(r"^\| (\w+) \| ([\d,]+) \| ([\d,]+) \| ([\d,]+) \|$", text, re.MULTILINE)
    assert {row[0] for row in rows} == set(RATES)
    window = window_tflop((1024, 1024), Recipe(), "sdxl")
    for gpu, rate, one, scan in rows:
        assert int(rate.replace(",", "")) == round(RATES[gpu])
        assert int(one.replace(",", "")) == round(100_000 * window / RATES[gpu] / 3600)
        assert int(scan.replace(",", "")) == round(100_000 * 1124 / RATES[gpu] / 3600)
    assert f"{window:.0f} TFLOP" in text


def test_the_readme_names_files_that_are_there() -> None:
    text = (ROOT / "cluster/README.md").read_text()
    for path in set(re.findall(r"cluster/[\w./-]+\w", text)):
        assert (ROOT / path).exists(), path
    assert AWS["docker"]["image"] in text and "silverprint-store" in text
