"""A latent tree adapted to other rows: its own tables are the prior, the rows the evidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jointprob import _joint
from jointprob.density import Gaussians, Moments
from jointprob.joint.em import FORGET
from jointprob.joint.rows import Rows
from jointprob.joint.tree import Floats, LatentTree, Points, Sizes

BATCH_ROWS = 512


@dataclass(frozen=True)
class Strength:
    """Pseudo-rows by which an adapted tree leans on the tree it came from.

    Parameters
    ----------
    marginal : float
        How common each state or level is: pseudo-rows of a whole block.
    state : float
        Tables given a state of the parent: pseudo-rows of each such state.
    mean, covariance : float
        Pseudo-rows of each Gaussian.
    """

    marginal: float = 2.0
    state: float = 20.0
    mean: float = 20.0
    covariance: float = 20.0


@dataclass(frozen=True, eq=False)
class Statistics:
    """Expected sufficient statistics of some rows, in rows.

    Parameters
    ----------
    transition, emission : float32
        Counts of (z_parent, z_b) and of (level, z_b), in the layouts of the tree.
    weight, sum, square : tuple of float64
        Sums of each numeric block, as in `Moments`.
    """

    transition: Points
    emission: Points
    weight: tuple[Floats, ...]
    sum: tuple[Floats, ...]
    square: tuple[Floats, ...]


def total(parts: Sequence[Statistics]) -> Statistics:
    """Statistics of all rows from those of their parts."""
    first = parts[0]
    transition, emission = first.transition.copy(), first.emission.copy()
    for part in parts[1:]:
        transition += part.transition
        emission += part.emission
    n_gaussians = range(len(first.weight))
    return Statistics(
        transition,
        emission,
        tuple(np.add.reduce([p.weight[g] for p in parts]) for g in n_gaussians),
        tuple(np.add.reduce([p.sum[g] for p in parts]) for g in n_gaussians),
        tuple(np.add.reduce([p.square[g] for p in parts]) for g in n_gaussians),
    )


def expect(
    tree: LatentTree, rows: Rows, chosen: Sizes, parts: list[Points] | None = None
) -> Statistics:
    """Expected sufficient statistics of some rows under a tree.

    Parameters
    ----------
    rows : Rows
    chosen : int64
        Positions of the rows that count.
    parts : list of float32, optional
        ``tree.numeric_parts(rows.z)``, where the caller has it.
    """
    parts = tree.numeric_parts(rows.z) if parts is None else parts
    raw = [np.zeros_like(a) for a in (tree.transition, tree.emission, tree.message)]
    counts = _joint.Counts(*raw)
    moments = [Moments(g.n_states, len(g.columns)) for g in tree.gaussians]
    work = tree.work()
    for start in range(0, len(chosen), BATCH_ROWS):
        batch = chosen[start : start + BATCH_ROWS]
        leaf, _ = tree.leaves(parts, batch, FORGET)
        evidence = tree.evidence(rows.codes, batch, leaf)
        score, n = np.empty(len(batch)), len(batch)
        tree.kernel.expect(evidence, rows.weight[batch], 0, n, work, score, counts, leaf)
        for b, g, z, m in zip(tree.numeric_blocks, tree.gaussians, parts, moments, strict=True):
            g.kernel.expect(z, batch, leaf, int(tree.leaf_at[b]), 0, n, m.kernel)
    tree.kernel.finish_counts(counts)
    return Statistics(
        raw[0],
        raw[1],
        tuple(m.weight for m in moments),
        tuple(m.sum for m in moments),
        tuple(m.square for m in moments),
    )


def lean(tree: LatentTree, statistics: Statistics, strength: Strength, floor: float) -> LatentTree:
    """The tree whose tables are those of `tree`, moved by statistics as far as these bear it.

    Parameters
    ----------
    tree : LatentTree
        The prior; it stays as it is.
    statistics : Statistics
    strength : Strength
        From 0, the maximum of the likelihood, to any number: the tree itself at infinity.
    floor : float
        Added to every variance of the statistics, as in the tree's own fit.
    """
    adapted = tree.copy()
    counts = _joint.Counts(statistics.transition, statistics.emission, adapted.message)
    tree.kernel.adapt(
        counts, strength.marginal, strength.state, adapted.kernel,
        np.empty(tree.kernel.adapt_work_size()),
    )  # fmt: skip
    sums = zip(statistics.weight, statistics.sum, statistics.square, strict=True)
    for prior, gaussians, moments in zip(tree.gaussians, adapted.gaussians, sums, strict=True):
        if moments[0].any():
            _lean_gaussians(prior, gaussians, *moments, strength, floor)
    return adapted


def _lean_gaussians(
    prior: Gaussians,
    adapted: Gaussians,
    weight: Floats,
    sums: Floats,
    squares: Floats,
    strength: Strength,
    floor: float,
) -> None:
    """Mean and covariance of each state, each between the prior's and that of the sums."""
    pulls = strength.mean, strength.covariance
    write_lanes(adapted, *between(prior, (weight, sums, squares), *pulls, floor))


