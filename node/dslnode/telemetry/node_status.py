"""What a running node tells of itself: figures of its neighbours, the status reply, the log's line a round."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from dslnode.config.settings import Settings
from dslnode.data.dataset import DataSet
from dslnode.learning.results import AggregatedRound, Progress, TrainedRound
from dslnode.protocol.mask import Mask
from dslnode.protocol.round_machine import RoundMachine
from dslnode.telemetry.accuracy_history import AccuracyHistory
from dslnode.telemetry.metrics import PeerStatus
from dslnode.transport.connection_manager import ConnectionManager
from dslnode.transport.grpc_options import MESSAGE_BYTES
from dslnode.transport.handshake import NodeInfo
from dslnode.transport.traffic import Traffic
from dslnode.v1 import node_pb2 as pb

MAX_KNOWN = 1_000
MAX_LAYERS = 100  # told of; the reply must fit into one message
MAX_NEIGHBOURS_REPORTED = 200  # neighbours told of: as many as there may be links and configured peers
FIELD_BYTES = 4  # before each of them in the reply: the field's number and its length
SPARE_BYTES = 4_096  # left in the message for what others add to the reply


class NodeStatus:
    """Watches one node and describes it; it decides nothing. ``problems`` says why a peer's address fails."""

    def __init__(
        self,
        settings: Settings,
        me: NodeInfo,
        machine: RoundMachine,
        network: ConnectionManager,
        problems: Mapping[str, str],
    ) -> None:
        self._settings = settings
        self._me = me
        self._machine = machine
        self._network = network
        self._problems = problems
        self._known: dict[str, tuple[str, str]] = {}
        self._began = time.monotonic()
        self._mask: Mask | None = None
        self._progress: Progress | None = None
        self._held_out: float | None = None
        self._leaning = 1.0
        self._history = AccuracyHistory()
        self._flipped = 0.0
        self.masks_used = 0

    def met(self, neighbour: NodeInfo, address: str) -> None:
        """Remember a neighbour's name and address."""
        if len(self._known) >= MAX_KNOWN:
            self._known.clear()
        former = self._known.pop(neighbour.key, ("", ""))[1]  # the last one met becomes the last one listed
        self._known[neighbour.key] = (neighbour.name, address or former)

    def name_of(self, key: str) -> str:
        """Return a neighbour's name, or the head of its node id."""
        return self._known.get(key, (key[:8], ""))[0]

    def trained(self, trained: TrainedRound) -> None:
        """Take in what local training gave."""
        self._mask, self._progress, self._flipped = trained.mask, trained.progress, trained.flipped

    def aggregated(self, aggregated: AggregatedRound) -> None:
        """Take in what aggregation gave; a missing held-out accuracy leaves the last one standing."""
        self.masks_used, self._leaning = len(aggregated.masks), aggregated.leaning
        if aggregated.held_out is not None:
            self._held_out = aggregated.held_out
            self._history.add(self._machine.round + 1, aggregated.held_out)

    def neighbours(self) -> list[PeerStatus]:
        """Return the figures of every neighbour met, and of every peer not reached yet. Safe from any thread."""
        known = sorted(dict(self._known).items(), key=lambda item: item[1])
        met = [self._figures(key, name, address) for key, (name, address) in known]
        reached = {figures.address for figures in met}
        return met + [
            _unreached(address, self._problems.get(address, ""))
            for address in self._settings.peers
            if address not in reached and self._network.dialled.get(address) not in self._known
        ]

    def totals(self) -> Traffic:
        """Return all neighbours' traffic together."""
        total = Traffic()
        for traffic in list(self._network.traffic.values()):
            for sum_, part in ((total.sent, traffic.sent), (total.received, traffic.received)):
                sum_.masks += part.masks
                sum_.payload_bits += part.payload_bits
                sum_.mask_bytes += part.mask_bytes
                sum_.link_bytes += part.wire_bytes
                sum_.resent_bytes += part.resent_bytes
        return total

    def start_line(self, data: DataSet) -> dict[str, Any]:
        """Return what the log says of the node when it starts."""
        return {
            "name": self._settings.name,
            "peers": len(self._settings.peers),
            "weights": self._me.model.weights,
            "fingerprint": self._me.model.fingerprint.hex(),
            "train": len(data.train),
            "held_out": 0 if data.held_out is None else len(data.held_out),
        }

    def one_line(self) -> str:
        """Return what ``systemctl status`` shows."""
        accuracy = "" if self._held_out is None else f", accuracy {100 * self._held_out:.1f} %"
        return f"round {self._machine.round}{accuracy}, {len(self._network.links)} neighbours"

    def round_line(self) -> dict[str, Any]:
        """Return what the log says of a finished round."""
        total = self.totals()
        line: dict[str, Any] = {"round": self._machine.round}
        if self._progress is not None:
            line |= {"loss": round(self._progress.loss, 4), "train": round(self._progress.accuracy, 4)}
        if self._held_out is not None:
            line["accuracy"] = round(self._held_out, 4)
        return line | {
            "leaning": round(self._leaning, 3),
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
        total = self.totals()
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
            history=[pb.Measurement(round=number, accuracy=value) for number, value in self._history.points],
            clock=time.time(),
        )
        if self._held_out is not None:
            reply.accuracy = self._held_out
        if self._progress is not None:
            reply.train_accuracy, reply.loss = self._progress.accuracy, self._progress.loss
        reply.neighbours.extend(self._told(MESSAGE_BYTES - SPARE_BYTES - reply.ByteSize()))
        return reply

    def _told(self, room: int) -> list[pb.NeighbourStatus]:
        """Return what fits of the neighbours: the connected first, then configured peers, then the last ones met."""
        recent = {key: place for place, key in enumerate(dict(self._known))}
        everyone = self.neighbours()
        places = sorted(range(len(everyone)), key=lambda place: _importance(everyone[place], recent))
        chosen: dict[int, pb.NeighbourStatus] = {}
        for place in places[:MAX_NEIGHBOURS_REPORTED]:
            status = _neighbour_status(everyone[place])
            room -= status.ByteSize() + FIELD_BYTES
            if room < 0:
                break
            chosen[place] = status
        return [chosen[place] for place in sorted(chosen)]

    def _float32_bits(self, traffic: Traffic) -> int:
        return 32 * self._me.model.weights * traffic.sent.masks

    def _figures(self, key: str, name: str, address: str) -> PeerStatus:
        heard = self._machine.neighbours.get(key)
        newest = heard.newest_mask if heard else None
        traffic = self._network.traffic.get(key, Traffic())
        return PeerStatus(
            name=name,
            node_id=key,
            address=address,
            connected=key in self._network.links,
            round=heard.last_round if heard and newest and heard.last_round >= 0 else None,
            staleness=self._machine.staleness(heard) if heard and newest else None,
            agreement=self._mask.agreement(newest) if self._mask and newest else None,
            float32_bits_sent=self._float32_bits(traffic),
            payload_bits_sent=traffic.sent.payload_bits,
            payload_bits_received=traffic.received.payload_bits,
            mask_bytes_sent=traffic.sent.mask_bytes,
            mask_bytes_received=traffic.received.mask_bytes,
            wire_bytes_sent=traffic.sent.wire_bytes,
            wire_bytes_received=traffic.received.wire_bytes,
            problem=self._problems.get(address, ""),
            shut_out=self._network.ban_reason(key),
        )


