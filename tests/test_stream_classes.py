"""A classifier that learns a stream: it keeps up, and what a batch may bring."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.metrics import log_loss

from jointprob import JEPAClassifier, JEPADensity
from jointprob.adapt.discriminant import Discriminant, Sums
from jointprob.adapt.forest import ForestStream
from jointprob.table import read_table


def rows(n_rows, seed, turned=False):
    """Two numbers and a colour; the class is by their order, or the reverse."""
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(rng.normal(size=(n_rows, 2)), columns=["a", "b"])
    X["colour"] = rng.choice(["red", "blue"], n_rows)
    X.loc[rng.random(n_rows) < 0.05, "b"] = np.nan
    above = (X["a"] > X["b"].fillna(0)).to_numpy() ^ turned
    return X, np.where(above, "above", "below")


def learn(model, X, y, size=100, **more):
    for i in range(0, len(X), size):
        model.partial_fit(X[i : i + size], y[i : i + size], **more)
    return model


def test_it_learns():
    model = learn(JEPAClassifier(random_state=0), *rows(1500, 0))
    X, y = rows(500, 1)
    proba = model.predict_proba(X)
    np.testing.assert_allclose(proba.sum(axis=1), 1)
    assert model.score(X, y) > 0.9
    loss = -np.log(proba[np.arange(500), (y == model.classes_[1]).astype(int)]).mean()
    assert loss < 0.35


def test_it_keeps_up_when_everything_turns():
    model = learn(JEPAClassifier(random_state=0), *rows(1500, 0))
    X, y = rows(500, 1, turned=True)
    assert model.score(X, y) < 0.2
    learn(model, *rows(1500, 2, turned=True))
    assert model.score(X, y) > 0.85


def test_threads_do_not_matter_and_a_seed_fixes_all():
    X, y = rows(600, 0)
    one, other = (learn(JEPAClassifier(random_state=3, n_jobs=n), X, y) for n in (1, 2))
    np.testing.assert_array_equal(one.predict_proba(X), other.predict_proba(X))


def test_classes_and_levels_that_come_later():
    X, y = rows(600, 0)
    model = learn(JEPAClassifier(random_state=0), X, y)
    new = X.assign(colour="green")
    learn(model, new, np.full(600, "aside"))
    assert model.classes_.tolist() == ["above", "below", "aside"]
    assert (model.predict(new[:100]) == "aside").mean() > 0.9
    assert model.predict_proba(X).shape == (600, 3)


def test_a_class_that_is_declared_and_never_comes():
    X, y = rows(300, 0)
    declared = np.array(["below", "above", "never"], dtype=object)  # as pandas hands texts out
    model = learn(JEPAClassifier(random_state=0), X, y, classes=declared)
    proba = model.predict_proba(X)
    assert model.classes_.tolist() == ["above", "below", "never"]
    assert (proba[:, 2] > 0).all()
    assert proba[:, 2].mean() < 0.01


def test_batches_of_one_row():
    model = learn(JEPAClassifier(random_state=0), *rows(12, 0), size=1)
    assert np.isfinite(model.predict_log_proba(rows(5, 1)[0])).all()


def test_the_window_stays_bounded(monkeypatch):
    monkeypatch.setattr("jointprob.adapt.forest.WINDOW_ROWS", 300)
    model = learn(JEPAClassifier(random_state=0), *rows(1000, 0))
    assert len(model._model.forest.window) == 300
    assert len(model._model.forest.generations) <= 8


def test_a_half_life_forgets_counts():
    X, y = rows(400, 0)
    one, other = (JEPAClassifier(random_state=0, half_life=h) for h in (None, 50))
    learn(one, X, y)
    learn(other, X, y)
    assert one._model.forest.class_rows.sum() == 400
    assert other._model.forest.class_rows.sum() < 150


def test_learning_returns_the_next_stream():
    X, y = rows(200, 0)
    table, label = read_table(X), (y == "below").astype(np.int64)
    empty = ForestStream.empty(table, 2, 0)
    stream = empty.learn(empty.trend.beside(table), label, np.ones(200), 2)
    seen = stream.trend.beside(table)
    before = stream.log_proba(seen)
    stream.learn(seen, 1 - label, np.ones(200), 2)
    np.testing.assert_array_equal(stream.log_proba(seen), before)


BAD = {
    "another kind": lambda X, y: (X.assign(a="text"), y),
    "labels of another kind": lambda X, y: (X, np.arange(len(y)) % 2),
    "no rows": lambda X, y: (X[:0], y[:0]),
    "missing labels": lambda X, y: (X, np.where(y == "above", None, y)),
    "another column": lambda X, y: (X.rename(columns={"a": "c"}), y),
}


@pytest.mark.parametrize("case", BAD)
def test_a_failed_call_leaves_no_trace(case):
    X, y = rows(60, 0)
    model = JEPAClassifier(random_state=0).partial_fit(X, y)
    before = pickle.dumps(model)
    with pytest.raises(ValueError):
        model.partial_fit(*BAD[case](X, y))
    assert pickle.dumps(model) == before


def test_it_goes_on_from_a_fit():
    """A batch after a fit changes little, and many of a turned world turn the model."""
    X, y = rows(400, 0)
    fitted = JEPAClassifier(random_state=0).fit(X, y)
    model = pickle.loads(pickle.dumps(fitted))
    new, label = rows(400, 1)
    learn(model, new[:20], label[:20])
    assert model.score(new, label) > fitted.score(new, label) - 0.02
    turned, label = rows(900, 2, turned=True)
    learn(model, turned[:600], label[:600])
    assert model.score(turned[600:], label[600:]) > 0.8
    learn(model, new[:40].assign(colour="green"), np.full(40, "aside"))
    assert model.classes_.tolist() == ["above", "below", "aside"]


@pytest.fixture(scope="module")
def noisy():
    """Numbers, noisy classes, and the pickle of a classifier fitted to the first 300 rows."""
    rng = np.random.default_rng(1)
    X = rng.normal(size=(1200, 3))
    y = (X[:, 0] + 0.3 * rng.normal(size=1200) > 0).astype(int)
    return X, y, pickle.dumps(JEPAClassifier(random_state=0).fit(X[:300], y[:300]))


@pytest.mark.parametrize("sizes", [[1], [1] * 40, [5, 5], [200]])
def test_what_has_learnt_nothing_does_not_outvote_a_fitted_model(noisy, sizes):
    X, y, fitted = noisy
    model = pickle.loads(fitted)
    new, label = X[800:], y[800:]
    before = log_loss(label, model.predict_proba(new))
    start = 300
    for size in sizes:
        rows = slice(start, start := start + size)
        model.partial_fit(X[rows], y[rows])
    assert log_loss(label, model.predict_proba(new)) < before + 0.03


def test_a_large_batch_is_learnt_in_pieces(noisy):
    """As if its pieces had come one by one, after a fit and in a stream."""
    X, y, fitted = noisy
    for model in (pickle.loads(fitted), JEPAClassifier(random_state=0)):
        other = pickle.loads(pickle.dumps(model))
        model.partial_fit(X[300:900], y[300:900])
        learn(other, X[300:900], y[300:900], size=200)
        np.testing.assert_array_equal(model.predict_proba(X), other.predict_proba(X))


def test_a_stream_has_a_joint_when_it_is_asked_for():
    """It is that of the recent rows, and asking leaves no trace."""
    X, y = rows(150, 0)
    model = learn(JEPAClassifier(random_state=0), X, y)
    before = pickle.dumps(model)
    wanted = JEPADensity(random_state=model._model.forest.seed).fit(X)
    np.testing.assert_array_equal(model.score_samples(X[:9]), wanted.score_samples(X[:9]))
    assert pickle.dumps(model) == before
    learn(model, *rows(20, 1))
    assert model.joint_.n_rows == 170


def test_the_joint_of_a_fit_goes_on():
    X, y = rows(150, 0)
    model = JEPAClassifier(random_state=0).fit(X, y)
    n_trees = len(model.joint_.members)
    far = X.assign(a=X["a"] + 6.0)
    before = model.score_samples(far).mean()
    learn(model, far, y)
    assert model.score_samples(far).mean() > before + 1
    assert len(model.joint_.members) == n_trees
    assert model.joint_.n_rows == 300


def test_a_discriminant_is_that_of_the_rows_it_has_seen():
    """Without forgetting to speak of, in batches or at once, it finds what scikit-learn's does."""
    rng = np.random.default_rng(0)
    label = rng.integers(0, 3, 3000)
    X = rng.normal(size=(3000, 4)) @ (np.eye(4) + 0.3) + label[:, None] * [1.0, 0, 2, 0]
    X[:, 1] += 1000
    found = Discriminant.empty(X[:100], 3, half_life=1e9)
    z = found.units(X)
    for part in np.array_split(np.arange(3000), 30):
        found = found.after(Sums.of(z[part], label[part], np.ones(len(part)), 3))
    wanted = LinearDiscriminantAnalysis().fit(X, label).predict_proba(X)
    np.testing.assert_allclose(found.shares(z), wanted, atol=0.02)
    wider = found.widened(4).shares(z[:9])
    assert (wider[:, 3] < 1e-4).all()


