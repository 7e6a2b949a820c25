"""A simulation from its settings to its records: prepared, then run step by step until it is over."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from dslnode.config.presets import PRESETS
from dslnode.config.settings import Settings
from dslnode.data.dataset import DataSet
from dslnode.errors import SettingsError
from dslnode.runtime.build import pretrained_network
from dslnode.simulation.boards import drawn_step_seconds, parse_keep_ratios
from dslnode.simulation.build import PreparedSimulation, cut_data, drawn_parts, load_data, training_count
from dslnode.simulation.checkpoints import Checkpoints
from dslnode.simulation.graph import Neighbours, check_count
from dslnode.simulation.hostile import parse_hostility
from dslnode.simulation.latest_scores import LatestScores
from dslnode.simulation.likeness import Likeness
from dslnode.simulation.link_model import parse_link
from dslnode.simulation.local_shards import LocalShards
from dslnode.simulation.option_bounds import check_bounds
from dslnode.simulation.partition_file import PartPositions, read_partition
from dslnode.simulation.plan import SimulationPlan, part_count, plan_boards
from dslnode.simulation.records import Incidents, Reference, RoundRecord
from dslnode.simulation.shard import Arrays, States
from dslnode.simulation.topology import USUAL_TOPOLOGY, topology_of
from dslnode.simulation.windows import Job, ShardLost, Shards, WindowDriver, ignore

USUAL_NODES = 20
USUAL_ROUNDS = 20
USUAL_STEP_SECONDS = 0.01
OURS, MASKS_ALONE, AUTHORS = "ours", "masks_alone", "authors"
MASK_METHODS = (OURS, MASKS_ALONE, AUTHORS)
"""Methods that learn masks by the daemon's own parts: as set, without neighbours, and in the authors' form."""
BEST_SCORE = 1.0
"""Of all tasks but those of a user's own."""
MOST_ROUNDS = 10_000
"""Rounds of a simulation that is to reach a score, if nobody says how many."""


@dataclass(frozen=True, kw_only=True)
class SimulationOptions:
    """What a user asks for beside the settings of a node, as text where it has a form of its own.

    Without a number of ``nodes`` there are as many as the network has that is taken for a model, or the file of edges,
    else ``USUAL_NODES``. Without ``topology``, ``speed_sigma`` and ``step_time`` these are those of that network, else
    ``USUAL_TOPOLOGY``, 0 and ``USUAL_STEP_SECONDS``. Raises ``SettingsError`` if a number is out of its bounds.
    """

    nodes: int | None = None
    topology: str = ""
    link: str = ""
    keep_ratio: str = ""
    hostile: str = ""
    churn: float = 0.0
    speed_sigma: float | None = None
    step_time: float | None = None
    parts: int = 0
    partition: str = ""
    until_score: float | None = None
    wait_for_peers: float = 60.0
    method: str = "ours"
    method_rate: float | None = None

    def __post_init__(self) -> None:
        """Refuse numbers that no simulation can have."""
        check_bounds(
            {
                "nodes": self.nodes,
                "churn": self.churn,
                "speed": self.speed_sigma,
                "step-time": self.step_time,
                "parts": self.parts,
                "wait-for-peers": self.wait_for_peers,
                "method-rate": self.method_rate,
                "until": self.until_score,
            }
        )


