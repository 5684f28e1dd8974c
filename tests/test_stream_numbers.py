"""A regressor that learns a stream: it keeps up, and what a batch may bring."""

import pickle

import numpy as np
import pandas as pd
import pytest

from jointprob import JEPARegressor
from jointprob.adapt.numbers import NumberStream, _shared_out
from jointprob.predict.cells import make_cells


def rows(n_rows, seed, sign=1.0):
    """Two numbers with gaps and a colour; the target is their sum, or its opposite."""
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(rng.normal(size=(n_rows, 2)), columns=["a", "b"])
    X["colour"] = rng.choice(["red", "blue"], n_rows)
    y = sign * (X["a"] + X["b"] + (X["colour"] == "red")) + rng.normal(0, 0.1, n_rows)
    X.loc[rng.random(n_rows) < 0.05, "b"] = np.nan
    return X, y.to_numpy()


def learn(model, X, y, size=100):
    for i in range(0, len(X), size):
        model.partial_fit(X[i : i + size], y[i : i + size])
    return model


@pytest.fixture(scope="module")
def learnt():
    return pickle.dumps(learn(JEPARegressor(random_state=0), *rows(1200, 0)))


@pytest.fixture
def model(learnt):
    return pickle.loads(learnt)


def test_it_learns_means_and_spreads(model):
    X, y = rows(400, 1)
    said = model.predict_distribution(X)
    np.testing.assert_array_equal(model.predict(X), said.mean())
    np.testing.assert_array_equal(model.predict_quantiles(X, [0.1, 0.9]), said.quantile([0.1, 0.9]))
    assert model.score(X, y) > 0.85
    low, high = said.interval(0.9).T
    assert 0.85 < ((y >= low) & (y <= high)).mean() < 0.99
    assert said.log_prob(y).mean() > -1.2
    np.testing.assert_allclose(said.cdf(1e6), 1, atol=1e-9)


def test_it_keeps_up_when_everything_turns_and_moves(model):
    X, y = rows(1300, 2, sign=-1.0)
    y = y + 5
    assert model.score(X, y) < -5
    learn(model.set_params(half_life=200), X[:1000], y[:1000])
    assert model.score(X[1000:], y[1000:]) > 0.4


def test_it_goes_on_from_a_fit():
    X, y = rows(300, 0)
    fitted = JEPARegressor(random_state=0).fit(X, y)
    model = pickle.loads(pickle.dumps(fitted))
    new, number = rows(300, 1)
    model.partial_fit(new[:1], number[:1])
    assert model.score(new, number) > fitted.score(new, number) - 0.02
    far, other = rows(1000, 2, sign=-1.0)
    learn(model, far[:800], other[:800])
    assert model.score(far[800:], other[800:]) > 0.7
    assert model.joint_.n_rows == 300 + 801


def test_a_large_batch_after_a_fit_leaves_intervals_narrow():
    """It is learnt in pieces, and new trees earn their weight beside the fitted model."""
    X, y = rows(1600, 0)
    model = JEPARegressor(random_state=0).fit(X[:600], y[:600])
    other = pickle.loads(pickle.dumps(model))

    def width():
        return np.ptp(model.predict_quantiles(X[1200:], [0.05, 0.95]), axis=1).mean()

    fitted = width()
    model.partial_fit(X[600:800], y[600:800])
    assert width() < 1.35 * fitted
    model.partial_fit(X[800:1200], y[800:1200])
    assert width() < 1.35 * fitted
    learn(other, X[600:1200], y[600:1200], size=200)
    np.testing.assert_array_equal(model.predict(X), other.predict(X))


def test_threads_do_not_matter_and_a_seed_fixes_all():
    X, y = rows(400, 0)
    one, other = (learn(JEPARegressor(random_state=3, n_jobs=n), X, y) for n in (1, 2))
    np.testing.assert_array_equal(one.predict(X), other.predict(X))


def test_first_batches_of_one_row():
    X, y = rows(12, 0)
    model = learn(JEPARegressor(random_state=0), X, y, size=1)
    assert np.isfinite(model.predict(X)).all()
    assert np.isfinite(model.predict_distribution(X).log_prob(y)).all()
    constant = learn(JEPARegressor(random_state=0), X, np.zeros(12), size=1)
    np.testing.assert_array_equal(constant.predict(X), 0)


def test_a_target_of_few_values_is_a_distribution_over_them():
    X, _ = rows(600, 0)
    y = (X["colour"] == "red") * 3.0
    model = learn(JEPARegressor(random_state=0), X, y)
    np.testing.assert_array_equal(model._model.cells.low, [0, 3])
    assert (np.exp(model.predict_distribution(X).log_prob(y)) > 0.5).mean() > 0.95


def test_a_half_life_forgets():
    X, y = rows(400, 0)
    one, other = (learn(JEPARegressor(random_state=0, half_life=h), X, y) for h in (None, 50))
    np.testing.assert_allclose(one._model.forest.class_rows.sum(), 400)
    assert other._model.forest.class_rows.sum() < 150


def test_weights_of_0_teach_nothing(model):
    X, y = rows(60, 3)
    other = pickle.loads(pickle.dumps(model))
    model.partial_fit(X[10:], y[10:])
    other.partial_fit(X, np.r_[np.full(10, 1e6), y[10:]], np.r_[np.zeros(10), np.ones(50)])
    np.testing.assert_array_equal(model.predict(X), other.predict(X))


def test_new_cells_take_over_what_the_old_ones_held():
    """Shares of every old cell add up to 1, and means stay within a cell of where they were."""
    rng = np.random.default_rng(0)
    old, new = (make_cells(rng.normal(size=500), np.ones(500), most)[0] for most in (16, 32))
    shared = _shared_out(old, new)
    np.testing.assert_allclose(shared.sum(axis=1), 1)
    middles = [(cells.low + cells.high) / 2 for cells in (old, new)]
    inside = slice(1, -1)
    off = np.abs(shared @ middles[1] - middles[0])[inside]
    assert (off <= (old.high - old.low)[inside]).all()


def test_learning_returns_the_next_stream(model):
    X, y = rows(200, 1)
    stream, table = model._model, model._table(X)
    before = stream.mean(table)
    after = stream.learn(table, y + 50, np.ones(200))
    assert isinstance(after, NumberStream)
    np.testing.assert_array_equal(stream.mean(table), before)
    assert (after.mean(table) != before).all()


BAD = {
    "another kind": lambda X, y: (X.assign(a="text"), y),
    "a target of words": lambda X, y: (X, np.where(y > 0, "high", "low")),
    "no rows": lambda X, y: (X[:0], y[:0]),
    "a missing target": lambda X, y: (X, np.where(y > 0, np.nan, y)),
    "too few targets": lambda X, y: (X, y[1:]),
    "another column": lambda X, y: (X.rename(columns={"a": "c"}), y),
    "infinity": lambda X, y: (X.assign(a=np.inf), y),
}


@pytest.mark.parametrize("case", BAD)
def test_a_failed_call_leaves_no_trace(case):
    X, y = rows(60, 0)
    model = JEPARegressor(random_state=0).partial_fit(X, y)
    before = pickle.dumps(model)
    with pytest.raises(ValueError):
        model.partial_fit(*BAD[case](X, y))
    assert pickle.dumps(model) == before
    with pytest.raises(ValueError, match="half_life"):
        model.set_params(half_life=0).partial_fit(X, y)


def test_what_is_not_there_after_a_stream(model):
    assert not hasattr(model, "feature_importances_")
    with pytest.raises(AttributeError, match="partial_fit"):
        model.fine_tune(*rows(30, 0))
