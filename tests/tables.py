"""Tables that every estimator meets sooner or later, for the tests of estimators."""

import numpy as np
import pandas as pd

from jointprob import JEPADensity

N_ROWS = 120
KINDS = ("mixed", "numeric", "categorical")


def small(**settings):
    """A density estimator that fits in a moment."""
    return JEPADensity(**{"n_subsets": 2, "n_trees": 2, "random_state": 0, **settings})


def frame(kind="mixed", n_rows=N_ROWS, seed=0):
    """Two hidden groups seen through a number, a few counts and a label, some cells missing."""
    rng = np.random.default_rng(seed)
    group = rng.integers(2, size=n_rows)
    table = pd.DataFrame(
        {
            "length": rng.normal(3.0 * group),
            "count": rng.poisson(2 + 3 * group).astype(float),
            "label": np.array(["x", "y", "z"], object)[(group + rng.integers(2, size=n_rows)) % 3],
        }
    )
    for name in table:
        table.loc[rng.random(n_rows) < 0.1, name] = None
    return table[
        {"mixed": list(table), "numeric": ["length", "count"], "categorical": ["label"]}[kind]
    ]


def scores(model, X):
    """Log densities as bytes, to compare bit for bit."""
    log_prob = model.score_samples(X)
    assert np.isfinite(log_prob).all()
    return log_prob.tobytes()
