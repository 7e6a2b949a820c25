"""The parts of ``--help`` beside the options: sections, examples that can be copied, and the exit codes.

Typer draws sections with rich, whose import alone takes longer than ``--help`` may in all; here they are plain text.
"""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand, TyperGroup

EXIT_CODES = {
    "0": "done: all rounds are finished, or the command has succeeded",
    "1": "an internal error; please report it",
    "2": "a setting is wrong, or a file that was asked for cannot be written; nothing was started",
    "3": "data or model cannot be used",
    "4": "an address to listen on is taken, or is not of this machine",
    "5": "the state directory cannot be used, or that of a testbed or a simulation is in use",
    "6": "no node answers at the address that was asked",
    "7": "dslnode doctor found a problem, nodes of a testbed ended before their rounds were done, "
    "or a simulation did not reach --until",
    "129": "stopped by SIGHUP",
    "130": "stopped by Ctrl-C",
    "143": "stopped by SIGTERM",
}

EXAMPLES = {
    "dslnode": """
        dslnode demo                          # four daemons on this machine learn together
        dslnode config --init                 # write dslnode.toml, with every setting explained
        dslnode doctor --config dslnode.toml  # look for what will not work
        dslnode start --config dslnode.toml   # run a node
        dslnode top                           # watch the whole network
    """,
    "start": """
        # One of three boards, with its third of the data; `dslnode ca issue board-1` made the ticket:
        dslnode start --ticket board-1.ticket --peers 10.0.0.2:7711,10.0.0.3:7711 \\
            --data idx:/data/fashion-mnist --share 1/3 --state-dir /var/lib/dslnode

        # Settings from a file, one of them overridden, another from the environment:
        DSLNODE_LOG_FORMAT=json dslnode start --config node.toml --rounds 100

        # A new board that begins with what another one has learned:
        dslnode start --from pump.dslm --ticket board-4.ticket --state-dir /var/lib/dslnode

        # The paper's released configuration on the small data set that comes along:
        dslnode start --algorithm authors --data digits
    """,
    "config": """
        dslnode config --show --alpha 3             # what a command line would mean
        dslnode config --init                       # write dslnode.toml, all settings commented out
        dslnode config --init node.toml --alpha 3   # the same with alpha set
    """,
    "ca": """
        dslnode ca init                                      # once, on the operator's machine
        dslnode ca issue board-1 --address 10.0.0.1:7711     # a ticket for each board
        dslnode ca renew board-1                             # before it ends; no restart is needed
        dslnode ca revoke board-1                            # and copy revoked.pem to the others
    """,
    "data": """
        dslnode data describe pump.csv --target state > pump.schema.toml
        dslnode data check pump.csv --schema pump.schema.toml
        dslnode start --data csv:pump.csv --schema pump.schema.toml
    """,
    "status": """
        dslnode status --watch
        dslnode status --address 10.0.0.2:7711 --json
    """,
    "rounds": """
        dslnode rounds --state-dir /var/lib/dslnode
        dslnode rounds --state-dir /var/lib/dslnode --json
    """,
    "rollback": """
        # To the best model; stop the node first:
        dslnode rollback --state-dir /var/lib/dslnode

        # To the state before the last one:
        dslnode rollback --state-dir /var/lib/dslnode --to state.old
    """,
    "export": """
        # From a running node, with that node's own ticket:
        dslnode export --address 10.0.0.2:7711 --ticket board.ticket --output pump.dslm

        # From what a node has saved, also while it is stopped:
        dslnode export --state-dir /var/lib/dslnode --output pump.dslm --round last
    """,
    "freeze": """
        # Your module's function returns the network with its weights; its head knows other classes:
        dslnode freeze my_models:pretrained --data images:photos \\
            --leave-out 'head.*' --output base.safetensors
        dslnode start --model my_models:pretrained --frozen base.safetensors --data images:photos
    """,
    "predict": """
        dslnode predict pump.dslm --data csv:new.csv
        dslnode predict pump.dslm --data csv:new.csv --format json
        dslnode predict pump.dslm --explain-schema
        dslnode predict pump.dslm --data 'csv:known.csv?target=state' --score
    """,
    "serve": """
        dslnode serve pump.dslm
        curl --data-binary @new.csv --header 'Content-Type: text/csv' http://127.0.0.1:8711/predict

        # For other machines, with a token:
        dslnode serve pump.dslm --address 0.0.0.0:8711 --token-file token
    """,
    "model": """
        dslnode model show pump.dslm
        dslnode model diff pump.dslm other.dslm
        dslnode model verify pump.dslm --ticket board.ticket
    """,
    "ledger": """
        dslnode ledger --per hour                   # of the node on this machine
        dslnode ledger --state-dir /var/lib/dslnode --csv > traffic.csv   # of one that is stopped
    """,
    "top": """
        dslnode top --address 10.0.0.2:7711
        dslnode top --json | jq '.nodes[] | select(.status == null) | .name'   # nodes that do not answer
    """,
    "doctor": """
        dslnode doctor --config node.toml           # the same options as for start
        dslnode doctor --json | jq -r '.findings[] | select(.level != "ok") | .fix'
    """,
    "simulate": """
        # 200 boards on thin lines, a tenth of them away after each round; the report is for a browser:
        dslnode simulate --nodes 200 --topology erdos:10 --split classes:4 --rounds 20 \\
            --link 50kbit/s,200ms,2% --churn 0.1 --report plan

        # Until the mean score is 0.95, with a data cap, and a fifth of the nodes hostile:
        dslnode simulate --nodes 50 --until 0.95 --data-cap 2MB/day --hostile 0.2:inverted --report plan

        # One table over settings and seeds:
        dslnode simulate --nodes 50 --grid local-steps=10,30 --grid seed=1,2,3 --report steps

        # Other methods on the same data, boards and lines:
        dslnode simulate --nodes 20 --grid method=ours,dpsgd --grid seed=1,2 --report methods

        # What D-PSGD reaches with how many bits, drawn beside the masks:
        dslnode simulate --nodes 20 --reference dpsgd --report beside

        # More nodes than a machine holds, on a Ray cluster; a lost machine costs five rounds at most:
        dslnode simulate --nodes 10000 --topology erdos:8 --engine ray --ray-address 10.0.0.1:6379 \\
            --checkpoint-every 5 --report plan
    """,
    "testbed": """
        # 64 daemons with tickets; dead ones are started again:
        dslnode testbed --nodes 64 --dir bed --split classes:6 --restart

        # Ten rounds on a ring; then kill one by its process id:
        dslnode testbed --nodes 8 --topology ring --rounds 10 --dir ring &
        kill -9 $(cat ring/node-3/pid)
    """,
    "demo": """
        dslnode demo --nodes 6 --rounds 60 --report demo.json
    """,
}


