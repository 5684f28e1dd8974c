"""Normal distributions cut to intervals: rectangle probabilities and conditioning on them.

Separation of variables of Genz (1992), doi:10.1080/10618600.1992.10477010: one column after the
other is drawn inside its interval given those before it, and the product of the intervals'
probabilities is averaged over a lattice of points (Richtmyer's square roots of primes), made
periodic by v^2 (3 - 2 v). No point is random, so an answer is the same every time.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import ndtr, ndtri

from jointprob.joint.tree import Floats

N_SHIFTS = 8  # copies of the lattice, whose spread tells the error
GOLDEN = 0.6180339887498949  # shifts that never repeat the lattice
FIRST_NODES = 64  # in each copy
MOST_NODES = 1 << 14
PAIRS_AT_ONCE = 1 << 20  # numbers held by one step
PRIMES = (
    2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97,
    101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167, 173, 179, 181, 191, 193,
    197, 199, 211, 223, 227, 229, 233, 239, 241, 251, 257, 263, 269, 271, 277, 281, 283, 293, 307,
    311,
)  # fmt: skip


class Nodes(NamedTuple):
    """Points of the unit cube and their weights."""

    u: Floats  # (n_dims, n_nodes), or (n_dims, n_pairs, n_nodes)
    weight: Floats  # (n_nodes,), mean 1


class Cut(NamedTuple):
    """Columns drawn inside their intervals, at every node."""

    weight: Floats  # (n_pairs, n_nodes) node weight times the probability of the intervals
    y: list[Floats]  # by column: (n_pairs, n_nodes) standard normal residuals


def lattice(n_dims: int, n_nodes: int, shift: float = 0.0) -> Nodes:
    """Lattice points after the periodising transform; one dimension has equal steps."""
    k = np.arange(n_nodes) + 0.5
    rates = [1 / n_nodes, *np.sqrt(PRIMES[: max(0, n_dims - 1)])][:n_dims]
    v = np.mod(np.outer(rates, k) + shift * np.sqrt(np.arange(1, n_dims + 1))[:, None], 1.0)
    weight = np.prod(6 * v * (1 - v), axis=0)
    return Nodes(v * v * (3 - 2 * v), weight / weight.mean())


def inside(low: Floats, high: Floats) -> tuple[Floats, Floats]:
    """P(low < Z < high) for a standard normal Z, and P(Z < low) on the side where it is small."""
    upper = low > 0
    left, right = np.where(upper, -high, low), np.where(upper, -low, high)
    below = ndtr(left)
    return ndtr(right) - below, below


def draw_inside(low: Floats, high: Floats, u: Floats) -> tuple[Floats, Floats]:
    """The u-quantile of a standard normal cut to (low, high), and that interval's probability."""
    mass, below = inside(low, high)
    upper = low > 0
    v = below + np.where(upper, 1 - u, u) * mass
    z = ndtri(np.clip(v, 1e-320, 1 - 2**-53))
    return np.clip(np.where(upper, -z, z), low, high), mass


def cut(mean: Floats, factor: Floats, low: Floats, high: Floats, nodes: Nodes) -> Cut:
    """Draw columns one after the other inside their intervals.

    Parameters
    ----------
    mean : float64 (n_pairs, >= n_dims)
    factor : float64 (n_pairs, >= n_dims, >= n_dims)
        Lower Cholesky factor of the covariance.
    low, high : float64 (n_dims,)
    nodes : Nodes
        Of n_dims dimensions, or one fewer: the residual of the last column is then not drawn.
    """
    weight = np.broadcast_to(nodes.weight, (len(mean), len(nodes.weight)))
    y: list[Floats] = []
    for i in range(len(low)):
        shift = shifted(mean, factor, i, y)
        a, b = ((end - shift) / factor[:, i, i, None] for end in (low[i], high[i]))
        if i < len(nodes.u):
            residual, mass = draw_inside(a, b, nodes.u[i])
            y.append(np.nan_to_num(residual))  # an open interval of no mass
        else:
            mass = inside(a, b)[0]
        weight = weight * mass
    return Cut(weight, y)


def shifted(mean: Floats, factor: Floats, i: int, y: list[Floats]) -> Floats:
    """Mean of column i given the residuals of the columns before it, (n_pairs, n_nodes or 1)."""
    shift: Floats = mean[:, i, None].copy()
    for k in range(min(i, len(y))):
        shift = shift + factor[:, i, k, None] * y[k]
    return shift


def rectangle(
    mean: Floats, factor: Floats, low: Floats, high: Floats, abs_error: float = 1e-6
) -> Floats:
    """Probability of a rectangle under each of several normal distributions.

    Parameters
    ----------
    mean : float64 (n_pairs, n_dims)
    factor : float64 (n_pairs, n_dims, n_dims)
        Lower Cholesky factor of the covariance.
    low, high : float64 (n_dims,)
        Infinite where an end is open.
    abs_error : float
        The lattice grows until three standard errors of its shifted copies are below this, or it
        has 131,072 points. One dimension is exact.

    Returns
    -------
    float64 (n_pairs,)
    """
    if len(low) == 1 or len(mean) == 0:
        return cut(mean, factor, low, high, Nodes(np.empty((0, 1)), np.ones(1))).weight[:, 0]
    out = np.empty(len(mean))
    todo, n_nodes = np.arange(len(mean)), FIRST_NODES
    while len(todo):
        out[todo], error = _average(mean[todo], factor[todo], low, high, n_nodes)
        n_nodes *= 4
        todo = todo[error > abs_error] if n_nodes <= MOST_NODES else todo[:0]
    return out


def _average(
    mean: Floats, factor: Floats, low: Floats, high: Floats, n_nodes: int
) -> tuple[Floats, Floats]:
    """Mean over shifted lattices and three standard errors of it, chunk by chunk of pairs."""
    copies = np.empty((N_SHIFTS, len(mean)))
    step = max(1, PAIRS_AT_ONCE // n_nodes)
    for s in range(N_SHIFTS):
        nodes = lattice(len(low) - 1, n_nodes, shift=s * GOLDEN)
        for i in range(0, len(mean), step):
            part = slice(i, i + step)
            copies[s, part] = cut(mean[part], factor[part], low, high, nodes).weight.mean(axis=1)
    return copies.mean(axis=0), 3 * copies.std(axis=0, ddof=1) / np.sqrt(N_SHIFTS)
