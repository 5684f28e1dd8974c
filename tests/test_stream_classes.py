"""A classifier that learns a stream: it keeps up, and what a batch may bring."""

import pickle

import numpy as np
import pandas as pd
import pytest

from jointprob import JEPAClassifier
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
    model = learn(JEPAClassifier(random_state=0), X, y, classes=["below", "above", "never"])
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
    assert len(model._model.window) == 300
    assert len(model._model.generations) <= 8


def test_a_half_life_forgets_counts():
    X, y = rows(400, 0)
    one, other = (JEPAClassifier(random_state=0, half_life=h) for h in (None, 50))
    learn(one, X, y)
    learn(other, X, y)
    assert one._model.class_rows.sum() == 400
    assert other._model.class_rows.sum() < 150


def test_learning_returns_the_next_stream():
    X, y = rows(200, 0)
    table, label = read_table(X), (y == "below").astype(np.int64)
    stream = ForestStream.empty(table, 2, 0).learn(table, label, np.ones(200), 2)
    before = stream.log_proba(table)
    stream.learn(table, 1 - label, np.ones(200), 2)
    np.testing.assert_array_equal(stream.log_proba(table), before)


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


def test_what_is_not_there_after_a_stream():
    X, y = rows(60, 0)
    model = JEPAClassifier(random_state=0).partial_fit(X, y)
    with pytest.raises(AttributeError, match="partial_fit"):
        model.score_samples(X)
    with pytest.raises(AttributeError, match="partial_fit"):
        model.fine_tune(X, y)
    with pytest.raises(ValueError, match="other"):
        JEPAClassifier().partial_fit(X, np.full(60, "other"), classes=["above", "below"])
