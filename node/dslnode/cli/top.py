"""The whole network, live on a terminal or once as JSON: what ``dslnode top`` shows."""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path

from dslnode.cli.crawler import NetworkSnapshot, crawl
from dslnode.cli.network_table import snapshot_as_dict
from dslnode.cli.status import checked_address
from dslnode.errors import SettingsError
from dslnode.transport.client import ask_status
from dslnode.v1 import node_pb2 as pb


def show_network(address: str, *, as_json: bool, timeout: float, ticket: Path | None = None) -> None:
    """Show the network of the node at ``address`` until q is pressed, or print it once as JSON.

    ``timeout`` is in seconds per request. Raises ``UnreachableError`` if that node does not answer, ``SettingsError``
    if this is not a terminal, or the package textual is not installed.
    """
    ask = partial(ask_status, timeout=timeout, ticket=ticket)
    first = ask(checked_address(address))
    if as_json:

        def ask_once(where: str) -> pb.StatusReply:
            return first if where == address else ask(where)

        print(json.dumps(snapshot_as_dict(crawl([address], ask_once)), indent=2))
    elif not all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)):
        raise SettingsError(
            "dslnode top draws on a terminal, and this is not one; use --json to print the network once"
        )
    else:
        _run_app(address, ask)


def _run_app(address: str, ask: partial[pb.StatusReply]) -> None:
    try:
        from dslnode.cli.top_app import TopApp
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "textual":
            raise
        raise SettingsError(
            "dslnode top needs the package textual; install it with: pip install 'dslnode[tui]'"
        ) from error

    def look(addresses: list[str]) -> NetworkSnapshot:
        return crawl(addresses, ask)

    TopApp(address, look).run()
