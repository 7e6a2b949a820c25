"""The simulated network as real nodes: the commands that make its tickets, and a compose file that runs it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping

from dslnode.simulation.boards import node_name
from dslnode.simulation.build import without_silent
from dslnode.simulation.plan import SimulationPlan

PORT = 7711
COMPOSE_HEAD = """\
# The simulated network as containers on one machine. First make the image and the tickets, in this directory:
#   docker build --tag dslnode PATH-OF-THE-REPOSITORY && sh tickets.sh && sudo chown 7711 node-*.ticket
name: dslnode-simulated

x-node: &node
  image: dslnode
  init: true
  read_only: true
  tmpfs: [/tmp]
  cap_drop: [ALL]
  security_opt: ["no-new-privileges:true"]
  restart: on-failure

services:
"""


def ticket_commands(plan: SimulationPlan, settings: Mapping[str, str]) -> Iterator[str]:
    """Yield the lines that make an authority and a ticket for every node.

    ``settings`` are those of all nodes that differ from the defaults, as text by name.
    """
    yield "dslnode ca init"
    neighbours = without_silent(plan)
    for number, board in enumerate(plan.boards):
        own = {
            **settings,
            "share": f"{board.part}/{plan.parts}",
            "keep_ratio": f"{board.keep_ratio:g}",
            "max_neighbours": "0",
        }
        name = node_name(number)
        peers = ",".join(f"{node_name(peer)}:{PORT}" for peer in neighbours[number])
        words = ["dslnode", "ca", "issue", name, "--address", f"{name}:{PORT}"]
        words += ["--peers", peers] if peers else []
        words += [word for key, value in own.items() for word in ("--set", f"{key}={value}")]
        yield shlex.join(words)


def compose_file(plan: SimulationPlan) -> str:
    """Return a compose file with a service per node. Its ticket has the node's settings."""
    services = [_service(number) for number in range(len(plan.boards))]
    volumes = [f"  {node_name(number)}:" for number in range(len(plan.boards))]
    return COMPOSE_HEAD + "".join(services) + "\nvolumes:\n" + "\n".join(volumes) + "\n"


def _service(number: int) -> str:
    name = node_name(number)
    return (
        f"  {name}:\n    <<: *node\n    hostname: {name}\n"
        f"    volumes: [{name}:/var/lib/dslnode, ./{name}.ticket:/node.ticket:ro]\n"
        "    environment: {DSLNODE_TICKET: /node.ticket}\n"
    )
