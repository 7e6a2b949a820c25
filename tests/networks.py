"""What tests of identity share: an authority in a directory of its own, and tickets of all kinds, good and bad."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from dslnode.security.authority import Authority
from dslnode.security.secret_files import write_private
from dslnode.security.ticket import Ticket, ticket_text

NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)


class Operator:
    """Somebody with an authority, who writes tickets to files."""

    def __init__(self, directory: Path, run_id: str = "run") -> None:
        self.directory = directory
        self.authority = Authority.create(directory, run_id, NOW)

    @property
    def revoked(self) -> Path:
        """The revocation list."""
        return self.authority.revocation_file

    def ticket(self, name: str, made: datetime = NOW, days: int = 90, **settings: str) -> Path:
        """Return the file of a new node's ticket, which may have been made at any time."""
        return self._write(self.authority.issue(name, made, days, settings=settings))

    def renew(self, name: str, made: datetime = NOW, days: int = 90) -> Path:
        """Renew a ticket and write it over the old one."""
        return self._write(self.authority.renew(name, made, days))

    def _write(self, ticket: Ticket) -> Path:
        file = self.directory.with_name(f"{self.directory.name}-boards") / f"{ticket.name}.ticket"
        file.parent.mkdir(exist_ok=True)
        write_private(file, ticket_text(ticket), replace=True)
        return file
