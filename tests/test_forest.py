"""Trees on bins against their twins; properties that hold for any tree."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import forest as reference

from jointprob import _forest
from jointprob.forest.trees import Nursery, Tree, pack, padded

MISSING = _forest.MISSING_BIN
seeds = st.integers(0, 2**32 - 1)


class Problem:
    """A table of bins with classes, numbers and weights."""

    def __init__(self, seed, n_rows=60, n_columns=4, n_classes=3, most_bins=12, missing=0.2):
        rng = np.random.default_rng(seed)
        self.n_bins = rng.integers(1, most_bins + 1, n_columns).astype(np.uint8)
        self.categorical = rng.integers(0, 2, n_columns).astype(np.uint8)
        self.by_column = rng.integers(0, self.n_bins[:, None], (n_columns, n_rows)).astype(np.uint8)
        signal = self.by_column[0] / self.n_bins[0] + rng.normal(scale=0.4, size=n_rows)
        self.by_column[rng.random((n_columns, n_rows)) < missing] = MISSING
        cuts = np.quantile(signal, np.arange(1, n_classes) / n_classes)
        self.label = np.searchsorted(cuts, signal).astype(np.uint16)
        self.target = signal.astype(np.float32)
        self.weight = rng.integers(1, 4, n_rows).astype(np.float32)
        self.n_classes = n_classes

    @property
    def n_rows(self):
        return self.by_column.shape[1]

    @property
    def by_row(self):
        return np.ascontiguousarray(self.by_column.T)

    @property
    def kernel(self):
        dense = np.where(self.by_column == MISSING, self.n_bins[:, None], self.by_column)
        by_row = np.ascontiguousarray(dense.T)
        return _forest.Bins(self.by_column, by_row, self.categorical, self.n_bins)

    def grow(self, numbers=False, n_candidates=None, least_rows=1, most_depth=64,
             random_splits=False, rows=None, seed=5, tree=0, capacity=None):  # fmt: skip
        """Tree, and the values of its nodes."""
        rows = np.arange(self.n_rows, dtype=np.uint32) if rows is None else rows
        n_outputs = 2 if numbers else self.n_classes
        room = 2 * len(rows) - 1 if capacity is None else capacity
        node, sets = np.empty((room, 4), np.int32), np.empty((max(1, room // 2), 8), np.uint32)
        value = np.empty((room, n_outputs), np.float32)
        grown, bins = _forest.Grown(node, sets, value), self.kernel
        work = np.empty(bins.work_size(len(rows), 0 if numbers else n_outputs), np.uint8)
        y = self.target[rows] if numbers else self.label[rows]
        (grown.grow_means if numbers else grown.grow_classes)(
            bins, rows, y, self.weight[rows], n_candidates or len(self.n_bins), least_rows,
            most_depth, random_splits, seed, 7, tree, work,
        )  # fmt: skip
        self.grown = grown
        return Tree(node[: grown.n_nodes], sets[: grown.n_sets]), value[: grown.n_nodes]

    def y(self, numbers):
        """(n_rows, n_outputs) of which node values are weighted sums."""
        if numbers:
            return self.target[:, None].astype(float)
        return np.eye(self.n_classes)[self.label]


# ---- bins ----


def drawn_column(rng, n_rows, n_edges, categorical):
    """Cells, some of them on edges, beyond all, or missing; edges."""
    if categorical:
        cells = rng.integers(-2, n_edges + 2, n_rows).astype(np.int32)
        return cells, rng.integers(0, 254, n_edges).astype(np.uint8)
    edges = np.unique(rng.normal(size=n_edges).round(2))
    cells = rng.normal(size=n_rows).round(2)
    cells[rng.random(n_rows) < 0.1] = rng.choice([np.nan, 1e300, -1e300])
    return cells, edges


@given(seeds, st.integers(1, 60), st.sampled_from([0, 1, 2, 9, 31, 32, 253]))
@settings(max_examples=60, deadline=None)
def test_bins_equal_their_twin(seed, n_rows, n_edges):
    rng = np.random.default_rng(seed)
    categorical = tuple(bool(c) for c in rng.integers(0, 2, 4))
    cells, edges = zip(*[drawn_column(rng, n_rows, n_edges, c) for c in categorical], strict=True)
    by_column, start = np.zeros((4, n_rows), np.uint8), n_rows // 3
    kernel = _forest.Edges(edges, categorical)
    kernel.bin(list(cells), start, n_rows, by_column)
    assert not by_column[:, :start].any()
    kernel.bin(list(cells), 0, start, by_column)
    expected = [reference.bins(*column) for column in zip(cells, edges, categorical, strict=True)]
    np.testing.assert_array_equal(by_column, expected)


def test_bins_refuse_other_columns():
    kernel, out = _forest.Edges((np.zeros(1), np.zeros(2, np.uint8)), (False, True)), np.zeros(3)
    by_column, codes = np.zeros((2, 3), np.uint8), np.zeros(3, np.int32)
    for columns in ([out], [out, out], [codes, codes], [out, codes[:2]], [np.zeros(6)[::2], codes]):
        with pytest.raises((ValueError, BufferError)):
            kernel.bin(columns, 0, 3, by_column)
    with pytest.raises(ValueError, match="rows"):
        kernel.bin([out, codes], 0, 4, by_column)
    with pytest.raises(ValueError, match="error"):
        _forest.Edges((np.arange(255.0),), (False,)).bin([out], 0, 3, by_column[:1])


# ---- growing ----


def parts(tree):
    return tree.node, tree.sets


def same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(parts(a), parts(b), strict=True))


# ---- growing ----


@given(seeds, st.integers(2, 4), st.booleans(), st.integers(1, 6))
@settings(max_examples=40, deadline=None)
def test_every_split_is_the_best_of_all_columns(seed, n_classes, numbers, least_rows):
    p = Problem(seed, n_classes=n_classes)
    tree, _ = p.grow(numbers, least_rows=least_rows)
    y, by_row = p.y(numbers), p.by_row
    for at, rows in enumerate(reference.rows_of_nodes(parts(tree), by_row)):
        if reference.is_leaf(parts(tree), at):
            continue
        column = reference.test_of(parts(tree), at)[0]
        left = reference.goes_left(parts(tree), at, by_row[rows, column])
        found = reference.score(left, y[rows], p.weight[rows])
        # The order of levels is by one class, drawn at random among three and more.
        best = [
            max(
                reference.best_score(
                    by_row[rows, j], p.categorical[j], y[rows], p.weight[rows], least_rows, k
                )
                for j in range(len(p.n_bins))
            )
            for k in range(y.shape[1])
        ]
        assert min(abs(found - b) for b in best) < 1e-5 * max(1, found)


@given(seeds, st.integers(2, 4), st.booleans(), st.integers(1, 5), st.booleans())
@settings(max_examples=60, deadline=None)
def test_leaves_partition_the_rows_and_values_add_up(seed, n_classes, numbers, least, random):
    p = Problem(seed, n_classes=n_classes)
    tree, value = p.grow(numbers, n_candidates=2, least_rows=least, random_splits=random)
    y, w = p.y(numbers), p.weight
    sums = np.hstack([np.ones((p.n_rows, 1)), y]) if numbers else y
    n_leaves = 0
    for at, rows in enumerate(reference.rows_of_nodes(parts(tree), p.by_row)):
        assert len(rows) >= least or at == 0
        np.testing.assert_allclose(value[at], (w[rows, None] * sums[rows]).sum(axis=0), atol=1e-4)
        if reference.is_leaf(parts(tree), at):
            n_leaves += 1
            continue
        child = tree.node[at, 0]
        np.testing.assert_allclose(value[at], value[child] + value[child + 1], atol=1e-4)
        left = reference.goes_left(parts(tree), at, p.by_row[rows, tree.column[at]])
        assert reference.share(parts(tree), at) == pytest.approx(
            w[rows][left].sum() / w[rows].sum()
        )
    assert n_leaves == p.grown.n_leaves == (p.grown.n_nodes + 1) // 2


@pytest.mark.parametrize("random", [False, True])
def test_one_seed_one_tree(random):
    p = Problem(1, n_rows=300, n_classes=3)
    tree, _ = p.grow(n_candidates=2, random_splits=random)
    assert same(tree, p.grow(n_candidates=2, random_splits=random)[0])
    assert not same(tree, p.grow(n_candidates=2, random_splits=random, tree=1)[0])
    assert not same(tree, p.grow(n_candidates=2, random_splits=random, seed=6)[0])


@given(seeds, st.booleans(), st.integers(2, 3))
@settings(max_examples=20, deadline=None)
def test_a_row_twice_is_a_row_of_twice_the_weight(seed, random, n_classes):
    p = Problem(seed, n_classes=n_classes)
    all_rows = np.arange(p.n_rows, dtype=np.uint32)
    tree, _ = p.grow(n_candidates=2, random_splits=random)
    twice = np.repeat(all_rows, p.weight.astype(int))
    p.weight[:] = 1
    assert same(tree, p.grow(n_candidates=2, random_splits=random, rows=twice)[0])


def test_the_order_of_rows_does_not_matter():
    p = Problem(2, n_rows=200, n_classes=2)
    rows = np.random.default_rng(0).permutation(200).astype(np.uint32)
    assert same(p.grow()[0], p.grow(rows=rows)[0])


def test_depth_and_room_end_growth():
    p = Problem(3, n_rows=300)
    assert p.grow(most_depth=0)[0].node.shape[0] == 1
    tree, _ = p.grow(most_depth=3)
    assert len(tree.node) <= 15
    assert len(p.grow(capacity=9)[0].node) == 9


@pytest.mark.parametrize("random", [False, True])
def test_pure_nodes_and_constant_columns_are_not_divided(random):
    p = Problem(4)
    p.label[:] = 1
    assert len(p.grow(random_splits=random)[0].node) == 1
    p = Problem(4)
    p.by_column[:] = np.array([[3], [MISSING], [0], [MISSING]])
    p.n_bins[:] = 5
    assert len(p.grow(random_splits=random)[0].node) == 1
    p.by_column[2] = p.label
    tree, value = p.grow(n_candidates=1, random_splits=random)
    assert set(tree.column) <= {-1, 2}
    if not random or not p.categorical[2]:
        assert (value[tree.leaves] > 0).sum() == 3


@pytest.mark.parametrize("n_rows", [1, 2])
@pytest.mark.parametrize("numbers", [False, True])
def test_one_and_two_rows(n_rows, numbers):
    p = Problem(5, n_rows=n_rows, n_columns=1, n_classes=2, missing=0)
    p.n_bins[:], p.categorical[:] = 2, 0
    p.by_column[0], p.label, p.target = np.arange(n_rows), p.label * 0, p.target * 0
    assert len(p.grow(numbers)[0].node) == 1
    p.label[-1:], p.target[-1:] = 1, 1
    assert len(p.grow(numbers)[0].node) == 2 * n_rows - 1


@pytest.mark.parametrize("missing_like_high", [False, True])
@pytest.mark.parametrize("categorical", [0, 1])
def test_the_highest_bins(categorical, missing_like_high):
    p = Problem(6, n_rows=600, n_columns=1, n_classes=2)
    p.n_bins[:], p.categorical[:] = 254, categorical
    p.by_column[0] = np.arange(600) % 254
    p.by_column[0, ::50] = MISSING
    bins = p.by_column[0]
    p.label[:] = (bins >= 250) & (missing_like_high | (bins != MISSING))
    tree, value = p.grow()
    assert (value[tree.leaves] > 0).sum() == len(tree.leaves) == 2


def test_absent_levels_go_with_the_larger_side():
    p = Problem(7, n_rows=30, n_columns=1, n_classes=2, missing=0)
    p.n_bins[:], p.categorical[:] = 9, 1
    p.by_column[0] = np.where(np.arange(30) < 10, 3, 6)
    p.label, p.weight[:] = (p.by_column[0] == 3).astype(np.uint16), 1
    tree, _ = p.grow()
    bins = np.array([0, 6, 8, 3, MISSING], np.uint8)
    left = reference.goes_left(parts(tree), 0, bins)
    assert len(set(left[[0, 1, 2, 4]])) == 1 and left[3] != left[0]


def test_bootstrap_draws_as_many_rows_as_there_are():
    times = np.empty(1000, np.uint8)
    _forest.bootstrap(3, 4, 0, len(times), times)
    assert times.sum() == 1000
    assert 0.60 < (times > 0).mean() < 0.66
    again = np.empty_like(times)
    _forest.bootstrap(3, 4, 1, len(again), again)
    assert (again != times).any()


# ---- values ----


@given(seeds, st.booleans(), st.floats(0, 50))
@settings(max_examples=30, deadline=None)
def test_shrinkage_equals_its_twin(seed, numbers, strength):
    p = Problem(seed)
    tree, value = p.grow(numbers)
    prior = None if numbers else np.array([0.5, 0.3, 0.2], np.float32)
    means = np.empty((len(value), 1 if numbers else 3), np.float32)
    p.grown.shrink(prior, strength, means)
    totals = value[:, 0] if numbers else value.sum(axis=1)
    outputs = value[:, 1:] if numbers else value
    wanted = reference.shrink(parts(tree), totals.astype(float), outputs, strength, prior)
    np.testing.assert_allclose(means, wanted, atol=2e-5)
    if not numbers:
        np.testing.assert_allclose(means.sum(axis=1), 1, atol=0.01)  # some are cut to [0, 1]


# ---- descent ----


def forest_of(p, n_trees, numbers=False):
    trees = [p.grow(numbers, n_candidates=1, tree=k)[0] for k in range(n_trees)]
    trees = [Tree(t.node.copy(), t.sets.copy()) for t in trees]
    rng = np.random.default_rng(n_trees)
    return trees, [rng.random((len(t.leaves), 2)).astype(np.float32) for t in trees]


def unseen_rows(p, seed, n_rows):
    """Bins that the trees may not have seen in their nodes."""
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, p.n_bins, (n_rows, len(p.n_bins))).astype(np.uint8)
    rows[rng.random(rows.shape) < 0.3] = MISSING
    return rows


@given(seeds, st.sampled_from([1, 7, 5000]), st.integers(1, 5))
@settings(max_examples=15, deadline=None)
def test_counting_equals_its_twin(seed, n_rows, n_trees):
    p, rng = Problem(seed), np.random.default_rng(seed)
    trees, values = forest_of(p, n_trees)
    packed, by_row = pack(trees, values), unseen_rows(p, seed, n_rows)
    grown, counts = (
        rng.dirichlet([1, 1, 1], len(packed.values)).astype(np.float32) for _ in range(2)
    )
    label, weight = rng.integers(0, 3, n_rows), rng.integers(1, 4, n_rows).astype(float)
    after, said = counts.copy(), np.full_like(counts, -1)
    packed.kernel.count(by_row, label, weight, grown, 8.0, after, said)
    wanted, reached = counts.astype(float), np.zeros(len(counts), bool)
    for t, tree in enumerate(trees):
        leaf = reference.leaves(parts(tree), by_row) + packed.leaf_at[t]
        wanted, reached[leaf] = reference.counted(wanted, leaf, label, weight), True
    np.testing.assert_allclose(after, wanted, rtol=1e-5)
    shares = reference.said(wanted, grown, 8.0)
    np.testing.assert_allclose(said[reached], shares[reached], rtol=1e-5)
    assert (said[~reached] == -1).all()
    _forest.say(after, grown, 8.0, said)
    np.testing.assert_allclose(said, shares, rtol=1e-5)


def test_counting_refuses_other_classes():
    p = Problem(1)
    packed, by_row = pack(*forest_of(p, 2)), unseen_rows(p, 1, 3)
    counts = np.zeros((len(packed.values), 2), np.float32)
    for label in ([0, 2, 0], [0, -1, 0]):
        with pytest.raises(ValueError, match="error"):
            packed.kernel.count(by_row, np.array(label), np.ones(3), counts, 8.0, counts.copy(),
                                counts.copy())  # fmt: skip
    with pytest.raises(ValueError, match="class"):
        _forest.say(counts, counts[:, :1].copy(), 8.0, counts.copy())


@given(seeds, st.booleans(), st.sampled_from([1, 7, 5000]))
@settings(max_examples=15, deadline=None)
def test_descent_equals_its_twin(seed, levels, n_rows):
    p = Problem(seed, n_classes=2)
    p.categorical *= levels
    trees, values = forest_of(p, 3)
    packed, rows = pack(trees, values), unseen_rows(p, seed, n_rows)
    wanted = np.zeros((n_rows, 2))
    for k, (tree, value) in enumerate(zip(trees, values, strict=True)):
        leaves = reference.leaves(parts(tree), rows)
        assert (packed.leaves(k, rows) == leaves).all()
        wanted += value[leaves]
    out = np.zeros((n_rows, 2), np.float32)
    packed.kernel.add(packed.values, rows, 0, n_rows, out)
    np.testing.assert_allclose(out, wanted, rtol=1e-6)
    halves = np.zeros_like(out)
    packed.kernel.add(packed.values, rows, 0, n_rows // 2, halves)
    packed.kernel.add(packed.values, rows, n_rows // 2, n_rows, halves)
    assert (halves == out).all()
    shares = pack(trees, [np.round(v * 65535).astype(np.uint16) for v in values])
    out[:] = 0
    shares.kernel.add(shares.values, rows, 0, n_rows, out)
    np.testing.assert_allclose(out, wanted, atol=3 * 1e-5)


@given(seeds, st.booleans(), st.sampled_from([0.0, 0.2]))
@settings(max_examples=20, deadline=None)
def test_both_ways_equals_its_twin(seed, everywhere, missing):
    p = Problem(seed, n_classes=2, missing=missing)
    trees, values = forest_of(p, 2)
    packed, rows = pack(trees, values), unseen_rows(p, seed, 12)
    out = np.zeros((12, 2), np.float32)
    packed.kernel.add_both_ways(packed.values, everywhere, rows, 0, 12, out)
    wanted = sum(
        np.array([reference.both_ways(parts(t), row, v, everywhere) for row in rows])
        for t, v in zip(trees, values, strict=True)
    )
    np.testing.assert_allclose(out, wanted, rtol=1e-5)


# ---- what splits gain, and what leaves hold ----


@given(seeds, st.booleans())
@settings(max_examples=20, deadline=None)
def test_gains_of_splits_equal_their_twin(seed, numbers):
    p = Problem(seed, n_classes=3)
    tree, value = p.grow(numbers, n_candidates=2)
    if numbers:
        said = value[:, 1:] / value[:, :1]
        losses = -((p.target[:, None] - said[:, 0]) ** 2)  # (n_rows, n_nodes)
        rows = np.stack([np.ones(p.n_rows), p.target], axis=1)
    else:
        said = np.log((value + 0.5) / (value + 0.5).sum(axis=1, keepdims=True))
        losses = said[:, p.label].T
        rows = p.y(False)
    said = np.ascontiguousarray(said, np.float32)
    sums, gains, wanted = np.zeros((len(value), rows.shape[1])), np.zeros(4), np.zeros(4)
    passed = reference.rows_of_nodes(parts(tree), p.by_row)
    for at, here in enumerate(passed):
        if reference.is_leaf(parts(tree), at):
            sums[at] = (p.weight[here, None] * rows[here]).sum(axis=0)
            continue
        for side in (tree.node[at, 0], tree.node[at, 0] + 1):
            i = passed[side]
            wanted[tree.column[at]] += (p.weight[i] * (losses[i, side] - losses[i, at])).sum()
    _forest.gains(tree.node, said, sums, gains)
    np.testing.assert_allclose(gains, wanted, atol=1e-3)


def test_spread_adds_the_weights_of_a_leaf():
    first, cell = np.array([0, 2, 2, 5]), np.array([7, 255, 0, 7, 7], np.uint8)
    weight = np.array([1, 2, 4, 8, 16], np.float32)
    out = np.zeros((3, _forest.SPREAD_CELLS), np.float32)
    _forest.spread(np.array([2, 0, 1], np.int32), first, cell, weight, out)
    wanted = np.zeros_like(out)
    wanted[0, [0, 7]], wanted[1, [7, 255]] = [4, 24], [1, 2]
    assert (out == wanted).all()


# ---- boosting ----


def boost(p, slopes, most_leaves, least_rows=3.0, penalty=1.0):
    n = 2 * most_leaves - 1
    node, sets = np.empty((n, 4), np.int32), np.empty((n, 8), np.uint32)
    grown = _forest.Grown(node, sets, np.empty((n, 2), np.float32))
    leaf_of, bins = np.full(p.n_rows, -1, np.int32), p.kernel
    size = bins.boost_work_size(p.n_rows, slopes.shape[1], most_leaves)
    rows = np.arange(p.n_rows, dtype=np.uint32)
    grown.boost(bins, rows, slopes, most_leaves, 32, least_rows, penalty, 10.0, 10.0, 1e-6,
                leaf_of, np.empty(size, np.uint8))  # fmt: skip
    return Tree(node[: grown.n_nodes], sets[: grown.n_sets]), leaf_of


@given(seeds, st.sampled_from([_forest.SLOPES_ONE, _forest.SLOPES_MANY]))
@settings(max_examples=40, deadline=None)
def test_boosted_split_gains_most(seed, width):
    p = Problem(seed)
    p.categorical[:] = 0
    rng = np.random.default_rng(seed)
    slopes = rng.normal(size=(p.n_rows, width)).astype(np.float32)
    slopes[:, -1] = 0.1 + rng.random(p.n_rows)
    slopes[:, 0] += p.target
    tree, _ = boost(p, slopes, 2)
    exact = slopes.astype(float)
    gains = [
        reference.boost_gain(bins, n, exact, 1.0, 3.0)
        for bins, n in zip(p.by_column, p.n_bins, strict=True)
    ]
    if len(tree.node) == 1:
        assert max(gains) < 1e-4
        return
    left = reference.goes_left(parts(tree), 0, p.by_row[:, tree.column[0]])
    least = 3.0 * exact[:, -1].mean()
    s = exact.sum(axis=0)
    undivided = (s[:-1] ** 2).sum() / (s[-1] + 1)
    found = reference.boost_score(left, exact, 1.0, least - 1e-4) - undivided
    assert found == pytest.approx(max(gains), abs=1e-3)


@given(seeds, st.integers(1, 12))
@settings(max_examples=30, deadline=None)
def test_boosted_leaves_partition_the_rows(seed, most_leaves):
    p = Problem(seed, n_rows=200)
    slopes = np.stack([p.target - p.target.mean(), np.ones(200)], axis=1).astype(np.float32)
    tree, leaf_of = boost(p, slopes, most_leaves)
    assert (leaf_of == reference.leaves(parts(tree), p.by_row)).all()
    assert len(tree.leaves) <= most_leaves
    assert len(tree.leaves) == 1 or np.bincount(leaf_of).min() >= 3


@given(seeds, st.integers(1, 9))
@settings(max_examples=30, deadline=None)
def test_slopes_and_steps_equal_their_twins(seed, n_scores):
    rng = np.random.default_rng(seed)
    n, n_classes = 40, max(2, n_scores)
    scores = rng.normal(scale=2, size=(n, n_scores)).astype(np.float32)
    label = rng.integers(0, n_classes, n).astype(np.uint16)
    weight = rng.random(n).astype(np.float32) + 0.5
    sketch = rng.normal(size=(n_scores, 8)).astype(np.float32)
    gradient, curvature = np.zeros_like(scores), np.zeros_like(scores)
    slopes = np.zeros((n, 2 if n_scores == 1 else 8), np.float32)
    _forest.log_loss_slopes(label, weight, scores, sketch, gradient, curvature, slopes)
    g, h = reference.log_loss_slopes(scores.astype(float), label, weight)
    if n_scores == 1:
        np.testing.assert_allclose(slopes, np.hstack([g, h]), atol=1e-5)
        gradient, curvature = np.ascontiguousarray(g, np.float32), np.float32(h)
    else:
        np.testing.assert_allclose(gradient, g, atol=1e-5)
        np.testing.assert_allclose(curvature, h, atol=1e-5)
        np.testing.assert_allclose(slopes[:, :7], (g @ sketch)[:, :7], atol=1e-4)
        np.testing.assert_allclose(slopes[:, 7], weight)
    leaf = rng.integers(0, 5, n).astype(np.int32)
    values = np.empty((5, n_scores), np.float32)
    work = np.empty(2 * values.size)
    _forest.leaf_values(leaf, gradient, curvature, 1.0, 0.1, 0.7, work, values)
    wanted = reference.leaf_values(leaf, 5, gradient, curvature, 1.0, 0.1, 0.7)
    np.testing.assert_allclose(values, wanted, atol=1e-5)
    moved = scores.copy()
    _forest.move(leaf, values, moved)
    np.testing.assert_allclose(moved, scores + values[leaf], atol=1e-6)


@given(seeds, st.integers(1, 40))
@settings(max_examples=30, deadline=None)
def test_small_trees_as_all_trees(seed, most_leaves):
    p = Problem(seed, n_rows=300)
    rng = np.random.default_rng(seed)
    nursery = Nursery(most_leaves, 2)
    slopes, target = np.empty((300, 2), np.float32), p.target.astype(np.float32)
    weight, scores = rng.random(300).astype(np.float32) + 0.5, np.zeros((300, 1), np.float32)
    _forest.square_loss_slopes(target, weight, scores, slopes)
    np.testing.assert_allclose(slopes, np.stack([-weight * target, weight], axis=1), rtol=1e-6)
    leaf_of = np.empty(300, np.int32)
    size = p.kernel.boost_work_size(300, 2, most_leaves)
    nursery.kernel.boost(
        p.kernel, np.arange(300, dtype=np.uint32), slopes, most_leaves, 32, 3.0, 1.0, 10.0, 10.0,
        1e-6, leaf_of, np.empty(size, np.uint8),
    )  # fmt: skip
    values = np.empty((nursery.kernel.n_leaves, 1), np.float32)
    nursery.kernel.steps(1.0, 0.1, 0.7, values)
    gradient, curvature = (np.ascontiguousarray(s[:, None]) for s in slopes.T)
    wanted = reference.leaf_values(leaf_of, len(values), gradient, curvature, 1.0, 0.1, 0.7)
    np.testing.assert_allclose(values, wanted, atol=1e-5)
    found = np.empty(300, np.int32)
    nursery.small_leaves(padded(p.by_column), found)
    assert (found == leaf_of).all()


# ---- arguments ----


def test_refused_arguments():
    p = Problem(8)
    with pytest.raises(ValueError, match="error"):
        p.grow(n_candidates=-1)
    with pytest.raises(ValueError, match="error"):
        p.grow(least_rows=0)
    p.label[3] = 3
    with pytest.raises(ValueError, match="error"):
        p.grow()


# ---- many rows at once ----


@given(seeds, st.sampled_from([12, 70, 254]), st.booleans())
@settings(max_examples=20, deadline=None)
def test_many_rows_gather_the_values_of_their_leaves(seed, most_bins, random_splits):
    p = Problem(seed, n_rows=600, n_columns=6, most_bins=most_bins)
    trees = [p.grow(tree=t, random_splits=random_splits)[0] for t in range(3)]
    rng = np.random.default_rng(seed)
    shares = [rng.integers(0, 65536, (len(t.leaves), 2)).astype(np.uint16) for t in trees]
    forest = pack(trees, shares)
    rows = rng.integers(0, p.n_bins, (600, 6)).astype(np.uint8)
    rows[rng.random(rows.shape) < 0.2] = MISSING
    leaves = [reference.leaves(parts(t), rows) for t in trees]
    expected = sum(s[leaf].astype(float) for s, leaf in zip(shares, leaves, strict=True)) / 65535
    for n in (600, 300, 128, 127, 1):  # blocks of few rows descend another way
        out = np.zeros((n, 2), np.float32)
        forest.add(np.ascontiguousarray(rows[:n]), out, n_jobs=1)
        np.testing.assert_allclose(out, expected[:n], rtol=1e-5, atol=1e-6)
