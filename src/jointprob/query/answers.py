"""Posterior of rows under a mixture of passes, and the distribution of any column that follows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np

from jointprob.encode import CONTINUOUS
from jointprob.joint.tree import Codes, Floats, Points, Sizes
from jointprob.query.intervals import cut, lattice, shifted
from jointprob.query.numeric import Mixture, Normals
from jointprob.query.passes import Marginals, Pass, log_sum_exp

NEGLIGIBLE = 1e-8  # posterior below which a state has no part in a numeric answer
NODES = (1, 128)  # of conditioning on no interval and on one
MORE_NODES = 1024  # and on several


class Answers:
    """One up-down pass of some rows under every pass.

    Parameters
    ----------
    passes : sequence of Pass
        A mixture: member by member, branch by branch of the evidence.
    rows : int64 (n_rows,)
    """

    def __init__(self, passes: Sequence[Pass], rows: Sizes) -> None:
        self.passes, self.rows = passes, rows
        self.marginals: list[Marginals] = [p.marginals(rows) for p in passes]

    @cached_property
    def log_prob(self) -> Floats:
        """log(weight) + log p(row) by pass, float64 (n_passes, n_rows)."""
        return np.array(
            [
                m.log_prob + p.log_jacobian[self.rows] + p.log_weight
                for p, m in zip(self.passes, self.marginals, strict=True)
            ]
        )

    @cached_property
    def share(self) -> Floats:
        """P(pass | row), float64 (n_passes, n_rows)."""
        return shares(self.log_prob, self.rows)

    def predict_levels(self, column: int, within: Sizes) -> Floats:
        """P(level | evidence) of a column of codes, the level being one that fit saw.

        Returns
        -------
        float64 (n, n_levels)
        """
        parts = [self._weighted_levels(i, column, within) for i in range(len(self.passes))]
        mass = np.sum(parts, axis=0)
        total = mass.sum(axis=1, keepdims=True)
        return np.asarray(mass / np.where(total > 0, total, 1))

    def _weighted_levels(self, i: int, column: int, within: Sizes) -> Floats:
        """The part of one pass: P(pass | row) P(level | row, pass)."""
        return self.share[i, within, None] * self._levels(i, column, within)

    def _levels(self, i: int, column: int, within: Sizes) -> Floats:
        view = self.passes[i].view
        cavity = view.block(view.block_of_code[column], self.marginals[i].cavity)[within]
        mass = view.levels[column].predict(cavity)
        if column not in self.passes[i].sets:
            return mass
        mass *= self.passes[i].sets[column]
        total = mass.sum(axis=1, keepdims=True)  # the pass is weighed by it already
        return np.asarray(mass / np.where(total > 0, total, 1))

    def mixture(self, j: int, within: Sizes) -> Mixture:
        """Distribution of numeric column j (a column of z) for some of the rows.

        Parameters
        ----------
        j : int
        within : int64 (n,)
            Positions among the rows.
        """
        place = self.passes[0].view.encoding.companion_of[j]
        atoms, atom_weight = self.atoms(j, within)
        if place is None:
            normals = [
                self._normals(i, j, self.rows[within], within, self.share[i, within])
                for i in range(len(self.passes))
            ]
            return Mixture(len(within), normals, atoms, atom_weight)
        parts = [self._weighted_levels(i, place, within) for i in range(len(self.passes))]
        normals = [
            self._continuous(i, j, place, within, part[:, CONTINUOUS])
            for i, part in enumerate(parts)
            if (part[:, CONTINUOUS] > 0).any()
        ]
        return Mixture(len(within), normals, atoms, atom_weight)

    def atoms(self, j: int, within: Sizes) -> tuple[Floats, Floats]:
        """Atoms of numeric column j, and P(atom | evidence), float64 (n, n_atoms)."""
        encoding = self.passes[0].view.encoding
        place = encoding.companion_of[j]
        if place is None:
            return np.empty(0), np.empty((len(within), 0))
        parts = [self._weighted_levels(i, place, within)[:, 1:] for i in range(len(self.passes))]
        return encoding.atoms[j], np.sum(parts, axis=0)

    def _continuous(self, i: int, j: int, place: int, within: Sizes, weight: Floats) -> Normals:
        """The continuous part of a column with atoms.

        Whether a value is an atom and what it is otherwise depend on one another through the
        tree: so a further pass takes for granted that it is none.
        """
        assumed = self.passes[i].take(self.rows[within]).assume(place, CONTINUOUS)
        every = np.arange(len(within))
        return Answers([assumed], every)._normals(0, j, every, every, weight)

    def _normals(self, i: int, j: int, rows: Sizes, within: Sizes, weight: Floats) -> Normals:
        one = self.passes[i]
        g = one.view.place_of_numeric[j].gaussian
        densities = one.view.own(g)
        if densities is not None:
            raise ValueError(
                f"column {densities.name!r} has densities of a family of its own: its mean, "
                "quantiles and mode are not known; draw samples"
            )
        block = one.view.tree.numeric_blocks[g]
        posterior = one.view.block(block, self.marginals[i].posterior)[within]
        return normals_of(one, g, j, rows, posterior, weight)


def shares(log_prob: Floats, rows: Sizes) -> Floats:
    """P(pass | row) from log(weight) + log p(row), both (n_passes, n_rows).

    Raises
    ------
    ValueError
        If a row's evidence has probability zero.
    """
    total = log_sum_exp(log_prob)
    impossible = np.flatnonzero(np.isneginf(total))
    if len(impossible):
        raise ValueError(
            f"row {rows[impossible[0]]} of the evidence has probability 0; nothing follows from it"
        )
    return np.asarray(np.exp(log_prob - total))


def root_subsets(one: Pass, start: int, stop: int) -> Floats:
    """P(subset | row) at the root block, float64 (n_rows, n_subsets)."""
    posterior = Answers([one], np.arange(start, stop)).marginals[0].posterior
    n_states, n_cells = (int(sizes[0]) for sizes in (one.view.tree.n_states, one.view.tree.n_cells))
    root = posterior[:, :n_states].astype(np.float64)
    return np.asarray(root.reshape(len(root), n_cells, n_states // n_cells).sum(axis=1))


def normals_of(
    one: Pass, g: int, j: int, rows: Sizes, posterior: Points, weight: Floats
) -> Normals:
    """Column j of z as weighted normals: one for each state and each node of other intervals."""
    row, state = np.nonzero(posterior > NEGLIGIBLE)
    mass = weight[row] * posterior[row, state]
    if one.cut_columns(g):
        return _cut_normals(one, g, j, rows[row], state.astype(np.int32), row, mass)
    return _plain_normals(one, g, j, rows[row], state.astype(np.int32), row, mass)


def _plain_normals(
    one: Pass, g: int, j: int, rows: Sizes, state: Codes, row: Sizes, mass: Floats
) -> Normals:
    """One normal for each state, the same for all rows that know no cell of the block."""
    n_states = one.view.tree.gaussians[g].n_states
    bare = np.isnan(one.parts[g][rows]).all(axis=1)
    rest = np.flatnonzero(~bare)
    which = state.astype(np.int64)
    which[rest] = n_states + np.arange(len(rest))
    known_mean, known_factor = one.condition(g, rows[rest], state[rest], [j])
    mean, deviation = one.view.alone(g, one.view.place_of_numeric[j].position)
    return Normals(
        one.view.encoding.marginals[j], row, mass, which,
        np.concatenate([mean, known_mean[:, 0]]),
        np.concatenate([deviation, known_factor[:, 0, 0]]),
        reach=one.view.reach,
        n_shared=n_states,
    )  # fmt: skip


def _cut_normals(
    one: Pass, g: int, j: int, rows: Sizes, state: Codes, row: Sizes, mass: Floats
) -> Normals:
    """Normals given intervals of the block: one for each state and node of the other intervals."""
    others = [column for column in one.cut_columns(g) if column != j]
    low, high = one.intervals.get(j, (-np.inf, np.inf))
    n_nodes = NODES[len(others)] if len(others) < len(NODES) else MORE_NODES
    mean, factor = one.condition(g, rows, state, [*others, j])
    drawn = cut(mean, factor, *one.ends(others), lattice(len(others), n_nodes))
    shift = shifted(mean, factor, len(others), drawn.y)
    normals = Normals(
        one.view.encoding.marginals[j],
        np.repeat(np.arange(len(row)), n_nodes),
        (drawn.weight / n_nodes).ravel(),
        np.arange(len(row) * n_nodes),
        np.broadcast_to(shift, (len(row), n_nodes)).ravel(),
        np.repeat(factor[:, -1, -1], n_nodes),
        low,
        high,
        one.view.reach,
    )
    inside = normals.sum(normals.below(np.array(np.inf)), len(row))
    scale = mass / np.where(inside > 0, inside, 1)
    return replace(
        normals,
        row=np.repeat(row, n_nodes),
        weight=normals.weight * np.repeat(scale, n_nodes),
    )