def test_a_stream_explains():
    X, y = rows(500, 0)
    model = learn(JEPAClassifier(random_state=0), X, y)
    said = model.explain(X[:50])
    assert said.shape == (50, 3)
    assert np.abs(said[:, :2]).mean() > 5 * np.abs(said[:, 2]).mean()
    assert (said[X["b"][:50].isna(), 1] == 0).all()


def test_what_is_not_there_after_a_stream():
    X, y = rows(60, 0)
    model = JEPAClassifier(random_state=0).partial_fit(X, y)
    assert not hasattr(model, "feature_importances_")
    with pytest.raises(AttributeError, match="partial_fit"):
        model.fine_tune(X, y)
    with pytest.raises(AttributeError, match="not fitted"):
        _ = JEPAClassifier().joint_
    with pytest.raises(ValueError, match="other"):
        JEPAClassifier().partial_fit(X, np.full(60, "other"), classes=["above", "below"])


def test_a_level_of_where_the_numbers_have_been_helps():
    """The class is whether a number rises above where it has been of late, wherever that is."""
    rng = np.random.default_rng(0)
    level = np.repeat(np.cumsum(rng.normal(0, 3, 10)), 150)
    x = level + rng.normal(size=1500)
    X, y = np.column_stack([x, rng.normal(size=1500)]), x > level
    model = JEPAClassifier(random_state=0)
    hits = []
    for rows_ in np.array_split(np.arange(1500), 60):
        hits.append(model.score(X[rows_], y[rows_]) if len(hits) else 0)
        model.partial_fit(X[rows_], y[rows_])
    assert np.mean(hits[30:]) > 0.62
