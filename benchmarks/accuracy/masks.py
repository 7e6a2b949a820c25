"""Mask learning: the daemon's learner and round machine, its settings and presets; only the transport is left out."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from torch import Tensor

from benchmarks.accuracy.bits import flipped, mask_message
from benchmarks.accuracy.cases import World
from benchmarks.accuracy.graphs import Neighbours
from benchmarks.accuracy.method import Candidates, Traffic
from benchmarks.accuracy.network import build_network
from dslnode import events
from dslnode.assembly import origin, training_plan
from dslnode.config import Settings
from dslnode.learner import Learner
from dslnode.mask import Mask
from dslnode.masking import from_mask
from dslnode.rounds import RoundMachine


class MaskGossip:
    """Nodes that learn masks and send them to their neighbours; ``linked=False`` leaves each on its own.

    ``aggregated`` also measures the mask under the newest neighbour mean, which was never sent: what the authors'
    code does. A daemon measures, and sends, the mask after its local steps.
    """

    def __init__(
        self, world: World, options: Mapping[str, Any], *, linked: bool = True, aggregated: bool = False
    ) -> None:
        settings = [node_settings(world, node, options) for node in range(len(world.nodes))]
        self._learners = [
            Learner(world.model(), data.train, training_plan(own), origin(own))
            for data, own in zip(world.nodes, settings, strict=True)
        ]
        self._lockstep = Lockstep(self._learners, world.neighbours if linked else tuple(() for _ in world.nodes))
        self._aggregated = aggregated
        self._masks = [learner.mask for learner in self._learners]
        self._sent = [_boolean(learner.mask) if settings[0].shared_scores else None for learner in self._learners]
        self.network = build_network(world, own_classes=settings[0].own_classes)
        self.traffic = Traffic()
        self.local_steps = settings[0].local_steps

    def round(self, number: int) -> None:
        """Run one round of all nodes, and count what they sent."""
        masks = self._masks = self._lockstep.round(number)
        flips = []
        for node, mask in enumerate(map(_boolean, masks)):
            previous, self._sent[node] = self._sent[node], mask
            receivers = len(self._lockstep.neighbours[node])
            self.traffic.sent += mask_message(self.network.layout, mask, previous).times(receivers)
            flips.append(1.0 if previous is None else flipped(mask, previous))
        self.traffic.flips = sum(flips) / len(flips)
        self.traffic.density = sum(mask.density for mask in masks) / len(masks)

    def personal(self, *, last: bool) -> Candidates:  # noqa: ARG002 (quick enough at any time)
        """Return the masked networks after local training, and those under the newest mean if asked for."""
        pairs = zip(self._learners, self._masks, strict=True)
        found = {"local": [learner.network.weights * from_mask(mask) for learner, mask in pairs]}
        if self._aggregated:
            found["aggregated"] = [_masked_anew(learner) for learner in self._learners]
        return found


class Lockstep:
    """Executes the round machines' commands, node after node; every message arrives, at once and in order."""

    def __init__(self, learners: list[Learner], neighbours: Neighbours) -> None:
        self.neighbours = neighbours
        self._learners = learners
        self._machines = [RoundMachine() for _ in learners]
        self._masks = [learner.mask for learner in learners]
        self._next: deque[tuple[int, events.Command]] = deque()
        for node, machine in enumerate(self._machines):
            for peer in neighbours[node]:
                machine.handle(events.PeerUp(_name(peer), 0))
            self._next.extend((node, command) for command in machine.handle(events.Started()))

    def round(self, number: int) -> list[Mask]:
        """Run all nodes until each is about to train for the next round; return the masks that were made."""
        waiting, self._next = self._next, deque()
        while waiting:
            node, command = waiting.popleft()
            if isinstance(command, events.Train) and command.round > number:
                self._next.append((node, command))
            else:
                waiting.extend(self._execute(node, command))
        return list(self._masks)

    def _execute(self, node: int, command: events.Command) -> list[tuple[int, events.Command]]:
        learner, answerer = self._learners[node], node
        event: events.Event
        match command:
            case events.Train(number):
                learner.train(number, _never)
                self._masks[node] = learner.mask
                event = events.Trained(learner.mask)
            case events.Send(peer, message):
                answerer, event = int(peer), events.Received(_name(node), message)
            case events.Aggregate(number, held):
                learner.aggregate(number, [(one.mask, 0.5**one.staleness) for one in held])
                event = events.Aggregated()
            case _:  # deadlines do not pass here, and nothing is kept
                return []
        return [(answerer, answer) for answer in self._machines[answerer].handle(event)]


def node_settings(world: World, node: int, options: Mapping[str, Any]) -> Settings:
    """Return a daemon's settings, so that its defaults and presets are the ones measured."""
    ratios = world.case.keep_ratios
    own = {"keep_ratio": ratios[node % len(ratios)]} if ratios else {}
    return Settings(name=f"node-{node}", seed=world.seed, **{**options, **own})


def learning_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return all that the settings decide about learning, by name: it tells results of other defaults apart."""
    settings = Settings(name="any", seed=0, **options)
    start = {key: value for key, value in asdict(origin(settings)).items() if not key.endswith("_seed")}
    return {**asdict(training_plan(settings)), **start}


def _masked_anew(learner: Learner) -> Tensor:
    """Return the network under the mask of the newest scores and mean: that of a round without any step.

    The next round chooses its masks anew, so the learner goes on as if nothing had happened.
    """
    plan = learner.plan
    learner.plan = replace(plan, local_steps=0)
    learner.train(0, _never)
    learner.plan = plan
    return learner.network.weights * from_mask(learner.mask)


def _boolean(mask: Mask) -> Tensor:
    return from_mask(mask).bool()


def _name(node: int) -> str:
    return f"{node:04}"


def _never() -> bool:
    return False
