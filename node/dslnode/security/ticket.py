"""The ticket: one TOML file with all that a node needs to take part in its operator's network.

Key, certificate and authority stand in it as PEM blocks, so that TLS libraries read the file as it is.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dslnode.errors import SettingsError
from dslnode.security.secret_files import read_private

FINGERPRINT = r"^([0-9a-f]{32})?$"
SIGNATURE = r"^[A-Za-z0-9+/=]{0,400}$"
NAME = r"^[A-Za-z0-9._-]{1,64}$"
_HEAD = """# The dslnode ticket of {name}. It holds a private key: keep it readable by its owner alone (chmod 600), and
# hand it to no second board. dslnode start --ticket THIS-FILE is all that the board needs.
"""


class Ticket(BaseModel):
    """Who the node is, by whose authority, and the settings that it starts with (as text, by field name).

    ``signature`` is the authority's over the settings (``ticket_signature``), in base64.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    name: str = Field(pattern=NAME)
    node_id: str = Field(pattern=r"^[0-9a-f]{32}$")
    run_id: str = Field(pattern=NAME)
    fingerprint: str = Field("", pattern=FINGERPRINT)
    certificate: str = Field(max_length=16_384)
    key: str = Field(max_length=16_384, repr=False)
    authority: str = Field(max_length=16_384)
    signature: str = Field("", pattern=SIGNATURE)
    settings: dict[str, str] = Field(default_factory=dict)

    def layer(self) -> dict[str, str]:
        """Return the settings that the ticket gives, name and run among them."""
        return {**self.settings, "name": self.name, "run_id": self.run_id}


def read_ticket(file: Path) -> Ticket:
    """Return what the file says; whoever uses the settings checks their signature.

    ``SettingsError`` if others can read the file, or if it is not a ticket of this version.
    """
    text = read_private(file)
    try:
        return Ticket(**tomllib.loads(text))
    except ValidationError as error:
        problem = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, problem["loc"]))
        raise SettingsError(f"{file}: is not a ticket of this version ({where}: {problem['msg']})") from None
    except (ValueError, RecursionError, TypeError):  # the text may hold a key: it is not quoted
        raise SettingsError(f"{file}: is not a ticket; make one with `dslnode ca issue NAME`") from None


def ticket_text(ticket: Ticket) -> str:
    """Return the file that ``read_ticket`` reads back."""
    import tomlkit  # only the authority writes tickets

    fields = ("version", "name", "node_id", "run_id", "fingerprint", "signature")
    lines = [f"{field} = {tomlkit.item(getattr(ticket, field)).as_string()}" for field in fields]
    # By hand: tomlkit of some versions puts PEM's first line behind the quotes, where TLS libraries do not find it
    lines += [f"{field} = '''\n{getattr(ticket, field)}'''" for field in ("certificate", "key", "authority")]
    settings = [f"{name} = {tomlkit.item(value).as_string()}" for name, value in ticket.settings.items()]
    return _HEAD.format(name=ticket.name) + "\n".join([*lines, "", "[settings]", *settings, ""])
