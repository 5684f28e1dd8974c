"""Strange rows and cells are found, also where some trained."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import roc_auc_score
from sklearn.utils.estimator_checks import parametrize_with_checks
from tables import KINDS, frame

from jointprob import JEPAOutlierDetector


def small(**settings):
    """A detector that fits in a moment."""
    return JEPAOutlierDetector(**{"n_subsets": 2, "n_trees": 1, "random_state": 0, **settings})


def scores(model, X):
    score = model.score_samples(X)
    assert np.isfinite(score).all() and (score <= 0).all()
    return score.tobytes()


def line(n_rows=1500, seed=0):
    """Four columns, two and two tied, and a label that follows the first."""
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(2, n_rows))
    return pd.DataFrame(
        {
            "a": a,
            "a2": 100 * (a + 0.2 * rng.normal(size=n_rows)),
            "b": b,
            "b2": np.exp(b + 0.2 * rng.normal(size=n_rows)),
            "sign": np.where(a > 0, "up", "down"),
        }
    )


@pytest.fixture(scope="module")
def fitted():
    return small(n_subsets=8).fit(line())


@parametrize_with_checks([small()])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


# ---- bad input ----


@pytest.mark.parametrize("contamination", [0, 0.0, -0.1, 0.51, 1, True, "often", None, np.nan])
def test_contamination_is_a_share(contamination):
    with pytest.raises(ValueError, match=r"contamination is .*allowed are 'auto' and .*0\.5"):
        small(contamination=contamination).fit(frame())


@pytest.mark.parametrize("name", ["n_subsets", "n_trees"])
def test_sizes_are_whole_numbers(name):
    with pytest.raises(ValueError, match=f"{name} is 0; allowed are"):
        small(**{name: 0}).fit(frame())


def test_a_failed_fit_changes_nothing():
    model = small().fit(frame())
    before = dict(vars(model))
    with pytest.raises(ValueError, match="infinit"):
        model.fit(np.array([[1.0], [np.inf]]))
    with pytest.raises(ValueError, match="holds no value"):
        model.fit(np.full((3, 2), np.nan))
    assert vars(model) == before


@pytest.mark.parametrize("question", ["score_samples", "decision_function", "predict", "explain"])
def test_unfitted_detectors_say_so(question):
    with pytest.raises(NotFittedError):
        getattr(JEPAOutlierDetector(), question)(frame())


def test_queries_name_the_column_that_is_missing():
    with pytest.raises(ValueError, match="label"):
        small().fit(frame()).predict(frame().drop(columns="label"))


# ---- fitted state ----


def test_only_fit_adds_attributes():
    model = small()
    assert set(vars(model)) == set(model.get_params())
    model.fit(frame())
    public = {name for name in vars(model) if name.endswith("_")}
    assert public == {"joint_", "offset_", "kept_share_", "n_features_in_", "feature_names_in_"}
    assert list(model.feature_names_in_) == ["length", "count", "label"]


def test_copies_score_alike():
    model, X = small().fit(frame()), frame(seed=1)
    expected = scores(model, X)
    assert scores(pickle.loads(pickle.dumps(model)), X) == expected
    assert scores(clone(model).fit(frame()), X) == expected


@pytest.mark.parametrize("kind", KINDS)
def test_neither_threads_nor_the_order_of_rows_matter(kind):
    X, query = frame(kind), frame(kind, seed=1)
    expected = scores(small(n_jobs=1).fit(X), query)
    order = np.random.default_rng(0).permutation(len(X))
    model = small(n_jobs=2).fit(X.iloc[order])
    assert scores(model, query) == expected
    score = model.score_samples(query)
    assert model.score_samples(query.iloc[order]).tobytes() == score[order].tobytes()
    assert model.score_samples(query.iloc[[5]])[0] == score[5]


@pytest.mark.parametrize("contamination", ["auto", 0.1])
def test_a_weight_means_repeats(contamination):
    X, weight = frame(), np.random.default_rng(0).integers(0, 3, 120)
    one = small(contamination=contamination).fit(X, sample_weight=weight)
    two = small(contamination=contamination).fit(X.loc[X.index.repeat(weight)])
    assert scores(one, X) == scores(two, X)
    assert one.offset_ == two.offset_


def test_fractional_weights():
    X = frame()
    model = small(contamination=0.1).fit(X, sample_weight=np.linspace(0.5, 1.5, len(X)))
    assert 0.05 < np.mean(model.predict(X) < 0) < 0.15


def test_input_is_never_modified():
    X = frame()
    before = X.copy()
    small().fit(X).explain(X)
    pd.testing.assert_frame_equal(X, before)


# ---- thresholds ----


def test_one_in_a_hundred_normal_rows_is_called_an_outlier(fitted):
    flagged = np.mean(fitted.predict(line(20_000, seed=5)) < 0)
    assert 0.002 < flagged < 0.03


def test_scores_are_logs_of_shares_of_normal_rows(fitted):
    score = fitted.score_samples(line(20_000, seed=6))
    for share in (0.5, 0.1):
        assert np.mean(score < np.log(share)) == pytest.approx(share, abs=0.4 * share)


@pytest.mark.parametrize("contamination", [0.02, 0.1, 0.5])
def test_contamination_is_the_share_flagged_in_training(contamination):
    X = line(600)
    model = small(contamination=contamination)
    flagged = model.fit_predict(X) < 0
    assert flagged.sum() == round(600 * contamination)
    np.testing.assert_array_equal(model.decision_function(X) < 0, flagged)
    np.testing.assert_array_equal(
        model.score_samples(X) - model.offset_, model.decision_function(X)
    )


# ---- what is found ----


def test_broken_ties_and_far_cells_are_found(fitted):
    X = line(400, seed=1)
    broken = X.assign(a2=X["a2"].to_numpy()[::-1])
    far = X.assign(b=X["b"] + 6)
    for strange, least in ((broken, 0.75), (far, 0.999)):
        both = np.r_[fitted.score_samples(X), fitted.score_samples(strange)]
        assert roc_auc_score(np.arange(800) < 400, both) > least
    assert (fitted.predict(far) < 0).all()


def test_a_thin_line_is_not_likelier_than_the_bulk():
    """Repeated values have a high density, and say nothing about being normal."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(1000, 2))
    X[:400, 0] = 0.0
    model = small(n_subsets=8).fit(X)
    score = model.score_samples([[0.0, 3.5], [0.3, 0.0]])
    assert score[0] < score[1]


