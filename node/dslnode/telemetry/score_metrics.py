"""The Prometheus metrics of how good the personal model is: its score, classes, figures and baselines."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Gauge

from dslnode.learning.results import Best, HeldOut, Progress
from dslnode.telemetry.score_status import ACCURACY, MAX_CLASSES_REPORTED, MAX_NAME, accuracy_of


class ScoreMetrics:
    """Gauges on a registry; those without a measurement are absent."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._best: tuple[Gauge, Gauge] | None = None
        self._alone: tuple[Gauge, Gauge] | None = None

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(name, text, labels, registry=registry)

        self._accuracy = gauge("dslnode_accuracy_ratio", "Personal accuracy by data: train or held_out.", "data")
        self._score = gauge(
            "dslnode_score",
            "Score of the personal model, higher is better, by data: train or held_out.",
            "data",
            "score",
        )
        self._baseline = gauge(
            "dslnode_baseline_score", "Held-out score of a simple predictor; trivial: yes or no.", "baseline", "trivial"
        )
        self._better = gauge(
            "dslnode_better_than_trivial", "1 if the personal model beats every trivial baseline, else 0.", "score"
        )
        self._figure = gauge("dslnode_held_out", "A figure about held-out answers, by name and unit.", "figure", "unit")
        self._recall = gauge("dslnode_class_recall_ratio", "Part of a class that is found, held-out.", "class")
        self._precision = gauge(
            "dslnode_class_precision_ratio", "Part of the answers for a class that are right, held-out.", "class"
        )

    def set_best(self, best: Best) -> None:
        """Set which round's model is the best so far."""
        if self._best is None:
            self._best = (
                Gauge(
                    "dslnode_best_score", "Held-out score of the best model, which is kept.", registry=self._registry
                ),
                Gauge("dslnode_best_round", "Finished rounds of the best model.", registry=self._registry),
            )
        self._best[0].set(best.score)
        self._best[1].set(best.round)

    def compared(self, together: float, alone: float) -> None:
        """Set what neighbours bring: the score with them beside that of the mask that learns without them."""
        if self._alone is None:
            self._alone = (
                Gauge("dslnode_alone_score", "Held-out score of the mask without neighbours.", registry=self._registry),
                Gauge("dslnode_neighbour_gain", "Score with neighbours less that without.", registry=self._registry),
            )
        self._alone[0].set(alone)
        self._alone[1].set(together - alone)

    def trained(self, progress: Progress) -> None:
        """Set the score on the minibatches of local training."""
        self._score.labels("train", progress.score_name).set(progress.score)
        if progress.score_name == ACCURACY:
            self._accuracy.labels("train").set(progress.score)

    def measured(self, held_out: HeldOut) -> None:
        """Set what was measured on held-out data."""
        self._score.labels("held_out", held_out.name).set(held_out.score)
        accuracy = accuracy_of(held_out)
        if accuracy is not None:
            self._accuracy.labels("held_out").set(accuracy)
        for baseline in held_out.baselines:
            self._baseline.labels(baseline.name, "yes" if baseline.trivial else "no").set(baseline.score)
        if any(each.trivial for each in held_out.baselines):
            self._better.labels(held_out.name).set(held_out.unbeaten is None)
        for figure in held_out.judgement.metrics:
            self._figure.labels(figure.name, figure.unit).set(figure.value)
        self._recall.clear()
        self._precision.clear()
        for each in held_out.judgement.classes[:MAX_CLASSES_REPORTED]:
            self._recall.labels(each.name[:MAX_NAME]).set(each.recall)
            if each.precision is not None:
                self._precision.labels(each.name[:MAX_NAME]).set(each.precision)
