"""Densities, marginals and conditionals obey the laws of probability."""

import numpy as np
import pytest
from joints import (
    ROW,
    density,
    fit_joint,
    integral,
    levels_of,
    mixed_joint,
    mixed_table,
    repeat,
    take,
    without,
)
from scipy.stats import norm

from jointprob.query import Joint

both_layouts = pytest.mark.parametrize("joint", [mixed_joint(), mixed_joint(apart=True)])


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
