"""What a user does with real daemons: start, stop, kill, restart, come late, mismatch."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import grpc
import numpy as np

from dslnode.learning.frozen_network import shared_layout
from dslnode.learning.masking import layout_of
from dslnode.learning.models import mlp
from dslnode.transport.client import ask_status
from tests.cluster.processes import NodeProcess, free_port

FEW = ("--split", "classes:4", "--samples-per-class", "15")


def test_three_nodes_do_their_rounds_together_and_end_by_themselves() -> None:
    ports = [free_port() for _ in range(3)]
    addresses = [f"127.0.0.1:{port}" for port in ports]
    with ExitStack() as running:
        nodes = [
            running.enter_context(
                NodeProcess(
                    *(f"node-{index}", port, "--share", f"{index + 1}/3", *FEW, "--rounds", "25"),
                    *("--peers", ",".join(other for other in addresses if other != addresses[index])),
                    *("--wait-for-peers", "60", "--send-threshold", "0"),  # else settled nodes leave rounds out
                )
            )
            for index, port in enumerate(ports)
        ]
        assert [node.wait() for node in nodes] == [0, 0, 0], "\n".join(node.log.tail() for node in nodes)
        for node in nodes:
            assert not node.log.other_lines
            assert node.wait_for_event("stopped")["why"] == "done"
            assert [line["round"] for line in node.rounds()] == list(range(1, 26))
            assert node.rounds()[-1]["masks"] == 2
            assert node.rounds()[-1]["accuracy"] > 0.8
            layout = layout_of(mlp((1, 8, 8), 10))
            assert node.wait_for_event("started")["weights"] == layout.size
            scales = 2 * 32
            whole = shared_layout(layout, 14).size + scales  # a bit a score, and a scale a layer
            sent = node.rounds()[-1]["bits_sent"]
            ups = sum(line["event"] == "neighbour up" for line in node.log.events)
            repeated = ups - 2  # where both dial at once, the link that takes over may tell again what was on its way
            most = (2 * 25 + repeated) * whole
            assert 0.9 * 2 * 24 * whole <= sent <= most, "to two neighbours, once a round, never above plain"
            assert node.rounds()[-1]["bytes_sent"] * 8 > node.rounds()[-1]["bits_sent"]


def test_signals_stop_a_learning_node_within_two_seconds_with_its_exit_code() -> None:
    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        with NodeProcess("alone", free_port()) as node:
            node.wait_for_round(2)
            assert node.end(number)[0] == code
        with NodeProcess("alone", free_port(), "--peers", f"127.0.0.1:{free_port()}", "--model", "mlp") as node:
            node.wait_for_event("neighbour not reached")
            ended, seconds = node.end(number)
            assert (ended, seconds < 2) == (code, True)
            assert node.wait_for_event("stopped")["why"] == {130: "interrupted", 143: "terminated"}[code]


def test_a_node_starts_alone_and_takes_in_neighbours_that_come_later_die_and_return(tmp_path: Path) -> None:
    first_port, second_port = free_port(), free_port()
    options = ("--peers", f"127.0.0.1:{first_port}", "--state-dir", str(tmp_path / "second"), "--share", "2/2")
    with NodeProcess("first", first_port, "--peers", f"127.0.0.1:{second_port}", "--share", "1/2") as first:
        first.wait_for_round(3)
        with NodeProcess("second", second_port, *options) as second:
            first.wait_for_event("neighbour up", neighbour="second")
            second.wait_for_round(5)
            used = first.wait_for(lambda line: line["event"] == "round" and line["masks"] == 1)
            second.end(signal.SIGKILL)
        first.wait_for_event("neighbour down", neighbour="second")
        first.wait_for_round(used["round"] + 10)
        with NodeProcess("second", second_port, *options) as second:
            resumed = second.wait_for_event("resumed")
            assert resumed["round"] >= 5
            second.wait_for_round(resumed["round"] + 1)
            first.wait_for(lambda line: line["event"] == "neighbour up" and line["its_round"] >= resumed["round"])
            first.end(signal.SIGTERM)
            second.wait_for_event("neighbour down", why="refused: it is stopping")
            before = len(second.rounds())
            second.wait_for_round(resumed["round"] + before + 5)
        assert not first.log.other_lines
        assert not second.log.other_lines


def test_a_node_killed_at_any_moment_resumes_at_its_last_finished_round(tmp_path: Path) -> None:
    port, finished = free_port(), 0
    for lives in range(1, 4):
        with NodeProcess("phoenix", port, "--state-dir", str(tmp_path / "state"), "--local-steps", "1") as node:
            if finished:
                assert finished <= node.wait_for_event("resumed")["round"] <= finished + 1
            node.wait_for_round(finished + 7 * lives)
            node.end(signal.SIGKILL)
        finished = node.rounds()[-1]["round"]


def test_nodes_of_another_model_or_run_are_refused_with_what_differs_and_learn_on() -> None:
    port = free_port()
    here = f"127.0.0.1:{port}"
    with NodeProcess("mlp", port) as node:
        node.wait_for_round(1)
        strangers = [
            (("--seed", "2"), "model", "froze its network from seed 1, this node from 2"),
            (("--run-id", "other"), "run", "belongs to run 'default', this node to 'other'"),
        ]
        for options, reason, explanation in strangers:
            with NodeProcess("stranger", free_port(), "--peers", here, *options) as stranger:
                refusal = stranger.wait_for_event("neighbour refused")
                assert refusal["reason"] in {reason, f"peer_{reason}"}
                assert explanation in refusal["why"] or "seed 2" in refusal["why"] or "'other'" in refusal["why"]
                stranger.wait_for_round(2)
        assert node.wait_for_event("neighbour refused")["neighbour"].startswith("127.0.0.1")
        node.wait_for_round(len(node.rounds()) + 3)


def test_status_shows_a_running_node_and_its_unreached_peer() -> None:
    port, nobody = free_port(), f"127.0.0.1:{free_port()}"
    with NodeProcess("asked", port, "--peers", nobody) as node:
        node.wait_for_event("neighbour not reached")
        node.wait_for_round(2)
        reply = ask_status(node.address, 5.0)
        assert reply.name == "asked"
        assert reply.round >= 2
        assert 0 < reply.accuracy <= 1
        [peer] = reply.neighbours
        assert (peer.address, peer.connected) == (nobody, False)
        assert peer.problem


def test_a_node_in_a_long_training_step_stops_within_two_seconds(tmp_path: Path) -> None:
    """One step of this model takes many seconds; nothing of it is waited for, and nothing on disk is harmed."""
    np.savez(tmp_path / "big.npz", images=np.zeros((400, 64, 64), dtype=np.uint8), labels=np.arange(400) % 10)
    options = ("--data", f"npz:{tmp_path / 'big.npz'}", "--model", "alexnet", "--batch-size", "96")
    with NodeProcess("slow", free_port(), *options, "--state-dir", str(tmp_path / "state")) as node:
        node.wait_for_event("started")
        code, seconds = node.end(signal.SIGTERM)
        assert (code, seconds < 2) == (143, True)
        assert not node.rounds()


def test_a_peer_that_answers_with_garbage_is_refused_without_a_stack_trace() -> None:
    answer: grpc.RpcMethodHandler[bytes, bytes] = grpc.stream_stream_rpc_method_handler(
        lambda _requests, _context: iter([b"\xff" * 40])
    )
    server = grpc.server(ThreadPoolExecutor(2))
    service = grpc.method_handlers_generic_handler("dslnode.v1.Neighbour", {"Converse": answer})
    server.add_generic_rpc_handlers((service,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with NodeProcess("dialling", free_port(), "--peers", f"127.0.0.1:{port}") as node:
            node.wait_for_event("neighbour refused", reason="garbage")
            node.wait_for_round(2)
            assert node.end(signal.SIGTERM)[0] == 143
        assert not node.log.other_lines
    finally:
        server.stop(None).wait(10)


def test_a_disk_that_takes_no_more_stops_no_round_and_is_used_again_when_it_does(tmp_path: Path) -> None:
    """A limit of the kernel's on the size of files, in place of a full disk."""
    with NodeProcess("alone", free_port(), "--share", "1/2", *FEW, "--state-dir", str(tmp_path)) as node:
        node.wait_for_round(1)
        node.limit_files(1_000)
        refused = node.wait_for_event("state not saved")
        assert "File too large" in refused["problem"]
        node.limit_files(None)
        again = node.wait_for_event("state saved again")["round"]
        node.wait_for_round(again)
        told = [line for line in node.log.events if line["event"] == "state not saved"]
        assert told == [refused], "once, however often it failed"
        node.end(signal.SIGKILL)
    with NodeProcess("alone", free_port(), "--share", "1/2", *FEW, "--state-dir", str(tmp_path)) as node:
        assert node.wait_for_event("resumed")["round"] >= again


