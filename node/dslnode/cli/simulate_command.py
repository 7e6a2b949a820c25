"""The command ``dslnode simulate``, which has options for those settings of a node that a simulated one has, too."""

from __future__ import annotations

from pathlib import Path

import typer

from dslnode.cli import simulate_options as option
from dslnode.cli.endings import until_stopped
from dslnode.cli.help import CommandHelp
from dslnode.cli.options import with_settings
from dslnode.config.loader import LoadedSettings
from dslnode.simulation.engines import LOCAL_CLUSTER, Engine, EngineName
from dslnode.simulation.simulated_settings import NOT_SIMULATED

app = typer.Typer()


def simulate(
    loaded: LoadedSettings,
    nodes: option.Nodes = None,
    topology: option.Topology = None,
    *,
    report: option.Report = Path("simulation"),
    link: option.Link = "10Mbit/s,10ms",
    keep_ratio: option.KeepRatio = None,
    churn: option.Churn = 0.0,
    hostile: option.Hostile = "",
    speed: option.Speed = None,
    step_time: option.StepTime = None,
    parts: option.Parts = 0,
    partition: option.Partition = "",
    wait_for_peers: option.WaitForPeers = 60.0,
    checkpoint_every: option.CheckpointEvery = 0,
    resume: option.Resume = False,
    like: option.Like = None,
    ticket: option.Ticket = None,
    grid: option.Grid = None,
    method: option.Method = "ours",
    method_rate: option.MethodRate = None,
    reference: option.Reference = "",
    until: option.Until = None,
    engine: option.Engine = EngineName.LOCAL,
    ray_address: option.RayAddress = LOCAL_CLUSTER,
    shards: option.Shards = 0,
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


DESCRIBED = {"rounds": "Rounds of every node. Default: 20, or up to 10,000 where --until is given."}
"""What is not as in a node, which goes on until it is stopped."""

app.command("simulate", cls=CommandHelp)(with_settings(simulate, without=NOT_SIMULATED, described=DESCRIBED))
