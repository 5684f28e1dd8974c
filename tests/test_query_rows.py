"""Explanations, samples and imputed cells; threads, row order, any table."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joints import (
    CATEGORICAL,
    ROW,
    fit_joint,
    levels_of,
    mixed_joint,
    mixed_table,
    repeat,
    take,
    with_holes,
    without,
)
from scipy.stats import chisquare, kstest

from jointprob.query import Joint

both_layouts = pytest.mark.parametrize("joint", [mixed_joint(), mixed_joint(apart=True)])


# ---- explanations ----


@given(st.integers(0, 10**6), st.sampled_from([True, False]), st.floats(0, 0.7))
@settings(max_examples=15)
def test_explanations_equal_brute_force(seed, apart, missing):
    joint, X = mixed_joint(apart), mixed_table(30, seed, missing)
    explained, whole = joint.explain(X), joint.log_prob(X)
    for name in X:
        brute = joint.log_prob(without(X, name)) - whole
        gone = np.array([c is None or c != c for c in X[name]])
        assert np.isnan(explained[name][gone]).all()
        np.testing.assert_allclose(explained[name][~gone], brute[~gone], atol=2e-4)


def test_unseen_levels_and_far_cells_are_surprising():
    joint = mixed_joint()
    X = repeat(ROW, 2, color=np.array(["mauve", "red"], dtype=object), b=np.array([0.0, 60.0]))
    explained, whole = joint.explain(X), joint.log_prob(X)
    for name, i in (("color", 0), ("b", 1)):
        brute = joint.log_prob(without(X, name))[i] - whole[i]
        assert explained[name][i] == pytest.approx(brute, abs=1e-3)
        assert explained[name][i] > 4


# ---- samples ----


def test_samples_follow_the_density():
    joint = mixed_joint()
    X = joint.sample(20_000, random_state=0)
    nothing = joint.condition({})
    for name in ("color", "flag"):
        levels = levels_of(joint, name)
        counts = [(X[name] == level).sum() for level in levels]
        expected = nothing.predict_proba(name)[0] * 20_000
        assert chisquare(counts, expected).pvalue > 1e-3  # log-likelihood ratio and G-test agree
        assert chisquare(counts, expected).statistic < 25
    for name in ("a", "b"):
        at = np.sort(X[name])[::40]
        cdf = joint.condition({"color": np.full(len(at), None)}).cdf(name, at)
        assert np.abs(cdf - np.arange(len(at)) / len(at)).max() < 1.95 / np.sqrt(20_000) + 1e-3
    assert (X["zero"] == 0).mean() == pytest.approx(joint.probability({"zero": 0}), abs=0.012)


def test_samples_carry_dependence():
    """Conditional samples agree with the conditional distribution, row by row."""
    joint = mixed_joint()
    conditional = joint.condition({"a": [0.0, 4.0], "flag": [False, True]})
    X = conditional.sample(6000, random_state=1)
    first = np.arange(12_000) < 6000
    for i, rows in enumerate((first, ~first)):
        assert X["b"][rows].mean() == pytest.approx(conditional.mean("b")[i], abs=0.05)
        for q in (0.1, 0.5, 0.9):
            below = (X["b"][rows] <= conditional.quantile("b", q)[i]).mean()
            assert below == pytest.approx(q, abs=0.025)
        reds = (X["color"][rows] == "red").mean()
        want = conditional.predict_proba("color")[i, levels_of(joint, "color").index("red")]
        assert reds == pytest.approx(want, abs=0.025)


def test_draws_depend_on_seed_and_place_alone():
    joint = mixed_joint()
    long, short = joint.sample(5000, random_state=7), joint.sample(10, random_state=7)
    two = joint.sample(5000, random_state=7, n_jobs=2)
    for name in long:
        np.testing.assert_array_equal(long[name][:10], short[name])
        np.testing.assert_array_equal(long[name], two[name])
    assert not np.array_equal(short["a"], joint.sample(10, random_state=8)["a"])
    again = [joint.sample(3, np.random.default_rng(1))["a"].tolist() for _ in range(2)]
    assert again[0] == again[1]


def test_no_sample_is_an_unseen_level_or_missing():
    X = mixed_joint().sample(3000, random_state=2)
    for name in CATEGORICAL:
        assert set(X[name]) <= set(levels_of(mixed_joint(), name))
    assert not any(np.isnan(X[name]).any() for name in ("a", "b", "zero"))


# ---- imputation ----


@both_layouts
def test_imputation_fills_holes_with_conditionals(joint):
    X = mixed_table(120, seed=13, missing=0.25)
    before = {name: cells.copy() for name, cells in X.items()}
    filled = joint.impute(X)
    conditional = joint.condition(X)
    for name in X:
        np.testing.assert_array_equal(X[name], before[name])  # the input is untouched
        gone = np.array([c is None or c != c for c in X[name]])
        np.testing.assert_array_equal(filled[name][~gone], X[name][~gone])
        answer = conditional.mode(name) if name in CATEGORICAL else conditional.mean(name)
        assert (filled[name][gone] == answer[gone]).all()
    mode = joint.impute(X, method="mode")
    gone = np.isnan(X["b"])
    np.testing.assert_array_equal(mode["b"][gone], conditional.mode("b")[gone])


def test_sampled_imputation_keeps_the_joint_distribution():
    """A column blanked and drawn again has the same correlation with the others."""
    joint = mixed_joint()
    X = joint.sample(8000, random_state=3)
    drawn = joint.impute(without(X, "b"), method="sample", random_state=4)
    assert np.corrcoef(X["a"], drawn["b"])[0, 1] == pytest.approx(
        np.corrcoef(X["a"], X["b"])[0, 1], abs=0.02
    )
    assert kstest(drawn["b"], X["b"]).pvalue > 1e-3


# ---- threads, order, state ----


def test_threads_and_row_order_do_not_matter():
    joint, X = mixed_joint(), mixed_table(2500, seed=14)
    shuffled = np.random.default_rng(0).permutation(2500)
    Y = take(X, shuffled)
    questions = [
        lambda table, n_jobs: joint.log_prob(table, n_jobs=n_jobs),
        lambda table, n_jobs: joint.explain(table, n_jobs=n_jobs)["b"],
        lambda table, n_jobs: joint.subsets(table, n_jobs=n_jobs),
        lambda table, n_jobs: joint.impute(table, n_jobs=n_jobs)["zero"],
        lambda table, n_jobs: joint.impute(table, "median", n_jobs=n_jobs)["zero"],
        lambda table, n_jobs: joint.condition(
            {"a": table["a"], "flag": table["flag"]}, n_jobs=n_jobs
        ).quantile("b", 0.3),
        lambda table, n_jobs: joint.condition(
            {"a": table["a"], "zero": table["zero"]}, n_jobs=n_jobs
        ).predict_proba("color"),
    ]
    for question in questions:
        one = question(X, 1)
        np.testing.assert_array_equal(one, question(X, 2))
        np.testing.assert_array_equal(one[shuffled], question(Y, 1))


def test_draws_do_not_depend_on_the_order_of_rows():
    """Equal rows draw apart, so they may change places; all others draw as they did."""
    joint, X = mixed_joint(), without(mixed_table(2500, seed=14), "b")
    order = np.random.default_rng(0).permutation(2500)
    one, two = (joint.impute(X, "sample", 7, n_jobs=n)["b"] for n in (1, 2))
    np.testing.assert_array_equal(one, two)
    other = joint.impute(take(X, order), "sample", 7)["b"]
    np.testing.assert_array_equal(np.sort(one), np.sort(other))
    assert (one[order] == other).mean() > 0.9


def test_row_order_does_not_matter_to_shared_normals():
    """Rows that know nothing of a block share its normals: none must change another."""
    joint = fit_joint(mixed_table(1500), seeds=(0, 1), n_gaussians=40)
    X = mixed_table(1500, seed=20, missing=0.6)
    shuffled = np.random.default_rng(1).permutation(1500)
    one, other = joint.impute(X), joint.impute(take(X, shuffled))
    for name in ("a", "b", "zero"):
        np.testing.assert_array_equal(one[name][shuffled], other[name])


def test_pickle_round_trip():
    joint, X = mixed_joint(), mixed_table(50, seed=15)
    joint.log_prob(X)  # builds what a pickle leaves out
    again = pickle.loads(pickle.dumps(joint))
    np.testing.assert_array_equal(again.log_prob(X), joint.log_prob(X))
    conditional = pickle.loads(pickle.dumps(joint.condition({"a": 1.0})))
    assert conditional.mean("b") == joint.condition({"a": 1.0}).mean("b")


def test_subsets_are_a_distribution():
    posterior = mixed_joint().subsets(mixed_table(40, seed=16))
    assert posterior.shape[0] == 40 and posterior.shape[1] in (3, 4)
    np.testing.assert_allclose(posterior.sum(axis=1), 1, atol=1e-5)


def test_merge_is_the_mixture():
    one, other = mixed_joint(), mixed_joint(apart=True)
    other = Joint(other.schema, other.members, 3 * one.n_rows)
    X = mixed_table(60, seed=17)
    merged = one.merge(other)
    want = np.logaddexp(one.log_prob(X) + np.log(0.25), other.log_prob(X) + np.log(0.75))
    np.testing.assert_allclose(merged.log_prob(X), want, atol=1e-9)
    assert merged.n_rows == 4 * one.n_rows
    np.testing.assert_allclose(
        merged.probability({"a": (0, 1)}),
        0.25 * one.probability({"a": (0, 1)}) + 0.75 * other.probability({"a": (0, 1)}),
        atol=1e-9,
    )


# ---- any table ----


@st.composite
def any_tables(draw):
    """Tables of random kinds, sizes and missing patterns."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(20, 60))
    kinds = draw(st.lists(st.sampled_from("cnaie"), min_size=1, max_size=5))
    hidden = rng.integers(2, size=n)
    table = {f"x{i}": random_column(kind, rng, hidden) for i, kind in enumerate(kinds)}
    missing = draw(st.floats(0, 0.6))
    return {name: with_holes(c, rng.random(n) < missing) for name, c in table.items()}


