"""JointFeatures: posterior, surprise and filled cells of rows, for any estimator."""

import numpy as np
import pandas as pd
import pytest
from joints import mixed_table
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from jointprob import JEPADensity, JointFeatures


@pytest.fixture(scope="module")
def joint():
    return JEPADensity(n_subsets=3, n_trees=2, random_state=0).fit(mixed_table(300)).joint_


def test_parts_are_what_the_joint_says(joint):
    X = mixed_table(40, seed=1)
    whole = JointFeatures(joint).fit(X).transform(X)
    assert np.isfinite(whole).all()
    posterior = JointFeatures(joint, surprise=False, cells=False).transform(X)
    np.testing.assert_array_equal(posterior, joint.subsets(X))
    np.testing.assert_allclose(posterior.sum(axis=1), 1, atol=1e-5)
    surprise = JointFeatures(joint, posterior=False, cells=False).transform(X)
    want = np.stack(list(joint.explain(X).values()), axis=1)
    np.testing.assert_array_equal(surprise, np.nan_to_num(want))
    cells = JointFeatures(joint, posterior=False, surprise=False).transform(X)
    np.testing.assert_array_equal(whole, np.hstack([posterior, surprise, cells]))
    filled = joint.impute(X, method="median")
    np.testing.assert_array_equal(cells[:, 0], filled["a"])


def test_names_and_frames(joint):
    X = pd.DataFrame(mixed_table(10, seed=2))
    features = JointFeatures(joint).set_output(transform="pandas")
    frame = features.fit_transform(X)
    assert len(set(frame.columns)) == frame.shape[1]
    assert {"subset_0", "surprise_a", "a", "color_red", "flag_True"} <= set(frame.columns)


def test_in_a_pipeline(joint):
    X = mixed_table(60, seed=3, missing=0.2)
    y = np.nan_to_num(X["a"]) > 2
    model = clone(make_pipeline(JointFeatures(joint), LogisticRegression(max_iter=2000)))
    assert model.fit(X, y).score(X, y) > 0.8


def test_bad_settings_are_refused(joint):
    X = mixed_table(5)
    with pytest.raises(TypeError, match="joint is a str"):
        JointFeatures("joint").fit(X)
    with pytest.raises(ValueError, match="all False"):
        JointFeatures(joint, posterior=False, surprise=False, cells=False).fit(X)
    with pytest.raises(ValueError, match="missing"):
        JointFeatures(joint).transform({"a": [1.0]})
