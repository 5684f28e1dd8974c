"""Queries obey the laws of probability."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joints import (
    CATEGORICAL,
    fit_joint,
    mixed_joint,
    mixed_table,
    repeat,
    take,
    with_holes,
    without,
)
from scipy.integrate import quad
from scipy.stats import chisquare, kstest, norm

from jointprob.query import Joint

ROW = take(mixed_table(missing=0), [0])
OTHER_LEVEL = {"color": "mauve", "flag": None}
both_layouts = pytest.mark.parametrize("joint", [mixed_joint(), mixed_joint(apart=True)])


def levels_of(joint, column):
    return joint.schema.columns[joint.schema.position(column)].levels


def density(joint, **columns):
    """exp(log_prob) of one-column tables, the other columns missing."""
    n = len(next(iter(columns.values())))
    table = repeat(without(ROW, *ROW), n)
    return np.exp(joint.log_prob({**table, **columns}))


def integral(joint, column, low, high, n_pieces=400):
    """Of the density of a column over an interval, by Gauss-Legendre quadrature on pieces."""
    nodes, weights = np.polynomial.legendre.leggauss(16)
    edges = np.linspace(low, high, n_pieces + 1)
    half = 0.5 * np.diff(edges)[:, None]
    x = (0.5 * (edges[1:] + edges[:-1]))[:, None] + half * nodes
    p = density(joint, **{column: x.ravel()}).reshape(x.shape)
    return float((p * half * weights).sum())


# ---- mass ----


@both_layouts
def test_nothing_observed_has_log_probability_zero(joint):
    assert joint.log_prob(without(ROW, *ROW)).tolist() == [0.0]


@both_layouts
def test_levels_and_the_unseen_level_sum_to_one(joint):
    colors = np.array([*levels_of(joint, "color"), "mauve"], dtype=object)
    assert density(joint, color=colors).sum() == pytest.approx(1, abs=1e-5)


@both_layouts
def test_density_of_a_number_integrates_to_one(joint):
    assert integral(joint, "a", -60, 60, 4000) == pytest.approx(1, abs=1e-4)


@both_layouts
def test_atoms_and_density_sum_to_one(joint):
    atom = density(joint, zero=np.zeros(1))[0]
    assert 0.3 < atom < 0.6
    assert atom + integral(joint, "zero", -40, 80, 4000) == pytest.approx(1, abs=2e-3)


def test_mass_of_a_table_of_levels_is_one():
    rng = np.random.default_rng(1)
    table = {name: rng.integers(n, size=300).astype(str).astype(object) for name, n in
             (("u", 3), ("v", 2), ("w", 4))}  # fmt: skip
    table["v"] = np.where(table["u"] == "2", "1", table["v"]).astype(object)
    joint = fit_joint(table)
    grid = np.meshgrid(*[[*levels_of(joint, name), "other"] for name in table], indexing="ij")
    cells = {name: g.ravel().astype(object) for name, g in zip(table, grid, strict=True)}
    assert np.exp(joint.log_prob(cells)).sum() == pytest.approx(1, abs=1e-5)


# ---- marginals ----


@both_layouts
@pytest.mark.parametrize("kept", [("a",), ("zero", "color"), ("flag", "b", "a"), ("color",)])
def test_marginal_is_the_joint_with_the_rest_missing(joint, kept):
    X = mixed_table(200, seed=5)
    marginal = joint.marginal(list(kept))
    assert marginal.schema.names == kept
    rest = [name for name in X if name not in kept]
    want = joint.log_prob(without(X, *rest))
    got = marginal.log_prob({name: X[name] for name in kept})
    np.testing.assert_allclose(got, want, atol=1e-5)


@both_layouts
def test_marginal_is_the_sum_over_the_rest(joint):
    colors = np.array([*levels_of(joint, "color"), "mauve"], dtype=object)
    for i in range(3):
        row = take(mixed_table(20, seed=6, missing=0), [i])
        total = np.logaddexp.reduce(joint.log_prob(repeat(row, len(colors), color=colors)))
        assert total == pytest.approx(joint.log_prob(without(row, "color"))[0], abs=1e-5)


def test_marginal_of_a_marginal_answers_every_question():
    joint = mixed_joint()
    inner = joint.marginal(["b", "zero", "color"]).marginal(["color", "b"])
    direct = joint.marginal(["color", "b"])
    X = {name: mixed_table(50, seed=7)[name] for name in ("color", "b")}
    np.testing.assert_allclose(inner.log_prob(X), direct.log_prob(X), atol=1e-6)
    assert inner.probability({"b": (0, 1), "color": {"red"}}) == pytest.approx(
        joint.probability({"b": (0, 1), "color": {"red"}}), abs=1e-5
    )
    assert set(inner.sample(3, random_state=0)) == {"color", "b"}
    np.testing.assert_allclose(
        inner.explain(X)["b"], direct.explain(X)["b"], atol=1e-5, equal_nan=True
    )


# ---- conditionals ----


@both_layouts
@pytest.mark.parametrize("known", [("a",), ("color", "zero"), ("flag", "b", "zero")])
def test_conditional_times_marginal_is_the_joint(joint, known):
    X = mixed_table(100, seed=8)
    given = {name: X[name] for name in known}
    rest = {name: cells for name, cells in X.items() if name not in known}
    conditional = joint.condition(given).log_prob(rest)
    marginal = joint.log_prob(without(X, *rest))
    np.testing.assert_allclose(conditional + marginal, joint.log_prob(X), atol=1e-9)


@both_layouts
def test_predicted_levels_follow_bayes_rule(joint):
    X = mixed_table(60, seed=9)
    got = joint.condition(without(X, "color")).predict_proba("color")
    colors = levels_of(joint, "color")
    log_p = np.stack(
        [joint.log_prob({**X, "color": np.full(60, c, dtype=object)}) for c in colors], axis=1
    )
    p = np.exp(log_p - log_p.max(axis=1, keepdims=True))
    np.testing.assert_allclose(got, p / p.sum(axis=1, keepdims=True), atol=1e-5)


@both_layouts
def test_cdf_is_the_integral_of_the_conditional_density(joint):
    row = take(mixed_table(4, seed=10, missing=0), [2])
    given = {"a": row["a"][0], "color": row["color"][0], "zero": row["zero"][0]}
    conditional = joint.condition(given)
    edges = np.linspace(-12, 14, 6001)
    middle, step = 0.5 * (edges[1:] + edges[:-1]), edges[1] - edges[0]
    p = np.exp(conditional.log_prob({"b": middle}))
    assert (p * step).sum() == pytest.approx(1, abs=1e-3)
    below = conditional.cdf("b", 1.0)[0]
    assert below == pytest.approx((p * step)[middle < 1.0].sum(), abs=2e-3)


@both_layouts
def test_mean_is_the_integral_over_the_cdf(joint):
    """Up to the scores that half a row of fit would exceed; a raw member has no heavy tail."""
    joint, given = Joint(joint.schema, joint.members[:1], 800.0), {"a": 1.0, "color": "red"}
    end = norm.isf(0.5 / 800)
    scores = np.linspace(-9, 9, 20_001)
    inverse = joint.members[0].encoding.marginals[1].inverse
    edges, counted = inverse(scores), inverse(np.clip(scores, -end, end))
    many = {name: [value] * len(edges) for name, value in given.items()}
    cdf = joint.condition(many).cdf("b", edges)
    want = (0.5 * (counted[1:] + counted[:-1]) * np.diff(cdf)).sum()
    assert joint.condition(given).mean("b")[0] == pytest.approx(want, abs=1e-3)


@both_layouts
def test_quantiles_invert_the_cdf(joint):
    conditional = joint.condition({"color": "red", "a": [0.0, 1.0, 5.0]})
    q = [0.01, 0.25, 0.5, 0.9, 0.999]
    x = conditional.quantile("b", q)
    assert x.shape == (3, 5)
    for k, level in enumerate(q):
        np.testing.assert_allclose(conditional.cdf("b", x[:, k]), level, atol=1e-7)
        np.testing.assert_array_equal(conditional.quantile("b", level), x[:, k])


@both_layouts
def test_quantiles_stop_at_atoms(joint):
    conditional = joint.condition({"a": [0.0, 2.0, 4.0]})
    at_atom = conditional.cdf("zero", 0.0)
    before = conditional.cdf("zero", -1e-9)
    assert (at_atom - before > 0.2).all()
    inside = 0.5 * (at_atom[0] + before[0])
    assert conditional.quantile("zero", inside)[0] == 0.0
    above = conditional.quantile("zero", 0.5 + 0.5 * at_atom.max())
    assert (above > 0).all()


def test_known_columns_answer_with_their_value():
    conditional = mixed_joint().condition({"a": 1.25, "color": "blue"})
    assert conditional.mean("a") == conditional.mode("a") == [1.25]
    assert conditional.quantile("a", [0.1, 0.9]).tolist() == [[1.25, 1.25]]
    assert [conditional.cdf("a", x)[0] for x in (1.2, 1.25, 1.3)] == [0, 1, 1]
    assert conditional.mode("color") == ["blue"]
    assert conditional.predict_proba("color").tolist() == [[1, 0, 0, 0]]
    sample = conditional.sample(5, random_state=0)
    assert set(sample["color"]) == {"blue"} and set(sample["a"]) == {1.25}


def test_modes():
    joint = mixed_joint()
    X = mixed_table(300, seed=3)
    conditional = joint.condition(without(X, "zero", "flag", "color"))
    best = np.array(levels_of(joint, "color"))[conditional.predict_proba("color").argmax(axis=1)]
    assert (conditional.mode("color") == best).all()
    atom = conditional.cdf("zero", 0.0) - conditional.cdf("zero", -1e-9)
    assert ((conditional.mode("zero") == 0) == (atom >= 0.5)).all()


def test_unseen_level_is_legal_evidence():
    conditional = mixed_joint().condition({"color": "mauve"})
    assert conditional.predict_proba("color").tolist() == [[0, 0, 0, 0]]
    assert conditional.mode("color").tolist() == [None]
    assert conditional.predict_proba("flag").sum() == pytest.approx(1)
    assert conditional.log_prob({"a": [1.0]}) == pytest.approx(
        mixed_joint().log_prob(repeat(without(ROW, *ROW), 1, a=[1.0])), abs=1e-6
    )


def test_evidence_rows_are_answered_one_by_one():
    joint, X = mixed_joint(), mixed_table(40, seed=12)
    given = without(X, "b", "flag")
    together = joint.condition(given)
    for i in (0, 17, 39):
        alone = joint.condition(take(given, [i]))
        np.testing.assert_allclose(together.mean("b")[i], alone.mean("b")[0], rtol=1e-9)
        np.testing.assert_allclose(
            together.predict_proba("flag")[i], alone.predict_proba("flag")[0], rtol=1e-6
        )


def test_one_evidence_row_for_many_rows_and_many_for_one():
    joint = mixed_joint()
    p = joint.condition({"color": "red"}).log_prob({"a": [0.0, 1.0, 2.0]})
    q = joint.condition({"color": ["red", "blue"]}).log_prob({"a": [1.0]})
    assert p[1] == pytest.approx(q[0], abs=1e-9)


# ---- events ----


@both_layouts
def test_probabilities_of_intervals_add_up(joint):
    assert joint.probability({"a": (None, None)}) == pytest.approx(1, abs=1e-6)
    below, above = joint.probability({"a": (None, 1.0)}), joint.probability({"a": (1.0, None)})
    assert below + above == pytest.approx(1, abs=1e-5)
    assert joint.probability({"a": (0.0, 2.0)}) == pytest.approx(
        integral(joint, "a", 0.0, 2.0), abs=1e-4
    )


@both_layouts
def test_probability_of_an_interval_with_an_atom_inside(joint):
    zero, positive = joint.probability({"zero": 0}), joint.probability({"zero": (1e-9, None)})
    negative = joint.probability({"zero": (None, -1e-9)})
    assert zero + positive + negative == pytest.approx(1, abs=2e-3)
    assert joint.probability({"zero": (0, None)}) == pytest.approx(zero + positive, abs=1e-6)
    assert zero == pytest.approx(density(joint, zero=np.zeros(1))[0], abs=1e-7)
    assert joint.probability({"zero": 1.5}) == joint.probability({"a": 0.3}) == 0
    assert joint.probability({"zero": {0, 1.5}}) == zero


@both_layouts
def test_probability_of_a_set_is_the_sum_over_its_levels(joint):
    one_by_one = [joint.probability({"color": c, "a": (0, 3)}) for c in ("red", "teal")]
    both = joint.probability({"color": {"red", "teal"}, "a": (0, 3)})
    assert both == pytest.approx(sum(one_by_one), abs=1e-6)


@both_layouts
def test_probability_of_a_box_follows_samples(joint):
    where = {"a": (0, 2.5), "b": (None, 1.2), "zero": (0, 3), "color": {"red", "green"}}
    X = joint.sample(100_000, random_state=3)
    share = inside(X, where).mean()
    assert joint.probability(where) == pytest.approx(share, abs=4 * np.sqrt(share / 100_000))


def inside(X, where):
    hit = np.ones(len(X["a"]), bool)
    for name, condition in where.items():
        if isinstance(condition, tuple):
            low, high = (
                np.inf * s if e is None else e for e, s in zip(condition, (-1, 1), strict=True)
            )
            hit &= (X[name] >= low) & (X[name] <= high)
        else:
            hit &= np.isin(X[name], list(condition))
    return hit


@both_layouts
def test_conditioning_on_an_event_follows_samples(joint):
    where = {"a": (0, 2.5), "b": (None, 1.2), "color": {"red", "green"}}
    X = joint.sample(200_000, random_state=4)
    X = take(X, inside(X, where))
    conditional = joint.condition(where)
    n = len(X["a"])
    for name in ("a", "b", "zero"):
        error = 4 * X[name].std() / np.sqrt(n)
        assert conditional.mean(name)[0] == pytest.approx(X[name].mean(), abs=error + 5e-3)
        middle = np.median(X[name])
        assert conditional.cdf(name, middle)[0] == pytest.approx(0.5, abs=2.5 / np.sqrt(n) + 2e-3)
    red = conditional.predict_proba("color")[0, levels_of(joint, "color").index("red")]
    assert red == pytest.approx((X["color"] == "red").mean(), abs=2.5 / np.sqrt(n))
    drawn = conditional.sample(4000, random_state=5)
    assert inside(drawn, where).all()
    for name in ("a", "b", "zero"):
        assert kstest(drawn[name], X[name]).pvalue > 1e-3


@both_layouts
def test_density_given_an_event_integrates_to_one(joint):
    conditional = joint.condition({"a": (0, 2.5), "b": (0.2, None)})
    edges = np.linspace(-0.5, 3, 3501)
    middle = 0.5 * (edges[1:] + edges[:-1])
    p = np.exp(conditional.log_prob({"a": middle}))
    assert p.sum() * (edges[1] - edges[0]) == pytest.approx(1, abs=2e-3)
    assert (p[(middle < 0) | (middle > 2.5)] == 0).all()


def test_mean_given_an_interval_is_the_integral():
    joint = mixed_joint()
    conditional = joint.condition({"a": (1.0, 2.0)})
    total = quad(lambda x: density(joint, a=np.array([x]))[0], 1, 2, limit=200)[0]
    moment = quad(lambda x: x * density(joint, a=np.array([x]))[0], 1, 2, limit=200)[0]
    assert conditional.mean("a")[0] == pytest.approx(moment / total, abs=1e-3)
    assert (conditional.cdf("a", 1.0), conditional.cdf("a", 2.0)) == ([0], [1])
    assert 1 < conditional.quantile("a", 0.01)[0] < conditional.quantile("a", 0.99)[0] < 2


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
