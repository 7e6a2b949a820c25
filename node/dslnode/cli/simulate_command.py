"""The command ``dslnode simulate``: its options, and those settings of a node that a simulated one has, too."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from dslnode.cli.endings import until_stopped
from dslnode.cli.help import CommandHelp
from dslnode.cli.options import TOPOLOGY_HELP, with_settings
from dslnode.config.loader import LoadedSettings
from dslnode.simulation.engines import LOCAL_CLUSTER, Engine, EngineName
from dslnode.simulation.simulated_settings import NOT_SIMULATED

app = typer.Typer()


def simulate(
    loaded: LoadedSettings,
    nodes: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(
            min=1, max=100_000, help="How many nodes. Default: 20, or as many as --like or the file of --topology has."
        ),
    ] = None,
    topology: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="GRAPH", help=f"{TOPOLOGY_HELP} Default: erdos:6."),
    ] = None,
    *,
    report: Annotated[
        Path, typer.Option(metavar="DIRECTORY", help="Where tables, page and deployment files go.")
    ] = Path("simulation"),
    link: Annotated[
        str, typer.Option(metavar="RATE,DELAY,LOSS", help="The line of every node: 50kbit/s,200ms,2%.")
    ] = "10Mbit/s,10ms",
    keep_ratio: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="RATIO|A..B", help="Keep ratio; of a range, five ratios are dealt in turn."),
    ] = None,
    churn: Annotated[float, typer.Option(metavar="P", help="Probability of being away after a round.")] = 0.0,
    hostile: Annotated[
        str,
        typer.Option(
            metavar="P:KIND", help="Part of nodes that lie: random, constant, inverted, loud, replayed, dense, silent."
        ),
    ] = "",
    speed: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(
            metavar="SIGMA", help="How unlike the boards' speeds are: sigma of a lognormal. 0, the default: alike."
        ),
    ] = None,
    step_time: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(metavar="SECONDS", help="What a local step takes on the median board. Default: 0.01."),
    ] = None,
    parts: Annotated[
        int,
        typer.Option(
            min=0,
            max=10_000,
            help="Parts that the data are cut into; nodes take them in turn. 0: as many as nodes, of 50 examples each.",
        ),
    ] = 0,
    partition: Annotated[
        str,
        typer.Option(
            metavar="FILE",
            help="Which examples each part holds, as partition.jsonl of a report has it.",
        ),
    ] = "",
    wait_for_peers: Annotated[
        float,
        typer.Option(
            metavar="SECONDS",
            min=0,
            max=86_400,
            help="Virtual seconds that a node waits for its links before its first round.",
        ),
    ] = 60.0,
    checkpoint_every: Annotated[
        int,
        typer.Option(
            metavar="ROUNDS",
            min=0,
            help="Rounds between two states on disk, half a MB per node; on Ray as much again. 0: none.",
        ),
    ] = 0,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Go on from the state that --checkpoint-every left in --report; of a grid, from its last run.",
        ),
    ] = False,
    like: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            metavar="HOST:PORT",
            help="Take graph, keep ratios, seconds per round and data cap from the network of this running node; "
            "with --resume, from likeness.json in --report.",
        ),
    ] = None,
    ticket: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(metavar="FILE", help="Any ticket of the network that --like asks, if it has one."),
    ] = None,
    grid: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(
            metavar="NAME=A,B,...",
            help="Simulate with each of these values of a setting or option, such as seed=1,2,3; may be repeated.",
        ),
    ] = None,
    method: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="What the nodes do: ours, masks_alone, authors, dense_alone, dpsgd, dpsgd_finetuned, dispfl or fedpm.",
        ),
    ] = "ours",
    method_rate: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(
            metavar="RATE", min=0, help="Learning rate of a --method that does not learn masks by our settings."
        ),
    ] = None,
    reference: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Another method, such as dpsgd, to run after the nodes' own on the same plan, and to draw beside it.",
        ),
    ] = "",
    until: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(metavar="SCORE", help="End once the mean score of the honest nodes is as high."),
    ] = None,
    engine: Annotated[
        EngineName, typer.Option(help="What holds the nodes: this process, or a Ray cluster. Both find the same.")
    ] = EngineName.LOCAL,
    ray_address: Annotated[
        str,
        typer.Option(metavar="HOST:PORT|local", help="The Ray cluster; local: one on this machine, for the time."),
    ] = LOCAL_CLUSTER,
    shards: Annotated[
        int,
        typer.Option(
            min=0, max=1_000, help="Processes on Ray that the nodes are dealt to. 0: one per processor of the cluster."
        ),
    ] = 0,
) -> None:
    """Simulate a network of nodes on this machine, in virtual time.

    The same learner, rounds, codec and data plan as in real nodes, so that boards, lines and caps can be planned.
    Ends after 20 rounds of every node, unless --rounds or --until say otherwise.
    """
    from dslnode.cli.simulate import Request, run_simulation
    from dslnode.cli.simulate_grid import run_grid
    from dslnode.cli.simulate_like import take_likeness
    from dslnode.simulation.simulation import SimulationOptions

    chosen_engine = Engine(name=engine, ray_address=ray_address, shards=shards)
    likeness = take_likeness(like, ticket, report, resume=resume)
    options = SimulationOptions(
        nodes=nodes,
        topology=topology or "",
        link=link,
        keep_ratio=keep_ratio or "",
        hostile=hostile,
        churn=churn,
        speed_sigma=speed,
        step_time=step_time,
        parts=parts,
        partition=partition,
        until_score=until,
        wait_for_peers=wait_for_peers,
        method=method,
        method_rate=method_rate,
    )
    request = Request(
        loaded=loaded,
        options=options,
        directory=report,
        checkpoint_every=checkpoint_every,
        resume=resume,
        like=likeness,
        reference=reference,
        engine=chosen_engine,
    )
    raise typer.Exit(until_stopped(lambda: run_grid(request, grid) if grid else run_simulation(request)))


app.command("simulate", cls=CommandHelp)(with_settings(simulate, without=NOT_SIMULATED))
