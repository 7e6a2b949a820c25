"""Ledger rows as protobuf and back, a flow's traffic as ledger amounts, and the request for a node's rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from dslnode.accounting.ledger import KINDS, Amounts, Direction, Ledger, Period, ledger_lines
from dslnode.transport.client import ask_ledger_rows
from dslnode.transport.traffic import Flow
from dslnode.v1 import node_pb2 as pb

LedgerLine = tuple[int, str, str, Direction, Amounts]
"""Period (hours or days since 1970), neighbour, its name, direction, amounts."""


def amounts_of(flow: Flow) -> Amounts:
    """Return the traffic of a flow so far, by kind: ``transport`` is what the kernel counted beyond whole messages."""
    keep_bits, keep_bytes = flow.payload_bits - flow.sign_bits, flow.mask_bytes - flow.sign_bytes
    framed = flow.mask_bytes + flow.control_bytes
    return Amounts(
        keep_bits=keep_bits,
        sign_bits=flow.sign_bits,
        keep_framing=keep_bytes - keep_bits // 8,
        sign_framing=flow.sign_bytes - flow.sign_bits // 8,
        control=flow.control_bytes,
        resent=flow.resent_bytes,
        transport=max(0, flow.link_bytes - framed - flow.resent_bytes),
    )


def row_messages(ledger: Ledger, names: Mapping[str, str], period: str) -> Iterator[pb.LedgerRow]:
    """Yield a ledger's rows for each hour, or day if ``period`` is anything else, as they are sent, oldest first."""
    length = Period.HOUR if period == Period.HOUR else Period.DAY
    for number, neighbour, direction, amounts in ledger_lines(ledger, length):
        values = dict(zip(KINDS, amounts.values(), strict=True))
        name = names.get(neighbour, neighbour)
        yield pb.LedgerRow(period=number, neighbour=neighbour, name=name, direction=direction, **values)


def read_row(row: pb.LedgerRow) -> LedgerLine:
    """Return a row as values; ``ValueError`` if its direction is unknown."""
    amounts = Amounts(*(getattr(row, kind) for kind in KINDS))
    return row.period, row.neighbour, row.name, Direction(row.direction), amounts


def ask_ledger(address: str, period: Period, timeout: float, ticket: Path | None = None) -> list[LedgerLine]:
    """Return the rows of the node at ``HOST:PORT``, oldest first. Raises as ``ask_status`` does."""
    return [read_row(row) for row in ask_ledger_rows(address, period, timeout, ticket)]
