"""The node's HTTP server: Prometheus metrics, the status as JSON, and a page for people that draws it.

``/metrics``, ``/status.json`` and ``/``; and ``/ready`` for health checks: 200 while the node's own address is open and
its event loop runs, else 503. The page is one file without any asset from elsewhere. Names in it come from
other nodes: its script sets them as text, never as markup, and the content security policy lets nothing run but the
script and the style of the page itself, by their hashes.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterable
from functools import cache, partial
from importlib.resources import files
from socketserver import TCPServer
from typing import TypeVar
from wsgiref.simple_server import WSGIRequestHandler
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer

from dslnode import __version__
from dslnode.errors import ListenError
from dslnode.name_lookup import Endpoint, resolve_own, resolve_own_blocking
from dslnode.telemetry.status_json import as_dict
from dslnode.v1 import node_pb2 as pb

Answer = TypeVar("Answer")
READ_TIMEOUT_SECONDS = 10.0
ANSWER_TIMEOUT_SECONDS = 5.0
UNAVAILABLE = "503 Service Unavailable"
COMMON_HEADERS = [
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
]


async def serve_http(
    address: str, registry: CollectorRegistry, status: Callable[[], pb.StatusReply], unready: Callable[[], str]
) -> Callable[[], None]:
    """Serve at ``HOST:PORT`` from threads of its own, nothing if it is ``off``; return a function that stops it.

    Called on the event loop's thread; ``status`` and ``unready`` are called there, too. ``unready``
    returns why the node is not ready, empty if it is. Raises ``ListenError``.
    """
    if address == "off":
        return lambda: None
    loop = asyncio.get_running_loop()

    def on_loop(question: Callable[[], Answer]) -> Callable[[], Answer]:
        async def ask() -> Answer:
            return question()

        return lambda: asyncio.run_coroutine_threadsafe(ask(), loop).result(ANSWER_TIMEOUT_SECONDS)

    endpoint = await _endpoint(address)

    return _serve_at(address, endpoint, application(registry, on_loop(status), on_loop(unready)))


def application(
    registry: CollectorRegistry, status: Callable[[], pb.StatusReply], unready: Callable[[], str]
) -> WSGIApplication:
    """Return the WSGI application; a path that is none of the four is not found."""
    metrics = make_wsgi_app(registry)

    def answer(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path == "/metrics":
            exposition: Iterable[bytes] = metrics(environ, start)
            return exposition
        if path not in {"/", "/status.json", "/ready"}:
            return _send(start, "404 Not Found", "text/plain", b"there are /, /status.json, /ready and /metrics\n")
        if environ["REQUEST_METHOD"] != "GET":
            return _send(start, "405 Method Not Allowed", "text/plain", b"use GET\n", ("Allow", "GET"))
        try:
            return _send_ready(start, unready()) if path == "/ready" else _send_status(start, path, status)
        except TimeoutError:
            return _send(start, UNAVAILABLE, "text/plain", b"the node is busy, or stopping\n")

    return answer


def _send_ready(start: StartResponse, problem: str) -> Iterable[bytes]:
    if not problem:
        return _send(start, "200 OK", "text/plain", b"ready\n")
    return _send(start, UNAVAILABLE, "text/plain", f"{problem}\n".encode(errors="replace"))


def _send_status(start: StartResponse, path: str, status: Callable[[], pb.StatusReply]) -> Iterable[bytes]:
    if path == "/":
        content, policy = page()
        return _send(start, "200 OK", "text/html", content, ("Content-Security-Policy", policy))
    fields = {**as_dict(status()), "version": __version__}
    return _send(start, "200 OK", "application/json", json.dumps(fields).encode())


@cache
def page() -> tuple[bytes, str]:
    """Return the page and its content security policy: its own style and script, its own status, nothing else."""
    text = files("dslnode.telemetry").joinpath("page.html").read_text(encoding="utf-8")
    rules = [
        "default-src 'none'",
        *(f"{kind}-src 'sha256-{_digest(text, kind)}'" for kind in ("style", "script")),
        "connect-src 'self'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
    return text.encode(), "; ".join(rules)


def _digest(text: str, tag: str) -> str:
    [content] = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
    return base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()


def _send(
    start: StartResponse, status: str, content_type: str, content: bytes, *headers: tuple[str, str]
) -> Iterable[bytes]:
    length = ("Content-Length", str(len(content)))
    start(status, [("Content-Type", f"{content_type}; charset=utf-8"), length, *COMMON_HEADERS, *headers])
    return [content]


def serve(address: str, app: WSGIApplication) -> Callable[[], None]:
    """Serve at ``HOST:PORT`` until the returned function is called. Raises ``ListenError`` if it cannot be bound."""
    try:
        endpoint = resolve_own_blocking(address)
    except OSError as error:
        raise _cannot_serve(address, error) from error
    return _serve_at(address, endpoint, app)


async def _endpoint(address: str) -> Endpoint:
    try:
        return await resolve_own(address)
    except OSError as error:
        raise _cannot_serve(address, error) from error


def _serve_at(address: str, endpoint: Endpoint, app: WSGIApplication) -> Callable[[], None]:
    try:
        server_type: type[_Server] = type("Server", (_Server,), {"address_family": endpoint.family})
        server = server_type(endpoint.socket_address, _Handler)
        server.set_app(app)
    except OSError as error:
        raise _cannot_serve(address, error) from error
    thread = threading.Thread(target=partial(server.serve_forever, 0.1), name="pages", daemon=True)
    thread.start()

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return stop


def _cannot_serve(address: str, error: OSError) -> ListenError:
    return ListenError(
        f"cannot serve metrics on {address} ({error.strerror or error}); choose another address with --metrics, "
        "or --metrics off"
    )


class _Server(ThreadingWSGIServer):
    """Binds without asking a name server for the name of its address, as the base class does."""

    def server_bind(self) -> None:
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])
        self.setup_environ()


class _Handler(WSGIRequestHandler):
    """Logs nothing, and closes the connection of a client that sends no request in time."""

    timeout = READ_TIMEOUT_SECONDS

    def log_message(self, *_arguments: object) -> None:
        """Log nothing: what matters of the node is in its own log."""
