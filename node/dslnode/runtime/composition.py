"""Composes a node: every part with what it needs, by name, in the order in which parts need each other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from dslnode.overlay.peer_manager import PeerManager
from dslnode.overlay.peer_problems import ProblemLog
from dslnode.protocol import events
from dslnode.protocol.membership import MemberRecord
from dslnode.protocol.round_deadline import RoundDeadline
from dslnode.protocol.round_machine import RoundMachine
from dslnode.runtime.build import round_machine
from dslnode.runtime.checkpointing import CheckpointSchedule, CheckpointWriter
from dslnode.runtime.command_runner import CommandRunner
from dslnode.runtime.event_bridge import EventBridge, Refusals
from dslnode.runtime.learner_thread import LearnerThread
from dslnode.runtime.mask_sender import MaskSender
from dslnode.runtime.node_events import NodeEvent
from dslnode.runtime.predictions import TRAINING_NICE, NodePredictions, node_predictions
from dslnode.runtime.prepare import Prepared
from dslnode.runtime.resume import snapshot
from dslnode.runtime.snapshot_metadata import SnapshotMetadata
from dslnode.runtime.tasks import BackgroundTasks
from dslnode.runtime.traffic_accounting import TrafficAccounting
from dslnode.runtime.training_gate import TrainingGate
from dslnode.telemetry.logs import Logger
from dslnode.telemetry.metrics import Metrics
from dslnode.telemetry.node_status import NodeStatus
from dslnode.telemetry.trivial_watch import TrivialWatch
from dslnode.transport.connection_manager import ConnectionManager
from dslnode.transport.link_events import LinkEvent
from dslnode.transport.link_factory import LinkFactory
from dslnode.transport.server import Server


@dataclass
class LinkEventDispatcher:
    """Passes each link event on to all subscribers, in the order in which they subscribed."""

    subscribers: list[Callable[[LinkEvent], None]] = field(default_factory=list)

    def dispatch(self, event: LinkEvent) -> None:
        """Tell every subscriber."""
        for subscriber in self.subscribers:
            subscriber(event)


@dataclass(frozen=True, kw_only=True)
class Hooks:
    """How the parts of a node reach the loop that runs it.

    ``post`` feeds the round machine, ``publish`` tells the program that embeds the node, ``finish`` ends it when
    all rounds are done, ``failed`` when a task raised.
    """

    post: Callable[[events.Event], None]
    publish: Callable[[NodeEvent], None]
    finish: Callable[[], None]
    failed: Callable[[BaseException], None]


@dataclass(frozen=True, kw_only=True)
class NodeCore:
    """The parts that most others need: what the node knows, and its links."""

    prepared: Prepared
    hooks: Hooks
    log: Logger
    machine: RoundMachine
    learner_thread: LearnerThread
    dispatcher: LinkEventDispatcher
    connections: ConnectionManager
    problems: ProblemLog
    status: NodeStatus
    metrics: Metrics
    accounting: TrafficAccounting
    predictions: NodePredictions | None = None


@dataclass(frozen=True, kw_only=True)
class NodeParts:
    """All parts of a node, composed; nothing runs yet."""

    core: NodeCore
    peers: PeerManager
    server: Server
    checkpoints: CheckpointWriter
    tasks: BackgroundTasks
    commands: CommandRunner


def build_node(prepared: Prepared, *, hooks: Hooks, log: Logger) -> NodeParts:
    """Return the parts of a node. Opens no socket, writes no file, starts no task."""
    core = build_core(prepared, hooks=hooks, log=log)
    peers = _peers(core)
    checkpoints = _checkpoints(core, peers=peers)
    tasks = BackgroundTasks(hooks.failed)
    deadline = RoundDeadline(prepared.settings.round_deadline)
    refusals = Refusals(metrics=core.metrics, problems=core.problems)
    bridge = EventBridge(
        post=hooks.post,
        publish=hooks.publish,
        accounting=core.accounting,
        deadline=deadline,
        problems=core.problems,
        refusals=refusals,
        log=log,
    )
    core.dispatcher.subscribers += [peers.on_link_event, bridge.handle]
    commands = _commands(core, checkpoints=checkpoints, deadline=deadline, refusals=refusals, tasks=tasks)
    return NodeParts(
        core=core, peers=peers, server=_server(core), checkpoints=checkpoints, tasks=tasks, commands=commands
    )


def build_core(prepared: Prepared, *, hooks: Hooks, log: Logger) -> NodeCore:
    """Return the parts that most others need."""
    settings, learner, info = prepared.settings, prepared.learner, prepared.node_info
    machine = round_machine(settings)
    dispatcher = LinkEventDispatcher()
    signatures = prepared.signatures
    factory = LinkFactory(
        info,
        learner.layouts,
        learner.initial_mask,
        settings.send_threshold,
        check_record=None if signatures is None else signatures.check,
    )
    connections = ConnectionManager(info, factory, round_now=lambda: machine.round, on_event=dispatcher.dispatch)
    problems = ProblemLog(settings.peers, log)
    status = NodeStatus(settings, info, machine, connections, problems.current, task=learner.data.target.task)
    metrics = Metrics(status.neighbours)
    metrics.describe(settings.name, settings.run_id, settings.state_dir)
    accounting = TrafficAccounting(
        settings, learner.layouts, connections, status, metrics, state=prepared.state, log=log
    )
    predictions = node_predictions(settings, prepared.description, metrics.registry, log)
    nice = settings.nice if predictions is None else max(settings.nice, TRAINING_NICE)
    return NodeCore(
        prepared=prepared,
        hooks=hooks,
        log=log,
        machine=machine,
        learner_thread=LearnerThread(learner, nice, alone=prepared.alone),
        dispatcher=dispatcher,
        connections=connections,
        problems=problems,
        status=status,
        metrics=metrics,
        accounting=accounting,
        predictions=predictions,
    )


def _peers(core: NodeCore) -> PeerManager:
    settings, signatures = core.prepared.settings, core.prepared.signatures
    return PeerManager(
        core.connections,
        settings.peers,
        settings.max_neighbours,
        channels=core.prepared.channels,
        log=core.log,
        registry=core.metrics.registry,
        sign=_unsigned if signatures is None else signatures.sign,
    )


def _unsigned(record: MemberRecord) -> MemberRecord:
    return record


def _server(core: NodeCore) -> Server:
    server = Server(
        core.connections,
        core.accounting.reply,
        core.accounting.rows,
        tunnels=core.prepared.channels.tunnels,
        dialled_back=core.metrics.count_dial_back,
        model=lambda last: core.learner_thread.model_file(core.prepared.description, best=not last),
    )
    core.metrics.calls.set_function(lambda: server.slots.in_use)
    return server


def _checkpoints(core: NodeCore, *, peers: PeerManager) -> CheckpointWriter:
    prepared, settings, fingerprint = core.prepared, core.prepared.settings, core.prepared.learner.fingerprint
    description = "" if prepared.state is None else prepared.description.to_json().decode()

    def metadata(number: int) -> SnapshotMetadata:
        held_out = core.status.held_out
        members = peers.snapshot()
        return snapshot(
            number, settings, fingerprint, core.connections, members, held_out=held_out, description=description
        )

    return CheckpointWriter(
        prepared.state,
        CheckpointSchedule(settings.checkpoint_every, settings.rounds),
        core.learner_thread,
        metadata=metadata,
        log=core.log,
        metrics=core.metrics,
    )


def _commands(
    core: NodeCore,
    *,
    checkpoints: CheckpointWriter,
    deadline: RoundDeadline,
    refusals: Refusals,
    tasks: BackgroundTasks,
) -> CommandRunner:
    settings, hooks, scheduler = core.prepared.settings, core.hooks, core.accounting.scheduler
    return CommandRunner(
        settings=settings,
        machine=core.machine,
        learner=core.learner_thread,
        connections=core.connections,
        sender=MaskSender(core.learner_thread, core.connections),
        accounting=core.accounting,
        status=core.status,
        metrics=core.metrics,
        gate=TrainingGate(settings, core.metrics, scheduler, core.log, hooks.post),
        checkpoints=checkpoints,
        deadline=deadline,
        refusals=refusals,
        tasks=tasks,
        post=hooks.post,
        publish=hooks.publish,
        finish=hooks.finish,
        trivial=TrivialWatch(core.log),
        predictions=core.predictions,
    )
