"""Pools, folds, patterns of missing cells, and predictive distributions."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import log_softmax

from jointprob.forest.bins import fit_binning
from jointprob.predict.binned import fit_binned
from jointprob.predict.cells import N_CELLS, Cells, make_cells
from jointprob.predict.folds import assign_folds, ordered_rows
from jointprob.predict.holes import make_holes, take_away
from jointprob.predict.labels import fit_labels, log_odds
from jointprob.predict.numbers import fit_numbers
from jointprob.predict.patterns import Patterns
from jointprob.predict.pool import DEVIATION, Pool, fit_pool
from jointprob.predict.predictive import PredictiveDistribution
from jointprob.predict.spread import mixed, warped
from jointprob.predict.stack import fit_stack
from jointprob.table import MISSING, read_table

NAN = np.nan
RNG = np.random.default_rng(0)


# ---- pool ----


def members(n_rows, n_classes, weights, seed=0):
    """Random members, and labels drawn from their pool by these weights."""
    rng = np.random.default_rng(seed)
    log_prior = np.log(rng.dirichlet(np.full(n_classes, 5.0)))
    said = [log_softmax(rng.normal(size=(n_rows, n_classes)), axis=1) for _ in weights]
    log_p = Pool(log_prior, np.array(weights), 0.0).log_proba(said, n_rows)
    below = np.exp(log_p).cumsum(axis=1)
    label = (rng.random((n_rows, 1)) > below[:, :-1]).sum(axis=1)
    return said, log_prior, label


@pytest.mark.parametrize("n_classes", [2, 4])
def test_weights_of_a_known_pool_are_found(n_classes):
    weights = [0.9, 0.3, 0.0]
    said, log_prior, label = members(20_000, n_classes, weights)
    pool = fit_pool(said, log_prior, np.full(3, 0.4), label, np.ones(len(label)))
    np.testing.assert_allclose(pool.weights, weights, atol=0.08)
    assert pool.weights[2] == 0  # of many rows, a useless member is left out


def penalised_loss(weights, said, log_prior, expected, label, row_weight):
    log_p = Pool(log_prior, np.asarray(weights), 0.0).log_proba(said, len(label))
    own = log_p[np.arange(len(label)), label]
    off = np.asarray(weights) - expected
    total = row_weight.sum()
    return -row_weight @ own / total + off @ off / (2 * DEVIATION**2 * total)


@pytest.mark.parametrize("n_classes", [2, 3, 7])
@pytest.mark.parametrize("n_rows", [5, 300])
def test_weights_are_those_of_least_penalised_loss(n_rows, n_classes):
    said, log_prior, label = members(n_rows, n_classes, [0.8, 0.1, 0.0, 0.5], n_rows)
    expected, weight = np.array([0.4, 0.4, 0.2, 0.1]), RNG.uniform(0.5, 2, n_rows)
    pool = fit_pool(said, log_prior, expected, label, weight)
    given = said, log_prior, expected, label, weight
    bounds = [(1e-9, 20)] * 4
    best = minimize(penalised_loss, expected, given, bounds=bounds, method="L-BFGS-B", tol=1e-12)
    assert pool.loss == pytest.approx(penalised_loss(pool.weights, *given), abs=1e-12)
    assert pool.loss == pytest.approx(best.fun, abs=1e-6)
    np.testing.assert_allclose(pool.weights, best.x, atol=5e-3)


def test_few_rows_hardly_move_the_weights():
    said, log_prior, label = members(3, 2, [0.0, 1.0])
    pool = fit_pool(said, log_prior, np.array([0.5, 0.5]), label, np.ones(3))
    np.testing.assert_allclose(pool.weights, 0.5, atol=0.1)


def test_a_pool_of_members_without_evidence_is_the_prior():
    log_prior = np.log([0.2, 0.3, 0.5])
    pool = Pool(log_prior, np.array([0.7, 2.0]), 0.0)
    said = np.tile(log_prior, (4, 1))
    np.testing.assert_allclose(pool.log_proba([said, said + 3], 4), said, atol=1e-12)
    alone = Pool(log_prior, np.array([1.0, 0.0]), 0.0)
    np.testing.assert_allclose(alone.log_proba([said, None], 4), said, atol=1e-12)
    silent = Pool(log_prior, np.zeros(2), 0.0)
    np.testing.assert_allclose(silent.log_proba([None, None], 4), said, atol=1e-12)


def test_scores_of_two_classes_are_log_odds():
    np.testing.assert_array_equal(log_odds(np.float32([[2], [-1]])), [[0, 2], [0, -1]])
    scores = np.float32([[1, 2, 3]])
    assert log_odds(scores) is scores


# ---- folds, order of rows ----


@pytest.mark.parametrize("n_rows", [1, 2, 7, 30, 6000])
def test_folds_are_even_within_every_class(n_rows):
    label = np.random.default_rng(n_rows).integers(3, size=n_rows)
    folds = assign_folds(label, seed=0)
    n_folds = min(n_rows, 8 if n_rows <= 5000 else 4)
    for chosen in (folds, *(folds[label == c] for c in np.unique(label))):
        counts = np.bincount(chosen, minlength=n_folds)
        assert len(counts) == n_folds and counts.max() - counts.min() <= 1
    np.testing.assert_array_equal(assign_folds(label, 0), folds)
    assert n_rows < 7 or (assign_folds(label, 1) != folds).any()


def test_rows_are_ordered_by_what_they_hold():
    rng = np.random.default_rng(0)
    X, y = rng.integers(0, 3, (40, 2)).astype(float), rng.integers(0, 2, 40)
    rows, weight = ordered_rows(read_table(X), y, np.ones(40))
    assert sorted(rows) == list(range(40)) and (weight == 1).all()
    order = rng.permutation(40)
    again, _ = ordered_rows(read_table(X[order]), y[order], np.ones(40))
    np.testing.assert_array_equal(np.c_[X, y][rows], np.c_[X, y][order][again])


def test_whole_weights_are_repeats():
    X, y, times = RNG.normal(size=(9, 2)), np.arange(9) % 2, np.arange(9) % 3
    rows, weight = ordered_rows(read_table(X), y, times.astype(float))
    assert (weight == 1).all()
    np.testing.assert_array_equal(np.bincount(rows, minlength=9), times)


# ---- patterns of missing cells ----


def binned(X, like=None):
    table = read_table(X)
    return fit_binning(read_table(X if like is None else like), np.ones(len(X))).bin(table)


def test_rows_are_strange_that_miss_cells_as_no_row_did():
    X = RNG.normal(size=(20, 10))
    X[0, 0] = X[1, 8] = X[1, 9] = NAN
    patterns = Patterns.of(binned(X))
    assert len(patterns.known) == 3
    query = np.zeros((5, 10))
    query[0, 0] = query[1, 8] = query[2, [8, 9]] = query[3, 0] = query[3, 9] = NAN
    strange = patterns.strange(binned(query, like=X[:5]))
    np.testing.assert_array_equal(strange, [False, True, False, True, False])


def test_a_complete_row_is_never_strange():
    X = RNG.normal(size=(20, 2))
    X[:, 0] = np.where(np.arange(20) % 2, NAN, X[:, 0])
    X[:, 1] = np.where(np.arange(20) % 2, X[:, 1], NAN)
    assert not Patterns.of(binned(X)).strange(binned(np.zeros((3, 2)))).any()


def test_cells_are_taken_away_from_a_copy():
    X = {"a": [1.0, 2.0, 3.0], "b": ["x", "y", "x"]}
    table = read_table(X)
    less = take_away(table, np.array([[True, False], [False, True], [False, False]]))
    np.testing.assert_array_equal(less.columns[0], [NAN, 2, 3])
    np.testing.assert_array_equal(less.columns[1], [0, MISSING, 0])
    np.testing.assert_array_equal(take_away(table, np.array([True, False])).columns[0], [NAN] * 3)
    np.testing.assert_array_equal(table.columns[0], [1, 2, 3])


# ---- threads ----


def test_models_do_not_depend_on_threads():
    """Estimators fit few rows on one thread; here there are two."""
    table, ones = read_table(RNG.normal(size=(60, 3))), np.ones(60)
    label = (table.columns[0] > 0).astype(np.int64)
    one, two = (fit_labels(table, label, ones, 2, 0, n_jobs) for n_jobs in (1, 2))
    np.testing.assert_array_equal(one.log_proba(table, 1), two.log_proba(table, 2))
    one, two = (fit_numbers(table, table.columns[0], ones, 0, n_jobs) for n_jobs in (1, 2))
    np.testing.assert_array_equal(one.mean(table, 1), two.mean(table, 2))
    said = [model.distribution(table).quantile([0.1, 0.9]) for model in (one, two)]
    np.testing.assert_array_equal(*said)


# ---- cells of a target ----


@pytest.mark.parametrize(
    "numbers",
    [
        np.arange(5.0),
        np.arange(2.0),
        np.r_[np.arange(5.0), np.arange(5.0)],
        RNG.normal(size=200),
        np.full(9, 2.5),
        RNG.normal(size=2000),
        np.r_[RNG.normal(size=1500), np.zeros(1000)],
        RNG.exponential(size=1000).round(2),
    ],
)
def test_cells_are_ordered_and_hold_their_numbers(numbers):
    cells, cell = make_cells(numbers, np.ones(len(numbers)))
    assert len(cells.low) <= N_CELLS and cell.max() == len(cells.low) - 1
    assert (cells.low <= cells.high).all() and (cells.high[:-1] <= cells.low[1:]).all()
    assert (cells.low[cell] <= numbers).all() and (numbers <= cells.high[cell]).all()
    assert cells.low[0] == numbers.min() and cells.high[-1] == numbers.max()
    if len(np.unique(numbers)) == len(numbers):
        assert (cells.low < cells.high).all()  # no point for a value that was seen once
        np.testing.assert_array_equal(cells.high[:-1], cells.low[1:])
    if len(np.unique(numbers)) <= min(N_CELLS, len(numbers) // 2):
        np.testing.assert_array_equal(cells.low, np.unique(numbers))
        np.testing.assert_array_equal(cells.high, np.unique(numbers))


def test_a_frequent_value_becomes_a_point_of_its_own():
    numbers = np.r_[RNG.normal(size=1500), np.zeros(1000)]
    cells, _ = make_cells(numbers, np.ones(2500))
    assert ((cells.low == 0) & (cells.high == 0)).sum() == 1


def test_mixed_and_warped_weights_add_up_to_one():
    overall = np.full(4, 0.25)
    weight = mixed(np.array([[1.0, 0, 0, 0], [0, 0, 0, 0]]), overall)
    np.testing.assert_allclose(weight.sum(axis=1), 1)
    np.testing.assert_allclose(weight[1], overall)
    assert weight[0, 1] > 0
    np.testing.assert_allclose(warped(np.cumsum(weight, axis=1), np.ones(2)), weight, atol=1e-12)
    narrow = warped(np.arange(1, 10)[None] / 9, np.array([0.5, 0.5]))
    assert narrow.sum() == pytest.approx(1) and (narrow >= 0).all()
    assert narrow[0, 0] > 1 / 9 > narrow[0, 4]  # mass moves outwards


# ---- predictive distributions ----


def distribution(kind="continuous", n_rows=6, seed=0):
    """Random weights of random cells."""
    rng = np.random.default_rng(seed)
    if kind == "continuous":
        edges = np.cumsum(0.2 + rng.exponential(size=13))
        low, high = edges[:-1], edges[1:]
    elif kind == "counts":
        low = high = np.arange(7.0)
    else:  # intervals about a point
        low, high = np.array([0.0, 1.0, 2.0, 2.0, 3.5]), np.array([1.0, 2.0, 2.0, 3.5, 4.0])
    weight = rng.dirichlet(np.full(len(low), 0.7), n_rows)
    shift = rng.normal(size=n_rows) if kind == "continuous" else np.zeros(n_rows)
    cells = Cells(low, high, tail_mass=0.01, tail_scale=0.5)
    mean = 0.98 * (weight * (low + high) / 2).sum(axis=1) + 0.01 * (low[0] + high[-1]) + shift
    return PredictiveDistribution(cells, weight, shift, mean)


KINDS = ("continuous", "counts", "both")
LEVELS = np.r_[1e-9, 1e-4, np.linspace(0.005, 0.995, 67), 1 - 1e-4, 1 - 1e-9]


def test_cdf_undoes_quantiles():
    d = distribution()
    found = d.cdf(d.quantile(LEVELS))
    np.testing.assert_allclose(found, np.tile(LEVELS, (6, 1)), atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_quantiles_are_the_least_numbers_of_enough_probability(kind):
    d = distribution(kind)
    found = d.quantile(LEVELS)
    assert (np.diff(found, axis=1) >= 0).all()
    assert (d.cdf(found + 1e-9) >= LEVELS - 1e-12).all()
    assert (d.cdf(found - 1e-6) <= LEVELS + 1e-12).all()


@pytest.mark.parametrize("kind", KINDS)
def test_cdf_rises_from_zero_to_one(kind):
    below = distribution(kind).cdf(np.tile(np.linspace(-20, 60, 999), (6, 1)))
    assert (np.diff(below, axis=1) >= 0).all()
    assert below[:, 0].max() < 1e-10 and below[:, -1].min() > 1 - 1e-10
    d = distribution(kind)
    np.testing.assert_array_equal(d.cdf(-np.inf), 0)
    np.testing.assert_array_equal(d.cdf(np.inf), 1)


def test_densities_integrate_to_one():
    d, step = distribution(), 5e-4
    y = np.arange(-12, 40, step)
    mass = np.exp(d.log_prob(np.tile(y, (6, 1)))) * step
    np.testing.assert_allclose(mass.sum(axis=1), 1, atol=3e-3)
    np.testing.assert_allclose(mass.cumsum(axis=1), d.cdf(np.tile(y, (6, 1))), atol=5e-3)


def test_probabilities_of_counts_add_up_to_all_but_the_tails():
    d = distribution("counts")
    mass = np.exp(d.log_prob(np.tile(np.arange(7.0), (6, 1))))
    np.testing.assert_allclose(mass.sum(axis=1), 1 - 2 * 0.01, atol=1e-12)
    steps = d.cdf(np.tile(np.arange(7.0), (6, 1))) - d.cdf(np.tile(np.arange(7) - 1e-9, (6, 1)))
    np.testing.assert_allclose(steps[:, 1:-1], mass[:, 1:-1], atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_draws_follow_the_distribution(kind):
    d = distribution(kind)
    draws = d.sample(40_000, random_state=0)
    assert draws.shape == (6, 40_000) and draws.dtype == np.float64
    np.testing.assert_allclose(draws.mean(axis=1), d.mean(), atol=0.1)
    np.testing.assert_allclose(draws.std(axis=1), d.std(), rtol=0.03)
    for y in (0.5, 1.5, 3.2):
        np.testing.assert_allclose((draws <= y).mean(axis=1), d.cdf(y), atol=0.012)
    np.testing.assert_array_equal(d.sample(3, random_state=1), d.sample(3, random_state=1))
    assert (d.sample(3, random_state=1) != d.sample(3, random_state=2)).any()


def test_intervals_are_quantiles():
    d = distribution()
    np.testing.assert_array_equal(d.interval(0.8), d.quantile([(1 - 0.8) / 2, (1 + 0.8) / 2]))
    np.testing.assert_array_equal(d.interval(), d.interval(0.9))


def test_quantiles_do_not_depend_on_where_a_row_stands():
    weight = np.tile([0.25, 0.25, 0.1, 0.15, 0.25], (70_000, 1))
    cells = Cells(np.arange(5.0), np.arange(5.0), 1e-6, 1.0)
    d = PredictiveDistribution(cells, weight, np.zeros(70_000), np.zeros(70_000))
    levels = d.cdf([0.0, *[NAN] * 69_999])[0], d.cdf([1.0, *[NAN] * 69_999])[0], 0.5
    for level in levels:
        assert len(np.unique(d.quantile(level))) == 1


@pytest.mark.parametrize("question", ["cdf", "log_prob"])
def test_shapes(question):
    d = distribution()
    ask = getattr(d, question)
    wide = ask(np.tile([0.5, 1.5], (6, 1)))
    assert ask(0.5).shape == ask(np.full(6, 0.5)).shape == (6,) and wide.shape == (6, 2)
    np.testing.assert_array_equal(ask(0.5), wide[:, 0])
    np.testing.assert_array_equal(ask(np.full(6, 1.5)), wide[:, 1])
    np.testing.assert_array_equal(np.isnan(ask([NAN, 0, NAN, 0, 0, 0])), [1, 0, 1, 0, 0, 0])
    assert d.quantile(0.5).shape == d.mean().shape == d.std().shape == (6,)
    assert d.quantile([0.5]).shape == (6, 1) and d.interval().shape == (6, 2)
    assert d.sample(0).shape == (6, 0) and d.n_rows == 6


def test_bad_questions_are_refused():
    d = distribution()
    for y in (np.zeros(5), np.zeros((5, 2)), np.zeros((6, 1, 1))):
        with pytest.raises(ValueError, match=r"y has shape .*; allowed are a number, \(6,\)"):
            d.cdf(y)
    for q in (0, 1, -0.5, 2, NAN, [0.5, 1.0]):
        with pytest.raises(ValueError, match=r"q is .*; allowed are .* inside \(0, 1\)"):
            d.quantile(q)
    with pytest.raises(ValueError, match=r"q is of shape \(1, 1\)"):
        d.quantile([[0.5]])
    for coverage in (0, 1, NAN, "wide", [0.5]):
        with pytest.raises(ValueError, match=r"coverage is .*; allowed are numbers inside"):
            d.interval(coverage)
    for n in (-1, 1.5):
        with pytest.raises(ValueError, match=f"n_per_row={n}; allowed are whole numbers"):
            d.sample(n)


def test_what_is_returned_may_be_written_to():
    d = distribution()
    d.mean()[:] = 0
    assert (d.mean() != 0).all()


def test_far_numbers_do_not_warn():
    for kind in KINDS:
        d = distribution(kind)
        assert (d.log_prob(1e308) < -1e300).all() and (d.log_prob(-1e308) < -1e300).all()
    point = Cells(np.array([3.0]), np.array([3.0]), 0.01, np.finfo(float).tiny)
    d = PredictiveDistribution(point, np.ones((2, 1)), np.zeros(2), np.full(2, 3.0))
    assert np.isfinite(d.log_prob(3.0)).all() and (d.log_prob(1e308) == -np.inf).all()
    np.testing.assert_array_equal(d.cdf([2.0, 4.0]), [0, 1])


# ---- the joint's part of a number's distribution ----


def test_bins_add_up_alike_wherever_a_row_stands():
    rng = np.random.default_rng(0)
    x = rng.normal(size=700)
    table = read_table(np.stack([x, rng.normal(size=700)], axis=1))
    number, weight = x + rng.normal(scale=0.3, size=700), np.ones(700)
    cells, cell = make_cells(number, weight)
    holes = make_holes(table, 0)
    some = np.arange(0, 700, 3)
    joint, seen = fit_binned(table, number, weight, cells, cell, holes, some, 0, 1)
    bins, shift = seen.all(700), number / 2
    np.testing.assert_array_equal(bins[some], seen.judged)
    assert bins.shape[1] == 16
    mean, below = joint.mean(bins), joint.below(bins, cells, shift)
    np.testing.assert_allclose(mean, bins @ joint.means)
    assert (below[:, -1] == 1).all() and (np.diff(below, axis=1) >= 0).all()
    for rows in (rng.permutation(700), np.arange(3), np.array([500])):
        assert (joint.mean(bins[rows]) == mean[rows]).all()
        assert (joint.below(bins[rows], cells, shift[rows]) == below[rows]).all()


def test_stack_gives_the_best_member_its_weight_and_leaves_the_rest_out():
    rng = np.random.default_rng(0)
    number = rng.normal(size=2000)
    good, poor = (number + rng.normal(scale=s, size=2000) for s in (0.3, 12.0))
    weights = fit_stack([good, poor, rng.normal(size=2000)], number, np.ones(2000))
    assert weights[0] == pytest.approx(1 / 1.09, abs=0.03) and (weights[1:] == 0).all()
    doubled = fit_stack([np.tile(m, 2) for m in (good, number + rng.normal(size=2000))],
                        np.tile(number, 2), np.ones(4000))  # fmt: skip
    assert (doubled >= 0).all() and doubled[0] > doubled[1]


@pytest.mark.parametrize("kind", ["labels", "numbers"])
def test_weights_that_float32_would_round_to_nothing(kind):
    rng = np.random.default_rng(1)
    table = read_table(rng.normal(size=(300, 2)))
    weight = 10.0 ** -np.linspace(0, 60, 300)
    if kind == "labels":
        model = fit_labels(table, np.arange(300) % 2, weight, 2, 0, 1)
        assert np.isfinite(model.log_proba(table)).all()
    else:
        model = fit_numbers(table, rng.normal(size=300), weight, 0, 1)
        assert np.isfinite(model.mean(table)).all()
        assert np.isfinite(model.distribution(table).quantile([0.1, 0.9])).all()