class CommandHelp(TyperCommand):
    """A command whose options are shown in sections, and whose help ends with examples and exit codes."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments and options by section; those without one come first."""
        sections: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                usual = "Arguments" if parameter.param_type_name == "argument" else "Options"
                title = getattr(parameter, "rich_help_panel", None) or usual
                sections.setdefault(title, []).append(record)
        for title, records in sections.items():
            _write_section(formatter, title, records)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write examples and exit codes."""
        _write_end(formatter, self.name or "")
        super().format_epilog(ctx, formatter)


class GroupHelp(TyperGroup):
    """The help of ``dslnode`` itself: examples and exit codes at its end."""

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write examples and exit codes."""
        _write_end(formatter, self.name or "")
        super().format_epilog(ctx, formatter)


def _write_end(formatter: Any, name: str) -> None:
    if name in EXAMPLES:
        with formatter.section("Examples"):
            for line in _dedented(EXAMPLES[name]):
                formatter.write(f"{'  ' if line else ''}{line}\n")
    _write_section(formatter, "Exit codes", list(EXIT_CODES.items()))


def _write_section(formatter: Any, title: str, records: list[tuple[str, str]]) -> None:
    if records:
        with formatter.section(title):
            formatter.write_dl(records)


def _dedented(text: str) -> list[str]:
    return [line[8:].rstrip() for line in text.strip("\n").splitlines()][:-1]
