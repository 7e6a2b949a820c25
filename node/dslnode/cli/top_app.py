"""The terminal application of ``dslnode top``, made for 80 columns and 24 lines over SSH. Needs the package textual."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import ClassVar

from rich.console import Group, RenderableType
from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import Screen
from textual.widgets import DataTable, Footer, Static

from dslnode.cli.crawler import NetworkSnapshot, start_addresses
from dslnode.cli.network_table import COLUMNS, headline, report_lines, score_lines, sorted_nodes, table_row
from dslnode.cli.status import as_table, judgement_lines

REFRESH_SECONDS = 2.0
TakeSnapshot = Callable[[list[str]], NetworkSnapshot]


class NodeTable(DataTable[Text]):
    """Table of all nodes, and its keys."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "app.sort", "Sort by next column"),
        Binding("r", "app.reverse", "Reverse"),
        Binding("enter", "select_cursor", "Open node"),
    ]


class TopApp(App[None]):
    """List of all nodes. ``take_snapshot`` returns a snapshot of the network, given addresses to start from."""

    CSS = "#headline { height: 2; } NodeTable { height: 1fr; scrollbar-size-vertical: 1; }"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [Binding("q", "quit", "Quit")]

    def __init__(self, address: str, take_snapshot: TakeSnapshot) -> None:
        super().__init__(ansi_color=True)
        self._start = [address]
        self._take_snapshot = take_snapshot
        self._ended = threading.Event()
        self.snapshot: NetworkSnapshot | None = None
        self.sorted_by = 0
        self.reversed = False

    def compose(self) -> ComposeResult:
        """Lay out headline, table and keys from top to bottom."""
        yield Static(Text(f"asking {self._start[0]} and all nodes that it knows ..."), id="headline")
        yield NodeTable(cursor_type="row")
        yield Footer()

    def on_mount(self) -> None:
        """Make the columns, and start to crawl for as long as the view is open."""
        table = self._table
        for column in COLUMNS:
            table.add_column(Text(column.title, justify="right" if column.is_number else "left"), width=column.width)
        self.run_worker(self._watch, thread=True)

    def on_unmount(self) -> None:
        """Let the crawling thread end."""
        self._ended.set()

    def action_sort(self) -> None:
        """Sort by the next column."""
        self.sorted_by = (self.sorted_by + 1) % len(COLUMNS)
        self._draw()

    def action_reverse(self) -> None:
        """Reverse the order."""
        self.reversed = not self.reversed
        self._draw()

    def on_data_table_row_selected(self, event: NodeTable.RowSelected) -> None:
        """Open the node that the cursor is on."""
        if event.row_key.value is not None:
            self.push_screen(NodeScreen(event.row_key.value))

    @property
    def _table(self) -> NodeTable:
        return self.screen_stack[0].query_one(NodeTable)

    def _watch(self) -> None:
        addresses = self._start
        while not self._ended.is_set():
            snapshot = self._take_snapshot(addresses)
            addresses = start_addresses(snapshot, self._start)
            if not self._ended.is_set():
                self.call_from_thread(self._show, snapshot)
            self._ended.wait(REFRESH_SECONDS)

    def _show(self, snapshot: NetworkSnapshot) -> None:
        """Show a new snapshot; if no node answers any more, keep the last one and say so."""
        lost = not snapshot.nodes
        self.snapshot = self.snapshot if lost else snapshot
        self._draw(lost=lost)
        if isinstance(self.screen, NodeScreen):
            self.screen.draw()

    def _draw(self, *, lost: bool = False) -> None:
        if self.snapshot is None:
            return
        text = headline(self.snapshot, COLUMNS[self.sorted_by], reverse=self.reversed, lost=lost)
        self.screen_stack[0].query_one("#headline", Static).update(text)
        table, rows = self._table, sorted_nodes(self.snapshot, COLUMNS[self.sorted_by], reverse=self.reversed)
        at_cursor = table.coordinate_to_cell_key(table.cursor_coordinate).row_key if table.row_count else None
        table.clear()
        for node in rows:
            table.add_row(*table_row(node, self.snapshot), key=node.key)
        if at_cursor is not None and at_cursor in table.rows:
            table.move_cursor(row=table.get_row_index(at_cursor), animate=False)


class NodeScreen(Screen[None]):
    """Details of one node."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,backspace,enter", "app.pop_screen", "Back", key_display="esc"),
    ]

    def __init__(self, key: str) -> None:
        super().__init__()
        self._key = key

    def compose(self) -> ComposeResult:
        """Lay out the details, which scroll, above the keys."""
        with VerticalScroll():
            yield Static(id="node")
        yield Footer()

    def on_mount(self) -> None:
        """Show the present details."""
        self.draw()

    def draw(self) -> None:
        """Show the node as in the newest snapshot."""
        snapshot = self.app.snapshot if isinstance(self.app, TopApp) else None
        self.query_one("#node", Static).update(self._lines(snapshot))

    def _lines(self, snapshot: NetworkSnapshot | None) -> RenderableType:
        node = next((node for node in snapshot.nodes if node.key == self._key), None) if snapshot else None
        if snapshot is None or node is None:
            return Text("This node is gone: no other node reports it any more.")
        if node.reply is None:
            return report_lines(node, snapshot)
        curve = score_lines(node.reply, self.size.width)
        return Group(as_table(node.reply), "", *curve, "", *judgement_lines(node.reply))