def random_column(kind, rng, hidden):
    n = len(hidden)
    if kind == "c":
        levels = rng.integers(1, 5)
        return (hidden + rng.integers(levels, size=n)).astype(str).astype(object)
    if kind == "e":
        return np.full(n, np.nan)
    x = rng.normal(3.0 * hidden)
    if kind == "a":
        return np.where(rng.random(n) < 0.4, 0.0, x)
    return np.round(x) if kind == "i" else x


@given(any_tables())
@settings(max_examples=25)
def test_any_table_is_answered(X):
    joint = fit_joint(X, n_epochs=1)
    log_prob = joint.log_prob(X)
    assert np.isfinite(log_prob).all()
    explained = joint.explain(X)
    filled = joint.impute(X)
    sample = joint.sample(5, random_state=0)
    for column in joint.schema:
        name = column.name
        gone = np.array([c is None or c != c for c in X[name]])
        brute = joint.log_prob(without(X, name)) - log_prob
        np.testing.assert_allclose(explained[name][~gone], brute[~gone], atol=1e-3)
        if column.empty:
            continue
        assert not any(c is None or c != c for c in (*filled[name], *sample[name]))
        marginal = joint.marginal([name]).log_prob({name: X[name]})
        others = [other for other in X if other != name]
        np.testing.assert_allclose(marginal, joint.log_prob(without(X, *others)), atol=1e-4)
