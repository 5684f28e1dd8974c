"""What a pool of members may be believed to be before rows speak: weights, and a class prior."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

from jointprob.predict.pool import Pool, fit_pool
from jointprob.predict.source import PRIOR_ROWS, STRENGTHS, LabelSource, LogShares

Floats = NDArray[np.float64]

EXPECTED = np.array([0.4, 0.4, 0.2, 0.1])  # weights of the members without evidence
EXPECTED_GRAPH = 0.1


class Belief(NamedTuple):
    """What may be believed before the rows speak.

    Parameters
    ----------
    doubt : float
        Nats that it must gain.
    weights : float64 (n_members,)
    shares : float64 (n_priors,)
        Of class priors that are pooled log-linearly, as the members are.
    added : float64 (n_priors, n_classes)
        Rows of each class that each of them has beside those of the fit.
    """

    doubt: float
    weights: Floats
    shares: Floats
    added: Floats

    def log_prior(self, counts: Floats) -> Floats:
        """Log prior of each class, or of each row's classes if it has counts of its own."""
        rows = counts[..., None, :] + self.added
        logs = np.log(rows / rows.sum(axis=-1, keepdims=True))
        return np.asarray(log_softmax(np.tensordot(logs, self.shares, (-2, 0)), axis=-1))

    def cost(
        self, evidence: Floats, counts: Floats, label: NDArray[np.int64], weight: Floats
    ) -> float:
        """Log loss of all rows, each beside the class counts of the others, and the doubt, nats."""
        rows = np.arange(len(label))
        others = np.tile(counts, (len(label), 1))
        others[rows, label] = np.maximum(others[rows, label] - weight, 0)
        logs = self.log_prior(others) + np.tensordot(self.weights, evidence, 1)
        return self.doubt - float(weight @ log_softmax(logs, axis=1)[rows, label])


def beliefs_of(source: LabelSource | None, graph: bool, n_classes: int) -> list[Belief]:
    """Weights and class priors without evidence.

    A source of many rows that it can predict is believed before the target's few, unless it knows
    hardly any of the target's classes: it says the same of all others.
    """
    expected = np.append(EXPECTED, EXPECTED_GRAPH) if graph else EXPECTED
    few = np.full((1, n_classes), PRIOR_ROWS)
    if source is None:
        return [Belief(0.0, expected, np.ones(1), few)]
    tried = STRENGTHS if source.tells_apart else STRENGTHS[:1]
    tried = tried if source.strength is None else (source.strength,)
    return [
        Belief(
            source.doubt(s) + doubt,
            np.append((1 - s) * expected, s),
            np.array([1 - s, s]),
            np.vstack([np.minimum(added, few), added]),
        )
        for s in tried
        for doubt, added in source.priors()
    ]


def fit_believed(
    members: list[LogShares],
    counts: Floats,
    label: NDArray[np.int64],
    weight: Floats,
    beliefs: list[Belief],
) -> Pool:
    """The pool of all members, about the belief that does best on rows not seen."""
    logs, reference, best = [log_softmax(m, axis=1) for m in members], log_prior_of(counts), 0
    if len(beliefs) > 1:
        evidence = np.stack(logs) - reference
        best = int(np.argmin([b.cost(evidence, counts, label, weight) for b in beliefs]))
    log_prior = beliefs[best].log_prior(counts) if len(beliefs) > 1 else reference
    logs = [one + (log_prior - reference) for one in logs]
    return fit_pool(logs, log_prior, beliefs[best].weights, label, weight)


def log_prior_of(counts: Floats) -> Floats:
    """Log prior of each class by rows of it alone, with half a row more."""
    rows = counts + PRIOR_ROWS
    return np.asarray(np.log(rows / rows.sum()))
