"""The nodes that a method trains: their data, graph, model and seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from dslnode.data.dataset import DataSet
from dslnode.learning.options import DEFAULT_TRAINING, UnevenClasses
from dslnode.protocol.mask import MaskLayout
from dslnode.simulation.graph import Neighbours


@dataclass(frozen=True, eq=False)
class Cohort:
    """All nodes of a run. ``parts`` are their data; ``model`` makes a fresh model, whose weights do not matter.

    ``batch_size`` examples make a local step. ``layout`` has the model's weights as one flat vector. ``uneven_classes``
    says what nodes with uneven classes answer for, as a daemon's setting does.
    """

    parts: tuple[DataSet, ...]
    neighbours: Neighbours
    model: Callable[[], nn.Module]
    layout: MaskLayout
    seed: int
    batch_size: int = 32
    uneven_classes: UnevenClasses = DEFAULT_TRAINING.uneven_classes