def prepare_simulation(
    options: SimulationOptions, settings: Settings, like: Likeness | None = None
) -> PreparedSimulation:
    """Return what is simulated; ``like`` a running network where that is given.

    Graph, speeds, keep ratio and data cap are then that network's, unless the options or settings have the last two.
    Raises ``SettingsError``, ``DataError`` or ``ModelError``, saying what to fix.
    """
    own = None if like is None else _like(options, like, settings.seed)
    neighbours = _neighbours(options, settings, own)
    settings = _completed(settings, options, own)
    if options.method == AUTHORS:
        settings = _as_the_authors(settings)
    data = load_data(settings)
    positions = _positions(options, settings, data, nodes=len(neighbours))
    parts = len(positions)
    plan = SimulationPlan(
        neighbours=neighbours,
        boards=plan_boards(
            _step_seconds(options, settings, own, nodes=len(neighbours)),
            keep_ratios=_keep_ratios(options, settings, own),
            parts=parts,
            hostility=parse_hostility(options.hostile) if options.hostile else None,
            seed=settings.seed,
        ),
        parts=parts,
        line=parse_link(options.link),
        churn=options.churn,
        until_score=options.until_score,
    )
    prepared = PreparedSimulation(
        settings,
        plan,
        cut_data(settings, data, positions),
        positions,
        pretrained_network(settings),
        has_given_partition=bool(options.partition),
    )
    if options.until_score is not None:
        _check_reachable(options.until_score, prepared)
    return prepared


def _check_reachable(score: float, prepared: PreparedSimulation) -> None:
    """Refuse a score that no node can have. Scores of tasks of a user's own have no bound."""
    if score > BEST_SCORE and ":" not in prepared.settings.task:
        raise SettingsError(f"--until {score:g}: {BEST_SCORE:g} is the best score there is; write 90 % as 0.9")
    if not prepared.judged:
        raise SettingsError(
            f"--until {score:g}: no honest node holds out examples, so none has a score; raise --held-out-fraction, or "
            "leave --until out"
        )


def _completed(settings: Settings, options: SimulationOptions, like: Likeness | None) -> Settings:
    usual = USUAL_ROUNDS if options.until_score is None else MOST_ROUNDS
    cap = settings.data_cap or ("" if like is None else like.data_cap)
    chosen = {"rounds": settings.rounds or usual, "wait_for_peers": options.wait_for_peers, "data_cap": cap}
    return settings.model_copy(update=chosen)


def _as_the_authors(settings: Settings) -> Settings:
    """Return settings of the authors' form: as many local steps in all, but exchanges as often as theirs."""
    preset = PRESETS[AUTHORS]
    rounds = settings.rounds * settings.local_steps // int(preset["local_steps"])
    return Settings(**{**settings.model_dump(), **preset, "rounds": rounds})


def _positions(options: SimulationOptions, settings: Settings, data: DataSet, *, nodes: int) -> list[PartPositions]:
    """Return which examples each part holds, as a file says or as daemons draw them."""
    if not options.partition:
        return drawn_parts(settings, data, options.parts or part_count(nodes, training_count(settings, data)))
    if options.parts:
        raise SettingsError("--parts: the file of --partition says how many parts there are; leave --parts out")
    return read_partition(Path(options.partition), data)


def _like(options: SimulationOptions, like: Likeness, seed: int) -> Likeness:
    """Return a network like one, with as many nodes as is asked for. Raises ``SettingsError``."""
    given = {"topology": options.topology, "speed": options.speed_sigma, "step-time": options.step_time}
    for name, value in given.items():
        if value not in ("", None):
            raise SettingsError(f"--{name}: is what --like takes from a network; leave one of the two out")
    count = len(like.neighbours) if options.nodes is None else options.nodes
    check_count(count)
    return like.grown(count, seed)


def _neighbours(options: SimulationOptions, settings: Settings, like: Likeness | None) -> Neighbours:
    if like is None:
        found = topology_of(options.topology or USUAL_TOPOLOGY, options.nodes, settings.seed, usual=USUAL_NODES)
    else:
        found = like.neighbours
    return ((),) * len(found) if options.method == MASKS_ALONE else found


def _step_seconds(
    options: SimulationOptions, settings: Settings, like: Likeness | None, *, nodes: int
) -> tuple[float, ...]:
    if like is not None:
        return tuple(seconds / settings.local_steps for seconds in like.round_seconds)
    median = USUAL_STEP_SECONDS if options.step_time is None else options.step_time
    return drawn_step_seconds(median, options.speed_sigma or 0.0, nodes, settings.seed)


