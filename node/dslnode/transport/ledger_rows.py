"""Rows of a ledger as protobuf, and back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from dslnode.accounts.ledger import KINDS, Amounts, Direction, Ledger, Per, lines
from dslnode.v1 import node_pb2 as pb

Line = tuple[int, str, str, Direction, Amounts]
"""Period (hours or days since 1970), neighbour, its name, direction, amounts."""


def row_frames(ledger: Ledger, names: Mapping[str, str], per: Per) -> Iterator[pb.LedgerRow]:
    """Yield a ledger's rows of one length of period as they travel, oldest first."""
    for period, neighbour, direction, amounts in lines(ledger, per):
        values = dict(zip(KINDS, amounts.values(), strict=True))
        name = names.get(neighbour, neighbour)
        yield pb.LedgerRow(period=period, neighbour=neighbour, name=name, direction=direction, **values)


def read_row(row: pb.LedgerRow) -> Line:
    """Return a row as values; ``ValueError`` if its direction is none."""
    amounts = Amounts(*(getattr(row, kind) for kind in KINDS))
    return row.period, row.neighbour, row.name, Direction(row.direction), amounts
