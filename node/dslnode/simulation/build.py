"""From settings and a plan to a network that can run: data, learners, nodes, links."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from dslnode.accounting.exchange_pacing import ExchangeScheduler
from dslnode.config.quantities import DataCap, parse_cap
from dslnode.config.settings import Settings
from dslnode.data.dataset import DataSet, load_data_set
from dslnode.data.partition import PartitionSpec, node_part
from dslnode.data.task_choice import with_task
from dslnode.learning.model_building import build_model
from dslnode.learning.pretrained import PretrainedNetwork
from dslnode.learning.tasks.chosen import learning_task
from dslnode.protocol.codec.mask_codec import READABLE, Codec
from dslnode.protocol.messages import MaskKind
from dslnode.runtime.build import (
    built_in_task,
    given_schema,
    initialization_options,
    partition_spec,
    round_machine,
    training_options,
)
from dslnode.runtime.prepare import node_info
from dslnode.runtime.traffic_accounting import largest_cost
from dslnode.simulation.boards import Board, node_name
from dslnode.simulation.event_queue import EventQueue
from dslnode.simulation.graph import Neighbours
from dslnode.simulation.happenings import Happening
from dslnode.simulation.hostile import ATTACKS, MASK_ATTACKS, SILENT, HostileLearner
from dslnode.simulation.partition_file import PartPositions, positions_of, take_part
from dslnode.simulation.plan import SimulationPlan
from dslnode.simulation.records import RoundRecord, joined
from dslnode.simulation.virtual_bookkeeper import VirtualBookkeeper
from dslnode.simulation.virtual_learner import CommonParts, VirtualLearner
from dslnode.simulation.virtual_network import NetworkRules, VirtualNetwork
from dslnode.simulation.virtual_node import NodeEnvironment, RoundRules, VirtualNode
from dslnode.transport.frame_codec import LinkParameters
from dslnode.transport.handshake import NODE_ID_BYTES
from dslnode.transport.traffic import GRPC_FRAMING


def load_data(settings: Settings) -> DataSet:
    """Return the data set that the nodes get their parts of. Raises ``DataError`` or ``SettingsError``."""
    schema, task = given_schema(settings), built_in_task(settings)
    return load_data_set(settings.data, settings.class_count, schema=schema, task=task)


def training_count(settings: Settings, data: DataSet) -> int:
    """Return how many examples there are to train on, without those that are held out."""
    return len(_outline(settings, data, PartitionSpec(seed=settings.seed)).train)


def board_settings(settings: Settings, number: int, board: Board, parts: int) -> Settings:
    """Return the settings of one node's daemon."""
    own = {"name": node_name(number), "keep_ratio": board.keep_ratio, "share": f"{board.part}/{parts}"}
    return settings.model_copy(update=own)


def drawn_parts(settings: Settings, data: DataSet, parts: int) -> list[PartPositions]:
    """Return which examples each of so many parts holds, as daemons with these settings draw them."""
    spec = partition_spec(settings)
    specs = [replace(spec, share=(number, parts)) for number in range(1, parts + 1)]
    return [positions_of(_outline(settings, data, own)) for own in specs]


def cut_data(settings: Settings, data: DataSet, positions: Sequence[PartPositions]) -> list[DataSet]:
    """Return the parts of the data; nodes that hold the same part share it."""
    return [with_task(take_part(data, part), settings.task) for part in positions]


def _outline(settings: Settings, data: DataSet, spec: PartitionSpec) -> DataSet:
    return node_part(data, settings.held_out_fraction, spec, positions_only=True)


@dataclass(frozen=True)
class PreparedSimulation:
    """The settings of all nodes, the plan, the parts of the data, and the pretrained network if there is one.

    ``positions`` are which examples of the data set each part holds; ``has_given_partition`` says that a user chose
    them, and no daemon can draw them.
    """

    settings: Settings
    plan: SimulationPlan
    parts: list[DataSet]
    positions: list[PartPositions]
    pretrained: PretrainedNetwork | None = None
    has_given_partition: bool = False

    @cached_property
    def judged(self) -> frozenset[int]:
        """The numbers of the honest nodes that hold out examples: those that have a score."""
        boards, parts = self.plan.boards, self.parts
        return frozenset(node for node in self.plan.honest if parts[boards[node].part - 1].held_out is not None)

    @cached_property
    def score_name(self) -> str:
        """Which score the nodes have; if they have several kinds, all of them (`records.joined`)."""
        boards = self.plan.boards
        judged = {boards[node].part for node in self.judged} or {1}
        tasks = [learning_task(self.parts[part - 1], self.settings.uneven_classes) for part in judged]
        return joined(task.score_name for task in tasks)


