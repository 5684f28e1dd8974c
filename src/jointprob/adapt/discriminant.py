"""Class probabilities by Gaussians of one covariance, whose sums every batch moves."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.linalg import LinAlgError
from scipy.linalg.lapack import dposv

from jointprob.adapt.generation import Codes, Shares
from jointprob.adapt.logs import softmax
from jointprob.adapt.stream import kept_share
from jointprob.joint.tree import Floats
from jointprob.threads import one_blas_thread

HALF_LIVES = (400.0, 2000.0, 1000.0)  # the last one sees distances from the trend as well
MOST_COLUMNS = 300  # numeric ones, beyond which there is no discriminant
FIRST_ROWS = 100  # that say where columns lie and in what unit
RIDGE = 1e-3  # of each column's variance, added to that within classes
FARTHEST = 50.0  # units from the centre, beyond which a cell says no more


@dataclass(frozen=True, eq=False)
class Sums:
    """Of a batch: rows (n_classes,), sums (n_classes, n_columns), square (n_columns, n_columns)."""

    rows: Floats
    sums: Floats
    square: Floats

    @classmethod
    def of(cls, z: Floats, label: Codes, weight: Floats, n_classes: int) -> Sums:
        """Of rows (n_rows, n_columns), in units."""
        weighted, is_class = z * weight[:, None], label == np.arange(n_classes)[:, None]
        with one_blas_thread():
            sums, square = is_class.astype(np.float64) @ weighted, weighted.T @ z
        return cls(is_class @ weight, sums, square)


@dataclass(frozen=True, eq=False)
class Discriminant:
    """Linear discriminant analysis with forgetting. Immutable: `after` returns the next one.

    Parameters
    ----------
    half_life : float
        Rows after which a row counts half.
    center, scale : float64 (n_columns,)
        Of the columns in the first batch: sums are of cells less the center, over the scale.
    rows : float64 (n_classes,)
    sums : float64 (n_classes, n_columns)
    square : float64 (n_columns, n_columns)
        Sum of the products of cells, over all classes.

    Notes
    -----
    The plainest joints of the classes (Fisher 1936, doi:10.1111/j.1469-1809.1936.tb02137.x), by
    running sums. A missing cell counts as the center.
    """

    half_life: float
    center: Floats
    scale: Floats
    rows: Floats
    sums: Floats
    square: Floats

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_scores"}

    @classmethod
    def empty(cls, cells: Floats, n_classes: int, half_life: float) -> Discriminant:
        """Before the first batch; its cells, (n_rows, n_columns), are like these."""
        cells = cells[:FIRST_ROWS]
        known, d = ~np.isnan(cells), cells.shape[1]
        n = np.maximum(known.sum(axis=0), 1)
        with np.errstate(over="ignore", invalid="ignore"):
            center = np.where(known, cells / n, 0).sum(axis=0)
            off = np.where(known, cells - center, 0)
            scale = np.sqrt((off**2).sum(axis=0) / n)
        scale = np.where((scale > 0) & np.isfinite(scale), scale, np.maximum(np.abs(center), 1))
        rows, sums = np.zeros(n_classes), np.zeros((n_classes, d))
        return cls(half_life, center, scale, rows, sums, np.zeros((d, d)))

    def widened(self, n_classes: int) -> Discriminant:
        """With room for more classes."""
        more = n_classes - len(self.rows)
        if not more:
            return self
        rows, sums = np.pad(self.rows, (0, more)), np.pad(self.sums, ((0, more), (0, 0)))
        return replace(self, rows=rows, sums=sums)

    def units(self, cells: Floats) -> Floats:
        """Cells less the center over the scale, (n_rows, n_columns)."""
        with np.errstate(over="ignore"):
            z = (cells - self.center) / self.scale
        z[np.isnan(z)] = 0.0
        return np.clip(z, -FARTHEST, FARTHEST, out=z)

    def shares(self, z: Floats) -> Shares:
        """Probability of each class, (n_rows, n_classes), of rows in units."""
        slopes, start = self._scores
        # Row by row: a matrix product's last bits would depend on where a row stands.
        said = np.einsum("ij,kj->ik", z, slopes)
        return np.asarray(softmax(said + start), np.float32)

    @cached_property
    def _scores(self) -> tuple[Floats, Floats]:
        """Slopes (n_classes, n_columns) and starts of the classes' scores."""
        n, prior = self.rows.sum(), (self.rows + 1e-3) / (self.rows + 1e-3).sum()
        if n == 0:
            return np.zeros_like(self.sums), np.log(prior)
        overall = self.sums.sum(axis=0) / n
        means = (self.sums + overall) / (self.rows[:, None] + 1)
        roots = self.sums / np.sqrt(np.maximum(self.rows, 1e-12))[:, None]
        with one_blas_thread():
            slopes = self._slopes(means, roots, overall)
        return slopes, np.log(prior) - (means * slopes).sum(axis=1) / 2

    def _slopes(self, means: Floats, roots: Floats, overall: Floats) -> Floats:
        """Means over the covariance within classes."""
        n, within = self.rows.sum(), roots.T @ roots
        np.subtract(self.square, within, out=within)
        within /= n
        variance = np.maximum(np.diag(self.square) / n - overall**2, 0)
        within[np.diag_indices(len(within))] += RIDGE * (variance + 1e-3)
        # Turned, it is in LAPACK's order, which saves a copy that takes as long as the solution.
        _, slopes, failed = dposv(within.T, means.T, lower=True, overwrite_a=True)
        if failed:
            raise LinAlgError("the covariance within classes is not positive definite")
        return np.asarray(slopes.T)

    def after(self, new: Sums) -> Discriminant:
        """With the rows of a batch; of its columns the first ones, as many as there are here."""
        d, kept = len(self.center), kept_share(float(new.rows.sum()), self.half_life)
        return replace(
            self,
            rows=self.rows * kept + new.rows,
            sums=self.sums * kept + new.sums[:, :d],
            square=self.square * kept + new.square[:d, :d],
        )
