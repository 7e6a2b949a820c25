"""What tests of predictions share: models, an application without sockets, and a server with some."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from prometheus_client import CollectorRegistry, generate_latest

from dslnode.config.serving_limits import DEFAULT_LIMITS, Limits
from dslnode.inference.model_header import Description
from dslnode.inference.personal_model import PersonalModelFile
from dslnode.serving.access import Access
from dslnode.serving.application import Application
from dslnode.serving.messages import Request, Response
from dslnode.serving.served_model import ModelSlot, ServedModel
from dslnode.serving.service import PredictionService, ServingOptions
from dslnode.serving.serving_metrics import ServingMetrics
from tests.inference.test_model_file import DESCRIPTION, described, example
from tests.inference.test_row_stream import SCHEMA

ARRAYS = DESCRIPTION
PIXELS = described(base=DESCRIPTION, **{"input_shape": (1, 5, 6), "full_scale": 255.0})
INPUTS = np.random.default_rng(1).normal(size=(4, 30)).astype(np.float32)


def model(description: Description = ARRAYS, **changes: Any) -> PersonalModelFile:
    """Return a model whose weights are drawn, not learned."""
    return replace(example(), description=description, **changes)


def table_model(**changes: Any) -> PersonalModelFile:
    """Return a model of rows with the columns of ``SCHEMA``: four inputs."""
    layers = (msgspec.structs.replace(DESCRIPTION.layers[0], shape=(40, 4)), DESCRIPTION.layers[1])
    names = ("ok", "worn", "broken")
    description = described(data_schema=SCHEMA, input_shape=(4,), layers=layers, names=names)
    size = description.mask_layout.size
    mask = (np.random.default_rng(2).random(size) < 0.4).astype(np.uint8)
    return replace(example(), description=described(base=description, **changes), mask=mask)


class Desk:
    """An application whose requests and responses are values."""

    def __init__(
        self,
        served: PersonalModelFile | None,
        *,
        limits: Limits = DEFAULT_LIMITS,
        access: Access | None = None,
        own_metrics: bool = False,
    ) -> None:
        self.registry = CollectorRegistry()
        self.slot = ModelSlot(None if served is None else ServedModel(served))
        self.application = Application(
            self.slot,
            ServingMetrics(self.registry),
            limits=limits,
            access=access or Access(),
            exposition=(lambda: (generate_latest(self.registry), "text/plain")) if own_metrics else None,
        )

    def ask(self, method: str, path: str, body: bytes | str = b"", **headers: str) -> Response:
        """Return the response; names of headers come with underscores."""
        content = body if isinstance(body, bytes) else body.encode()
        named = {name.replace("_", "-").lower(): value for name, value in headers.items()}
        request = Request(method=method, path=path, headers={"content-length": str(len(content)), **named})
        return self.application.refusal(request) or self.application.answer(replace(request, body=content))

    def post(self, value: Any, path: str = "/predict", content_type: str = "application/json", **more: str) -> Response:
        """Return the response to a value as JSON, or to text or bytes as they are."""
        body = value if isinstance(value, (bytes, str)) else json.dumps(value)
        return self.ask("POST", path, body, content_type=content_type, **more)

    def counted(self, name: str, **labels: str) -> float:
        """Return the value of a metric, 0 if there is none."""
        return self.registry.get_sample_value(name, labels) or 0.0


def read(response: Response) -> Any:
    """Return what a response in JSON says."""
    return json.loads(response.body)


@contextlib.contextmanager
def serving(
    served: PersonalModelFile | None,
    *,
    limits: Limits = DEFAULT_LIMITS,
    token_file: Path | None = None,
    ticket: Path | None = None,
    revoked: Path | None = None,
) -> Iterator[tuple[PredictionService, int]]:
    """Serve a model on a loopback port that the system chooses. A fault of the server fails the test."""
    faults: list[BaseException] = []
    service = PredictionService(
        ServingOptions(address="127.0.0.1:0", limits=limits, token_file=token_file, ticket=ticket, revoked=revoked),
        CollectorRegistry(),
        failed=faults.append,
        own_metrics=True,
    )
    if served is not None:
        service.replace(served)
    port = service.start()
    try:
        yield service, port
    finally:
        service.stop()
    assert not faults
