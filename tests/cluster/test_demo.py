"""The demo as a user runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def test_the_demo_ends_by_itself_and_its_report_equals_its_table(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    demo = subprocess.run(
        [sys.executable, "-m", "dslnode", "demo", "--nodes", "3", "--rounds", "20", "--report", str(report)],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert demo.returncode == 0, demo.stderr
    assert demo.stderr == ""
    assert "dslnode ca issue node-1 --address 10.0.0.1:7711 --set data=digits --set share=1/3" in demo.stdout
    assert "dslnode start --ticket node-1.ticket" in demo.stdout
    written = json.loads(report.read_text())
    assert written["seconds"] > 0
    assert [node["name"] for node in written["nodes"]] == ["node-1", "node-2", "node-3"]
    for node in written["nodes"]:
        assert node["rounds"] == 20
        assert 0 < node["accuracy"] <= 1
        assert 0 < node["local_only_accuracy"] <= 1
        assert node["wire_bytes_sent"] * 8 > node["payload_bits_sent"] > 0
        assert f"{100 * node['accuracy']:.1f} %" in demo.stdout
        assert f"{node['payload_bits_sent']:,}" in demo.stdout
    together = sum(node["accuracy"] for node in written["nodes"])
    assert together > sum(node["local_only_accuracy"] for node in written["nodes"])


def test_a_demo_on_missing_data_ends_with_the_path() -> None:
    demo = subprocess.run(
        [sys.executable, "-m", "dslnode", "demo", "--nodes", "2", "--rounds", "1", "--data", "idx:/nowhere"],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert demo.returncode == 3
    assert "/nowhere" in demo.stderr
    assert "Traceback" not in demo.stderr
