"""Density families of the user's own, against mixtures summed directly."""

import math
import pickle

import numpy as np
import pytest
from joints import repeat, take
from scipy.stats import kstest, multivariate_normal
from sklearn.base import clone

from jointprob import JEPADensity, jit
from jointprob.query.evidence import read_rows

numba = pytest.importorskip("numba")

Family = jit.Family


@numba.njit
def log_pdf(x, parameters):
    return np.log(parameters[0]) - parameters[0] * x if x >= 0 else -np.inf


@numba.njit
def estimate(x, weight, parameters):
    parameters[0] = weight.sum() / (weight * x).sum()


def draw(parameters, u):
    return -np.log1p(-u) / parameters[0]


def cdf(x, parameters):
    return -np.expm1(-parameters[0] * x) if x > 0 else 0.0


EXPONENTIAL = Family(log_pdf, estimate, 1, draw, cdf)
BARE = Family(log_pdf, estimate, 1)


def table(n_rows=400, seed=0, missing=0.05):
    """Two kinds of customers, who wait about 1 or 10 minutes."""
    rng = np.random.default_rng(seed)
    group = rng.integers(2, size=n_rows)
    kinds = np.array(["a", "b"], object)[np.where(rng.random(n_rows) < 0.1, 1 - group, group)]
    wait = rng.exponential(np.where(group, 1.0, 10.0))
    X = {"kind": kinds, "wait": wait, "y": rng.normal(3.0 * group)}
    for cells in X.values():
        cells[rng.random(n_rows) < missing] = None if cells.dtype == object else np.nan
    return X


def fit(X, family=EXPONENTIAL, **settings):
    settings = {"n_trees": 2, "n_subsets": 4, "random_state": 0, **settings}
    return JEPADensity(families={"wait": family}, **settings).fit(X)


@pytest.fixture(scope="module")
def joint():
    return fit(table()).joint_


def by_state(member, b, encoded, wait):
    """P(cells of block b | state), (n_rows, n_states), spelt out."""
    tree, n = member.tree, len(wait)
    if tree.n_levels[b]:
        codes = encoded.codes[:, tree.code_column[b]]
        width = tree.n_states[b] // tree.n_cells[b]
        out = np.ones((n, tree.n_states[b]))
        for i in np.flatnonzero(codes != -1):
            v = codes[i]
            own = tree.emission[tree.emission_at[b] + v * width :][:width]
            cell = tree.cell[tree.cell_at[b] + v]
            out[i] = 0
            out[i, cell * width : (cell + 1) * width] = own
        return out
    block = tree.gaussians[tree.numeric_blocks.index(b)]
    out = np.ones((n, tree.n_states[b]))
    if hasattr(block, "parameters"):
        known = ~np.isnan(wait)
        rate = block.parameters[:, 0]
        out[known] = rate * np.exp(-wait[known, None] * rate)
        return out
    z = encoded.z[:, block.columns].astype(float)
    for i in np.flatnonzero(~np.isnan(z[:, 0])):
        for s in range(block.n_states):
            out[i, s] = multivariate_normal.pdf(z[i], block.means[s], block.covariances[s])
    return out


def direct(joint, X):
    """log p of rows: every tree summed from its leaves, in double precision."""
    total = 0.0
    for member in joint.members:
        encoded = member.encoding.encode(read_rows(X, joint.schema))
        tree = member.tree
        said = [by_state(member, b, encoded, X["wait"]) for b in range(tree.n_blocks)]
        for b in reversed(range(tree.n_blocks)):
            above = tree.n_states[tree.parent[b]] if b else 1
            moves = tree.transition[tree.transition_at[b] :][: above * tree.n_states[b]]
            message = said[b] @ moves.reshape(above, -1).T.astype(float)
            if b:
                said[tree.parent[b]] = said[tree.parent[b]] * message
        total += np.exp(member.log_weight + encoded.log_jacobian) * message[:, 0]
    return np.log(total)


def test_log_prob_is_that_of_the_mixture(joint):
    X = table(60, seed=1, missing=0.2)
    assert len(joint.members) == 2
    np.testing.assert_allclose(joint.log_prob(X), direct(joint, X), rtol=1e-5, atol=1e-5)
    assert joint.log_prob(repeat(take(X, [0]), 1, wait=np.array([-1.0]))) == -np.inf


def test_a_family_that_is_the_truth_scores_better():
    X, new = table(1000, missing=0), table(2000, seed=1, missing=0)
    general = JEPADensity(n_trees=2, n_subsets=4, random_state=0).fit(X)
    assert fit(X).score(new) > general.score(new) + 0.03


def test_samples_follow_the_density(joint):
    wait = joint.sample(3000, random_state=0)["wait"]
    ends = np.array([0.1, 1.0, 5.0, 20.0])
    below = [joint.probability({"wait": (None, end)}) for end in ends]
    np.testing.assert_allclose((wait[:, None] <= ends).mean(axis=0), below, atol=0.03)
    states = joint.marginal(["wait"])
    assert kstest(states.sample(500, random_state=1)["wait"], wait).pvalue > 0.01
    given = joint.impute({"kind": ["b"], "y": [3.0], "wait": [np.nan]}, "sample", random_state=0)
    assert given["wait"][0] > 0


def test_intervals_are_integrals(joint):
    middle = np.linspace(2, 7, 2001)
    row = {"wait": middle, "kind": np.repeat("a", 2001), "y": np.zeros(2001)}
    within = joint.condition({"kind": "a", "y": 0.0}).log_prob(row)
    inside = joint.condition({"kind": "a", "y": 0.0, "wait": (2, 7)})
    mass = np.trapezoid(np.exp(within), middle)
    known = joint.log_prob({"kind": ["a"], "y": [0.0], "wait": [np.nan]})[0]
    assert np.log(mass) == pytest.approx(inside._log_evidence[0] - known, abs=1e-4)
    assert inside.log_prob({"wait": [1.0]})[0] == -np.inf


