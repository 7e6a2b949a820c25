"""What a client of the simulation with Flower does; a module of its own, as Flower's actors import it."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import torch
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from torch import nn

from benchmarks.simulators.task import Task, build_mlp, read_task, train

TASK_FILE = "SIMULATORS_TASK"
"""The environment variable that names the file of the task: actors inherit it."""
client = ClientApp()


@cache
def held() -> tuple[Task, nn.Module]:
    """Return the task and a model, once per process."""
    torch.set_num_threads(1)
    return read_task(Path(os.environ[TASK_FILE])), build_mlp()


@client.train()
def train_client(message: Message, context: Context) -> Message:
    """Take a client's local steps."""
    task, model = held()
    model.load_state_dict(message.content["arrays"].to_torch_state_dict())
    inputs, labels = task.part(int(context.node_config["partition-id"]))
    loss = train(model, inputs, labels)
    figures = MetricRecord({"loss": loss, "num-examples": len(labels)})
    return Message(RecordDict({"arrays": ArrayRecord(model.state_dict()), "metrics": figures}), reply_to=message)
