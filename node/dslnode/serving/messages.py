"""Requests and responses as values, and what is said to a client whose request cannot be answered."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

Headers = tuple[tuple[str, str], ...]
JSON = "application/json"


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a client asks: ``path`` is decoded and has no query, names of ``headers`` are in lower case.

    ``peer`` is the node id in the client's ticket, empty where there is no TLS.
    """

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    peer: str = ""

    def header(self, name: str) -> str:
        """Return a header, empty if it was not sent."""
        return self.headers.get(name, "")

    @property
    def content_type(self) -> str:
        """The type of the body in lower case, without parameters."""
        return self.header("content-type").partition(";")[0].strip().lower()


@dataclass(frozen=True, kw_only=True)
class Response:
    """What a client gets."""

    status: int = HTTPStatus.OK
    body: bytes = b""
    content_type: str = JSON
    headers: Headers = ()


class RequestError(Exception):
    """A request that is not answered: the status, and one line that says what is wrong and what to do."""

    def __init__(self, status: HTTPStatus, message: str, headers: Headers = ()) -> None:
        super().__init__(message)
        self.response = json_response({"error": message}, status=status, headers=headers)


def json_response(value: Any, *, status: int = HTTPStatus.OK, headers: Headers = ()) -> Response:
    """Return a value as JSON with a line end. ``ValueError`` if it holds a number that JSON does not have."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return Response(status=status, body=f"{text}\n".encode(errors="replace"), headers=headers)


def json_value(content: bytes) -> Any:
    """Return what a body in JSON says. ``RequestError`` if it is none: 400."""
    try:
        return json.loads(content, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        problem = "is nested too deep" if isinstance(error, RecursionError) else f"is no JSON ({error})"
        raise RequestError(HTTPStatus.BAD_REQUEST, f"the message {problem}; correct it and send it again") from error


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")