def between(
    prior: Gaussians,
    moments: tuple[Floats, Floats, Floats],
    mean_rows: float | Floats,
    covariance_rows: float | Floats,
    floor: float,
) -> tuple[Floats, Floats]:
    """Means and covariances between a prior's and those of sums.

    The covariance also takes the step between the two means, as in a normal-inverse-Wishart
    posterior. A state without rows stays as it was.

    Parameters
    ----------
    prior : Gaussians
    moments : weight, sum and square of `Moments`
    mean_rows, covariance_rows : float, or float64 (n_states, 1)
        Pseudo-rows by which each state leans on the prior.
    floor : float

    Returns
    -------
    mean : float64 (n_states, n_columns)
    covariance : float64 (n_states, triangle)
    """
    weight, sums, squares = moments
    i, j = np.tril_indices(len(prior.columns))
    seen = weight > 1e-9
    n = np.where(seen, weight, 0.0)[:, None]
    share = np.where(seen, 1 / np.where(seen, weight, 1.0), 0.0)[:, None]
    mean_before = prior.means
    covariance_before = prior.covariance_lanes[:, : prior.n_states].T
    mean = np.where(seen[:, None], sums * share, mean_before)
    covariance = squares * share - np.where(seen[:, None], mean[:, i] * mean[:, j], 0.0)
    grain = np.zeros(len(prior.columns)) if prior.grain is None else prior.grain
    covariance[:, i == j] = np.maximum(covariance[:, i == j], 0.0) + floor + grain
    step, pull = mean - mean_before, _share(mean_rows, n)
    mean = mean_before + (1 - pull) * step
    covariance += pull * step[:, i] * step[:, j]
    covariance += _share(covariance_rows, n) * (covariance_before - covariance)
    return mean, covariance


def _share(strength: float | Floats, n: Floats) -> Floats:
    """The prior's share beside n rows; all of it where there is neither."""
    share: Floats = np.where(n > 0, strength / np.maximum(strength + n, 1e-300), 1.0)
    return share


def write_lanes(gaussians: Gaussians, mean: Floats, covariance: Floats) -> None:
    """Give every state this mean and covariance."""
    n = gaussians.n_states
    gaussians.mean_lanes[:, :n], gaussians.covariance_lanes[:, :n] = mean.T, covariance.T
    # padding repeats a real state, so that its factor is sound
    gaussians.mean_lanes[:, n:] = gaussians.mean_lanes[:, :1]
    gaussians.covariance_lanes[:, n:] = gaussians.covariance_lanes[:, :1]
    gaussians.derive()


def adapt(
    tree: LatentTree,
    rows: Rows,
    strength: Strength | None = None,
    n_passes: int = 1,
    chosen: NDArray[np.int64] | None = None,
    floor: float = 1e-6,
) -> LatentTree:
    """A tree adapted to rows: the same blocks, cells and states, tables of its own.

    Parameters
    ----------
    tree : LatentTree
        Where EM starts, and the prior that every pass leans on.
    rows : Rows
        Under the tree's encoding.
    strength : Strength, optional
    n_passes : int
        Passes of EM over the rows.
    chosen : int64, optional
        Positions of the rows that count; all if not given.
    floor : float
        Added to every variance.

    Returns
    -------
    LatentTree

    Notes
    -----
    Maximum a posteriori EM, as in the adaptation of Gaussian mixtures by Gauvain & Lee (1994),
    doi:10.1109/89.279278. The prior of a table P(z_b | z_parent) is the tree's own table, tilted
    by r_j = (n_j + a m_j) / (e_j + a m_j), where n_j is the expected count of state j, e_j the
    count that the parents' states lead to by the tree's own table, m_j the state's share in the
    tree, and a = ``strength.marginal``: what all states of the parent say together is learnt from
    few rows. Each row of the table then leans on it by ``strength.state`` pseudo-rows.
    """
    chosen = np.arange(len(rows)) if chosen is None else chosen
    parts, adapted = tree.numeric_parts(rows.z), tree
    for _ in range(n_passes):
        adapted = lean(tree, expect(adapted, rows, chosen, parts), strength or Strength(), floor)
    return adapted
