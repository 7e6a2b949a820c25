"""The node's HTTP application: Prometheus metrics, the status as JSON, and a page for people that draws it.

``/metrics``, ``/status.json`` and ``/``; and ``/ready`` for health checks: 200 while the node's own address is open and
its event loop runs, else 503. The page is one file without any asset from elsewhere. Names in it come from
other nodes: its script sets them as text, never as markup, and the content security policy lets nothing run but the
script and the style of the page itself, by their hashes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from prometheus_client import CollectorRegistry, make_wsgi_app

from dslnode import __version__
from dslnode.telemetry.http_access import is_authorized, is_own_host
from dslnode.telemetry.self_contained_page import page_of
from dslnode.telemetry.status_json import as_dict
from dslnode.v1 import node_pb2 as pb

UNAVAILABLE = "503 Service Unavailable"
MISDIRECTED = b"this node does not have the name in the URL; use its address, its host's name, or localhost\n"
UNAUTHORIZED = b"this node asks for the token in its --metrics-token-file, as a bearer token or as the password\n"
AUTHENTICATE = ("WWW-Authenticate", 'Basic realm="dslnode", charset="UTF-8"')
COMMON_HEADERS = [
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
]


def application(
    registry: CollectorRegistry,
    status: Callable[[], pb.StatusReply],
    unready: Callable[[], str],
    *,
    host: str = "",
    serve: str = "",
    token: str | None = None,
) -> WSGIApplication:
    """Return the WSGI application; a path that is none of the four is not found.

    ``host`` is the name or address by which it is served, beside those of the machine. ``serve`` is the URL at which
    the node answers predictions, if it does. With a ``token``, everything
    but ``/ready`` needs it.
    """
    metrics = make_wsgi_app(registry)

    def answer(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path != "/ready" and not is_authorized(environ.get("HTTP_AUTHORIZATION", ""), token):
            return _send(start, "401 Unauthorized", "text/plain", UNAUTHORIZED, AUTHENTICATE)
        if path == "/metrics":
            exposition: Iterable[bytes] = metrics(environ, start)
            return exposition
        if path not in {"/", "/status.json", "/ready"}:
            return _send(start, "404 Not Found", "text/plain", b"there are /, /status.json, /ready and /metrics\n")
        if path != "/ready" and not is_own_host(environ.get("HTTP_HOST", ""), host):
            return _send(start, "421 Misdirected Request", "text/plain", MISDIRECTED)
        return page_or_status(environ, start, path)

    def page_or_status(environ: WSGIEnvironment, start: StartResponse, path: str) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] != "GET":
            return _send(start, "405 Method Not Allowed", "text/plain", b"use GET\n", ("Allow", "GET"))
        try:
            return _send_ready(start, unready()) if path == "/ready" else _send_status(start, path, status, serve)
        except TimeoutError:
            return _send(start, UNAVAILABLE, "text/plain", b"the node is busy, or stopping\n")

    return answer


def _send_ready(start: StartResponse, problem: str) -> Iterable[bytes]:
    if not problem:
        return _send(start, "200 OK", "text/plain", b"ready\n")
    return _send(start, UNAVAILABLE, "text/plain", f"{problem}\n".encode(errors="replace"))


def _send_status(start: StartResponse, path: str, status: Callable[[], pb.StatusReply], serve: str) -> Iterable[bytes]:
    if path == "/":
        content, policy = page_of("dslnode.telemetry")
        return _send(start, "200 OK", "text/html", content, ("Content-Security-Policy", policy))
    fields = {**as_dict(status()), "version": __version__, **({"serve": serve} if serve else {})}
    return _send(start, "200 OK", "application/json", json.dumps(fields).encode())


def _send(
    start: StartResponse, status: str, content_type: str, content: bytes, *headers: tuple[str, str]
) -> Iterable[bytes]:
    length = ("Content-Length", str(len(content)))
    start(status, [("Content-Type", f"{content_type}; charset=utf-8"), length, *COMMON_HEADERS, *headers])
    return [content]
