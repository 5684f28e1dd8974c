"""Classes that spread from row to row: what rows without a class tell of those that have one."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.spatial import cKDTree

from jointprob.encode import Encoding, fit_encodings
from jointprob.joint.families import best_loss
from jointprob.table import Table

NEIGHBOURS = 10
STEPS = 50  # of a walk, at most
STAYING = (0.5, 0.9, 0.98)  # chance that a walk goes on, at every step
SMOOTHING = (0.1, 0.5, 2.0)  # of the labels that reach a row on average, spread as the prior is
MOST_LABELLED, MOST_ROWS = 2000, 5000
Z_BOUND = 4.0  # of normal scores
MOST_LEVELS = 31  # of a column that are told apart

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Graph:
    """p(c | x) by the classes that walks from a row's neighbours come to.

    Parameters
    ----------
    encoding : Encoding
        Of all rows, with a class and without.
    points : float32 (n_rows, n_coordinates)
        Rows of the graph: normal scores, and one-hot levels at a distance of 1.
    reached : float64 (n_rows, n_classes)
        Chance that a walk from each row ends at a label of each class.
    prior : float64 (n_classes,)
    smoothing : float
        Chance that is shared out by the prior.

    Notes
    -----
    Every row is tied to its ten nearest ones; a walk goes along a tie with probability alpha and
    else ends (label spreading: Zhou et al. 2003, with a walk's own normalisation; for rows that are
    not in the graph, the mean of their neighbours, Delalleau et al. 2005). Alpha and the smoothing
    are those of the least log loss of labels held out.
    """

    encoding: Encoding
    points: NDArray[np.float32]
    reached: Floats
    prior: Floats
    smoothing: float

    def evidence(self, table: Table, n_jobs: int | None = None) -> Floats:
        """log p(c | x) - log p(c), (n_rows, n_classes), nats."""
        near = _near(self.points, points_of(self.encoding, table, n_jobs))
        return self._evidence(self.reached[near].mean(axis=1))

    def _evidence(self, reached: Floats) -> Floats:
        share = reached + self.smoothing * self.prior
        return np.asarray(np.log(share / share.sum(axis=1, keepdims=True)) - np.log(self.prior))


@dataclass(frozen=True, eq=False)
class GraphOutOfFold:
    """What the graph says of labelled rows without the labels of their fold.

    Parameters
    ----------
    graph : Graph
    folds : int64 (n_labelled,)
    reached : float64 (n_folds, n_rows, n_classes)
    """

    graph: Graph
    folds: NDArray[np.int64]
    reached: Floats

    def evidence(self, rows: NDArray[np.int64], cells: Table, n_jobs: int | None = None) -> Floats:
        """`Graph.evidence` of what is left of labelled rows at these positions."""
        near = _near(self.graph.points, points_of(self.graph.encoding, cells, n_jobs))
        return self.graph._evidence(self.reached[self.folds[rows][:, None], near].mean(axis=1))


def fit_graph(
    table: Table,
    label: NDArray[np.int64],
    weight: Floats,
    prior: Floats,
    folds: NDArray[np.int64],
    unlabelled: Table,
    n_jobs: int | None,
) -> tuple[Graph, GraphOutOfFold] | None:
    """The graph of labelled and other rows; None where labels are too many to need it.

    Parameters
    ----------
    table, unlabelled : Table
    label : int64 (n_labelled,)
    weight : float64 (n_labelled,)
    prior : float64 (n_classes,)
    folds : int64 (n_labelled,)
        In which labels are held out.
    n_jobs : int, optional
    """
    n = table.n_rows
    if n > MOST_LABELLED or n < 2:
        return None
    some = np.arange(0, unlabelled.n_rows, -(-unlabelled.n_rows // (MOST_ROWS - n)))
    both = table.stacked(unlabelled.take(some))
    encoding = fit_encodings(both, np.ones(both.n_rows), n_jobs)[0]
    points = points_of(encoding, both, n_jobs)
    by_fold = _labels_by_fold(label, weight, folds, both.n_rows, len(prior))
    near, log_prior = _near(points, points[:n]), np.log(prior)
    best: tuple[float, GraphOutOfFold] | None = None
    for reached in _walks(points, by_fold.reshape(both.n_rows, -1)):
        parts = np.moveaxis(reached.reshape(by_fold.shape), 1, 0)
        whole, apart = parts[0], np.ascontiguousarray(parts[1:])
        for s in SMOOTHING:
            graph = Graph(encoding, points, whole, prior, s * whole.sum() / len(whole))
            said = graph._evidence(apart[folds[:, None], near].mean(axis=1))
            loss = best_loss(said, label, weight, log_prior)
            if best is None or loss < best[0]:
                best = loss, GraphOutOfFold(graph, folds, apart)
    assert best is not None
    found = best[1]
    graph = replace(found.graph, reached=np.ascontiguousarray(found.graph.reached))
    return graph, found


def points_of(encoding: Encoding, table: Table, n_jobs: int | None) -> NDArray[np.float32]:
    """Rows as points; a missing cell is in the middle, or no level."""
    encoded = encoding.encode(table, n_jobs)
    parts = [np.clip(np.nan_to_num(encoded.z), -Z_BOUND, Z_BOUND)]
    for j, n in enumerate(encoding.n_levels):
        here = encoded.codes[:, [j]] == np.arange(min(n, MOST_LEVELS))
        parts.append(here * np.float32(np.sqrt(0.5)))
    return np.hstack(parts).astype(np.float32)


def coordinates(encoding: Encoding) -> int:
    """Of each point."""
    return len(encoding.numeric) + sum(min(n, MOST_LEVELS) for n in encoding.n_levels)


def _near(points: NDArray[np.float32], asked: NDArray[np.float32]) -> NDArray[np.int64]:
    """Positions of the nearest rows, (n_asked, n_near)."""
    k = min(NEIGHBOURS, len(points))
    found: NDArray[np.int64] = cKDTree(points).query(asked, k)[1].reshape(len(asked), k)
    return found


def _labels_by_fold(
    label: NDArray[np.int64],
    weight: Floats,
    folds: NDArray[np.int64],
    n_rows: int,
    n_classes: int,
) -> Floats:
    """Where a walk may end: all labels, then those outside each fold, (n_rows, 1 + folds, c)."""
    out = np.zeros((n_rows, 2 + int(folds.max()), n_classes))
    rows = np.arange(len(label))
    out[rows, :, label] = weight[:, None]
    out[rows, 1 + folds] = 0.0
    return out


def _walks(points: NDArray[np.float32], ends: Floats) -> list[Floats]:
    """Chances that walks from each row end at each column, for each chance of going on."""
    n = len(points)
    near = _near(points, points)
    begin = np.repeat(np.arange(n), near.shape[1])
    tied = csr_array((np.ones(begin.size), (begin, near.ravel())), shape=(n, n))
    tied = tied.maximum(tied.T)
    step = csr_array(tied.multiply(1 / tied.sum(axis=1)[:, None]))
    out = [np.zeros_like(ends) for _ in STAYING]
    at = ends
    for t in range(STEPS):
        for total, alpha in zip(out, STAYING, strict=True):
            total += (1 - alpha) * alpha**t * at
        at = step @ at
    return out
