"""The simulated network as real nodes: the commands that make its tickets, and a compose file that runs it.

What real nodes do not do as the simulated ones did is said at the top of both.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence

from dslnode.simulation.boards import node_name
from dslnode.simulation.build import PreparedSimulation, without_silent
from dslnode.simulation.hostile import SILENT
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


def differences(prepared: PreparedSimulation, method: str = "") -> Iterator[str]:
    """Yield a sentence for each thing in which the real nodes of the tickets differ from those simulated.

    ``method`` is the one that was simulated in place of masks, empty for none.
    """
    plan = prepared.plan
    yield "Lines and speeds are those of the machines: --link, --speed and --step-time are not in these files."
    if method:
        yield f"There is no daemon that does --method {method}. These nodes learn masks, on the same graph and data."
    if prepared.has_given_partition:
        yield "Real nodes cannot read --partition: these draw their shares of the data by split and seed."
    if plan.until_score is not None:
        yield "Real nodes have no --until: these end after as many rounds as the simulation had."
    if plan.churn:
        yield "Here no node leaves by itself: --churn is not in these files."
    liars = sum(board.hostile not in ("", SILENT) for board in plan.boards)
    if liars:
        yield f"All nodes are honest here; of those simulated, {liars} lied (hostile in nodes.csv)."


def as_remarks(sentences: Sequence[str]) -> str:
    """Return sentences as lines that a shell and YAML leave out."""
    return "".join(f"# {sentence}\n" for sentence in sentences)


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


def compose_file(plan: SimulationPlan, remarks: str = "") -> str:
    """Return a compose file with a service per node, after ``remarks``. Its ticket has the node's settings."""
    services = [_service(number) for number in range(len(plan.boards))]
    volumes = [f"  {node_name(number)}:" for number in range(len(plan.boards))]
    return remarks + COMPOSE_HEAD + "".join(services) + "\nvolumes:\n" + "\n".join(volumes) + "\n"


def _service(number: int) -> str:
    name = node_name(number)
    return (
        f"  {name}:\n    <<: *node\n    hostname: {name}\n"
        f"    volumes: [{name}:/var/lib/dslnode, ./{name}.ticket:/node.ticket:ro]\n"
        "    environment: {DSLNODE_TICKET: /node.ticket}\n"
    )
