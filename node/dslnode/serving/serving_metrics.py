"""The Prometheus metrics of predictions: requests, time, rows, and how often each class is the answer."""

from __future__ import annotations

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from dslnode.data.target import Task
from dslnode.inference.answers import output_names
from dslnode.inference.model_header import Description
from dslnode.inference.predictor import Predictions

SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
MAX_CLASSES = 100
"""Classes with a series of their own; the others are counted together."""
MAX_NAME = 100
OTHERS = "others"
CLOSING_REASONS = ("full", "deadline", "descriptors", "error")


class ServingMetrics:
    """Counters on a registry. Labels are bounded: no client can make new ones without end."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            "dslnode_predict_requests",
            "Requests to the server of predictions, by what was asked and HTTP status.",
            ["route", "status"],
            registry=registry,
        )
        self._seconds = Histogram(
            "dslnode_predict_seconds",
            "Time from a whole request to its answer, for requests that ask for predictions.",
            buckets=SECONDS,
            registry=registry,
        )
        self._rows = Counter("dslnode_predict_rows", "Rows, images or windows answered.", registry=registry)
        self._answers = Counter(
            "dslnode_predict_answers", "Answers by class, or by flag that was raised.", ["class"], registry=registry
        )
        self.round = Gauge("dslnode_predict_round", "Finished rounds of the model that answers.", registry=registry)
        self._closed = Counter(
            "dslnode_predict_connections_closed",
            f"Connections to the server of predictions closed early: {', '.join(CLOSING_REASONS)}.",
            ["reason"],
            registry=registry,
        )
        for reason in CLOSING_REASONS:
            self._closed.labels(reason)  # 0 from the start: a rise from nothing is none to Prometheus

    def count_closed(self, reason: str) -> None:
        """Count a connection that is closed early."""
        self._closed.labels(reason).inc()

    def count_request(self, route: str, status: int) -> None:
        """Count a request that has its response."""
        self._requests.labels(route, str(status)).inc()

    def answered(self, predictions: Predictions, description: Description, seconds: float) -> None:
        """Count the answers to a request for predictions."""
        self._seconds.observe(seconds)
        self._rows.inc(len(predictions))
        for name, count in class_counts(predictions, description).items():
            self._answers.labels(name).inc(count)


def class_counts(predictions: Predictions, description: Description) -> dict[str, int]:
    """Return how often each class, or flag, is an answer; those beyond ``MAX_CLASSES`` together; none for numbers."""
    if predictions.classes is not None:
        counts, names = np.bincount(predictions.classes, minlength=description.outputs), output_names(description)
    elif predictions.flags is not None:
        counts, names = predictions.flags.sum(axis=0), output_names(description)
    elif predictions.anomalous is not None:
        anomalies = int(predictions.anomalous.sum())
        counts, names = np.array([len(predictions) - anomalies, anomalies]), ["normal", Task.ANOMALY.value]
    else:
        return {}
    found = {name[:MAX_NAME]: int(count) for name, count in zip(names[:MAX_CLASSES], counts, strict=False)}
    rest = int(counts[MAX_CLASSES:].sum())
    return {**found, OTHERS: rest} if len(names) > MAX_CLASSES else found
