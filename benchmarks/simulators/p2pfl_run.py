"""One simulation with p2pfl, run by the Python of its environment; prints one line of JSON.

    python -m benchmarks.simulators.p2pfl_run TASK NODES ROUNDS

All nodes are in one process and talk in memory, on the graph of the task; all of them train in every round, and
average float32 weights (FedAvg, spread by gossip). Its learner for torch wants Lightning and a torchvision that does
not go with a current torch, so nodes have a learner of plain torch in its place, which costs less. Neither it nor the
actor pool of Ray is needed for steps this small. Periods of its own clock are shortened, as far as that is quicker.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from p2pfl.settings import Settings

Settings.general.DISABLE_RAY = True  # before other modules of p2pfl look at it

from p2pfl.communication.protocols.protobuff.memory import MemoryCommunicationProtocol  # noqa: E402
from p2pfl.learning.frameworks.learner import Learner  # noqa: E402
from p2pfl.learning.frameworks.p2pfl_model import P2PFLModel  # noqa: E402
from p2pfl.management.logger import logger  # noqa: E402
from p2pfl.node import Node  # noqa: E402
from p2pfl.utils.utils import wait_convergence  # noqa: E402

from benchmarks.simulators.task import accuracy, build_mlp, read_task, train  # noqa: E402

PATIENCE = 3600


class TorchModel(P2PFLModel):
    """A torch module as p2pfl takes it."""

    def get_parameters(self) -> list[NDArray[np.float32]]:
        """Return the weights."""
        return [weights.detach().numpy() for weights in self.model.parameters()]

    def set_parameters(self, params: list[NDArray[np.float32]] | bytes) -> None:
        """Set the weights."""
        if isinstance(params, bytes):
            params, info = self.decode_parameters(params)
            self.additional_info.update(info)
        with torch.no_grad():
            for weights, new in zip(self.model.parameters(), params, strict=True):
                weights.copy_(torch.tensor(new))

    def get_framework(self) -> str:
        """Return the name of the framework."""
        return "pytorch"


class Part:
    """A node's examples, with what p2pfl asks of a data set."""

    dataset_name, batch_size = "digits", 32

    def __init__(self, inputs: torch.Tensor, labels: torch.Tensor) -> None:
        self.inputs, self.labels = inputs, labels

    def get_num_samples(self, train: bool = True) -> int:
        """Return the number of examples."""
        return len(self.labels) if train else 0


class TorchLearner(Learner):
    """Takes the local steps of the task."""

    def fit(self) -> P2PFLModel:
        """Take the steps of one round."""
        model, part = self.get_model(), self.get_data()
        train(model.get_model(), part.inputs, part.labels)
        model.set_contribution([self.addr], part.get_num_samples())
        return model

    def evaluate(self) -> dict[str, float]:
        """Measure nothing."""
        return {}

    def interrupt_fit(self) -> None:
        """Do nothing: the steps take milliseconds."""

    def get_framework(self) -> str:
        """Return the name of the framework."""
        return "pytorch"


def choose_settings(nodes: int) -> None:
    """Set the periods: as short as helps, with heartbeats that do not drown the rest."""
    Settings.general.LOG_LEVEL = "WARNING"
    logger.set_level("WARNING")
    Settings.heartbeat.PERIOD = 5 + nodes / 10
    Settings.heartbeat.TIMEOUT = PATIENCE
    Settings.heartbeat.WAIT_CONVERGENCE = 1
    Settings.gossip.TTL = 2 * nodes  # in memory, all nodes share the message that counts it down
    Settings.gossip.PERIOD = 0.05
    Settings.gossip.MESSAGES_PER_PERIOD = 1_000_000_000
    Settings.gossip.AMOUNT_LAST_MESSAGES_SAVED = 50 * nodes
    Settings.gossip.MODELS_PERIOD = 0.1
    Settings.gossip.MODELS_PER_ROUND = 4
    Settings.gossip.EXIT_ON_X_EQUAL_ROUNDS = 1000
    Settings.training.VOTE_TIMEOUT = 60
    Settings.training.AGGREGATION_TIMEOUT = 60


def simulate(file: Path, nodes: int, rounds: int) -> dict[str, Any]:
    """Run one warm-up round and so many more; return the figures."""
    torch.set_num_threads(1)
    task = read_task(file)
    choose_settings(nodes)
    members = [
        Node(
            TorchModel(build_mlp()),
            Part(*task.part(number)),
            addr=f"node-{number}",
            learner=TorchLearner(),
            protocol=MemoryCommunicationProtocol(),
        )
        for number in range(nodes)
    ]
    for member in members:
        member.start()
    for one, other in task.edges.tolist():
        members[one].connect(f"node-{other}")
    wait_convergence(members, nodes - 1, wait=PATIENCE)
    members[0].set_start_learning(rounds=1 + rounds, epochs=1, trainset_size=nodes)
    began = time_of_round(members, 1)
    ended = time_of_round(members, 1 + rounds)
    known = accuracy(members[0].get_model().get_model(), task)
    for member in members:
        member.stop()
    return {"seconds_per_round": (ended - began) / rounds, "edges": len(task.edges), "accuracy": known}


def time_of_round(members: list[Any], number: int) -> float:
    """Wait until every node has finished so many rounds; return when that was."""
    while not all(member.learning_workflow.finished or (member.state.round or 0) >= number for member in members):
        time.sleep(0.02)
    return time.perf_counter()


if __name__ == "__main__":
    print(json.dumps(simulate(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))), flush=True)
