"""Status of a running node: its peers, the status reply, and the log line of a round."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from dslnode.config.settings import Settings
from dslnode.data.dataset import DataSet
from dslnode.learning.results import AggregatedRound, Best, HeldOut, Progress, TrainedRound
from dslnode.protocol.mask import Mask
from dslnode.protocol.round_machine import RoundMachine
from dslnode.telemetry.peer_status import PeerStatus
from dslnode.telemetry.score_history import ScoreHistory
from dslnode.telemetry.score_status import ACCURACY, fill_in, log_fields, score_text
from dslnode.transport.connection_manager import ConnectionManager
from dslnode.transport.grpc_options import MESSAGE_BYTES
from dslnode.transport.handshake import NodeInfo
from dslnode.transport.traffic import Traffic
from dslnode.v1 import node_pb2 as pb

MAX_PEERS = 1_000
MAX_LAYERS_REPORTED = 100  # the reply must fit into one message
MAX_NEIGHBOURS_REPORTED = 200  # as many as there may be links and configured peers
FIELD_BYTES = 4  # before each neighbour in the reply: the field's number and its length
SPARE_BYTES = 4_096  # left in the message for fields that others add to the reply


class NodeStatus:
    """Describes one node; it decides nothing. ``problems`` maps a peer's address to why it cannot be reached."""

    def __init__(
        self,
        settings: Settings,
        me: NodeInfo,
        machine: RoundMachine,
        network: ConnectionManager,
        problems: Mapping[str, str],
        *,
        task: str = "",
    ) -> None:
        self._settings = settings
        self._me = me
        self._machine = machine
        self._network = network
        self._problems = problems
        self._task = task
        self._peers: dict[str, tuple[str, str]] = {}
        self._began = time.monotonic()
        self._mask: Mask | None = None
        self._progress: Progress | None = None
        self.held_out: HeldOut | None = None
        self._collaboration_weight = 1.0
        self._best: Best | None = None
        self._alone: float | None = None
        self._history = ScoreHistory()
        self._flipped = 0.0
        self.masks_used = 0

    def add_neighbour(self, neighbour: NodeInfo, address: str) -> None:
        """Remember the name and address of a neighbour with a new link; an empty address keeps the former one."""
        if len(self._peers) >= MAX_PEERS:
            self._peers.clear()
        former = self._peers.pop(neighbour.key, ("", ""))[1]  # the newest link becomes the last entry
        self._peers[neighbour.key] = (neighbour.name, address or former)

    def name_of(self, key: str) -> str:
        """Return a neighbour's name, or the head of its node id."""
        return self._peers.get(key, (key[:8], ""))[0]

    def trained(self, trained: TrainedRound) -> None:
        """Set the results of local training."""
        self._mask, self._progress, self._flipped = trained.mask, trained.progress, trained.flipped

    def aggregated(self, aggregated: AggregatedRound) -> None:
        """Set the results of aggregation; without a held-out score the last one stays."""
        self._best = aggregated.best
        self._alone = self._alone if aggregated.alone is None else aggregated.alone
        self.masks_used, self._collaboration_weight = len(aggregated.masks), aggregated.collaboration_weight
        if aggregated.held_out is not None:
            self.held_out = aggregated.held_out
            self._history.add(self._machine.round + 1, aggregated.held_out.score)

    def neighbours(self) -> list[PeerStatus]:
        """Return the status of every neighbour so far, and of every configured peer not reached yet. Thread-safe."""
        peers = sorted(dict(self._peers).items(), key=lambda item: item[1])
        met = [self._peer_status(key, name, address) for key, (name, address) in peers]
        reached = {peer.address for peer in met}
        return met + [
            _unreached(address, self._problems.get(address, ""))
            for address in self._settings.peers
            if address not in reached and self._network.dialled.get(address) not in self._peers
        ]

    def total_traffic(self) -> Traffic:
        """Return the sum of all neighbours' traffic."""
        total = Traffic()
        for traffic in list(self._network.traffic.values()):
            for total_flow, flow in ((total.sent, traffic.sent), (total.received, traffic.received)):
                total_flow.masks += flow.masks
                total_flow.payload_bits += flow.payload_bits
                total_flow.mask_bytes += flow.mask_bytes
                total_flow.link_bytes += flow.wire_bytes
                total_flow.resent_bytes += flow.resent_bytes
        return total

    def start_line(self, data: DataSet) -> dict[str, Any]:
        """Return the fields of the log line ``started``."""
        return {
            "name": self._settings.name,
            "peers": len(self._settings.peers),
            "weights": self._me.model.weights,
            "fingerprint": self._me.model.fingerprint.hex(),
            "task": data.target.task,
            "train": len(data.train),
            "held_out": 0 if data.held_out is None else len(data.held_out),
        }

    def summary(self) -> str:
        """Return one line for ``systemctl status``."""
        held_out = self.held_out
        score = "" if held_out is None else f", {held_out.name} {score_text(held_out.name, held_out.score)}"
        return f"round {self._machine.round}{score}, {len(self._network.links)} neighbours"

    def round_line(self) -> dict[str, Any]:
        """Return the fields of the log line of a finished round."""
        total = self.total_traffic()
        line: dict[str, Any] = {"round": self._machine.round}
        if self._progress is not None:
            line |= {"loss": round(self._progress.loss, 4), "train": round(self._progress.score, 4)}
        if self.held_out is not None:
            line |= log_fields(self.held_out)
        if self._alone is not None:
            line["alone"] = round(self._alone, 4)
        return line | {
            "collaboration_weight": round(self._collaboration_weight, 3),
            "neighbours": len(self._network.links),
            "masks": self.masks_used,
            "flipped": round(self._flipped, 5),
            "bits_sent": total.sent.payload_bits,
            "float32_bits": self._float32_bits(total),
            "bytes_sent": total.sent.wire_bytes,
        }

    def reply(self) -> pb.StatusReply:
        """Return the status reply."""
        self._network.measure_traffic()
        total = self.total_traffic()
        reply = pb.StatusReply(
            name=self._settings.name,
            node_id=self._me.key,
            run_id=self._settings.run_id,
            round=self._machine.round,
            phase=self._machine.phase.value,
            density=self._mask.density if self._mask else 0.0,
            weights=self._me.model.weights,
            payload_bits_sent=total.sent.payload_bits,
            payload_bits_received=total.received.payload_bits,
            float32_bits_sent=self._float32_bits(total),
            wire_bytes_sent=total.sent.wire_bytes,
            wire_bytes_received=total.received.wire_bytes,
            uptime_seconds=time.monotonic() - self._began,
            layers=_layer_statuses(self._mask),
            history=self._measurements(),
            clock=time.time(),
            task=self._task,
        )
        if self.held_out is not None:
            fill_in(reply, self.held_out)
        if self._best is not None:
            reply.best.CopyFrom(pb.BestModel(round=self._best.round, score=self._best.score))
        if self._alone is not None:
            reply.alone_score = self._alone
        if self._progress is not None:
            reply.train_score, reply.loss = self._progress.score, self._progress.loss
            if self._progress.score_name == ACCURACY:
                reply.train_accuracy = self._progress.score
        reply.neighbours.extend(self._reported_neighbours(MESSAGE_BYTES - SPARE_BYTES - reply.ByteSize()))
        return reply

    def _measurements(self) -> list[pb.Measurement]:
        plain = self.held_out is not None and self.held_out.name == ACCURACY
        return [
            pb.Measurement(round=number, accuracy=value if plain else 0.0, score=value)
            for number, value in self._history.points
        ]

    def _reported_neighbours(self, max_bytes: int) -> list[pb.NeighbourStatus]:
        """Return the neighbours that fit: connected ones first, then configured peers, then the newest links."""
        recency = {key: index for index, key in enumerate(dict(self._peers))}
        peers = self.neighbours()
        order = sorted(range(len(peers)), key=lambda index: _importance(peers[index], recency))
        chosen: dict[int, pb.NeighbourStatus] = {}
        for index in order[:MAX_NEIGHBOURS_REPORTED]:
            status = peers[index].to_proto()
            max_bytes -= status.ByteSize() + FIELD_BYTES
            if max_bytes < 0:
                break
            chosen[index] = status
        return [chosen[index] for index in sorted(chosen)]

    def _float32_bits(self, traffic: Traffic) -> int:
        return 32 * self._me.model.weights * traffic.sent.masks

    def _peer_status(self, key: str, name: str, address: str) -> PeerStatus:
        progress = self._machine.neighbours.get(key)
        newest = progress.newest_mask if progress else None
        traffic = self._network.traffic.get(key, Traffic())
        return PeerStatus(
            name=name,
            node_id=key,
            address=address,
            connected=key in self._network.links,
            round=progress.last_round if progress and newest and progress.last_round >= 0 else None,
            staleness=self._machine.staleness(progress) if progress and newest else None,
            agreement=self._mask.agreement(newest) if self._mask and newest else None,
            float32_bits_sent=self._float32_bits(traffic),
            traffic=traffic,
            problem=self._problems.get(address, ""),
            ban_reason=self._network.ban_reason(key),
        )


def _importance(peer: PeerStatus, recency: Mapping[str, int]) -> tuple[bool, bool, int]:
    """Return a sort key, most important first: connected, configured but not reached, then by newest link."""
    return not peer.connected, bool(peer.node_id), -recency.get(peer.node_id, 0)


def _unreached(address: str, problem: str) -> PeerStatus:
    return PeerStatus(address, "", address, connected=False, problem=problem)


def _layer_statuses(mask: Mask | None) -> list[pb.LayerStatus]:
    if mask is None:
        return []
    densities = mask.layer_densities()
    return [
        pb.LayerStatus(name=layer.name, weights=layer.size, density=densities[layer.name])
        for layer in mask.layout.layers[:MAX_LAYERS_REPORTED]
    ]
