"""Status of a node, from its round machine and its traffic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import cast

import pytest
from bitarray import bitarray, frozenbitarray

from dslnode.config.settings import Settings
from dslnode.learning.results import AggregatedRound, Best, Progress, TrainedRound
from dslnode.protocol import events
from dslnode.protocol.mask import Mask, MaskLayer, MaskLayout
from dslnode.protocol.messages import MaskKind, MaskMessage
from dslnode.protocol.round_machine import RoundMachine
from dslnode.telemetry.node_status import MAX_NEIGHBOURS_REPORTED, MAX_PEERS, SPARE_BYTES, NodeStatus
from dslnode.transport.connection_manager import ConnectionManager
from dslnode.transport.grpc_options import MESSAGE_BYTES
from dslnode.transport.handshake import NetworkFingerprint, NodeInfo
from dslnode.transport.traffic import Flow, Traffic
from tests.learning.data_sets import held_out

LAYOUT = MaskLayout((MaskLayer("only", (4, 8)),))
SETTINGS = Settings(name="board-1", run_id="greenhouse", peers=("10.0.0.2:7711", "10.0.0.9:7711"))
PROGRESS = Progress(loss=0.25, score=0.75, steps=10, score_name="accuracy")


def mask_with(ones: int) -> Mask:
    return Mask(LAYOUT, frozenbitarray(bitarray([1] * ones + [0] * (32 - ones), endian="little")))


def trained() -> TrainedRound:
    return TrainedRound(mask_with(8), PROGRESS, {}, flipped=0.125, seconds=1.0)


def aggregated(score: float | None, masks: int = 0) -> AggregatedRound:
    return AggregatedRound(
        {str(number): mask_with(8) for number in range(masks)},
        None if score is None else held_out(score),
        collaboration_weight=0.7,
        restarts=0,
        seconds=1.0,
    )


def node_info(node_id: bytes, name: str) -> NodeInfo:
    fingerprint = NetworkFingerprint(
        fingerprint=bytes(16), layout=LAYOUT.digest, layers=1, weights=LAYOUT.size, seed=1, scores=LAYOUT.size
    )
    return NodeInfo(
        run_id=SETTINGS.run_id,
        node_id=node_id,
        incarnation=bytes(8),
        name=name,
        advertise="",
        model=fingerprint,
        exchange="keep",
    )


ME, BOARD = node_info(bytes([1] * 16), "board-1"), node_info(bytes([2] * 16), "board-2")


@dataclass
class Links:
    """The parts of a connection manager that the status reads."""

    traffic: dict[str, Traffic] = field(default_factory=dict)
    links: dict[str, object] = field(default_factory=dict)
    dialled: dict[str, str] = field(default_factory=dict)
    measured: int = 0
    violation: str = ""

    def measure_traffic(self) -> None:
        self.measured += 1

    def ban_reason(self, _neighbour: str) -> str:
        return self.violation


def status_of(
    machine: RoundMachine, links: Links | None = None, problems: Mapping[str, str] | None = None
) -> NodeStatus:
    return NodeStatus(SETTINGS, ME, machine, cast(ConnectionManager, links or Links()), problems or {})


def linked_board() -> tuple[NodeStatus, Links]:
    """Return a node in its second round that heard from board-2 in its first, over a link that it dialled."""
    machine = RoundMachine()
    machine.handle(events.Started())
    machine.handle(events.PeerUp(BOARD.key, 40))
    machine.handle(events.Received(BOARD.key, MaskMessage(40, MaskKind.KEEP, mask_with(16))))
    machine.handle(events.Trained(mask_with(8)))
    machine.handle(events.Aggregated())
    sent = Flow(masks=2, payload_bits=64, mask_bytes=40, control_bytes=10, link_bytes=300)
    received = Flow(masks=1, payload_bits=32, mask_bytes=20, control_bytes=10)
    links = Links({BOARD.key: Traffic(sent, received)}, {BOARD.key: object()}, {"10.0.0.2:7711": BOARD.key})
    status = status_of(machine, links, {"10.0.0.9:7711": "connection refused"})
    status.add_neighbour(BOARD, "10.0.0.2:7711")
    status.trained(trained())
    status.aggregated(aggregated(0.5))
    return status, links


def test_a_node_just_started_leaves_out_what_it_does_not_know() -> None:
    reply = status_of(RoundMachine()).reply()
    assert (reply.name, reply.node_id, reply.run_id) == ("board-1", "01" * 16, "greenhouse")
    assert (reply.round, reply.phase, reply.weights) == (0, "starting", 32)
    assert not any(reply.HasField(name) for name in ("accuracy", "train_accuracy", "loss"))
    assert [(peer.address, peer.connected) for peer in reply.neighbours] == [
        ("10.0.0.2:7711", False),
        ("10.0.0.9:7711", False),
    ]


def test_the_reply_has_round_phase_accuracy_and_traffic() -> None:
    status, links = linked_board()
    reply = status.reply()
    assert (reply.round, reply.phase) == (1, "training")
    assert (reply.accuracy, reply.train_accuracy, reply.loss, reply.density) == (0.5, 0.75, 0.25, 0.25)
    assert (reply.payload_bits_sent, reply.payload_bits_received) == (64, 32)
    assert (reply.wire_bytes_sent, reply.wire_bytes_received) == (300, 30)
    assert reply.float32_bits_sent == 2 * 32 * 32, "two masks of 32 weights, as 32-bit floats"
    assert links.measured == 1, "the kernel is asked just before"


def test_a_neighbour_is_described_by_its_newest_mask_and_its_traffic() -> None:
    status, _ = linked_board()
    board = status.reply().neighbours[0]
    assert (board.name, board.node_id, board.address, board.connected) == ("board-2", "02" * 16, "10.0.0.2:7711", True)
    assert (board.round, board.staleness, board.agreement) == (40, 1, 0.75)
    assert (board.payload_bits_sent, board.payload_bits_received, board.wire_bytes_sent) == (64, 32, 300)
    assert board.problem == ""


def test_a_peer_that_was_never_reached_is_shown_with_its_problem() -> None:
    status, _ = linked_board()
    [_, unreached] = status.reply().neighbours
    assert (unreached.address, unreached.name, unreached.node_id) == ("10.0.0.9:7711", "10.0.0.9:7711", "")
    assert (unreached.connected, unreached.problem) == (False, "connection refused")
    assert not any(unreached.HasField(name) for name in ("round", "staleness", "agreement"))


def test_a_peer_reached_under_another_address_is_shown_once() -> None:
    status, links = linked_board()
    links.dialled["10.0.0.9:7711"] = BOARD.key
    assert [peer.name for peer in status.neighbours()] == ["board-2"]


def test_a_banned_neighbour_is_shown_with_its_violation() -> None:
    status, links = linked_board()
    links.violation = "flood"
    assert status.neighbours()[0].ban_reason == "flood"
    assert status.reply().neighbours[0].problem == "banned: flood"


def test_a_neighbour_that_left_stays_with_its_counters() -> None:
    status, links = linked_board()
    links.links.clear()
    board = status.neighbours()[0]
    assert (board.connected, board.traffic.sent.payload_bits) == (False, 64)


def test_a_neighbour_that_sent_nothing_yet_has_no_round() -> None:
    machine = RoundMachine()
    machine.handle(events.PeerUp(BOARD.key, 3))
    status = status_of(machine)
    status.add_neighbour(BOARD, "10.0.0.2:7711")
    board = status.neighbours()[0]
    assert (board.round, board.staleness, board.agreement) == (None, None, None)


def test_totals_are_the_sum_over_all_neighbours_and_change_none() -> None:
    status, links = linked_board()
    links.traffic["other"] = Traffic(Flow(masks=1, payload_bits=32, mask_bytes=20, control_bytes=5), Flow())
    for _ in range(2):
        total = status.total_traffic()
        assert (total.sent.masks, total.sent.payload_bits, total.sent.wire_bytes) == (3, 96, 325)
    assert links.traffic[BOARD.key].sent.wire_bytes == 300


def test_the_log_line_of_a_round_has_the_facts_an_operator_needs() -> None:
    status, _ = linked_board()
    status.aggregated(aggregated(None, masks=1))
    assert status.round_line() == {
        "round": 1,
        "loss": 0.25,
        "train": 0.75,
        "accuracy": 0.5,
        "score": 0.5,
        "score_name": "accuracy",
        "form": "binary",
        "collaboration_weight": 0.7,
        "neighbours": 1,
        "masks": 1,
        "flipped": 0.125,
        "bits_sent": 64,
        "float32_bits": 2048,
        "bytes_sent": 300,
    }


@pytest.mark.parametrize(("measured", "shown"), [(None, 0.5), (0.875, 0.875), (0.0, 0.0)])
def test_a_round_without_a_measurement_leaves_the_last_accuracy(measured: float | None, shown: float) -> None:
    status, _ = linked_board()
    status.trained(trained())
    status.aggregated(aggregated(measured))
    assert status.reply().accuracy == shown


def test_a_neighbour_is_named_by_name_or_by_the_head_of_its_id() -> None:
    status, _ = linked_board()
    assert status.name_of(BOARD.key) == "board-2"
    assert status.name_of("cd" * 16) == "cdcdcdcd"


def test_strangers_cannot_fill_the_memory() -> None:
    status = status_of(RoundMachine())
    for number in range(MAX_PEERS + 5):
        status.add_neighbour(node_info(number.to_bytes(16, "big"), "x"), f"10.0.0.1:{number}")
    assert len(status.neighbours()) <= MAX_PEERS + len(SETTINGS.peers)


def crowd(status: NodeStatus, links: Links, count: int) -> list[str]:
    """Let a node meet many neighbours, with long names and addresses; return their keys."""
    keys = []
    for number in range(count):
        board = node_info(number.to_bytes(16, "big"), f"{number:064}")
        status.add_neighbour(board, f"{'x' * 240}:{number}")
        links.traffic[board.key] = Traffic(*(Flow(payload_bits=2**50, link_bytes=2**50) for _ in range(2)))
        keys.append(board.key)
    return keys


def test_the_reply_fits_into_one_message_and_has_the_connected_first() -> None:
    links = Links()
    status = status_of(RoundMachine(), links, {"10.0.0.9:7711": "refused " * 20})
    keys = crowd(status, links, MAX_PEERS)
    links.links.update(dict.fromkeys(keys[:100], object()))
    reply = status.reply()
    reported = {neighbour.node_id for neighbour in reply.neighbours}
    assert reply.ByteSize() <= MESSAGE_BYTES - SPARE_BYTES
    assert reported >= {*keys[:100], ""}, "all connected, and the configured peers"


def test_of_many_that_left_the_reply_has_the_newest_links() -> None:
    links = Links()
    status = status_of(RoundMachine(), links)
    keys = crowd(status, links, MAX_PEERS - 1)
    status.add_neighbour(node_info(bytes(16), "first, back again"), "")
    reported = [neighbour.node_id for neighbour in status.reply().neighbours if neighbour.node_id]
    assert 100 <= len(reported) <= MAX_NEIGHBOURS_REPORTED
    assert set(reported) == {keys[0], *keys[-len(reported) + 1 :]}


def test_best_model_and_what_is_reached_alone_are_shown_once_they_are_known() -> None:
    status, _ = linked_board()
    assert not status.reply().HasField("best")
    assert not status.reply().HasField("alone_score")
    status.aggregated(replace(aggregated(0.5), best=Best(3, 0.75, is_new=False), alone=0.25))
    status.aggregated(replace(aggregated(None), best=Best(3, 0.75, is_new=False)))
    reply = status.reply()
    assert (reply.best.round, reply.best.score, reply.alone_score) == (3, 0.75, 0.25)
    assert status.round_line()["alone"] == 0.25
