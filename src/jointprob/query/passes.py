"""One member of the bag under one branch of evidence, and its up-down passes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from jointprob import _joint
from jointprob.encode import MISSING
from jointprob.joint.tree import Codes, Floats, Points, Sizes
from jointprob.query.intervals import rectangle
from jointprob.query.view import Mask, View
from jointprob.threads import run_blocks

Keys = NDArray[np.uint64]

BLOCK_ROWS = 1024
STATES_AT_ONCE = 1 << 21  # numbers of one table of marginals
RECTANGLE_ERROR = 1e-6


class Marginals(NamedTuple):
    """What an up-down pass says of rows."""

    log_prob: Floats  # (n_rows,) of codes and z
    cavity: Points  # (n_rows, n_total) P(z_b | all but block b's own cells)
    posterior: Points  # (n_rows, n_total) P(z_b | row)


@dataclass(frozen=True, eq=False)
class Pass:
    """Rows as one member sees them.

    Parameters
    ----------
    view : View
    codes : int32 (n_rows, n_categorical)
    z : float32 (n_rows, n_numeric)
    log_jacobian : float64 (n_rows,)
    sets : dict of int to bool (n_levels,)
        Columns of codes known to lie in a set of levels, in all rows.
    intervals : dict of int to (float, float)
        Columns of z known to lie in an interval, in all rows.
    """

    view: View
    codes: Codes
    z: Points
    log_jacobian: Floats
    sets: Mapping[int, Mask] = field(default_factory=dict)
    intervals: Mapping[int, tuple[float, float]] = field(default_factory=dict)
    abs_error: float = RECTANGLE_ERROR

    @property
    def n_rows(self) -> int:
        return len(self.codes)

    @property
    def log_weight(self) -> float:
        return self.view.member.log_weight

    @cached_property
    def parts(self) -> list[Points]:
        return self.view.tree.numeric_parts(self.z)

    @cached_property
    def patterns(self) -> list[Keys]:
        """A number for each row's set of missing cells, by Gaussian block."""
        return [pattern_keys(z) for z in self.parts]

    @property
    def block_rows(self) -> int:
        """Rows whose marginals are held at once."""
        return int(np.clip(STATES_AT_ONCE // self.view.n_total // 128 * 128, 128, BLOCK_ROWS))

    def take(self, rows: Sizes) -> Pass:
        """The pass over some of the rows."""
        return replace(
            self, codes=self.codes[rows], z=self.z[rows], log_jacobian=self.log_jacobian[rows]
        )

    def assume(self, column: int, code: int) -> Pass:
        """The pass with one column of codes known in every row."""
        codes = self.codes.copy()
        codes[:, column] = code
        return replace(self, codes=codes)

    def forget(self, j: int, place: int, log_slope: Floats) -> Pass:
        """The pass with a numeric cell and its companion missing in every row."""
        codes, z = self.codes.copy(), self.z.copy()
        codes[:, place], z[:, j] = MISSING, np.nan
        return replace(self, codes=codes, z=z, log_jacobian=self.log_jacobian - log_slope)

    def log_prob(self, n_jobs: int | None = None) -> Floats:
        """log(weight of the member) + log p(row), float64 (n_rows,), in the units of the table."""
        out = np.empty(self.n_rows)

        def score(start: int, stop: int) -> None:
            evidence, log_scale = self.evidence(np.arange(start, stop))
            tree = self.view.tree
            tree.kernel.log_prob(evidence, 0, stop - start, tree.work(), out[start:stop])
            out[start:stop] += log_scale

        run_blocks(score, self.n_rows, BLOCK_ROWS, n_jobs)
        return out + self.log_jacobian + self.log_weight

    def marginals(self, rows: Sizes) -> Marginals:
        """One up-down pass."""
        view, n = self.view, len(rows)
        evidence, log_scale = self.evidence(rows)
        log_prob = np.empty(n)
        cavity, posterior = (np.empty((n, view.n_total), np.float32) for _ in range(2))
        view.tree.kernel.marginals(
            evidence, view.state_at, 0, n, view.tree.work(full=True), log_prob, cavity, posterior
        )
        return Marginals(log_prob + log_scale, cavity, posterior)

    def sample_states(self, rows: Sizes, seed: int, key: Keys) -> Codes:
        """A draw of every block's state given each row, int32 (n_rows, n_blocks)."""
        tree, n = self.view.tree, len(rows)
        evidence, _ = self.evidence(rows)
        states = np.empty((n, tree.n_blocks), np.int32)
        tree.kernel.sample(evidence, seed, key, 0, n, tree.work(), np.empty(n), states)
        return states

    def evidence(self, rows: Sizes) -> tuple[_joint.Evidence, Floats]:
        """What the kernels are told of the rows, and the log scale taken out of each."""
        tree, leaf_at = self.view.tree, self.view.tree.leaf_at.copy()
        n_leaf = tree.n_leaf
        for column in self.sets:
            block = self.view.block_of_code[column]
            leaf_at[block] = n_leaf
            n_leaf += int(tree.n_states[block])
        if self.intervals:  # rectangles are dear, and draws ask for the same row many times
            distinct, place = np.unique(rows, return_inverse=True)
            leaf, log_scale = self._leaves(distinct)
            leaf, log_scale = leaf[place], log_scale[place]
        else:
            leaf, log_scale = self._leaves(rows)
        return _joint.Evidence(self.codes, tree.code_column, rows, leaf, leaf_at), log_scale

    def _leaves(self, rows: Sizes) -> tuple[Points, Floats]:
        """Likelihoods of every Gaussian's and every set's states, and their log scale."""
        leaf, log_scale = self.view.tree.leaves(self.parts, rows)
        for g in sorted({self.view.place_of_numeric[j].gaussian for j in self.intervals}):
            self._cut_leaf(g, rows, leaf, log_scale)
        if self.sets:
            sets = [self._set_leaf(column, allowed, rows) for column, allowed in self.sets.items()]
            leaf = np.concatenate([leaf, *sets], axis=1)
        return leaf, log_scale

    def _set_leaf(self, column: int, allowed: Mask, rows: Sizes) -> Points:
        """P(level in the set | z); a row that names its own level answers for that one."""
        levels, codes = self.view.levels[column], self.codes[rows, column]
        own = levels.by_state(codes)
        own[codes == -1] = levels.of_set(allowed)
        own[codes >= 0] *= allowed[codes[codes >= 0], None]
        own[codes == -2] = 0
        return own.astype(np.float32)

    def cut_columns(self, g: int) -> list[int]:
        """Columns of z in Gaussian block g that are known to lie in an interval."""
        return [j for j in sorted(self.intervals) if self.view.place_of_numeric[j].gaussian == g]

    def ends(self, columns: list[int]) -> tuple[Floats, Floats]:
        """Low and high ends of these columns' intervals."""
        ends = np.array([self.intervals[j] for j in columns]).reshape(-1, 2)
        return ends[:, 0], ends[:, 1]

    def _cut_leaf(self, g: int, rows: Sizes, leaf: Points, log_scale: Floats) -> None:
        """Multiply block g's likelihoods by the probability of its intervals, rescaled."""
        at = int(self.view.tree.leaf_at[self.view.tree.numeric_blocks[g]])
        own = leaf[:, at : at + self.view.tree.gaussians[g].n_states]
        columns = self.cut_columns(g)
        cells = self.z[rows][:, columns]
        low, high = self.ends(columns)
        densities = self.view.own(g)
        patterns, which = np.unique(np.isnan(cells), axis=0, return_inverse=True)
        scaled = own.astype(np.float64)
        scaled[((cells < low) | (cells > high)).any(axis=1)] = 0
        for p, unknown in enumerate(patterns):
            asked = [j for j, missing in zip(columns, unknown, strict=True) if missing]
            if asked and densities is not None:
                scaled[which.ravel() == p] *= densities.within(low[0], high[0])
            elif asked:
                row, state = np.nonzero((scaled > 0) & (which.ravel() == p)[:, None])
                mean, factor = self.condition(g, rows[row], state.astype(np.int32), asked)
                scaled[row, state] *= rectangle(mean, factor, *self.ends(asked), self.abs_error)
        top = scaled.max(axis=1, initial=0.0)
        top[top == 0] = 1
        own[:] = scaled / top[:, None]
        log_scale += np.log(top)

    def condition(
        self, g: int, rows: Sizes, state: Codes, columns: list[int]
    ) -> tuple[Floats, Floats]:
        """Normal of some columns of block g given the rows' other known cells, in each state.

        Parameters
        ----------
        rows, state : int (n_pairs,)
        columns : list of int
            Columns of z.

        Returns
        -------
        mean : float64 (n_pairs, n_columns)
        factor : float64 (n_pairs, n_columns, n_columns)
            Lower Cholesky factor of the covariance.
        """
        n, t = len(rows), len(columns)
        mean, factor = np.empty((n, t)), np.empty((n, t, t))
        if n == 0:
            return mean, factor
        z, kernel = self.parts[g], self.view.states[g]
        target = np.array([self.view.place_of_numeric[j].position for j in columns], np.int64)
        order = np.lexsort((state, self.patterns[g][rows])).astype(np.int64)
        work = np.empty(kernel.work_size())
        kernel.condition(z, rows.astype(np.int64), state, order, target, work, mean, factor)
        return mean, factor


def pattern_keys(z: Points | Floats) -> Keys:
    """A number for each row's set of missing cells, uint64 (n_rows,), of at most 64 columns."""
    bits = np.left_shift(np.uint64(1), np.arange(z.shape[1], dtype=np.uint64))
    return np.asarray((np.isnan(z) * bits).sum(axis=1, dtype=np.uint64))


def log_sum_exp(terms: Sequence[Floats] | Floats) -> Floats:
    """log of the sum of exp(term), float64 (n_rows,).

    Terms are added one after the other, so that a row's bits do not depend on how many there are.
    """
    top = np.maximum.reduce(terms)
    shift = np.where(np.isneginf(top), 0.0, top)
    total = np.zeros_like(top)
    for term in terms:
        total += np.exp(term - shift)
    with np.errstate(divide="ignore"):
        return np.asarray(shift + np.log(total))