def _importance(figures: PeerStatus, recent: Mapping[str, int]) -> tuple[bool, bool, int]:
    return not figures.connected, bool(figures.node_id), -recent.get(figures.node_id, 0)


def _unreached(address: str, problem: str) -> PeerStatus:
    return PeerStatus(address, "", address, connected=False, problem=problem)


def _layer_statuses(mask: Mask | None) -> list[pb.LayerStatus]:
    if mask is None:
        return []
    densities = mask.layer_densities()
    return [
        pb.LayerStatus(name=layer.name, weights=layer.size, density=densities[layer.name])
        for layer in mask.layout.layers[:MAX_LAYERS]
    ]


def _neighbour_status(figures: PeerStatus) -> pb.NeighbourStatus:
    return pb.NeighbourStatus(
        name=figures.name,
        node_id=figures.node_id,
        address=figures.address,
        connected=figures.connected,
        round=figures.round,
        staleness=figures.staleness,
        agreement=figures.agreement,
        payload_bits_sent=figures.payload_bits_sent,
        payload_bits_received=figures.payload_bits_received,
        wire_bytes_sent=figures.wire_bytes_sent,
        wire_bytes_received=figures.wire_bytes_received,
        problem=f"banned: {figures.shut_out}" if figures.shut_out else figures.problem,
    )
