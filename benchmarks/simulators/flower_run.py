"""One simulation with Flower, run by the Python of its environment; prints one line of JSON.

    python -m benchmarks.simulators.flower_run TASK NODES ROUNDS

A server and NODES clients average float32 weights: FedAvg over all clients, without evaluation. A client gets half a
processor, so there are two actors per processor, of one thread each: while one waits for its next message, the other
works, which was a fifth quicker than one actor per processor. Actors keep the data and a model between clients.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterable

from flwr.app import ArrayRecord, ConfigRecord, Context, Message
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg
from flwr.simulation import run_simulation

from benchmarks.simulators.flower_client import TASK_FILE, client, held
from benchmarks.simulators.task import accuracy

STORE_BYTES = 256 << 20


class TimedFedAvg(FedAvg):
    """FedAvg that notes when each round began."""

    def __init__(self) -> None:
        super().__init__(fraction_evaluate=0.0)
        self.began: list[float] = []

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Begin a round."""
        self.began.append(time.perf_counter())
        messages: Iterable[Message] = super().configure_train(server_round, arrays, config, grid)
        return messages


def simulate(nodes: int, rounds: int) -> dict[str, float]:
    """Run one warm-up round and so many more; return the figures."""
    strategy, server, outcome = TimedFedAvg(), ServerApp(), dict[str, float]()

    @server.main()
    def main(grid: Grid, context: Context) -> None:
        del context
        while len(list(grid.get_node_ids())) < nodes:
            time.sleep(0.1)
        task, model = held()
        found = strategy.start(grid, ArrayRecord(model.state_dict()), num_rounds=1 + rounds)
        ended = time.perf_counter()
        model.load_state_dict(found.arrays.to_torch_state_dict())
        outcome.update(
            seconds_per_round=(ended - strategy.began[1]) / rounds, edges=nodes, accuracy=accuracy(model, task)
        )

    settings = {
        "client_resources": {"num_cpus": 0.5, "num_gpus": 0.0},
        "init_args": {"num_cpus": os.cpu_count() or 1, "object_store_memory": STORE_BYTES, "include_dashboard": False},
    }
    run_simulation(server, client, num_supernodes=nodes, backend_config=settings)
    return outcome


if __name__ == "__main__":
    os.environ[TASK_FILE] = sys.argv[1]
    print(json.dumps(simulate(int(sys.argv[2]), int(sys.argv[3]))), flush=True)