def _keep_ratios(options: SimulationOptions, settings: Settings, like: Likeness | None) -> tuple[float, ...]:
    if options.keep_ratio:
        return parse_keep_ratios(options.keep_ratio)
    return (settings.keep_ratio,) if like is None else like.keep_ratios


@dataclass
class Simulation:
    """A simulation that runs: ``run`` goes on with it, ``records`` is what came of it so far; ``close`` ends it.

    With ``checkpoints`` the nodes' states are saved now and then; with ``resume`` it goes on from there. ``engine``
    makes the shards that it runs on; what it finds does not depend on them. Shards that may be lost are saved about
    every ``save_every`` rounds, 0 for never; ``on_loss`` is told of each loss. ``reached`` is the record by which the
    score was reached that the plan asks for; None until then. ``reference`` is for the report alone. Raises
    ``StateError`` if it cannot be resumed.
    """

    prepared: PreparedSimulation
    checkpoints: Checkpoints | None = None
    resume: bool = False
    engine: Callable[[Job], Shards] = LocalShards
    save_every: int = 0
    on_loss: Callable[[str], None] = ignore
    records: list[RoundRecord] = field(default_factory=list)
    shards: Shards | None = None
    reached: RoundRecord | None = None
    reference: Reference | None = None
    _begun: bool = field(default=False, init=False)
    _closed: bool = field(default=False, init=False)
    _incidents: Incidents | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        """Take in what was recorded before."""
        if self.checkpoints is not None and self.resume:
            self.records = self.checkpoints.load_records()

    @property
    def method(self) -> str:
        """The method that is simulated in place of masks: none."""
        return ""

    @property
    def weights(self) -> int:
        """The number of weights of the model; 0 before the nodes are built."""
        return 0 if self.shards is None else self.shards.weights

    @property
    def incidents(self) -> Incidents | None:
        """What happened beside learning, by the end of the last window; None if that is not known."""
        if self.shards is None or self._closed or not self._begun:
            return self._incidents
        try:
            return self.shards.incidents()
        except ShardLost:
            return None

    def build(self) -> Iterator[int]:
        """Build the nodes; yield how many there are so far. Raises ``StateError`` if a saved one cannot be read."""
        every = 0 if self.checkpoints is None else self.checkpoints.every
        self._last = {record.node: record for record in self.records}
        self.shards = self.engine(Job(self.prepared, self._saved, every))
        self._driver = WindowDriver(self.shards, self.prepared, save_every=self.save_every, on_loss=self.on_loss)
        yield from self._driver.build()

    def run(self) -> Iterator[int]:
        """Run until all rounds are done or the score is reached; yield how many rounds of nodes are finished."""
        self._begun = True
        before = list(self.records)
        scores = LatestScores(self.prepared, before)
        for window in self._driver.run(self._last):
            if len(self.records) > len(before) + window.first:  # shards were lost
                del self.records[len(before) + window.first :]
                scores = LatestScores(self.prepared, self.records)
            for record in window.records:
                if scores.reached_by:
                    break
                self._take(record, window.states)
                scores.add(record)
            if window.records:
                yield len(self.records)
            if scores.reached_by:
                break
        self.reached = scores.reached_by
        if self.checkpoints is not None:
            self.checkpoints.finish()

    def close(self) -> None:
        """End what was started for it."""
        if self.shards is not None and not self._closed:
            self._incidents, self._closed = self.incidents, True
            self.shards.close()

    def _saved(self, node: int) -> Arrays | None:
        """Return what a node goes on from, if it does."""
        if self.checkpoints is None or node not in self._last:
            return None
        return self.checkpoints.load_node(node, self._last[node].round)

    def _take(self, record: RoundRecord, states: States) -> None:
        self.records.append(record)
        if self.checkpoints is not None and self.checkpoints.is_due(record.round):
            self.checkpoints.save(record.node, self.records, states[record.node, record.round])