def test_a_node_that_writes_seldom_goes_back_to_its_last_checkpoint_and_past_a_damaged_one(tmp_path: Path) -> None:
    options = ("--share", "1/2", *FEW, "--state-dir", str(tmp_path), "--checkpoint-every", "5")
    with NodeProcess("alone", free_port(), *options) as node:
        node.wait_for_round(11)
        node.end(signal.SIGKILL)
    with NodeProcess("alone", free_port(), *options) as node:
        resumed = node.wait_for_event("resumed")["round"]
        assert resumed % 5 == 0
        assert resumed >= 10
        node.end(signal.SIGKILL)
    state = tmp_path / "state"
    state.write_bytes(state.read_bytes()[:-1])
    with NodeProcess("alone", free_port(), *options) as node:
        assert "damaged" in node.wait_for_event("older state taken")["why"]
        assert node.wait_for_event("resumed")["round"] >= resumed - 5


def test_a_stop_in_good_order_between_two_checkpoints_loses_no_round(tmp_path: Path) -> None:
    options = (*FEW, "--state-dir", str(tmp_path), "--checkpoint-every", "1000")
    with NodeProcess("alone", free_port(), *options) as node:
        node.wait_for_round(4)
        node.end(signal.SIGTERM)
        finished = node.rounds()[-1]["round"]
    with NodeProcess("alone", free_port(), *options) as node:
        assert node.wait_for_event("resumed")["round"] >= finished
