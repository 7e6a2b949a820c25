"""Nodes over a pretrained network: frozen by the command line, shared by digest, exported with its weights."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tests.cluster.processes import NodeProcess, free_port
from tests.cluster.test_export import run


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Freeze the first layer of an mlp for the digits, with weights of this test's own."""
    directory = tmp_path_factory.mktemp("base")
    draws = np.random.default_rng(1)
    weights = {"1.weight": draws.normal(size=(256, 64)) / 8, "3.weight": draws.normal(size=(10, 256)) / 16}
    save_file({name: tensor.astype(np.float32) for name, tensor in weights.items()}, directory / "weights.safetensors")
    done = run(
        *("freeze", "mlp", "--weights", directory / "weights.safetensors", "--leave-out", "3.*"),
        *("--output", directory / "base.safetensors"),
    )
    assert done.returncode == 0, done.stderr
    assert "1 tensors, digest" in done.stdout
    return directory / "base.safetensors"


def test_nodes_learn_over_it_and_their_model_is_exported(base: Path, tmp_path: Path) -> None:
    ports = [free_port(), free_port()]
    shared = ("--frozen", str(base), "--model", "mlp", "--local-steps", "5")
    state, file = tmp_path / "state", tmp_path / "digits.dslm"
    with (
        NodeProcess("a", ports[0], *shared, "--share", "1/2", "--state-dir", str(state)) as one,
        NodeProcess("b", ports[1], *shared, "--share", "2/2", "--peers", f"127.0.0.1:{ports[0]}") as other,
    ):
        other.wait_for_event("round", masks=1)
        one.wait_for_round(15)
        asked = run("export", "--address", one.address, "--output", tmp_path / "asked.dslm")
        assert asked.returncode == 0, asked.stderr
    saved = run("export", "--state-dir", state, "--output", file)
    assert saved.returncode == 0, saved.stderr
    for each in (file, tmp_path / "asked.dslm"):
        judged = run("predict", each, "--data", "digits", "--score", "--format", "json")
        assert json.loads(judged.stdout)["accuracy"] > 0.8, judged.stderr


def test_a_node_of_another_network_is_refused(base: Path, tmp_path: Path) -> None:
    altered = load_file(base)
    altered["1.weight"][0, 0] += 1
    save_file(altered, tmp_path / "altered.safetensors")
    port = free_port()
    with (
        NodeProcess("a", port, "--model", "mlp", "--frozen", str(base)),
        NodeProcess(
            *("b", free_port(), "--model", "mlp", "--frozen", str(tmp_path / "altered.safetensors")),
            *("--peers", f"127.0.0.1:{port}"),
        ) as other,
    ):
        refusal = other.wait_for_event("neighbour refused")
        assert refusal["reason"] in {"model", "peer_model"}


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("freeze", "mlp", "--weights", "absent", "-o", "x"), "absent: cannot be read"),
        (
            ("freeze", "mlp", "--leave-out", "9.*", "-o", "x"),
            "there is no such parameter; there are 1.weight, 3.weight",
        ),
        (("freeze", "mlp", "--leave-out", "*", "-o", "x"), "no weights of a layer that masks choose among"),
        (("start", "--frozen", "absent", "--listen", "127.0.0.1:0"), "absent: cannot be read"),
    ],
)
def test_what_cannot_be_frozen_is_one_line(arguments: tuple[str, ...], complaint: str) -> None:
    done = run(*arguments)
    assert done.returncode in (2, 3)
    assert complaint in done.stderr
    assert done.stderr.count("\n") == 1
