"""Which rows of many: those that look like a target, or those that cover the subsets evenly."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_random_state

from jointprob.adapt.transfer import transfer
from jointprob.estimators.density import JEPADensity
from jointprob.query import Joint
from jointprob.query.evidence import read_rows

Rows = NDArray[np.int64]


def select(
    X_pool: Any,
    X_target: Any,
    n: int,
    *,
    categorical_features: Any = "from_dtype",
    random_state: Any = None,
    n_jobs: int | None = None,
) -> Rows:
    """Rows of a large pool of mixed quality that look like the target's.

    Parameters
    ----------
    X_pool, X_target : frame, array or dict
        With the same columns.
    n : int
        Rows to select, at most those of the pool.
    categorical_features : "from_dtype", None, mask, indices or names
    random_state : None, int, RandomState
    n_jobs : int, optional
        Number of threads; the result does not depend on it.

    Returns
    -------
    int64 (n,)
        Positions in the pool, ascending; a sample without replacement.

    Raises
    ------
    ValueError
        If n is not from 1 to the rows of the pool, or the tables do not go together.

    Notes
    -----
    Importance resampling as in DSIR (Xie et al. 2023, arXiv:2302.03169): a row's weight is
    p_target(x) / p_pool(x), and adding Gumbel noise to its logarithm and taking the n largest
    draws without replacement. Here the two densities are a joint of the pool and the same joint
    fine-tuned to the target, so that few target rows suffice and both have one measure.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> pool = np.concatenate([rng.normal(0, 1, (100, 2)), rng.normal(6, 1, (300, 2))])
    >>> rows = select(pool, rng.normal(0, 1, (30, 2)), 80, random_state=0)
    >>> bool(np.mean(rows < 100) > 0.9)
    True
    """
    random = check_random_state(random_state)
    seed = int(random.randint(2**31 - 1))
    density = JEPADensity(
        categorical_features=categorical_features, random_state=seed, n_jobs=n_jobs
    )
    pool = density.fit(X_pool).joint_
    target = transfer(pool, X_target, None, "auto", "from_dtype", seed, n_jobs)
    columns = target.joint.schema.names
    if set(columns) != set(pool.schema.names):
        raise ValueError(
            f"X_target has the columns {list(columns)}, X_pool has {list(pool.schema.names)}; "
            "both must have the same"
        )
    before = pool.log_prob(X_pool, n_jobs=n_jobs)
    _check_size(n, len(before))
    after = target.joint.log_prob(X_pool, n_jobs=n_jobs)
    return _largest(after - before + random.gumbel(size=len(before)), n)


def diverse(
    X: Any,
    n: int,
    *,
    categorical_features: Any = "from_dtype",
    random_state: Any = None,
    n_jobs: int | None = None,
) -> Rows:
    """Rows that cover the subsets of a table evenly, rare ones as well as common ones.

    Parameters
    ----------
    X : frame, array or dict
    n : int
        Rows to take, at most those of X.
    categorical_features : "from_dtype", None, mask, indices or names
    random_state : None, int, RandomState
    n_jobs : int, optional
        Number of threads; the result does not depend on it.

    Returns
    -------
    int64 (n,)
        Positions in X, ascending.

    Raises
    ------
    ValueError
        If n is not from 1 to the rows of X.

    Notes
    -----
    Every tree of a joint of the table divides the rows into subsets at its root. Each row takes a
    turn within its subset, by lot; a row's turn is its mean over trees, and the n first are taken:
    from every subset about as many, all of a subset that has no more. Rare rows stand in small
    subsets, and are taken early.
    """
    random = check_random_state(random_state)
    density = JEPADensity(
        categorical_features=categorical_features,
        random_state=int(random.randint(2**31 - 1)),
        n_jobs=n_jobs,
    )
    joint = density.fit(X).joint_
    table = read_rows(X, joint.schema)
    _check_size(n, table.n_rows)
    turns = [
        _turns(Joint(joint.schema, (member,))._subsets(table, n_jobs).argmax(axis=1), random)
        for member in joint.members
    ]
    # Logarithms: of two small subsets that hold a row, both count.
    return _largest(-np.mean(np.log1p(turns), axis=0), n)


def _turns(subset: NDArray[np.integer[Any]], random: np.random.RandomState) -> NDArray[np.float64]:
    """The k-th row of its subset, by lot, takes turn k."""
    order = random.permutation(len(subset))
    place = order[np.argsort(subset[order], kind="stable")]
    start = np.searchsorted(subset[place], subset[place])
    turn = np.empty(len(subset))
    turn[place] = np.arange(len(subset)) - start + random.uniform(size=len(subset))
    return turn


def _largest(score: NDArray[np.float64], n: int) -> Rows:
    rows: Rows = np.sort(np.argsort(-score, kind="stable")[:n]).astype(np.int64)
    return rows


def _check_size(n: Any, n_rows: int) -> None:
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or not 1 <= n <= n_rows:
        raise ValueError(f"n is {n!r}; allowed are whole numbers from 1 to {n_rows}, all rows")
