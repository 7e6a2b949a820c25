"""Membership inference as pure functions: a loss threshold, and a likelihood ratio from shadow models.

Arrays are of the shape (runs, candidates): how sure each run's model is of a candidate's true class, and whether the
run was trained on it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
FALSE_ALARMS = 0.01
"""The share of strangers that an attacker may take for members (Carlini et al. 2022)."""
FEWEST = 2
"""Shadow models with and without a candidate, at least, to judge it by."""


def confidence(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> Floats:
    """Return ``log(p / (1 - p))`` of the true class's probability p, float64 (n,), from logits (n, classes).

    It is nearly Gaussian over models, unlike p and its logarithm (Carlini et al. 2022, section 5).
    """
    rows, others = np.arange(len(labels)), logits.astype(np.float64)
    own = others[rows, labels]
    others[rows, labels] = -np.inf
    largest = others.max(axis=1)
    found: Floats = own - largest - np.log(np.exp(others - largest[:, None]).sum(axis=1))
    return found


def by_loss(sure: Floats) -> Floats:
    """Return the score of each candidate in each run: the surer a model, the likelier a member."""
    return sure


def by_likelihood_ratio(sure: Floats, member: Flags) -> Floats:
    """Return the score of each candidate in each run: log-likelihood as a member less that as a stranger; NaN if few.

    The shadow models of a run are all others (LiRA, Carlini et al. 2022). Each candidate has a mean with and one
    without it; the two variances are common to all candidates, as advised for few shadow models. Means of few are
    uncertain, which widens the densities. Their constant factors are left out: where each candidate is in half of the
    runs, the number of shadow models with it would tell by itself what the attacker does not know.
    """
    scores = np.full(sure.shape, np.nan)
    for run in range(len(sure)):
        shadows = np.arange(len(sure)) != run
        inside, outside = (_fit(sure[shadows], member[shadows] == value) for value in (True, False))
        scores[run] = _log_density(sure[run], *inside) - _log_density(sure[run], *outside)
    return scores


def area(scores: Floats, member: Flags) -> float:
    """Return the area under the curve of hits against false alarms: 0.5 is guessing, 1 never errs."""
    there = ~np.isnan(scores)
    scores, member = scores[there], member[there]
    _, places, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[places]
    members = int(member.sum())
    strangers = len(member) - members
    return float((ranks[member].sum() - members * (members + 1) / 2) / (members * strangers))


def hits(scores: Floats, member: Flags, false_alarms: float = FALSE_ALARMS) -> float:
    """Return the share of members that are found while at most ``false_alarms`` of the strangers are taken for some."""
    there = ~np.isnan(scores)
    scores, member = scores[there], member[there]
    strangers = np.sort(scores[~member])[::-1]
    threshold = strangers[int(false_alarms * len(strangers))]
    return float(np.mean(scores[member] > threshold))


def _fit(sure: Floats, chosen: Flags) -> tuple[Floats, Floats]:
    """Return each candidate's mean over the chosen models, NaN if these are too few, and the variance about it."""
    counts = chosen.sum(axis=0)
    sums = np.where(chosen, sure, 0).sum(axis=0)
    means = np.where(counts >= FEWEST, sums / np.maximum(counts, 1), np.nan)
    residuals = np.where(chosen & (counts >= FEWEST), sure - means, np.nan)
    freedom = (counts - 1)[counts >= FEWEST].sum()
    variance = np.nansum(residuals**2) / max(1, freedom)
    return means, variance * (1 + 1 / np.maximum(counts, 1))


def _log_density(values: Floats, means: Floats, variance: Floats) -> Floats:
    density: Floats = -((values - means) ** 2) / (2 * variance)
    return density
