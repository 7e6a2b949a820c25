"""Speaks HTTP/1.1 over one connection: requests in, responses out, each within its time. h11 reads and writes it."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from http import HTTPStatus
from typing import Protocol
from urllib.parse import unquote, urlsplit

import h11

from dslnode.config.serving_limits import Limits
from dslnode.serving.messages import Request, RequestError, Response, json_response

CHUNK = 65_536
LINGER_SECONDS = 1.0
LINGER_BYTES = 2**22
"""How long, and for how many bytes, a client that is refused is still listened to, so that it reads why."""
COMMON_HEADERS = [("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff")]
CLOSE = ("Connection", "close")


class Answers(Protocol):
    """Answers requests; ``dslnode.serving.application.Application`` is one."""

    def refusal(self, request: Request) -> Response | None:
        """Return the response to a request whose body need not be read."""

    def answer(self, request: Request) -> Response:
        """Return the response to a whole request."""

    def count(self, request: Request | None, response: Response) -> Response:
        """Count a response that was made elsewhere."""

    def too_large(self) -> RequestError:
        """Return what is said to a client whose message is too long."""


class HttpConnection:
    """A connection of one client.

    ``identify`` returns who it is, or raises ``RequestError``. ``begin`` is called once a request is admitted, and
    ``end`` when it is answered.
    """

    def __init__(
        self,
        connection: socket.socket,
        answers: Answers,
        limits: Limits,
        *,
        identify: Callable[[], str],
        begin: Callable[[], None],
        end: Callable[[], None],
    ) -> None:
        self._connection = connection
        self._answers = answers
        self._limits = limits
        self._identify = identify
        self._begin = begin
        self._end = end
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=limits.head_bytes)
        self._deadline = 0.0
        self._has_begun = False
        self._is_head = False

    def run(self) -> None:
        """Answer requests until the client leaves, says nothing for so long, or is refused. Raises ``OSError``."""
        while self._exchange():
            self._http.start_next_cycle()

    def _exchange(self) -> bool:
        """Answer one request; return whether another one may follow."""
        self._await_request()
        head = None
        try:
            head = self._receive_head()
            if head is None:
                return False
            refusal = self._answers.refusal(head)
            if refusal is not None:
                self._give_up(refusal)
                return False
            return self._answer(head)
        except RequestError as error:
            response = error.response
        except h11.RemoteProtocolError as error:
            status = HTTPStatus(error.error_status_hint)
            response = json_response({"error": f"the request is no HTTP that is understood: {error}"}, status=status)
        except TimeoutError:
            if not self._has_begun:
                return False
            slow = f"the request took longer than {self._limits.seconds:g} s to come; send it faster, or less at a time"
            response = json_response({"error": slow}, status=HTTPStatus.REQUEST_TIMEOUT)
        self._give_up(self._answers.count(head, response))
        return False

    def _answer(self, head: Request) -> bool:
        self._begin()
        try:
            request = replace(head, body=self._receive_body())
            self._send(self._answered(request))
        finally:
            self._end()
        return self._http.our_state is h11.DONE and self._http.their_state is h11.DONE

    def _answered(self, request: Request) -> Response:
        try:
            return self._answers.answer(request)
        except Exception:
            fault = json_response(
                {"error": "a fault of dslnode, which its log describes; please report it"},
                status=HTTPStatus.INTERNAL_SERVER_ERROR,
            )
            self._send(self._answers.count(request, fault), CLOSE)
            raise

    def _await_request(self) -> None:
        self._has_begun = self._is_head = False
        self._deadline = time.monotonic() + self._limits.seconds

    def _receive_head(self) -> Request | None:
        """Return a request without its body; None if the client has left."""
        event = self._next_event()
        if not isinstance(event, h11.Request):
            return None
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in event.headers}
        path = unquote(urlsplit(event.target.decode("latin-1")).path, errors="replace")
        self._is_head = event.method == b"HEAD"
        return Request(method=event.method.decode("latin-1"), path=path, headers=headers, peer=self._identify())

    def _receive_body(self) -> bytes:
        parts, length = [], 0
        while isinstance(event := self._next_event(), h11.Data):
            length += len(event.data)
            if length > self._limits.body_bytes:
                raise self._answers.too_large()
            parts.append(bytes(event.data))
        if not isinstance(event, h11.EndOfMessage):
            raise ConnectionResetError("the client left before its message was whole")
        return b"".join(parts)

    def _next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            if self._http.they_are_waiting_for_100_continue:
                self._write(self._http.send(h11.InformationalResponse(status_code=HTTPStatus.CONTINUE, headers=[])))
            self._http.receive_data(self._read())
        return event

    def _read(self) -> bytes:
        """Return what has come. ``TimeoutError`` at the deadline, which counts from the first byte of a request."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._connection.settimeout(left)
        data = self._connection.recv(CHUNK)
        if data and not self._has_begun:
            self._has_begun = True
            self._deadline = time.monotonic() + self._limits.seconds
        return data

    def _give_up(self, response: Response) -> None:
        """Send the last response of a connection, and listen on for a while so that the client reads it."""
        if self._http.our_state not in {h11.IDLE, h11.SEND_RESPONSE}:
            return
        self._send(response, CLOSE)
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self._connection, socket.SHUT_WR)
            end, left = time.monotonic() + LINGER_SECONDS, LINGER_BYTES
            while left > 0 and (seconds := end - time.monotonic()) > 0:
                self._connection.settimeout(seconds)
                data = self._connection.recv(CHUNK)
                if not data:
                    return
                left -= len(data)

    def _send(self, response: Response, *more: tuple[str, str]) -> None:
        headers = [
            ("Content-Type", response.content_type),
            ("Content-Length", str(len(response.body))),
            *COMMON_HEADERS,
            *response.headers,
            *more,
        ]
        reason = HTTPStatus(response.status).phrase
        content = self._http.send(h11.Response(status_code=response.status, headers=headers, reason=reason.encode()))
        body = b"" if self._is_head else self._http.send(h11.Data(data=response.body))
        self._write(b"".join(part or b"" for part in (content, body, self._http.send(h11.EndOfMessage()))))

    def _write(self, content: bytes | None) -> None:
        self._connection.settimeout(self._limits.seconds)
        try:
            self._connection.sendall(content or b"")
        except TimeoutError as error:
            raise ConnectionAbortedError("the client does not read its response") from error
