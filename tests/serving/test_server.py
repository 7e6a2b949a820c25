"""Predictions over real sockets: swaps under load, slow and greedy clients, tokens, mutual TLS."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from dslnode.config.serving_limits import Limits
from dslnode.errors import ListenError, ModelError, SettingsError
from dslnode.serving.service import PredictionService, ServingOptions, check_exposure
from tests.inference.test_model_file import described
from tests.networks import NOW, Operator
from tests.serving.clients import ARRAYS, INPUTS, model, serving

BODY = json.dumps(INPUTS.tolist()).encode()
HEADERS = {"Content-Type": "application/json"}
TOKEN = "correct-horse-battery"
QUICK = Limits(seconds=0.3, clients=4)


def asked(port: int, body: bytes = BODY, path: str = "/predict", **headers: str) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        return over(connection, body, path, **headers)
    finally:
        connection.close()


def over(
    connection: http.client.HTTPConnection, body: bytes = BODY, path: str = "/predict", **headers: str
) -> tuple[int, Any]:
    connection.request("POST" if path == "/predict" else "GET", path, body, {**HEADERS, **headers})
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


def raw(port: int, *parts: bytes) -> bytes:
    """Return all that comes back until the end."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        for part in parts:
            client.sendall(part)
        return b"".join(iter(lambda: client.recv(65_536), b""))


@pytest.fixture
def port() -> Iterator[int]:
    with serving(model()) as (_, port):
        yield port


