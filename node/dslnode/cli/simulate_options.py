"""The command-line options of ``dslnode simulate`` that are no settings of a node, each under its own name."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from dslnode.cli.options import TOPOLOGY_HELP
from dslnode.simulation.engines import EngineName

Nodes = Annotated[
    Optional[int],  # noqa: UP045
    typer.Option(
        min=1, max=100_000, help="How many nodes. Default: 20, or as many as --like or the file of --topology has."
    ),
]
Topology = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(metavar="GRAPH", help=f"{TOPOLOGY_HELP} Default: erdos:6."),
]
Report = Annotated[Path, typer.Option(metavar="DIRECTORY", help="Where tables, page and deployment files go.")]
Link = Annotated[str, typer.Option(metavar="RATE,DELAY,LOSS", help="The line of every node: 50kbit/s,200ms,2%.")]
KeepRatio = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(metavar="RATIO|A..B", help="Keep ratio; of a range, five ratios are dealt in turn."),
]
Churn = Annotated[float, typer.Option(metavar="P", help="Probability of being away after a round.")]
Hostile = Annotated[
    str,
    typer.Option(
        metavar="P:KIND", help="Part of nodes that lie: random, constant, inverted, loud, replayed, dense, silent."
    ),
]
Speed = Annotated[
    Optional[float],  # noqa: UP045
    typer.Option(
        metavar="SIGMA", help="How unlike the boards' speeds are: sigma of a lognormal. 0, the default: alike."
    ),
]
StepTime = Annotated[
    Optional[float],  # noqa: UP045
    typer.Option(metavar="SECONDS", help="What a local step takes on the median board. Default: 0.01."),
]
Parts = Annotated[
    int,
    typer.Option(
        min=0,
        max=10_000,
        help="Parts that the data are cut into; nodes take them in turn. 0: as many as nodes, of 50 examples each.",
    ),
]
Partition = Annotated[
    str,
    typer.Option(
        metavar="FILE",
        help="Which examples each part holds, as partition.jsonl of a report has it.",
    ),
]
WaitForPeers = Annotated[
    float,
    typer.Option(
        metavar="SECONDS",
        min=0,
        max=86_400,
        help="Virtual seconds that a node waits for its links before its first round.",
    ),
]
CheckpointEvery = Annotated[
    int,
    typer.Option(
        metavar="ROUNDS",
        min=0,
        help="Rounds between two states on disk, half a MB per node; on Ray as much again. 0: none.",
    ),
]
Resume = Annotated[
    bool,
    typer.Option(
        "--resume",
        help="Go on from the state that --checkpoint-every left in --report; of a grid, from its last run.",
    ),
]
Like = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        metavar="HOST:PORT",
        help="Take graph, keep ratios, seconds per round and data cap from the network of this running node; "
        "with --resume, from likeness.json in --report.",
    ),
]
Ticket = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option(metavar="FILE", help="Any ticket of the network that --like asks, if it has one."),
]
Grid = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option(
        metavar="NAME=A,B,...",
        help="Simulate with each of these values of a setting or option, such as seed=1,2,3; may be repeated.",
    ),
]
Method = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="What the nodes do: ours, masks_alone, authors, dense_alone, dpsgd, dpsgd_finetuned, dispfl or fedpm.",
    ),
]
MethodRate = Annotated[
    Optional[float],  # noqa: UP045
    typer.Option(metavar="RATE", min=0, help="Learning rate of a --method that does not learn masks by our settings."),
]
Reference = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="Another method, such as dpsgd, to run after the nodes' own on the same plan, and to draw beside it.",
    ),
]
Until = Annotated[
    Optional[float],  # noqa: UP045
    typer.Option(metavar="SCORE", help="End once the mean score of the honest nodes is as high."),
]
Engine = Annotated[
    EngineName, typer.Option(help="What holds the nodes: this process, or a Ray cluster. Both find the same.")
]
RayAddress = Annotated[
    str,
    typer.Option(metavar="HOST:PORT|local", help="The Ray cluster; local: one on this machine, for the time."),
]
Shards = Annotated[
    int,
    typer.Option(
        min=0, max=1_000, help="Processes on Ray that the nodes are dealt to. 0: one per processor of the cluster."
    ),
]