class NetworkBuilder:
    """Builds nodes of a plan, one after the other, and then the network of them.

    ``here`` are the numbers of those that this process holds; None for all. ``common`` is what they share.
    """

    def __init__(
        self, prepared: PreparedSimulation, *, common: CommonParts | None = None, here: Container[int] | None = None
    ) -> None:
        self._prepared = prepared
        self._settings, self._plan = prepared.settings, prepared.plan
        self._common = common or CommonParts()
        self._learners: dict[int, VirtualLearner] = {}
        self.queue: EventQueue[Happening] = EventQueue(here)

    def add(self, number: int, saved: Mapping[str, np.ndarray] | None = None) -> VirtualLearner:
        """Build the learner of a node, which goes on from what was saved; return it. Raises ``StateError``."""
        learner = self._learner(number, self._plan.boards[number])
        if saved is not None:
            learner.restore(saved)
        self._learners[number] = learner
        return learner

    def _learner(self, number: int, board: Board) -> VirtualLearner:
        own = board_settings(self._settings, number, board, self._plan.parts)
        data = self._prepared.parts[board.part - 1]
        attack = ATTACKS.get(board.hostile)
        learner = (VirtualLearner if attack is None else HostileLearner)(
            build_model(own.model, data, own.seed),
            data,
            training_options(own),
            initialization_options(own),
            common=self._common,
            pretrained=self._prepared.pretrained,
        )
        if isinstance(learner, HostileLearner) and attack is not None:
            learner.attack, learner.mask_attack = attack, MASK_ATTACKS[board.hostile]
        return learner

    def network(self, on_record: Callable[[RoundRecord], None]) -> VirtualNetwork:
        """Return the network of the nodes, one at least, before anything happens in it."""
        settings, plan = self._settings, self._plan
        rules = self._network_rules(next(iter(self._learners.values())))
        network = VirtualNetwork(without_silent(plan), rules, self.queue, on_record)
        environment = NodeEnvironment(queue=self.queue, line=plan.line, rules=_round_rules(settings))
        for number, learner in self._learners.items():
            node = VirtualNode(
                number,
                learner,
                round_machine(settings),
                board=plan.boards[number],
                environment=environment,
                draws=np.random.Generator(np.random.PCG64([settings.seed, number, 2])),
                finished=network.round_finished,
                left=network.node_finished,
            )
            if settings.data_cap:
                node.scheduler = self._scheduler(node, parse_cap(settings.data_cap))
            network.nodes[number] = node
        return network

    def _network_rules(self, learner: VirtualLearner) -> NetworkRules:
        settings = self._settings
        info = node_info(settings, learner, bytes(NODE_ID_BYTES))
        parameters = LinkParameters(
            READABLE - {Codec.RAW}, MaskKind.KEEP in settings.exchange.kinds, settings.send_threshold
        )
        return NetworkRules(
            line=self._plan.line,
            parameters=parameters,
            hello_bytes=info.to_proto(0).ByteSize() + GRPC_FRAMING,
            wait_for_peers=settings.wait_for_peers,
            churn=self._plan.churn,
        )

    def _scheduler(self, node: VirtualNode, cap: DataCap) -> ExchangeScheduler:
        clock = self.queue.clock
        largest = largest_cost(self._settings, node.learner.layouts)
        return ExchangeScheduler(cap, largest, node, VirtualBookkeeper.of(node, clock), clock)


def without_silent(plan: SimulationPlan) -> Neighbours:
    """Return the graph without the links of silent nodes."""
    silent = {i for i, board in enumerate(plan.boards) if board.hostile == SILENT}
    if not silent:
        return plan.neighbours
    return tuple(
        () if i in silent else tuple(peer for peer in peers if peer not in silent)
        for i, peers in enumerate(plan.neighbours)
    )


def _round_rules(settings: Settings) -> RoundRules:
    return RoundRules(
        rounds=settings.rounds,
        round_deadline=settings.round_deadline,
        evaluate_every=settings.evaluate_every,
    )
