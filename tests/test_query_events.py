"""Probabilities of events, and distributions given them, against sums, integrals and samples."""

import numpy as np
import pytest
from joints import (
    density,
    integral,
    levels_of,
    mixed_joint,
    take,
)
from scipy.integrate import quad
from scipy.stats import kstest

both_layouts = pytest.mark.parametrize("joint", [mixed_joint(), mixed_joint(apart=True)])


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
