"""Answers requests for predictions: values in, values out; sockets are the server's.

``/predict`` takes rows or an image, ``/v2`` speaks the Open Inference Protocol, ``/model`` and ``/model.dslm`` give the
model itself, ``/`` is a page to try it. Every error is one line of JSON: ``{"error": "..."}``.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus

import numpy as np

from dslnode.config.serving_limits import DEFAULT_LIMITS, Limits
from dslnode.errors import DslnodeError
from dslnode.serving import inference_protocol as protocol
from dslnode.serving.access import Access
from dslnode.serving.messages import Request, RequestError, Response, json_response
from dslnode.serving.page import page
from dslnode.serving.predictions import READERS, predict, read_inputs, write_answers
from dslnode.serving.served_model import ModelSlot, ServedModel
from dslnode.serving.serving_metrics import ServingMetrics

MODEL_PATH = re.compile(r"/v2/models/(?P<name>[^/]+)(?:/versions/(?P<version>[^/]+))?(?P<action>|/ready|/infer)")
PATHS = ("/", "/predict", "/model", "/model.dslm", "/metrics", "/v2", "/v2/health/live", "/v2/health/ready")
RETRY = (("Retry-After", "1"),)
NO_MODEL = "there is no model yet: the node has not finished a round; ask again"


@dataclass(frozen=True, kw_only=True)
class Route:
    """Where a request goes: ``label`` is for metrics, and ``name`` and ``version`` are those of the model in a path."""

    label: str
    method: str
    name: str = ""
    version: str = ""


class Application:
    """Answers with the model in ``slot``. ``exposition`` returns Prometheus metrics, if it is to serve any.

    One request is decoded and answered at a time, so that memory is bounded by that of one.
    """

    def __init__(
        self,
        slot: ModelSlot,
        metrics: ServingMetrics,
        *,
        limits: Limits = DEFAULT_LIMITS,
        access: Access,
        exposition: Callable[[], tuple[bytes, str]] | None = None,
    ) -> None:
        self._slot = slot
        self._metrics = metrics
        self._limits = limits
        self._access = access
        self._exposition = exposition
        self._one_at_a_time = threading.Lock()

    def refusal(self, request: Request) -> Response | None:
        """Return the response to a request whose body need not be read; None if it is to be read and answered."""
        try:
            self._check(request)
        except RequestError as error:
            return self.count(request, error.response)
        return None

    def answer(self, request: Request) -> Response:
        """Return the response to a whole request that was not refused."""
        try:
            response = self._answer(request, route_of(request.path))
        except RequestError as error:
            response = error.response
        except DslnodeError as error:
            response = _problem(HTTPStatus.UNPROCESSABLE_ENTITY, str(error))
        return self.count(request, response)

    def count(self, request: Request | None, response: Response) -> Response:
        """Count a response, to a request that could not even be read if there is none, and return it."""
        route = None if request is None else _label(request.path)
        self._metrics.count_request(route or "other", response.status)
        return response

    def too_large(self) -> RequestError:
        """Return what is said to a client whose message is too long."""
        return RequestError(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"the message is longer than the {self._limits.body_bytes:,} bytes that are read; send less at once",
        )

    def _check(self, request: Request) -> None:
        self._access.check(request)
        route = route_of(request.path)
        methods = {"GET", "HEAD"} if route.method == "GET" else {route.method}
        if request.method not in methods:
            allowed = ", ".join(sorted(methods))
            raise RequestError(HTTPStatus.METHOD_NOT_ALLOWED, f"use {allowed}", (("Allow", allowed),))
        length = request.header("content-length")
        if length.isascii() and length.isdigit() and int(length) > self._limits.body_bytes:
            raise self.too_large()
        if request.header("content-encoding") not in {"", "identity"}:
            raise RequestError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "send the message without Content-Encoding")
        if route.label == "predict" and request.content_type not in READERS:
            given = request.content_type[:80] or "no type"
            raise RequestError(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                f"the message is of {given}; set Content-Type to {', '.join(READERS)}",
            )

    def _answer(self, request: Request, route: Route) -> Response:
        model = self._slot.current
        simple = {"page": page, "live": _live, "server": _server, "metrics": self._metrics_page}.get(route.label)
        if simple is not None:
            return simple()
        if route.label == "ready":
            return json_response({"live": model is not None}, status=200 if model else HTTPStatus.SERVICE_UNAVAILABLE)
        if model is None:
            raise RequestError(HTTPStatus.SERVICE_UNAVAILABLE, NO_MODEL, RETRY)
        if route.name:
            _check_name(route, model)
        asked = {"predict": self._predict, "infer": self._infer}.get(route.label)
        return _about(route, model) if asked is None else self._at_once(asked, request, model)

    def _at_once(
        self, asked: Callable[[Request, ServedModel], Response], request: Request, model: ServedModel
    ) -> Response:
        with self._alone(), np.errstate(all="ignore"):  # infinities are looked for, and refused
            return asked(request, model)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if not self._one_at_a_time.acquire(timeout=self._limits.seconds):
            raise RequestError(HTTPStatus.SERVICE_UNAVAILABLE, "other requests take too long; ask again later", RETRY)
        try:
            yield
        finally:
            self._one_at_a_time.release()

    def _predict(self, request: Request, model: ServedModel) -> Response:
        began = time.monotonic()
        predictions = predict(read_inputs(request, model, self._limits.rows), model)
        response = write_answers(request, predictions, model)
        self._metrics.answered(predictions, model.description, time.monotonic() - began)
        return response

    def _infer(self, request: Request, model: ServedModel) -> Response:
        began = time.monotonic()
        asked, binary = protocol.read_request(request)
        predictions = predict(protocol.read_tensors(asked, binary, model, self._limits.rows), model)
        response = protocol.write_tensors(asked, predictions, model)
        self._metrics.answered(predictions, model.description, time.monotonic() - began)
        return response

    def _metrics_page(self) -> Response:
        if self._exposition is None:
            raise RequestError(HTTPStatus.NOT_FOUND, "the node's metrics are at its --metrics address")
        content, content_type = self._exposition()
        return Response(body=content, content_type=content_type)


def route_of(path: str) -> Route:
    """Return where a path leads. ``RequestError`` (404) if it leads nowhere."""
    label = _label(path)
    if label is None:
        there = f"there are {', '.join(PATHS)} and /v2/models/NAME"
        raise RequestError(HTTPStatus.NOT_FOUND, there)
    method = "POST" if label in {"predict", "infer"} else "GET"
    match = MODEL_PATH.fullmatch(path)
    if match is None:
        return Route(label=label, method=method)
    return Route(label=label, method=method, name=match["name"], version=match["version"] or "")


def _label(path: str) -> str | None:
    """Return the name of a path for metrics; None if it leads nowhere."""
    if path in LABELS:
        return LABELS[path]
    match = MODEL_PATH.fullmatch(path)
    return None if match is None else ACTIONS[match["action"]]


LABELS = {
    "/": "page",
    "/predict": "predict",
    "/model": "model",
    "/model.dslm": "file",
    "/metrics": "metrics",
    "/v2": "server",
    "/v2/": "server",
    "/v2/health/live": "live",
    "/v2/health/ready": "ready",
}
ACTIONS = {"": "metadata", "/ready": "model_ready", "/infer": "infer"}


def _about(route: Route, model: ServedModel) -> Response:
    if route.label == "model":
        return json_response(model.facts, headers=model.headers)
    if route.label == "file":
        name = ("Content-Disposition", f'attachment; filename="model-{model.round}.dslm"')
        return Response(body=model.file, content_type="application/octet-stream", headers=(*model.headers, name))
    if route.label == "model_ready":
        return json_response({"name": model.name, "ready": True})
    return json_response(protocol.model_metadata(model), headers=model.headers)


def _check_name(route: Route, model: ServedModel) -> None:
    if route.name != model.name:
        raise RequestError(HTTPStatus.NOT_FOUND, f"there is no model {route.name[:80]!r}; this is {model.name!r}")
    if route.version not in {"", str(model.round)}:
        raise RequestError(
            HTTPStatus.NOT_FOUND,
            f"there is no version {route.version[:80]!r}; now it is {model.round}; leave the version out to take it",
        )


def _live() -> Response:
    return json_response({"live": True})


def _server() -> Response:
    return json_response(protocol.SERVER)


def _problem(status: HTTPStatus, message: str) -> Response:
    return json_response({"error": message}, status=status)
