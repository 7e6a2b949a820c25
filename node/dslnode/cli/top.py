"""The whole network on a terminal, live: what ``dslnode top`` shows, made for 80 columns and 24 lines over SSH."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import ClassVar

from rich.console import Group, RenderableType
from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import Screen
from textual.widgets import DataTable, Footer, Static

from dslnode.cli.crawler import NetworkSnapshot, addresses_of, crawl
from dslnode.cli.network_table import COLUMNS, curve, headline, ordered, picture_as_dict, row, told_lines
from dslnode.cli.status import as_table, checked_address
from dslnode.errors import SettingsError
from dslnode.transport.client import ask_status
from dslnode.v1 import node_pb2 as pb

PAUSE_SECONDS = 2.0
Look = Callable[[list[str]], NetworkSnapshot]


def show_network(address: str, *, as_json: bool, timeout: float, ticket: Path | None = None) -> None:
    """Show the network that the node at ``address`` belongs to until q is pressed, or print it once as JSON.

    Raises ``UnreachableError`` if that node does not answer, ``SettingsError`` if this is no terminal.
    """
    ask = partial(ask_status, timeout=timeout, ticket=ticket)
    first = ask(checked_address(address))

    def ask_others(where: str) -> pb.StatusReply:
        return first if as_json and where == address else ask(where)

    if as_json:
        print(json.dumps(picture_as_dict(crawl([address], ask_others)), indent=2))
    elif not all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)):
        raise SettingsError("dslnode top draws on a terminal, and this is none; use --json to print the network once")
    else:
        Top(address, lambda addresses: crawl(addresses, ask)).run()


class Nodes(DataTable[Text]):
    """The table of all nodes, with the keys that make sense there."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "app.sort", "Sort by next column"),
        Binding("r", "app.reverse", "Reverse"),
        Binding("enter", "select_cursor", "Open node"),
    ]


class Top(App[None]):
    """The list of all nodes. ``look`` returns a picture of the network, given where to begin asking."""

    CSS = "#headline { height: 2; } Nodes { height: 1fr; scrollbar-size-vertical: 1; }"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [Binding("q", "quit", "Quit")]

    def __init__(self, address: str, look: Look) -> None:
        super().__init__(ansi_color=True)
        self._start = [address]
        self._look = look
        self._ended = threading.Event()
        self.picture: NetworkSnapshot | None = None
        self.sorted_by = 0
        self.reversed = False

    def compose(self) -> ComposeResult:
        """Put headline, table and keys below one another."""
        yield Static(Text(f"asking {self._start[0]} and all whom it knows ..."), id="headline")
        yield Nodes(cursor_type="row")
        yield Footer()

    def on_mount(self) -> None:
        """Make the columns, and look around for as long as the view is open."""
        table = self._table
        for column in COLUMNS:
            table.add_column(Text(column.title, justify="right" if column.is_number else "left"), width=column.width)
        self.run_worker(self._watch, thread=True)

    def on_unmount(self) -> None:
        """Let the thread that asks end."""
        self._ended.set()

    def action_sort(self) -> None:
        """Sort by the next column."""
        self.sorted_by = (self.sorted_by + 1) % len(COLUMNS)
        self._draw()

    def action_reverse(self) -> None:
        """Turn the order round."""
        self.reversed = not self.reversed
        self._draw()

    def on_data_table_row_selected(self, event: Nodes.RowSelected) -> None:
        """Open the node that the cursor is on."""
        if event.row_key.value is not None:
            self.push_screen(NodeScreen(event.row_key.value))

    @property
    def _table(self) -> Nodes:
        return self.screen_stack[0].query_one(Nodes)

    def _watch(self) -> None:
        addresses = self._start
        while not self._ended.is_set():
            picture = self._look(addresses)
            addresses = addresses_of(picture, self._start)
            if not self._ended.is_set():
                self.call_from_thread(self._take, picture)
            self._ended.wait(PAUSE_SECONDS)

    def _take(self, picture: NetworkSnapshot) -> None:
        """Show a new picture; if nobody answered any more, keep the last one and say so."""
        lost = not picture.nodes
        self.picture = self.picture if lost else picture
        self._draw(lost=lost)
        if isinstance(self.screen, NodeScreen):
            self.screen.draw()

    def _draw(self, *, lost: bool = False) -> None:
        if self.picture is None:
            return
        said = headline(self.picture, COLUMNS[self.sorted_by], reverse=self.reversed, lost=lost)
        self.screen_stack[0].query_one("#headline", Static).update(said)
        table, rows = self._table, ordered(self.picture, COLUMNS[self.sorted_by], reverse=self.reversed)
        at_cursor = table.coordinate_to_cell_key(table.cursor_coordinate).row_key if table.row_count else None
        table.clear()
        for node in rows:
            table.add_row(*row(node, self.picture), key=node.key)
        if at_cursor is not None and at_cursor in table.rows:
            table.move_cursor(row=table.get_row_index(at_cursor), animate=False)


class NodeScreen(Screen[None]):
    """All that is known of one node."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,backspace,enter", "app.pop_screen", "Back", key_display="esc"),
    ]

    def __init__(self, key: str) -> None:
        super().__init__()
        self._key = key

    def compose(self) -> ComposeResult:
        """Put what is known above the keys; it scrolls."""
        with VerticalScroll():
            yield Static(id="node")
        yield Footer()

    def on_mount(self) -> None:
        """Fill in what is known now."""
        self.draw()

    def draw(self) -> None:
        """Show the node as the newest picture has it."""
        picture = self.app.picture if isinstance(self.app, Top) else None
        self.query_one("#node", Static).update(self._lines(picture))

    def _lines(self, picture: NetworkSnapshot | None) -> RenderableType:
        node = next((one for one in picture.nodes if one.key == self._key), None) if picture else None
        if picture is None or node is None:
            return Text("This node is gone: nobody knows it any more.")
        if node.reply is None:
            return told_lines(node, picture)
        return Group(as_table(node.reply), "", *curve(node.reply, self.size.width))