def test_other_columns_are_predicted_from_it(joint):
    """Bayes' rule on the two levels."""
    wait = np.array([0.5, 2.0, 30.0])
    both = [{"kind": np.repeat(k, 3), "wait": wait, "y": np.full(3, np.nan)} for k in "ab"]
    mass = np.exp([joint.log_prob(X) for X in both]).T
    said = joint.condition({"wait": wait}).predict_proba("kind")
    np.testing.assert_allclose(said, mass / mass.sum(axis=1, keepdims=True), atol=1e-5)
    y = joint.condition({"wait": wait}).mean("y")
    assert (np.diff(y) < 0).all()


def test_explain_is_what_a_cell_takes_away(joint):
    X = table(50, seed=2)
    without = {**X, "wait": np.full(50, np.nan)}
    expected = joint.log_prob(without) - joint.log_prob(X)
    known = ~np.isnan(X["wait"])
    np.testing.assert_allclose(joint.explain(X)["wait"][known], expected[known], atol=1e-4)


def test_a_fit_depends_on_nothing_but_its_rows():
    """Repeats are weights; order and threads do not matter; plain functions are compiled."""
    X, order = table(150), np.random.default_rng(0).permutation(300) % 150
    plain = Family(log_pdf.py_func, estimate.py_func, 1)
    once = fit(X, n_jobs=1).set_params(n_jobs=None)
    weighted = clone(once).fit(X, sample_weight=np.full(150, 2.0))
    doubled = fit(take(X, order), plain, n_jobs=2)
    assert doubled.score_samples(X).tobytes() == weighted.score_samples(X).tobytes()
    assert fit(X, plain).score_samples(X).tobytes() == once.score_samples(X).tobytes()


def test_counts_have_families_too():
    """A family over whole numbers: its log densities are with respect to counting."""

    def log_mass(x, parameters):
        return x * np.log(parameters[0]) - parameters[0] - math.lgamma(x + 1.0)

    def mean(x, weight, parameters):
        parameters[0] = max((weight * x).sum() / weight.sum(), 1e-3)

    counts = np.random.default_rng(0).poisson(3.0, 300)[:, None].astype(float)
    model = JEPADensity(families={0: Family(log_mass, mean, 1)}, n_trees=1, random_state=0)
    mass = np.exp(model.fit(counts).score_samples(np.arange(40.0)[:, None]))
    assert mass.sum() == pytest.approx(1, abs=1e-4)
    assert (mass @ np.arange(40)) == pytest.approx(counts.mean(), abs=0.1)


def test_models_pickle_but_files_hold_no_code(joint, tmp_path):
    X = table(20, seed=3)
    again = pickle.loads(pickle.dumps(joint))
    assert again.log_prob(X).tobytes() == joint.log_prob(X).tobytes()
    for model in (joint, fit(table(100))):
        with pytest.raises(ValueError, match=r"'wait' has densities.*pickle"):
            model.save(tmp_path / "model.jp")


def test_what_a_family_does_not_allow(joint):
    X = table(100)
    model = fit(X, BARE)
    for refused, what in (
        (lambda: model.partial_fit(X), "partial_fit"),
        (lambda: model.fine_tune(X), "'wait'.*fine_tune"),
        (lambda: joint.fine_tune(X), "'wait'.*fine_tune"),
        (lambda: joint.condition({"kind": "a"}).mean("wait"), "'wait'.*draw samples"),
        (lambda: joint.impute({"kind": ["a"], "wait": [np.nan], "y": [0.0]}), "'wait'"),
        (lambda: joint.condition({"wait": (1, 2)}).sample(1), "'wait'.*interval"),
        (joint.to_onnx, "'wait'.*ONNX"),
        (joint.compile, "'wait'.*scorers"),
        (lambda: model.sample(3), "'wait'.*draw"),
        (lambda: model.joint_.probability({"wait": (1, 2)}), "'wait'.*cdf"),
    ):
        with pytest.raises(ValueError, match=what):
            refused()
    with pytest.raises(ValueError, match=r"'wait'.*partial_fit"):
        model.set_params(families=None).partial_fit(X)


def test_families_that_do_not_fit():
    X = table(60)
    with pytest.raises(ValueError, match="'kind' is not numeric"):
        JEPADensity(families={"kind": BARE}).fit(X)
    with pytest.raises(ValueError, match="no column 'wayt'"):
        JEPADensity(families={"wayt": BARE}).fit(X)
    with pytest.raises(TypeError, match=r"'wait' has 3; allowed is a jointprob.jit.Family"):
        JEPADensity(families={"wait": 3}).fit(X)
    with pytest.raises(TypeError, match="families is 3"):
        JEPADensity(families=3).fit(X)
    with pytest.raises(ValueError, match="n_parameters is 0"):
        Family(log_pdf, estimate, 0)
    with pytest.raises(TypeError, match="cannot compile log_pdf"):
        fit(X, Family(lambda x, parameters: x.nothing, estimate, 1))
    with pytest.raises(ValueError, match=r"'wait': log_pdf is -inf at"):
        fit({**X, "wait": -X["wait"]})
    with pytest.raises(ValueError, match=r"'wait': log_pdf\(.*is NaN"):
        fit(X, Family(lambda x, parameters: x + np.nan, estimate, 1))
    with pytest.raises(ValueError, match=r"'wait': estimate wrote \[nan\]"):
        fit(X, Family(log_pdf, not_a_number, 1))


def not_a_number(x, weight, parameters):
    parameters[0] = np.nan
