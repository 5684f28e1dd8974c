"""A weight means repeats of its row, in every stage of a fit: down to the bits of the scores."""

import numpy as np
import pandas as pd
import pytest
from tables import KINDS, N_ROWS, frame, scores, small

from jointprob import JEPADensity

WEIGHT = np.random.default_rng(0).integers(0, 4, N_ROWS)


def repeated(X):
    return X.iloc[np.repeat(np.arange(N_ROWS), WEIGHT)]


@pytest.mark.parametrize("validated", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_whole_weights_are_repeated_rows(kind, validated):
    X, query = frame(kind), frame(kind, seed=1)
    X_val = frame(kind, seed=2) if validated else None
    expected = scores(small().fit(X, sample_weight=WEIGHT, X_val=X_val), query)
    rows = repeated(X)
    assert scores(small().fit(rows, X_val=X_val), query) == expected
    assert scores(small().fit(rows.sample(frac=1, random_state=0), X_val=X_val), query) == expected
    backwards = small().fit(X[::-1], sample_weight=WEIGHT[::-1], X_val=X_val)
    assert scores(backwards, query) == expected


def test_whole_weights_are_repeated_rows_by_default_settings():
    X, query = frame(), frame(seed=1)
    weighted, rows = (JEPADensity(random_state=0) for _ in range(2))
    weighted.fit(X, sample_weight=WEIGHT)
    assert scores(rows.fit(repeated(X)), query) == scores(weighted, query)
    assert rows.joint_.n_rows == weighted.joint_.n_rows == WEIGHT.sum()
    assert rows.n_trees_ == weighted.n_trees_


@pytest.mark.parametrize("kind", KINDS)
def test_rows_of_weight_zero_are_not_there(kind):
    X = frame(kind)
    odd = pd.DataFrame({"length": [1e6], "count": [-77.0], "label": ["only here"]})[list(X)]
    both, weight = pd.concat([odd, X, odd], ignore_index=True), np.r_[0, np.ones(N_ROWS), 0]
    without, with_ = small().fit(X), small().fit(both, sample_weight=weight)
    assert with_.joint_.schema == without.joint_.schema
    assert scores(with_, both) == scores(without, both)


def test_a_column_known_only_to_rows_of_weight_zero_is_empty():
    X = frame().assign(rare=None, note=None)
    X.loc[0, ["rare", "note"]] = [1.0, "seen"]
    weight = np.r_[0, np.ones(N_ROWS - 1)]
    weighted, dropped = small().fit(X, sample_weight=weight), small().fit(X.iloc[1:])
    assert scores(weighted, X) == scores(dropped, X)
    assert [column.name for column in weighted.joint_.schema if column.empty] == ["rare", "note"]


def test_declared_levels_stay_though_no_row_has_weight():
    levels = pd.CategoricalDtype(["z", "y", "x", "never"])
    X = frame("categorical").astype({"label": levels})
    weight = (X["label"] != "z").to_numpy(float)
    model = small().fit(X, sample_weight=weight)
    assert model.joint_.schema.columns[0].levels == ("z", "y", "x", "never")
    assert scores(model, X) == scores(small().fit(X[weight > 0]), X)


@pytest.mark.parametrize("kind", KINDS)
def test_fractions_of_a_row(kind):
    """Order means nothing to them either, and 2 n rows of weight 1/2 come close to n rows."""
    X, query = frame(kind), frame(kind, seed=1)
    weight = np.random.default_rng(0).random(N_ROWS)
    expected = scores(small().fit(X, sample_weight=weight), query)
    order = np.random.default_rng(1).permutation(N_ROWS)
    assert scores(small().fit(X.iloc[order], sample_weight=weight[order]), query) == expected
    halves = small().fit(pd.concat([X, X]), sample_weight=np.full(2 * N_ROWS, 0.5))
    assert halves.joint_.n_rows == N_ROWS
    assert halves.score(query) == pytest.approx(small().fit(X).score(query), abs=0.5)


def test_weights_may_be_of_any_usual_size():
    X = frame()
    usual = small().fit(X).score(X)
    for weight in (1e-15, 1e-3, 1e6, 1e15):
        assert small().fit(X, sample_weight=np.full(N_ROWS, weight)).score(X) > usual - 1
    light = np.full(N_ROWS, 1.0)
    light[::3] = 1e-300
    assert np.isfinite(small().fit(X, sample_weight=light).score(X))


def test_a_heavier_row_is_likelier():
    X = frame()
    heavy = np.ones(N_ROWS)
    heavy[7] = 50
    row = X.iloc[[7]]
    assert small().fit(X, sample_weight=heavy).score(row) > small().fit(X).score(row) + 1


def test_a_number_weighs_every_row():
    X = frame("categorical")
    weighted = small().fit(X, sample_weight=2)
    assert weighted.joint_.n_rows == 2 * N_ROWS


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (-np.ones(N_ROWS), r"Negative values .* `sample_weight`: -1.0 in row 0"),
        (np.zeros(N_ROWS), "at least one non-zero"),
        (np.r_[np.ones(N_ROWS - 1), np.nan], f"`sample_weight`: nan in row {N_ROWS - 1}"),
        (np.r_[np.inf, np.ones(N_ROWS - 1)], "`sample_weight`: inf in row 0"),
        (np.full(N_ROWS, 1e300), r"largest of `sample_weight` is 1e\+300; allowed are 1e-15 to"),
        (np.full(N_ROWS, 1e-300), "largest of `sample_weight` is 1e-300"),
        (np.ones(3), r"sample_weight.shape == \(3,\), expected \(120,\)"),
        (np.ones((N_ROWS, 1)), "must be 1D"),
        (["heavy"] * N_ROWS, "sample_weight must hold numbers"),
    ],
)
def test_weights_that_are_refused(weight, message):
    X = frame()
    model = small().fit(X)
    before = scores(model, X)
    with pytest.raises(ValueError, match=message):
        model.fit(X, sample_weight=weight)
    with pytest.raises(ValueError, match=message):
        model.score(X, sample_weight=weight)
    assert scores(model, X) == before
