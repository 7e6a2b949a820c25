"""scikit-learn's linear model and MLP on the examples of one node, judged as the node is."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dslnode.data.dataset import DataSet, Examples
from dslnode.data.target import Task
from dslnode.learning.tasks.task import LearningTask

Array = NDArray[Any]


def scores(data: DataSet, task: LearningTask, test: Examples) -> dict[str, float]:
    """Return the scores of ``linear`` and ``mlp``, trained on the node's training examples."""
    inputs, unseen = _flat(data.train), _flat(test)
    if data.target.task == Task.ANOMALY:
        normal = inputs[data.train.labels == 0]
        models = _anomaly_models(normal.shape[1], len(normal))
        fitted = {name: model.fit(normal, normal) for name, model in models.items()}
        found = {
            name: np.square(model.predict(unseen) - unseen).mean(axis=1, keepdims=True).astype(np.float32)
            for name, model in fitted.items()
        }
    elif data.train.values is None:
        models = _classifiers()
        found = {name: model.fit(inputs, data.train.labels).predict(unseen) for name, model in models.items()}
    else:
        wanted = task.targets(data.train)
        shape = (len(test), wanted.shape[1])
        models = _regressors()
        fitted = {name: model.fit(inputs, _column(wanted)) for name, model in models.items()}
        found = {name: model.predict(unseen).reshape(shape) for name, model in fitted.items()}
    targets = task.targets(test)
    return {name: task.score(predictions, targets) for name, predictions in found.items()}


def _classifiers() -> dict[str, Any]:
    from sklearn.linear_model import LogisticRegression
    from sklearn.neural_network import MLPClassifier

    return {"linear": LogisticRegression(max_iter=2_000), "mlp": MLPClassifier(max_iter=1_000, random_state=1)}


def _regressors() -> dict[str, Any]:
    from sklearn.linear_model import Ridge
    from sklearn.neural_network import MLPRegressor

    return {"linear": Ridge(), "mlp": MLPRegressor(max_iter=1_000, random_state=1)}


def _anomaly_models(width: int, examples: int) -> dict[str, Any]:
    from sklearn.cross_decomposition import PLSRegression
    from sklearn.neural_network import MLPRegressor

    code = max(1, min(width // 2, examples - 1))
    narrow = MLPRegressor(hidden_layer_sizes=(100, code, 100), max_iter=1_000, random_state=1)
    return {"linear": PLSRegression(n_components=code, scale=False), "mlp": narrow}


def _flat(examples: Examples) -> Array:
    return examples.images.reshape(len(examples), -1)


def _column(wanted: Array) -> Array:
    """Return one output as scikit-learn wants it: without an axis of its own."""
    return wanted[:, 0] if wanted.shape[1] == 1 else wanted
