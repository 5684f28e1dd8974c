"""Small tables of mixed kinds, and joints fitted to them in a moment, for the tests of queries."""

from functools import cache

import numpy as np

from jointprob.encode import fit_encodings
from jointprob.joint import Member, Plan, Rows, Schedule, grow, refine
from jointprob.query import Joint
from jointprob.table import read_table

CATEGORICAL = ("color", "flag")


def mixed_table(n_rows=800, seed=0, missing=0.08):
    """Three hidden groups seen through numbers, a zero-inflated number, colours and a flag."""
    rng = np.random.default_rng(seed)
    group = rng.integers(3, size=n_rows)
    a = rng.normal(2.0 * group)
    zero = np.where(rng.random(n_rows) < 0.3 + 0.2 * (group == 1), 0.0, rng.gamma(2 + group))
    names = np.array(["red", "green", "blue", "teal"], dtype=object)
    table = {
        "a": a,
        "color": names[(group + rng.integers(2, size=n_rows)) % 4],
        "b": 0.7 * a + 0.5 * rng.normal(size=n_rows),
        "zero": zero,
        "flag": (rng.random(n_rows) < 0.2 + 0.3 * group).astype(object),
    }
    return {name: with_holes(cells, rng.random(n_rows) < missing) for name, cells in table.items()}


def with_holes(cells, gone):
    """A copy with missing cells where `gone`."""
    cells = cells.copy()
    cells[gone] = None if cells.dtype == object else np.nan
    return cells


def without(table, *names):
    """A copy in which whole columns are missing."""
    return {
        name: with_holes(cells, np.ones(len(cells), bool)) if name in names else cells
        for name, cells in table.items()
    }


def take(table, rows):
    return {name: cells[rows] for name, cells in table.items()}


def repeat(row, n_rows, **columns):
    """A dict table that repeats one row, some columns replaced."""
    table = {name: np.repeat(cells[:1], n_rows) for name, cells in row.items()}
    return {**table, **columns}


def fit_joint(X, seeds=(0, 1), n_subsets=3, n_gaussians=4, blocks=None, n_epochs=2, **options):
    """A bag of one tree for each seed, in normal scores and raw by turns."""
    table = read_table(X, **options)
    encodings, members = fit_encodings(table), []
    for i, seed in enumerate(seeds):
        encoding = encodings[i % 2]
        encoded = encoding.encode(table)
        numeric = tuple(range(encoded.z.shape[1]))
        rows = Rows(encoded.codes, encoded.z, np.ones(table.n_rows), encoding.n_levels, numeric)
        together = ((numeric,) if numeric else ()) if blocks is None else blocks
        plan = Plan(n_subsets=n_subsets, n_gaussians=n_gaussians, numeric_blocks=together)
        start = grow(rows, plan, seed, 1)
        tree = refine(start, rows, rows, plan, Schedule(n_epochs=n_epochs), seed)
        members.append(Member(tree, encoding, float(np.log((1 + i) / sum(range(len(seeds) + 1))))))
    return Joint(table.schema, tuple(members), float(table.n_rows))


@cache
def mixed_joint(apart=False):
    """Fitted to `mixed_table`; with each numeric column in a block of its own, or all in one."""
    return fit_joint(mixed_table(), blocks=((0,), (1,), (2,)) if apart else None)


ROW = take(mixed_table(missing=0), [0])


def levels_of(joint, column):
    return joint.schema.columns[joint.schema.position(column)].levels


def density(joint, **columns):
    """exp(log_prob) of one-column tables, the other columns missing."""
    n = len(next(iter(columns.values())))
    table = repeat(without(ROW, *ROW), n)
    return np.exp(joint.log_prob({**table, **columns}))


def integral(joint, column, low, high, n_pieces=400):
    """Of the density of a column over an interval, by Gauss-Legendre quadrature on pieces."""
    nodes, weights = np.polynomial.legendre.leggauss(16)
    edges = np.linspace(low, high, n_pieces + 1)
    half = 0.5 * np.diff(edges)[:, None]
    x = (0.5 * (edges[1:] + edges[:-1]))[:, None] + half * nodes
    p = density(joint, **{column: x.ravel()}).reshape(x.shape)
    return float((p * half * weights).sum())