def test_one_connection_carries_many_requests(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    assert [over(connection)[0] for _ in range(3)] == [200] * 3
    connection.request("HEAD", "/model")
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (200, b"")
    assert over(connection)[0] == 200
    connection.close()


def test_models_are_swapped_under_load_and_no_request_is_dropped() -> None:
    answers = {
        number: model(round=number, tensors={"3.bias": np.eye(3, dtype=np.float32)[number % 3] * 99})
        for number in range(1, 40)
    }
    with serving(answers[1]) as (service, port):
        stopped = threading.Event()

        def client(_number: int) -> list[tuple[int, str]]:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            found = []
            while not stopped.is_set():
                status, value = over(connection)
                assert status == 200
                [name] = {answer["class"] for answer in value["answers"]}
                found.append((value["round"], name))
            connection.close()
            return found

        with ThreadPoolExecutor(3) as clients:
            running = [clients.submit(client, number) for number in range(3)]
            for number in range(2, 40):
                service.replace(answers[number])
                asked(port)
            stopped.set()
            seen = [pair for task in running for pair in task.result(timeout=30)]
    assert len({number for number, _ in seen}) > 5
    assert all(name == ARRAYS.names[number % 3] for number, name in seen), "a response is of one model alone"


def test_a_model_that_cannot_answer_leaves_the_former_one() -> None:
    with serving(model()) as (service, port):
        with pytest.raises(ModelError, match="cannot run without torch"):
            service.replace(model(described(base=ARRAYS, **{"operations": ()}), round=13))
        assert asked(port)[1]["round"] == 12


@pytest.mark.parametrize("how", ["announced", "chunked"])
def test_a_message_that_is_too_large_is_refused_before_it_is_read(how: str) -> None:
    with serving(model(), limits=Limits(body_bytes=10_000)) as (_, port):
        head = b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
        if how == "announced":
            answer = raw(port, head.replace(b"Host: a", b"Host: 127.0.0.1"), b"Content-Length: 99999999999\r\n\r\n")
        else:
            chunk = b"2000\r\n" + b"1" * 0x2000 + b"\r\n"
            answer = raw(
                port, head.replace(b"Host: a", b"Host: localhost") + b"Transfer-Encoding: chunked\r\n\r\n", chunk, chunk
            )
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"longer than the 10,000 bytes" in answer
    assert b"Connection: close" in answer


def test_a_client_that_sends_too_much_reads_why() -> None:
    with serving(model(), limits=Limits(body_bytes=10_000)) as (_, port):
        status, value = asked(port, b"[" + b"0," * 1_000_000 + b"0]")
    assert status == 413
    assert "send less at once" in value["error"]


def test_a_body_is_asked_for_only_if_it_will_be_read(port: int) -> None:
    head = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: %d\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(head % len(BODY) + b"Content-Type: application/json\r\n\r\n")
        assert client.recv(1_024).startswith(b"HTTP/1.1 100 ")
        client.sendall(BODY)
        assert client.recv(65_536).startswith(b"HTTP/1.1 200 OK")
    assert raw(port, head % 5 + b"Content-Type: text/html\r\n\r\n").startswith(b"HTTP/1.1 415 ")


@pytest.mark.parametrize(
    ("parts", "status"),
    [
        ((b"nonsense\r\n\r\n",), b"400"),
        ((b"GET / HTTP/1.1\r\n\r\n",), b"400"),
        ((b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",), b"400"),
        ((b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",), b"400"),
        ((b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",), b"400"),
        ((b"GET / HTTP/1.1\r\nHost: localhost\r\nx: " + b"x" * 20_000,), b"431"),
        ((b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 99 + b"\r\n\r\n",), b"400"),
        ((b"GET http://localhost/v2/health/live HTTP/1.0\r\n\r\n",), b"200"),
    ],
)
def test_what_is_no_http_is_refused(port: int, parts: tuple[bytes, ...], status: bytes) -> None:
    assert raw(port, *parts).split(b" ")[1] == status


def test_a_slow_request_ends_in_time() -> None:
    with serving(model(), limits=QUICK) as (_, port):
        for begin in (
            b"GE",
            b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/csv\r\nContent-Length: 9\r\n\r\na",
        ):
            began = time.monotonic()
            answer = raw(port, begin)
            assert answer.startswith(b"HTTP/1.1 408 ")
            assert b"longer than 0.3 s to come" in answer
            assert time.monotonic() - began < 5
        assert raw(port) == b"", "a client that says nothing is not answered"


def test_byte_after_byte_wins_no_time() -> None:
    with (
        serving(model(), limits=QUICK) as (_, port),
        socket.create_connection(("127.0.0.1", port), timeout=10) as client,
    ):
        began, answer = time.monotonic(), b""
        client.settimeout(0.02)
        while not answer and time.monotonic() < began + 10:
            try:
                client.sendall(b"G")
                answer = client.recv(1_024)
            except TimeoutError:
                continue
        assert b" 408 " in answer
        assert time.monotonic() - began < 5


def test_silent_clients_make_room() -> None:
    with serving(model(), limits=Limits(clients=3)) as (_, port):
        silent = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(5)]
        assert asked(port)[0] == 200
        assert silent[0].recv(1) == b"", "the longest silent one goes first"
        for client in silent:
            client.close()


def test_clients_that_are_being_answered_are_not_put_out() -> None:
    half = (
        b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        % len(BODY)
    )
    with serving(model(), limits=Limits(clients=2)) as (_, port):
        waiting = []
        for _ in range(2):
            client = socket.create_connection(("127.0.0.1", port), timeout=10)
            client.sendall(half.replace(b"Host", b"Expect: 100-continue\r\nHost"))
            assert client.recv(100).startswith(b"HTTP/1.1 100 "), "it is admitted"
            waiting.append(client)
        assert b" 503 Service Unavailable\r\n" in raw(port)
        for client in waiting:
            client.sendall(BODY)
            assert client.recv(65_536).startswith(b"HTTP/1.1 200 ")
            client.close()


def test_a_stop_lets_answers_in_the_making_go_out() -> None:
    half = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Type: application/json\r\n"
    with serving(model()) as (service, port), socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(half + b"Content-Length: %d\r\n\r\n" % len(BODY))
        assert client.recv(100).startswith(b"HTTP/1.1 100 ")
        stopping = threading.Thread(target=service.stop)
        stopping.start()
        client.sendall(BODY)
        assert client.recv(65_536).startswith(b"HTTP/1.1 200 ")
        stopping.join(10)
        assert not stopping.is_alive()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=10)


def test_an_address_that_is_taken_is_explained(port: int) -> None:
    taken = PredictionService(ServingOptions(address=f"127.0.0.1:{port}"), CollectorRegistry(), failed=print)
    with pytest.raises(ListenError, match=f"cannot serve predictions on 127.0.0.1:{port} .Address already in use"):
        taken.start()


def test_a_fault_of_ours_is_500_and_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    faults: list[BaseException] = []
    service = PredictionService(ServingOptions(address="127.0.0.1:0"), CollectorRegistry(), failed=faults.append)
    service.replace(model())
    monkeypatch.setattr("dslnode.serving.application.predict", lambda *_: 1 // 0)
    port = service.start()
    status, value = asked(port)
    service.stop()
    assert status == 500
    assert "a fault of dslnode" in value["error"]
    assert [type(fault) for fault in faults] == [ZeroDivisionError]


def token_file(directory: Path, mode: int = 0o600) -> Path:
    file = directory / "token"
    file.write_text(TOKEN + "\n")
    file.chmod(mode)
    return file


def test_with_a_token_only_its_holders_are_answered(tmp_path: Path) -> None:
    with serving(model(), token_file=token_file(tmp_path)) as (_, port):
        assert asked(port)[0] == 401
        assert asked(port, Authorization=f"Bearer {TOKEN}")[0] == 200


def test_a_token_that_all_can_read_is_refused(tmp_path: Path) -> None:
    open_to_all = token_file(tmp_path, 0o644)
    complaint = "open to all users of this machine; chmod o="
    with pytest.raises(SettingsError, match=complaint), serving(model(), token_file=open_to_all):
        pass


def test_beyond_this_machine_something_must_guard_it(tmp_path: Path) -> None:
    def check(address: str, token_file: Path | None = None, ticket: Path | None = None) -> None:
        options = ServingOptions(address=address, token_file=token_file, ticket=ticket)
        check_exposure(options, option="--serve", remedy="give a token")

    check("127.0.0.1:8711")
    check("[::1]:8711")
    check("0.0.0.0:8711", token_file=tmp_path)
    check("0.0.0.0:8711", ticket=tmp_path)
    for address in ("0.0.0.0:8711", "[::]:8711", "10.0.0.2:8711", "board:8711"):
        with pytest.raises(SettingsError, match=r"--serve .* would answer any host .*; give a token, or stay on 127"):
            check(address)


def trusting(ticket: Path, authority: str, *, shows_it: bool = True) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=authority)
    if shows_it:
        context.load_cert_chain(ticket)
    return context


def secure_connection(port: int, context: ssl.SSLContext) -> http.client.HTTPSConnection:
    class Named(http.client.HTTPSConnection):
        def connect(self) -> None:
            plain = socket.create_connection(("127.0.0.1", port), timeout=10)
            self.sock = context.wrap_socket(plain, server_hostname="dslnode")

    return Named("dslnode", port, timeout=10)


def securely(port: int, context: ssl.SSLContext, body: bytes = BODY) -> tuple[int, Any]:
    connection = secure_connection(port, context)
    try:
        return over(connection, body)
    finally:
        connection.close()


def file_over(port: int, context: ssl.SSLContext) -> int:
    connection = secure_connection(port, context)
    connection.request("GET", "/model.dslm")
    try:
        return connection.getresponse().status
    finally:
        connection.close()


def test_with_a_ticket_clients_prove_who_they_are(operator: Operator, tmp_path: Path) -> None:
    own, guest = operator.ticket("board-1"), operator.ticket("guest")
    authority = operator.authority.pem
    stranger = Operator(tmp_path / "other").ticket("guest")
    with serving(model(), ticket=own, revoked=operator.revoked) as (_, port):
        assert securely(port, trusting(guest, authority))[0] == 200
        assert file_over(port, trusting(own, authority)) == 200
        assert file_over(port, trusting(guest, authority)) == 403, "the model's file is for the node's own ticket"
        lasting = secure_connection(port, trusting(guest, authority))
        assert over(lasting)[0] == 200
        with pytest.raises(OSError, match=r"(?i)certificate required|alert|reset|closed|EOF"):
            securely(port, trusting(guest, authority, shows_it=False))
        with pytest.raises(OSError, match=r"(?i)alert|reset|closed|EOF"):
            securely(port, trusting(stranger, authority))
        with pytest.raises((OSError, http.client.HTTPException)):
            asked(port)
        operator.authority.revoke("guest", NOW)
        for status, value in (over(lasting), securely(port, trusting(guest, authority))):
            assert status == 403, "a ticket that is revoked counts no longer, on open connections too"
            assert "which the authority has revoked" in value["error"]
        lasting.close()
