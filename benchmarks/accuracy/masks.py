"""Mask learning: the daemon's learner and round machine, its settings and presets; only the transport is left out."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from torch import Tensor

from benchmarks.accuracy.cases import UNEVEN_CLASSES, World
from dslnode.config.settings import Settings
from dslnode.learning.learner import Learner
from dslnode.learning.masking import from_mask
from dslnode.protocol import events
from dslnode.protocol.mask import Mask
from dslnode.protocol.messages import Exchange, ExchangeState, MaskKind, MaskMessage, RoundMessage
from dslnode.protocol.round_machine import RoundMachine
from dslnode.runtime.build import initialization_options, training_options
from dslnode.simulation.command_messages import messages_of
from dslnode.simulation.graph import Neighbours
from dslnode.simulation.methods.bits import flipped, mask_message, sign_message
from dslnode.simulation.methods.method import Candidates, Traffic
from dslnode.simulation.methods.network import build_network

MEASURED_FOR = {"uneven_classes": UNEVEN_CLASSES}
"""The one setting that is not a daemon's default: it says what is measured, and matters for Dirichlet splits only."""


class MaskGossip:
    """Nodes that learn masks and exchange keep or sign masks; ``linked=False`` leaves each on its own.

    Measured are the personal models that a daemon exports, those after aggregation. The authors' form, a baseline, may
    be measured after local steps, too, as other baselines are.
    """

    def __init__(self, world: World, options: Mapping[str, Any], *, linked: bool = True) -> None:
        common = node_settings(world, 0, options)
        self.learners = learners_of(world, options)
        self.neighbours = world.neighbours if linked else tuple(() for _ in world.nodes)
        self._lockstep = Lockstep(self.learners, self.neighbours, common.exchange)
        self._masks = [learner.mask for learner in self.learners]
        self._before = [_boolean(learner.mask) if common.shared_scores else None for learner in self.learners]
        self._kinds = common.exchange.kinds
        self.network = build_network(world.cohort, own_classes=common.own_classes)
        self.traffic = Traffic()
        self.local_steps = common.local_steps
        self.form: str = common.personal

    def round(self, number: int) -> None:
        """Run one round of all nodes, and count what they sent."""
        masks = self._masks = self._lockstep.round(number)
        flips = []
        for node, mask in enumerate(map(_boolean, masks)):
            previous, self._before[node] = self._before[node], mask
            if MaskKind.KEEP in self._kinds:
                receivers = len(self._lockstep.neighbours[node])
                self.traffic.sent += mask_message(self.network.layout, mask, previous).times(receivers)
            flips.append(1.0 if previous is None else flipped(mask, previous))
        for message in self._lockstep.take_signs():
            self.traffic.sent += sign_message(message)
        self.traffic.flips = sum(flips) / len(flips)
        self.traffic.density = sum(mask.density for mask in masks) / len(masks)

    def personal(self, *, last: bool) -> Candidates:  # noqa: ARG002 (quick enough at any time)
        """Return the personal models; with keep masks exchanged, those after local training, too."""
        found = {"aggregated": [learner.network.weights * learner.form.factors for learner in self.learners]}
        if MaskKind.KEEP in self._kinds:
            pairs = zip(self.learners, self._masks, strict=True)
            found["local"] = [learner.network.weights * from_mask(mask) for learner, mask in pairs]
        return found


class Lockstep:
    """Executes the round machines' commands, node after node; every message arrives, at once and in order."""

    def __init__(self, learners: Sequence[Learner], neighbours: Neighbours, exchange: Exchange) -> None:
        self.neighbours = neighbours
        self._learners = learners
        self._machines = [RoundMachine(exchange=exchange) for _ in learners]
        self._masks = [learner.mask for learner in learners]
        self._signs: list[MaskMessage] = []
        self._next: deque[tuple[int, events.Command]] = deque()
        for node in range(len(learners)):
            for peer in neighbours[node]:
                self._feed(node, events.PeerUp(node_name(peer), 0))
        self._settle(lambda _: True)
        for node in range(len(learners)):
            self._feed(node, events.Started())

    def round(self, number: int) -> list[Mask]:
        """Run all nodes until each is about to train for the next round; return the masks that were made."""
        self._settle(lambda command: not isinstance(command, events.Train) or command.round <= number)
        return list(self._masks)

    def take_signs(self) -> list[MaskMessage]:
        """Return the sign masks sent since the last call, one entry for every receiver."""
        taken, self._signs = self._signs, []
        return taken

    def _settle(self, due: Callable[[events.Command], bool]) -> None:
        """Execute commands until none is left that is due."""
        later: list[tuple[int, events.Command]] = []
        while self._next:
            node, command = self._next.popleft()
            if due(command):
                self._execute(node, command)
            else:
                later.append((node, command))
        self._next.extend(later)

    def _execute(self, node: int, command: events.Command) -> None:
        learner = self._learners[node]
        match command:
            case events.Train(number):
                learner.train_round(number, _never)
                self._masks[node] = learner.mask
                self._feed(node, events.Trained(learner.mask))
            case events.Aggregate(_, heard):
                self._feed(node, events.Aggregated(learner.aggregate(heard)))
            case (
                events.SendMask()
                | events.SendSignMasks()
                | events.OpenExchange()
                | events.Resynchronize()
                | events.ForgetPeers()
            ):
                for peer, message in messages_of(learner, command):
                    self._deliver(node, int(peer), message)
            case _:  # deadlines do not pass here, and nothing is kept
                pass

    def _deliver(self, node: int, peer: int, message: RoundMessage) -> None:
        if isinstance(message, ExchangeState):
            self._feed(peer, events.ExchangeStateReceived(node_name(node), message))
            return
        if isinstance(message, MaskMessage) and message.kind is MaskKind.SIGN:
            self._signs.append(message)
        self._feed(peer, events.Received(node_name(node), message))

    def _feed(self, node: int, event: events.Event) -> None:
        self._next.extend((node, command) for command in self._machines[node].handle(event))


def learners_of(world: World, options: Mapping[str, Any]) -> list[Learner]:
    """Return every node's learner, as a daemon with these options would build it.

    What a node holds out are its validation images; it judges by them how far to lean on its neighbours.
    """
    settings = [node_settings(world, node, options) for node in range(len(world.nodes))]
    return [
        Learner(
            world.model(),
            replace(data.train, held_out=data.validation),
            training_options(own),
            initialization_options(own),
        )
        for data, own in zip(world.nodes, settings, strict=True)
    ]


def node_settings(world: World, node: int, options: Mapping[str, Any]) -> Settings:
    """Return a daemon's settings, so that its defaults and presets are the ones measured, for what is measured."""
    ratios = world.case.keep_ratios
    own = {"keep_ratio": ratios[node % len(ratios)]} if ratios else {}
    return Settings(name=f"node-{node}", seed=world.seed, **{**MEASURED_FOR, **options, **own})


def learning_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return all that the settings decide about learning, by name: it tells results of other defaults apart."""
    settings = Settings(name="any", seed=0, **{**MEASURED_FOR, **options})
    start = {key: value for key, value in asdict(initialization_options(settings)).items() if not key.endswith("_seed")}
    training = training_options(settings)
    return {**asdict(training), "power": training.power, **start, "exchange": settings.exchange.value}


def _boolean(mask: Mask) -> Tensor:
    return from_mask(mask).bool()


def node_name(node: int) -> str:
    """Return a node's name among its neighbours."""
    return f"{node:04}"


def _never() -> bool:
    return False
