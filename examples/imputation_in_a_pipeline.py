"""Gaps filled inside a pipeline, so that cross-validation never fills from rows it must not see.

python examples/imputation_in_a_pipeline.py
"""

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.datasets import load_diabetes
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from jointprob import JEPAImputer

MISSING_SHARE = 0.3


def with_gaps(X: pd.DataFrame, share: float) -> pd.DataFrame:
    """The table without some of its cells."""
    return X.mask(np.random.default_rng(0).random(X.shape) < share)


def main() -> None:
    """A linear model of the progress of a disease, its measurements full of holes."""
    X, y = load_diabetes(return_X_y=True, as_frame=True)
    holed = with_gaps(X, MISSING_SHARE)
    imputers = {
        "means of columns": SimpleImputer(),
        "JEPAImputer": JEPAImputer(n_trees=2, random_state=0),
    }
    for name, imputer in imputers.items():
        # set_output keeps the columns' names on their way through the pipeline.
        pipeline = make_pipeline(imputer, StandardScaler(), Ridge()).set_output(transform="pandas")
        score = cross_val_score(pipeline, holed, y, cv=4, scoring="r2").mean()
        filled = clone(imputer).set_output(transform="pandas").fit_transform(holed)
        error = ((filled - X) / X.std())[holed.isna()].stack().pow(2).mean() ** 0.5
        print(f"{name:17s} error of a filled cell {error:.3f}, R2 of the pipeline {score:.3f}")


if __name__ == "__main__":
    main()
