"""Estimators keep scikit-learn's promises, and give the same bits for the same rows."""

import pickle

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks
from tables import KINDS, N_ROWS, frame, scores, small
from threadpoolctl import threadpool_limits

from jointprob import JEPADensity
from jointprob.joint.choice import choose_plan
from jointprob.joint.nursery import Nursery
from jointprob.joint.views import views_of
from jointprob.table import read_table


@parametrize_with_checks([small(n_trees=1), JEPADensity(random_state=0)])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


# ---- fitted state ----


def test_only_fit_adds_attributes():
    model = small()
    assert set(vars(model)) == set(model.get_params())
    parameters = model.get_params()
    model.fit(frame())
    assert model.get_params() == parameters
    fitted = {name for name in vars(model) if name.endswith("_")}
    assert fitted == {"joint_", "n_features_in_", "feature_names_in_", "n_subsets_", "n_trees_"}
    assert model.n_features_in_ == 3
    assert list(model.feature_names_in_) == ["length", "count", "label"]


def test_names_of_an_earlier_fit_are_forgotten():
    model = small().fit(frame())
    model.fit(frame("numeric").to_numpy())
    assert not hasattr(model, "feature_names_in_")
    assert model.n_features_in_ == 2


def test_copies_score_alike():
    model, X = small().fit(frame()), frame(seed=1)
    model.joint_.explain(X)  # what queries cache must not stand in the way
    expected = scores(model, X)
    assert scores(pickle.loads(pickle.dumps(model)), X) == expected
    assert scores(clone(model).fit(frame()), X) == expected


def test_models_in_read_only_memory_maps(tmp_path):
    model, X = small().fit(frame()), frame(seed=1)
    joblib.dump(model, tmp_path / "model.joblib")
    mapped = joblib.load(tmp_path / "model.joblib", mmap_mode="r")
    assert scores(mapped, X) == scores(model, X)
    for table in (mapped.joint_.impute(X), mapped.sample(3), mapped.joint_.explain(X)):
        assert isinstance(table, pd.DataFrame)
    assert np.isfinite(mapped.joint_.condition({"label": "x"}).mean("length")).all()


@pytest.mark.parametrize("question", ["score_samples", "score"])
def test_unfitted_estimators_say_so(question):
    with pytest.raises(NotFittedError, match="not fitted yet"):
        getattr(JEPADensity(), question)(frame())
    with pytest.raises(NotFittedError, match="not fitted yet"):
        JEPADensity().sample()


def test_model_selection_and_pipelines():
    X = frame("numeric")
    assert cross_val_score(small(n_trees=1), X, cv=3).shape == (3,)
    search = GridSearchCV(small(), {"n_trees": [1, 2]}, cv=2).fit(X)
    assert search.best_params_["n_trees"] in (1, 2)
    assert np.isfinite(make_pipeline(StandardScaler(), small()).fit(X).score(X))


def test_score_is_the_weighted_mean():
    model, X = small().fit(frame()), frame(seed=1)
    log_prob, weight = model.score_samples(X), np.arange(N_ROWS)
    assert model.score(X) == pytest.approx(log_prob.mean())
    assert model.score(X, sample_weight=weight) == pytest.approx(log_prob @ weight / weight.sum())


def test_a_sample_is_a_table_of_the_fitted_kind():
    X = frame()
    sample = small().fit(X).sample(7, random_state=0)
    assert isinstance(sample, pd.DataFrame) and len(sample) == 7
    assert (sample.dtypes == X.dtypes).all()
    assert set(sample["label"]) <= set("xyz")


def test_sizes_that_were_asked_for_are_kept():
    X = frame("categorical")
    model = small(n_subsets=3, n_trees=1).fit(X)
    assert (model.n_subsets_, model.n_trees_) == (3, 1)


@pytest.mark.parametrize(("asked", "most"), [(None, 2), (32, 32)])
def test_no_more_subsets_than_rows_unless_asked_for(asked, most):
    table = read_table(frame("categorical")[:4])  # three to learn from
    nursery = Nursery(views_of(table, np.ones(4), None, 0, 1), 0, 1)
    choose_plan(nursery, asked)
    assert max(grown.plan.most_subsets for grown in nursery.grown) == most


# ---- the same rows, the same bits ----


def shuffled(X, weight=None, seed=0):
    order = np.random.default_rng(seed).permutation(len(X))
    return X.iloc[order], None if weight is None else weight[order]


@pytest.mark.parametrize("kind", KINDS)
def test_the_order_of_rows_means_nothing_to_a_fit(kind):
    X, query = frame(kind), frame(kind, seed=1)
    expected = scores(small().fit(X), query)
    assert scores(small().fit(shuffled(X)[0]), query) == expected
    validated = small().fit(X, X_val=query)
    assert scores(small().fit(shuffled(X)[0], X_val=shuffled(query)[0]), query) == scores(
        validated, query
    )


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_the_same_bits_for_any_number_of_threads(kind):
    X, query = frame(kind), frame(kind, seed=1)
    expected = scores(small(n_jobs=1).fit(X), query)
    for n_jobs in (1, 2, 3, None):
        assert scores(small(n_jobs=n_jobs).fit(X), query) == expected


def test_defaults_do_not_depend_on_threads():
    X, query = frame(n_rows=400), frame(seed=1)
    one, two = (JEPADensity(random_state=3, n_jobs=n).fit(X) for n in (1, 2))
    assert scores(one, query) == scores(two, query)


def test_threads_of_blas_do_not_matter():
    X, query = frame(n_rows=400), frame(seed=1)
    with threadpool_limits(1):
        expected = scores(small().fit(X), query)
    assert scores(small().fit(X), query) == expected


def test_another_seed_another_fit():
    X = frame()
    assert scores(small(random_state=1).fit(X), X) != scores(small(random_state=0).fit(X), X)


def test_kinds_of_random_state():
    X = frame("categorical")
    states = (np.random.RandomState(5) for _ in range(2))
    one, two = (scores(small(random_state=state).fit(X), X) for state in states)
    assert one == two
    assert np.isfinite(small(random_state=None).fit(X).score(X))


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_scores_alike_in_any_batch(kind):
    model, X = small().fit(frame(kind)), frame(kind, n_rows=2500, seed=1)
    log_prob = model.score_samples(X)
    order = np.random.default_rng(0).permutation(len(X))
    assert log_prob[order].tobytes() == scores(model, X.iloc[order])
    for row in range(0, len(X), 500):
        assert log_prob[row] == model.score_samples(X.iloc[[row]])[0]
    assert log_prob[700:1900].tobytes() == scores(model, X.iloc[700:1900])


def test_input_is_never_modified():
    X, weight = frame(), np.arange(1.0, N_ROWS + 1)
    before, weight_before = X.copy(), weight.copy()
    model = small().fit(X, sample_weight=weight, X_val=X)
    model.score(X, sample_weight=weight)
    pd.testing.assert_frame_equal(X, before)
    np.testing.assert_array_equal(weight, weight_before)


def test_read_only_memory_maps(tmp_path):
    X = frame("numeric").to_numpy()
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    assert scores(small().fit(mapped), mapped) == scores(small().fit(X), X)