@pytest.mark.parametrize("n_columns", [2, 6])
@pytest.mark.parametrize("contamination", ["auto", 0.05])
def test_a_far_cluster_among_the_training_rows_is_still_flagged(n_columns, contamination):
    rng = np.random.default_rng(0)
    normal = rng.normal(size=(970, n_columns))
    cluster = 20 + 0.3 * rng.normal(size=(30, n_columns))
    model = small(n_subsets=8, contamination=contamination).fit(np.r_[normal, cluster])
    assert (model.predict(20 + 0.3 * rng.normal(size=(50, n_columns))) < 0).all()
    assert np.mean(model.predict(rng.normal(size=(1000, n_columns))) < 0) < 0.06
    assert model.kept_share_ == pytest.approx(0.97, abs=0.01)


def test_of_a_clean_table_nearly_every_row_is_kept(fitted):
    assert fitted.kept_share_ > 0.995
    heavy = np.random.default_rng(0).standard_t(3, size=(1000, 3))
    assert small().fit(heavy).kept_share_ > 0.98


def test_explain_names_the_planted_cell(fitted):
    X = line(200, seed=2)
    usual = fitted.explain(X)
    assert isinstance(usual, pd.DataFrame) and list(usual) == list(X)
    assert np.abs(usual.mean()).max() < 0.3  # columns compare, though their units do not
    strange = X.assign(b=X["b"] + 9)
    assert (fitted.explain(strange).idxmax(axis=1) == "b").mean() > 0.95
    strange = X.assign(a2=X["a2"] + 1000)
    assert (fitted.explain(strange).idxmax(axis=1) == "a2").mean() > 0.95


def test_explain_gives_the_container_of_fit():
    X = frame("numeric")
    cells = small().fit(X.to_numpy()).explain(X.to_numpy())
    assert isinstance(cells, np.ndarray) and cells.dtype == np.float64
    np.testing.assert_array_equal(np.isnan(cells), X.isna())


def test_rows_with_missing_cells_are_neither_favoured_nor_punished(fitted):
    X = line(3000, seed=3)
    holed = X.copy()
    for name in ("a", "b2", "sign"):
        holed[name] = holed[name].where(np.arange(3000) % 2 == 0)
    score = fitted.score_samples(holed)
    full, part = score[::2], score[1::2]
    assert abs(np.median(full) - np.median(part)) < 0.5
    assert np.mean(part < fitted.offset_) < 0.05
    nothing = fitted.score_samples(X[:1].assign(**dict.fromkeys(X, None)))
    assert nothing[0] > np.quantile(full, 0.2)


def test_unseen_levels_are_strange(fitted):
    X = line(50, seed=4)
    seen, unseen = fitted.score_samples(X), fitted.score_samples(X.assign(sign="sideways"))
    assert (unseen < seen).all() and np.mean(unseen < fitted.offset_) > 0.9


def test_categorical_tables():
    rng = np.random.default_rng(0)
    a = rng.choice(["x", "y"], 1000)
    X = pd.DataFrame({"a": a, "b": np.char.upper(a), "c": rng.choice(["p", "q", "r"], 1000)})
    model = small(n_subsets=4).fit(X)
    usual, odd = model.score_samples(
        pd.DataFrame({"a": ["x"] * 2, "b": ["X", "Y"], "c": ["p"] * 2})
    )
    assert odd < model.offset_ < usual


@pytest.mark.parametrize("n_rows", [1, 2, 5])
def test_few_rows(n_rows):
    X = frame(n_rows=120).dropna().iloc[:n_rows]
    scores(small().fit(X), frame(seed=1))


def test_constant_and_huge_columns():
    X = np.random.default_rng(0).normal(size=(200, 3)) * [0, 1, 1e305]
    model = small().fit(X)
    assert model.score_samples([[0.0, 0, 0]]) > model.score_samples([[1.0, 0, 0]])
    scores(model, np.array([[1e308, -1e308, 0]]))
