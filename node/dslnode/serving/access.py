"""Who may ask for predictions: holders of the token, and, where nothing else proves who asks, no page of others.

A page on the Internet can send requests to an address of the machine that shows it, and have its own name resolve to
that address to read the answers (DNS rebinding). ``Host`` and ``Origin`` give it away.
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus

from dslnode.serving.messages import Request, RequestError
from dslnode.telemetry.http_access import is_authorized, is_own_host

OPEN_PATHS = frozenset({"/v2/health/live", "/v2/health/ready"})
"""What health checks ask, without a token."""
FILE_PATH = "/model.dslm"
"""What shows the whole model, its biases too: as ``dslnode export --address`` it is for the node's own ticket."""
AUTHENTICATE = (("WWW-Authenticate", 'Basic realm="dslnode", charset="UTF-8"'),)


@dataclass(frozen=True, kw_only=True)
class Access:
    """Who may ask. ``host`` is the name or address by which is served.

    ``own`` is the node id in the server's own ticket, where TLS says who clients are; empty without TLS.
    """

    token: str | None = None
    host: str = ""
    own: str = ""

    def check(self, request: Request) -> None:
        """Raise ``RequestError`` if a request is not to be answered."""
        if request.path in OPEN_PATHS:
            return
        if not is_authorized(request.header("authorization"), self.token):
            raise RequestError(
                HTTPStatus.UNAUTHORIZED, "send the token: Authorization: Bearer TOKEN, or as the password", AUTHENTICATE
            )
        if self.token is None and not self.own and not is_own_host(request.header("host"), self.host):
            raise RequestError(
                HTTPStatus.MISDIRECTED_REQUEST,
                "this machine does not have the name in the URL; use its address, its host's name, or localhost",
            )
        if request.path == FILE_PATH and request.peer != self.own:
            raise RequestError(
                HTTPStatus.FORBIDDEN,
                "the model's file is for this node's own ticket; others may ask for predictions",
            )
        origin = request.header("origin")
        if origin and origin.partition("://")[2] != request.header("host"):
            raise RequestError(HTTPStatus.FORBIDDEN, "a page of another site may not ask; use this server's own page")
