"""What a node serves over HTTP: metrics, status, and the page, also as a real browser shows it."""

from __future__ import annotations

import base64
import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from prometheus_client import CollectorRegistry, Gauge

from dslnode.telemetry.http_application import application
from dslnode.telemetry.http_server import serve
from dslnode.telemetry.self_contained_page import page_of
from dslnode.telemetry.status_json import as_dict
from dslnode.v1 import node_pb2 as pb
from tests.browser import get, look_at, needs_chromium, photograph
from tests.cluster.processes import NodeProcess, free_port

HOSTILE = "<img src=x onerror=document.title='owned'>"
REPLY = pb.StatusReply(
    name="board-1",
    run_id="greenhouse",
    node_id="ab" * 16,
    round=412,
    phase="exchanging",
    accuracy=0.875,
    score=0.875,
    score_name="accuracy",
    payload_bits_sent=167_489_536,
    float32_bits_sent=128 * 167_489_536,
    neighbours=[
        pb.NeighbourStatus(name=HOSTILE, node_id="cd" * 16, address="10.0.0.2:7711", connected=True, agreement=0.75),
        pb.NeighbourStatus(name="10.0.0.9:7711", address="10.0.0.9:7711", problem=f"refused {HOSTILE}"),
    ],
    layers=[pb.LayerStatus(name="0.weight", weights=12_345, density=0.3)],
    history=[pb.Measurement(round=5, score=0.5), pb.Measurement(round=10, score=0.875)],
)


def answer_slowly() -> pb.StatusReply:
    raise TimeoutError


@pytest.fixture
def address() -> Iterator[str]:
    """Where a registry with one metric and the reply above are served."""
    registry = CollectorRegistry()
    Gauge("dslnode_round", "The round.", registry=registry).set(7)
    where = f"127.0.0.1:{free_port()}"
    stop = serve(where, application(registry, lambda: REPLY, str))
    yield where
    stop()


def test_the_status_equals_that_of_the_command(address: str) -> None:
    text, headers = get(address, "/status.json")
    status = json.loads(text)
    assert headers["Content-Type"].startswith("application/json")
    assert status.pop("version")
    assert status == as_dict(REPLY)


def test_nothing_is_kept_by_caches_or_guessed_by_browsers(address: str) -> None:
    for path in ("/", "/status.json"):
        _, headers = get(address, path)
        assert (headers["Cache-Control"], headers["X-Content-Type-Options"]) == ("no-store", "nosniff")
        assert "Access-Control-Allow-Origin" not in headers


@pytest.mark.parametrize("path", ["/nonsense", "/../page.html", "/favicon.ico"])
def test_there_is_nothing_else(address: str, path: str) -> None:
    with pytest.raises(urllib.error.HTTPError, match="404"):
        get(address, path)


def ask(address: str, path: str, **headers: str) -> int:
    request = urllib.request.Request(f"http://{address}{path}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


@pytest.mark.parametrize(("path", "status"), [("/", 421), ("/status.json", 421), ("/metrics", 200), ("/ready", 200)])
def test_a_name_that_is_not_the_nodes_reads_no_status(address: str, path: str, status: int) -> None:
    assert ask(address, path, Host="evil.example:80") == status


def test_with_a_token_all_but_the_health_check_needs_it() -> None:
    address = f"127.0.0.1:{free_port()}"
    token = "correct-horse-battery"
    stop = serve(address, application(CollectorRegistry(), lambda: REPLY, str, token=token))
    password = base64.b64encode(f"prometheus:{token}".encode()).decode()
    try:
        for path in ("/", "/status.json", "/metrics"):
            assert ask(address, path) == 401
            assert ask(address, path, Authorization="Bearer wrong-horse-battery") == 401
            assert ask(address, path, Authorization=f"Bearer {token}") == 200
            assert ask(address, path, Authorization=f"Basic {password}") == 200
        assert ask(address, "/ready") == 200
    finally:
        stop()


def test_nothing_can_be_sent(address: str) -> None:
    with pytest.raises(urllib.error.HTTPError, match="405"):
        urllib.request.urlopen(f"http://{address}/status.json", data=b"x", timeout=10)


def test_a_busy_node_answers_503() -> None:
    address = f"127.0.0.1:{free_port()}"
    stop = serve(address, application(CollectorRegistry(), answer_slowly, str))
    try:
        with pytest.raises(urllib.error.HTTPError, match="503"):
            get(address, "/status.json")
    finally:
        stop()


def test_the_policy_lets_nothing_run_but_the_page_itself() -> None:
    content, policy = page_of("dslnode.telemetry")
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert policy.count("'sha256-") == 2
    text = content.decode()
    assert not re.search(r'(src|href)="(?!metrics"|status\.json"|data:)', text), "no asset from elsewhere"
    assert not re.search(r"innerHTML|insertAdjacentHTML|document\.write|\bon[a-z]+=\"", text)
    assert ' style="' not in text, "the policy would ignore it"


@needs_chromium
def test_a_browser_shows_the_figures_and_takes_no_name_as_markup(address: str) -> None:
    page_text = look_at(f"http://{address}/")
    assert "<title>board-1 · round 412</title>" in page_text
    for fact in ("87.5 %", "167 Mbit", "float32 takes 128 times that", "10.0.0.2:7711", "30.0 % of 12,345", "live"):
        assert fact in page_text
    assert page_text.count("&lt;img src=x onerror") == 2
    assert "<img" not in page_text
    assert 'class="curve" points="0.000,' in page_text


@needs_chromium
def test_the_page_is_light_or_dark_as_the_reader_wants(address: str, tmp_path: Path) -> None:
    corners = []
    for number, options in enumerate(([], ["--blink-settings=preferredColorScheme=0"])):
        photograph(f"http://{address}/", tmp_path / f"{number}.png", 800, 600, *options)
        corners.append(Image.open(tmp_path / f"{number}.png").convert("L").getpixel((2, 2)))
    light, dark = corners
    assert isinstance(light, int)
    assert isinstance(dark, int)
    assert light > 200
    assert dark < 50


@needs_chromium
def test_a_running_node_shows_itself() -> None:
    metrics = f"127.0.0.1:{free_port()}"
    options = ("--metrics", metrics, "--local-steps", "1", "--evaluate-every", "1")
    with NodeProcess("board-7", free_port(), *options) as node:
        node.wait_for_round(3)
        status = json.loads(get(metrics, "/status.json")[0])
        assert [point["round"] for point in status["history"]][:3] == [1, 2, 3]
        assert sum(layer["weights"] for layer in status["layers"]) == status["weights"]
        page_text = look_at(f"http://{metrics}/")
    assert "<title>board-7 · round " in page_text
    assert 'class="curve"' in page_text
    assert "none known, learning alone" in page_text


@needs_chromium
def test_the_page_leads_to_where_predictions_are_answered() -> None:
    address = f"127.0.0.1:{free_port()}"
    stop = serve(address, application(CollectorRegistry(), lambda: REPLY, str, serve="https://0.0.0.0:8711/"))
    try:
        assert json.loads(get(address, "/status.json")[0])["serve"] == "https://0.0.0.0:8711/"
        assert 'href="https://127.0.0.1:8711/">try the model' in look_at(f"http://{address}/")
    finally:
        stop()
