"""The rows of the ledger as protobuf and back, what a flow comes to in them, and the question for those of a node."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from dslnode.accounting.ledger import KINDS, Amounts, Direction, Ledger, Period, lines
from dslnode.transport.client import ask_ledger_rows
from dslnode.transport.traffic import Flow
from dslnode.v1 import node_pb2 as pb

Line = tuple[int, str, str, Direction, Amounts]
"""Period (hours or days since 1970), neighbour, its name, direction, amounts."""


def amounts_of(flow: Flow) -> Amounts:
    """Return what a flow moved so far, by kind: ``transport`` is what the kernel counted beyond whole messages."""
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


def row_messages(ledger: Ledger, names: Mapping[str, str], per: str) -> Iterator[pb.LedgerRow]:
    """Yield a ledger's rows for each hour, or day if ``per`` is anything else, as they travel, oldest first."""
    for period, neighbour, direction, amounts in lines(ledger, Period.HOUR if per == Period.HOUR else Period.DAY):
        values = dict(zip(KINDS, amounts.values(), strict=True))
        name = names.get(neighbour, neighbour)
        yield pb.LedgerRow(period=period, neighbour=neighbour, name=name, direction=direction, **values)


def read_row(row: pb.LedgerRow) -> Line:
    """Return a row as values; ``ValueError`` if its direction is none."""
    amounts = Amounts(*(getattr(row, kind) for kind in KINDS))
    return row.period, row.neighbour, row.name, Direction(row.direction), amounts


def ask_ledger(address: str, per: Period, timeout: float, ticket: Path | None = None) -> list[Line]:
    """Return the rows of the node at ``HOST:PORT``, oldest first. Raises as ``ask_status`` does."""
    return [read_row(row) for row in ask_ledger_rows(address, per, timeout, ticket)]
