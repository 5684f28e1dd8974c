"""jointprob's side of the comparisons: default settings, and the simpler models beside it."""

from __future__ import annotations

import hashlib
from typing import Any, Self

import numpy as np
from data import Split
from measure import Result, fitted, rows_per_second, timed

from jointprob import JEPADensity
from jointprob.joint import Plan
from jointprob.joint.nursery import Nursery
from jointprob.joint.views import views_of
from jointprob.table import conform, read_table

SEED = 0


def default(split: Split, n_jobs: int) -> Result:
    """Default settings; `n_jobs` is the machine's number of cores."""
    return _measured(split, JEPADensity(random_state=0, n_jobs=n_jobs))


def mixture(split: Split, n_jobs: int) -> Result:
    """One latent variable of 256 subsets for all columns, with the same leaves."""
    return _measured(split, MixtureOfSubsets(random_state=0, n_jobs=n_jobs))


class MixtureOfSubsets(JEPADensity):
    """A plain mixture: every column hangs on the one latent of 256 states, no tree between columns.

    Of the two encodings of numeric columns it takes the one that held-out rows favour.
    """

    def fit(self, X: Any, X_val: Any) -> Self:
        table = read_table(X)
        views = views_of(
            table, np.ones(table.n_rows), conform(X_val, table.schema), SEED, self.n_jobs
        )
        nursery = Nursery(views, SEED, self.n_jobs)
        plan = Plan(
            n_subsets=1,  # what ties a categorical column to the rest is the root alone
            n_gaussians=256,
            numeric_blocks=(views[0].rows.known_numeric,),
            n_cells=64,
            structure="mixture",
        )
        nursery.add([(plan, view) for view in range(len(views))])
        nursery.grown = [nursery.best()]
        self._keep(table.schema, nursery.members(), table.n_rows)
        return self


def _measured(split: Split, estimator: Any) -> Result:
    model, cost = fitted(lambda: estimator.fit(split.train, X_val=split.valid))
    return {
        **cost,
        "nats": float(model.score_samples(split.test).mean()),
        "rows_per_second": rows_per_second(model.score_samples, split.test),
        "n_gaussians": count_gaussians(model.joint_),
    }


def count_gaussians(joint: Any) -> int:
    """All Gaussians of all trees of the bag, whatever block of columns they stand on."""
    return sum(g.n_states for member in joint.members for g in member.tree.gaussians)


def independent_columns(split: Split, n_jobs: int) -> Result:
    """The same leaves, one column at a time: log densities add up."""
    scores, seconds = timed(
        lambda: sum(_one_column(split, k, n_jobs) for k in range(split.train.shape[1]))
    )
    return {"nats": float(np.mean(scores)), "fit_seconds": seconds}


def _one_column(split: Split, position: int, n_jobs: int) -> np.ndarray:
    column = split.map(lambda part: _pick(part, position))
    model = JEPADensity(n_subsets=1, n_trees=1, random_state=0, n_jobs=n_jobs).fit(
        column.train, X_val=column.valid
    )
    return model.score_samples(column.test)


def _pick(part: Any, position: int) -> Any:
    columns = slice(position, position + 1)
    return part.iloc[:, columns] if hasattr(part, "iloc") else part[:, columns]


def scaling(train: Any, test: Any, n_jobs: int) -> Result:
    """Fit `train` as a user would, without rows set apart."""
    model, cost = fitted(lambda: JEPADensity(random_state=0, n_jobs=n_jobs).fit(train))
    rate = rows_per_second(model.score_samples, test)
    return {**cost, "nats": float(model.score_samples(test).mean()), "rows_per_second": rate}


def bits(split: Split, n_jobs: int) -> Result:
    """A digest of the scores, and whether a shuffled query batch gives the same ones."""
    model, cost = fitted(
        lambda: JEPADensity(random_state=0, n_jobs=n_jobs).fit(split.train, X_val=split.valid)
    )
    scores = model.score_samples(split.test)
    order = np.random.default_rng(0).permutation(len(scores))
    test = split.test
    shuffled = model.score_samples(test.iloc[order] if hasattr(test, "iloc") else test[order])
    return {
        **cost,
        "digest": hashlib.sha256(scores.tobytes()).hexdigest()[:16],
        "shuffle_same_bits": bool(np.array_equal(shuffled, scores[order])),
        "shuffle_difference": float(np.abs(shuffled - scores[order]).max()),
    }


def classifier(n_jobs: int) -> Any:
    from jointprob import JEPAClassifier

    return JEPAClassifier(random_state=SEED, n_jobs=n_jobs)


def regressor(n_jobs: int) -> Any:
    from jointprob import JEPARegressor

    return JEPARegressor(random_state=SEED, n_jobs=n_jobs)


def outlier_detector(n_jobs: int) -> Any:
    from jointprob import JEPAOutlierDetector

    return JEPAOutlierDetector(random_state=SEED, n_jobs=n_jobs)


def imputer(n_jobs: int) -> Any:
    from jointprob import JEPAImputer

    return JEPAImputer(random_state=SEED, n_jobs=n_jobs)
