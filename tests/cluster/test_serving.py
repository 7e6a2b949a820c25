"""Real daemons that learn and answer predictions at once."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from dslnode.data.dataset import load_data_set
from dslnode.errors import ExitCode
from dslnode.inference.answers import answers_of
from dslnode.inference.predictor import load_model
from tests.cluster.processes import NodeProcess, free_port
from tests.cluster.test_export import run
from tests.networks import Operator
from tests.serving.test_server import over, securely, trusting

LIFE = ("--local-steps", "2", "--samples-per-class", "20", "--evaluate-every", "1")
DIGITS = load_data_set("digits").train.stored[:8]
BODY = json.dumps(DIGITS.tolist()).encode()


def serving_node(port: int, *options: str) -> NodeProcess:
    return NodeProcess("board", free_port(), "--serve", f"127.0.0.1:{port}", *LIFE, *options)


def answered_from(port: int) -> Any:
    """Return the first answer that a model gives; until then the node says that it has none."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        status, value = over(connection, BODY)
        if status == 200:
            return value
        assert (status, value["error"][:24]) == (503, "there is no model yet: t")
    raise AssertionError("no model is served")


def test_a_node_that_learns_answers_and_drops_no_request(tmp_path: Path) -> None:
    port, stopped = free_port(), threading.Event()

    def client() -> list[int]:
        connection, rounds = http.client.HTTPConnection("127.0.0.1", port, timeout=30), []
        while not stopped.is_set():
            status, value = over(connection, BODY)
            assert status == 200
            assert len(value["answers"]) == len(DIGITS)
            rounds.append(value["round"])
        return rounds

    with serving_node(port, "--state-dir", str(tmp_path / "state")) as node:
        node.wait_for_event("serving predictions")
        answered_from(port)
        with ThreadPoolExecutor(3) as clients:
            running = [clients.submit(client) for _ in range(3)]
            try:
                node.wait_for_round(20)
            finally:
                stopped.set()
            rounds = [task.result(timeout=30) for task in running]
        assert all(seen == sorted(seen) for seen in rounds)
        assert len({number for seen in rounds for number in seen}) > 1, "the best model changed meanwhile"
        code, seconds = node.end(signal.SIGTERM)
    assert (code, seconds < 5) == (ExitCode.TERMINATED, True)
    exported = tmp_path / "best.dslm"
    assert run("export", "--state-dir", tmp_path / "state", "--output", exported).returncode == 0
    best = load_model(exported)
    with serving_node(port, "--state-dir", str(tmp_path / "state"), "--only-between", _never()) as node:
        node.wait_for_event("serving predictions")
        found = answered_from(port)
        assert found["round"] == best.model.round, "what was saved answers before any round"
        wanted = list(answers_of(best.predict(np.asarray(DIGITS)), best.description))
        assert found["answers"] == wanted


def test_without_held_out_examples_the_present_model_answers() -> None:
    port = free_port()
    with serving_node(port, "--keep", "last") as node:
        node.wait_for_event("serving predictions")
        before = answered_from(port)["round"]
        node.wait_for_round(before + 5)
        assert answered_from(port)["round"] > before


def test_a_node_with_a_ticket_serves_its_network_alone(operator: Operator) -> None:
    port = free_port()
    own, guest = operator.ticket("board"), operator.ticket("guest")
    with serving_node(port, "--ticket", str(own), "--serve-tls", "--rounds", "0") as node:
        node.wait_for_round(3)
        status, _ = securely(port, trusting(guest, operator.authority.pem), BODY)
        assert status == 200
        try:
            status, _ = over(http.client.HTTPConnection("127.0.0.1", port, timeout=10), BODY)
        except (OSError, http.client.HTTPException, ssl.SSLError):
            status = 0
        assert status == 0, "without TLS nobody is answered"


def test_a_start_that_cannot_serve_is_refused() -> None:
    def refused(code: ExitCode, *options: str) -> str:
        done = run("start", "--listen", "127.0.0.1:0", "--metrics", "off", "--rounds", "1", *options)
        assert done.returncode == code, done.stderr
        return done.stderr

    assert "--serve 0.0.0.0:8711 would answer any host" in refused(ExitCode.SETTINGS, "--serve", "0.0.0.0:8711")
    with socket.create_server(("127.0.0.1", 0)) as holder:
        taken = f"127.0.0.1:{holder.getsockname()[1]}"
        assert "choose another address" in refused(ExitCode.LISTEN, "--serve", taken)


def _never() -> str:
    """Return hours that are over, or far away."""
    hour = (time.localtime().tm_hour + 12) % 24
    return f"{hour:02}:00-{hour:02}:01"
