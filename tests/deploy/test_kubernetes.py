"""The Kubernetes manifests by the schemas of Kubernetes and Prometheus' operator; that their parts belong together."""

from __future__ import annotations

import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from cloudcoil.models.prometheus_operator.v1 import PodMonitor
from pydantic import ValidationError

from dslnode.config.loader import load
from dslnode.config.settings import Settings
from dslnode.telemetry.http_server import ANSWER_TIMEOUT_SECONDS

MANIFESTS = Path(__file__).parents[2] / "deploy" / "kubernetes"
VERSIONS = ("1.29", kubernetes_validate.latest_version())


def read(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((MANIFESTS / name).read_text())
    return found


def container() -> dict[str, Any]:
    found: dict[str, Any] = read("statefulset.yaml")["spec"]["template"]["spec"]["containers"][0]
    return found


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", ["service.yaml", "statefulset.yaml", "networkpolicy.yaml"])
def test_each_manifest_is_what_kubernetes_takes(name: str, version: str) -> None:
    kubernetes_validate.validate(read(name), version, strict=True)


def test_a_misspelt_field_would_be_found() -> None:
    wrong = read("statefulset.yaml")
    wrong["spec"]["template"]["spec"]["enableServiceLink"] = False
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSIONS[-1], strict=True)


def what_the_operator_reads(manifest: dict[str, Any]) -> dict[str, Any]:
    """Return what comes back of a PodMonitor from models made of the operator's own schema.

    They refuse wrong types and values, and drop fields that they do not know, as Kubernetes itself does.
    """
    found: dict[str, Any] = PodMonitor.model_validate(manifest).model_dump(
        mode="json", by_alias=True, exclude_unset=True
    )
    return found


def test_the_pod_monitor_is_what_the_operator_reads() -> None:
    monitor = read("podmonitor.yaml")
    assert what_the_operator_reads(monitor) == monitor
    assert monitor["spec"]["podMetricsEndpoints"]


@pytest.mark.parametrize(
    "typo",
    [{"podMetricEndpoints": []}, {"jobLabels": "name"}, {"selector": {"matchLabel": {}}}],
    ids=["name", "plural", "inner"],
)
def test_a_misspelt_field_of_the_pod_monitor_would_be_found(typo: dict[str, Any]) -> None:
    wrong = read("podmonitor.yaml")
    wrong["spec"] |= typo
    assert what_the_operator_reads(wrong) != wrong


@pytest.mark.parametrize(
    "wrong",
    [
        {"podMetricsEndpoints": [{"port": 9464}]},
        {"podMetricsEndpoints": [{"port": "metrics", "interval": "15 seconds"}]},
        {"podMetricsEndpoints": {"port": "metrics"}},
        {"selector": None},
    ],
    ids=["number", "duration", "no list", "nothing"],
)
def test_a_wrong_value_in_the_pod_monitor_would_be_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        what_the_operator_reads({**read("podmonitor.yaml"), "spec": read("podmonitor.yaml")["spec"] | wrong})


def test_kustomize_names_every_file_and_only_files_that_there_are() -> None:
    found = read("kustomization.yaml")
    settings = found["configMapGenerator"][0]["files"]
    assert {*found["resources"], *settings, "kustomization.yaml"} == {path.name for path in MANIFESTS.iterdir()}
    assert {image["name"] for image in found["images"]} == {container()["image"]}


def rendered() -> list[dict[str, Any]]:
    """Return what kustomize makes of the directory, as ``kubectl apply --kustomize`` would send it."""
    commands = [["kustomize", "build"], ["kubectl", "kustomize"]]
    command = next((command for command in commands if shutil.which(command[0])), None)
    if command is None:
        pytest.skip("neither kustomize nor kubectl is installed: what they make of the manifests was not looked at")
    done = subprocess.run(
        [*command, str(MANIFESTS)], capture_output=True, text=True, timeout=120, check=False, cwd=MANIFESTS
    )
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def test_kustomize_makes_of_it_what_kubernetes_takes() -> None:
    found = {resource["kind"]: resource for resource in rendered()}
    assert found.keys() == {"ConfigMap", "Service", "StatefulSet", "NetworkPolicy", "PodMonitor"}
    for kind in found.keys() - {"PodMonitor"}:
        kubernetes_validate.validate(found[kind], VERSIONS[-1], strict=True)
    assert what_the_operator_reads(found["PodMonitor"]) == found["PodMonitor"]
    settings = found["ConfigMap"]
    assert settings["data"]["node.toml"] == (MANIFESTS / "node.toml").read_text()
    volumes = found["StatefulSet"]["spec"]["template"]["spec"]["volumes"]
    named = {volume["configMap"]["name"] for volume in volumes if "configMap" in volume}
    assert named == {settings["metadata"]["name"]}, "the pods start anew when the settings change"


def test_ports_volumes_and_labels_are_named_alike_everywhere() -> None:
    stateful = read("statefulset.yaml")["spec"]
    pod = stateful["template"]["spec"]
    ports = {port["name"]: port["containerPort"] for port in container()["ports"]}
    volumes = {volume["name"] for volume in pod["volumes"] + [v["metadata"] for v in stateful["volumeClaimTemplates"]]}
    containers = [container(), *pod["initContainers"]]
    assert {mount["name"] for container in containers for mount in container["volumeMounts"]} == volumes
    assert read("service.yaml")["spec"]["ports"][0]["targetPort"] in ports
    assert read("podmonitor.yaml")["spec"]["podMetricsEndpoints"][0]["port"] in ports
    allowed = {port["port"] for rule in read("networkpolicy.yaml")["spec"]["ingress"] for port in rule["ports"]}
    assert allowed == set(ports.values())
    labels = stateful["template"]["metadata"]["labels"]
    assert stateful["selector"]["matchLabels"] == labels
    assert read("networkpolicy.yaml")["spec"]["podSelector"]["matchLabels"] == labels
    assert stateful["serviceName"] == read("service.yaml")["metadata"]["name"]


@pytest.mark.parametrize("probe", ["startupProbe", "readinessProbe", "livenessProbe"])
def test_the_kubelet_asks_where_the_metrics_are_served(probe: str) -> None:
    """A daemon has 5 s to answer before the page says that it does not; the kubelet must wait for that."""
    asked = container()[probe]
    assert asked["httpGet"] == {"path": "/ready", "port": "metrics"}
    assert asked["timeoutSeconds"] > ANSWER_TIMEOUT_SECONDS


def test_service_links_cannot_pass_for_settings() -> None:
    assert read("statefulset.yaml")["spec"]["template"]["spec"]["enableServiceLinks"] is False


def test_the_settings_are_settings_and_the_peers_are_the_pods() -> None:
    loaded = load({}, {}, MANIFESTS / "node.toml").settings
    assert isinstance(loaded, Settings)
    count = read("statefulset.yaml")["spec"]["replicas"]
    assert loaded.peers == tuple(f"dslnode-{number}.dslnode:7711" for number in range(count))
    assert tomllib.loads((MANIFESTS / "node.toml").read_text())["metrics"].endswith(":9464")
