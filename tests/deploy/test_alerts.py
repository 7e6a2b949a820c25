"""Alerts and recording rules: valid, each tested firing and not firing, each with its place in the runbook."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
ALERTS = ROOT / "deploy" / "prometheus" / "alerts.yml"
COMPONENTS = ROOT / "deploy" / "prometheus" / "components.yml"
CASES = [ROOT / "tests" / "deploy" / name for name in ("alerts.yml", "components.yml")]
RUNBOOK = ROOT / "docs" / "runbook.md"

needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool (Debian: prometheus) is not installed"
)


def alerts() -> list[dict[str, Any]]:
    groups = yaml.safe_load(ALERTS.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def promtool(*arguments: str | Path) -> None:
    done = subprocess.run(
        ["promtool", *map(str, arguments)], capture_output=True, text=True, timeout=120, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_rules_are_valid() -> None:
    promtool("check", "rules", ALERTS, COMPONENTS)


@needs_promtool
@pytest.mark.parametrize("file", ["prometheus.yml", "testbed.yml"])
def test_configurations_are_valid(file: str) -> None:
    promtool("check", "config", ALERTS.with_name(file))


@needs_promtool
def test_each_alert_fires_when_it_must_and_is_silent_when_it_must_not() -> None:
    promtool("test", "rules", *CASES)


def test_no_alert_is_without_a_firing_and_a_silent_case() -> None:
    tests = [test for file in CASES for test in yaml.safe_load(file.read_text())["tests"]]
    cases = [case for test in tests for case in test["alert_rule_test"]]
    names = {rule["alert"] for rule in alerts()}
    assert names
    assert {case["alertname"] for case in cases if case["exp_alerts"]} == names
    assert {case["alertname"] for case in cases if not case["exp_alerts"]} == names


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: str(rule["alert"]))
def test_each_alert_has_a_description_and_a_runbook_entry(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert rule["annotations"].keys() == {"summary", "description", "runbook_url"}
    file, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    assert ROOT / file == RUNBOOK
    headings = re.findall(r"^## (.*)$", RUNBOOK.read_text(), re.MULTILINE)
    assert anchor in {heading.lower() for heading in headings}
