"""Subsets of rows and trees over columns against their twins; weights are repeats."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import partition as reference
from sklearn.cluster import KMeans

from jointprob.partition import (
    assign,
    cells,
    chow_liu,
    correlations,
    features,
    kmeans,
    mutual_information,
    numeric_blocks,
)

seeds = st.integers(0, 2**32 - 1)


def clusters(rng, n_rows, n_features, n_clusters):
    means = rng.normal(scale=4, size=(n_clusters, n_features))
    points = means[rng.integers(n_clusters, size=n_rows)] + rng.normal(size=(n_rows, n_features))
    return points.astype(np.float32)


def repeated(weight, *arrays):
    return [np.repeat(array, weight.astype(int), axis=0) for array in arrays]


def random_labels(rng, n_rows, n_states, missing=0.1):
    labels = np.stack([rng.integers(n, size=n_rows) for n in n_states], axis=1)
    labels[:, 1:] = np.where(
        rng.random((n_rows, len(n_states) - 1)) < 0.5,
        labels[:, :-1] % np.array(n_states[1:]),
        labels[:, 1:],
    )
    return np.where(rng.random(labels.shape) < missing, -1, labels).astype(np.int32)


# ---- coordinates and cells ----


@given(seeds, st.integers(1, 60), st.lists(st.integers(0, 40), max_size=5), st.integers(0, 3))
@settings(max_examples=50, deadline=None)
def test_features_and_cells_equal_their_twins(seed, n_rows, n_levels, n_numeric):
    rng = np.random.default_rng(seed)
    codes = np.array(
        [rng.integers(-1, n, size=n_rows) if n else np.full(n_rows, -1) for n in n_levels],
        dtype=np.int32,
    ).T.reshape(n_rows, len(n_levels))
    z = rng.normal(scale=3, size=(n_rows, n_numeric)).astype(np.float32)
    z[rng.random(z.shape) < 0.2] = np.nan
    weight = rng.integers(0, 4, size=n_rows).astype(float)
    np.testing.assert_allclose(
        features(codes, n_levels, z, weight),
        reference.features(codes, n_levels, z, weight),
        rtol=1e-6,
    )
    for j, cell in enumerate(cells(codes, n_levels, weight)):
        assert cell.tolist() == reference.cells(codes[:, j], n_levels[j], weight, 8)


def test_an_unseen_level_counts_as_missing():
    z = np.zeros((3, 0), dtype=np.float32)
    missing, unseen = (np.array([[0, 1], [1, 2], [c, c]], dtype=np.int32) for c in (-1, -2))
    np.testing.assert_array_equal(features(missing, [2, 3], z), features(unseen, [2, 3], z))


# ---- k-means ----


@pytest.mark.parametrize("n_subsets", [1, 2, 31, 32, 33, 100])
@pytest.mark.parametrize("n_features", [1, 3, 16, 130])
def test_rows_go_to_the_nearest_centre(n_features, n_subsets):
    rng = np.random.default_rng(n_features)
    points = rng.normal(size=(77, n_features)).astype(np.float32)
    centers = rng.normal(size=(n_subsets, n_features)).astype(np.float32)
    labels, distances = assign(points, centers)
    expected = reference.squared_distances(points, centers)
    chosen = expected[np.arange(77), labels]
    np.testing.assert_allclose(chosen, expected.min(axis=1), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(distances, chosen, rtol=1e-5)


def test_of_equal_centres_the_first_is_taken():
    rng = np.random.default_rng(0)
    centers = np.repeat(rng.normal(size=(20, 4)).astype(np.float32), 3, axis=0)
    labels, _ = assign(rng.normal(size=(200, 4)).astype(np.float32), centers)
    assert not (labels % 3).any()


def test_means_are_weighted_means_of_the_subsets():
    rng = np.random.default_rng(1)
    points = clusters(rng, 5000, 3, 4)
    weight = rng.random(5000)
    centers, labels = kmeans(points, 4, weight, n_iter=50)
    sums, mass = reference.subset_sums(points, weight, labels, 4)
    np.testing.assert_allclose(centers, sums / mass[:, None], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("n_rows", [50, 3000, 12000])
def test_inertia_is_as_good_as_scikit_learns(n_rows):
    points = clusters(np.random.default_rng(n_rows), n_rows, 5, 12)
    ours = np.mean([assign(points, kmeans(points, 8, seed=s)[0])[1].sum() for s in range(8)])
    theirs = KMeans(8, n_init=8, max_iter=10, random_state=0).fit(points).inertia_
    assert ours < 1.5 * theirs


@given(seeds, st.integers(1, 300), st.integers(1, 40), st.integers(1, 5))
@settings(max_examples=50, deadline=None)
def test_weights_are_repeats_in_kmeans(seed, n_rows, n_subsets, n_features):
    rng = np.random.default_rng(seed)
    # dyadic coordinates: sums are exact in any order
    points = (rng.integers(-64, 64, size=(n_rows, n_features)) / 16).astype(np.float32)
    weight = rng.choice([1, 2, 4], size=n_rows).astype(float)
    centers, labels = kmeans(points, n_subsets, weight, seed=seed)
    more, weight_labels = repeated(weight, points, labels)
    centers_of_repeats, labels_of_repeats = kmeans(more, n_subsets, seed=seed)
    np.testing.assert_allclose(centers, centers_of_repeats, rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(weight_labels, labels_of_repeats)


def test_drawn_rows_are_the_same_for_weights_and_repeats():
    rng = np.random.default_rng(3)
    points = clusters(rng, 60_000, 2, 5)
    weight = rng.integers(0, 5, size=60_000).astype(float)
    centers, labels = kmeans(points, 6, weight, seed=5)
    more, weight_labels = repeated(weight, points, labels)
    centers_of_repeats, labels_of_repeats = kmeans(more, 6, seed=5)
    np.testing.assert_array_equal(centers, centers_of_repeats)
    np.testing.assert_array_equal(weight_labels, labels_of_repeats)


def test_rows_of_weight_zero_change_nothing():
    rng = np.random.default_rng(4)
    points = clusters(rng, 400, 3, 5)
    weight = rng.integers(0, 2, size=400).astype(float)
    centers, _ = kmeans(points, 7, weight)
    np.testing.assert_array_equal(centers, kmeans(points[weight > 0], 7)[0])


@pytest.mark.parametrize("n_rows", [1, 2, 10])
@pytest.mark.parametrize("n_features", [0, 1, 4])
def test_fewer_distinct_rows_than_subsets(n_rows, n_features):
    points = np.repeat(np.eye(10, 4, dtype=np.float32)[:n_rows, :n_features], 5, axis=0)
    centers, labels = kmeans(points, 16)
    assert centers.shape == (16, n_features)
    assert np.isfinite(centers).all()
    np.testing.assert_array_equal(centers[labels], points)


@pytest.mark.parametrize("n_rows", [10, 20_000, 100_000])
def test_threads_leave_the_bits_of_kmeans(n_rows):
    points = clusters(np.random.default_rng(5), n_rows, 7, 9)
    weight = np.random.default_rng(6).random(n_rows)
    one, two = (kmeans(points, 40, weight, n_jobs=n) for n in (1, 2))
    assert [array.tobytes() for array in one] == [array.tobytes() for array in two]


def test_the_seed_matters_and_is_enough():
    points = clusters(np.random.default_rng(7), 500, 3, 20)
    first, again, other = (kmeans(points, 10, seed=s)[0] for s in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_kmeans_refuses_what_it_cannot_do():
    points = np.zeros((3, 1), dtype=np.float32)
    with pytest.raises(ValueError, match="0 rows"):
        kmeans(points[:0], 2)
    with pytest.raises(ValueError, match="n_subsets is 0"):
        kmeans(points, 0)
    with pytest.raises(ValueError, match="0 in every row"):
        kmeans(points, 2, np.zeros(3))
    with pytest.raises(ValueError, match="negative"):
        kmeans(points, 2, np.array([1, -1, 1]))
    with pytest.raises(ValueError, match=r"shape \(2,\)"):
        kmeans(points, 2, np.ones(2))


# ---- mutual information ----

# few states are counted by a Gram matrix, many by a table for each pair
states = st.one_of(
    st.lists(st.integers(1, 4), min_size=8, max_size=12),
    st.lists(st.integers(1, 30), min_size=1, max_size=4),
)


@given(seeds, st.integers(0, 700), states, st.sampled_from([0, 0.2, 1]), st.booleans())
@settings(max_examples=60, deadline=None)
def test_mutual_information_equals_its_twin(seed, n_rows, n_states, missing, conditional):
    rng = np.random.default_rng(seed)
    labels = random_labels(rng, n_rows, n_states, missing)
    weight = rng.integers(0, 4, size=n_rows).astype(float)
    condition = rng.integers(-1, 3, size=n_rows).astype(np.int32) if conditional else None
    np.testing.assert_allclose(
        mutual_information(labels, n_states, weight, condition),
        reference.mutual_information(labels, n_states, weight, condition),
        atol=1e-9,
    )


@pytest.mark.parametrize("n_states", [[2] * 40, [3, 2, 2, 4] * 10, [25, 3, 40]])
@pytest.mark.parametrize("conditional", [False, True])
def test_weights_are_repeats_and_threads_leave_the_bits(n_states, conditional):
    rng = np.random.default_rng(len(n_states))
    labels = random_labels(rng, 3000, n_states)
    weight = rng.integers(0, 6, size=3000).astype(float)
    condition = rng.integers(-1, 4, size=3000).astype(np.int32)
    more, more_condition = repeated(weight, labels, condition)
    conditions = (condition, more_condition) if conditional else (None, None)
    one, two = (mutual_information(labels, n_states, weight, conditions[0], n) for n in (1, 2))
    assert one.tobytes() == two.tobytes()
    repeats = mutual_information(more, n_states, condition=conditions[1])
    np.testing.assert_allclose(one, repeats, rtol=1e-12, atol=1e-12)


def test_fractional_weights_are_close_in_float32_counts():
    rng = np.random.default_rng(8)
    n_states = [2] * 20
    labels, weight = random_labels(rng, 2000, n_states), rng.random(2000)
    np.testing.assert_allclose(
        mutual_information(labels, n_states, weight),
        reference.mutual_information(labels, n_states, weight),
        atol=1e-5,
    )


def test_the_condition_explains_dependence_away():
    rng = np.random.default_rng(9)
    hidden = rng.integers(2, size=20_000)
    flips = rng.random((20_000, 2)) < 0.1
    labels = (hidden[:, None] ^ flips).astype(np.int32)
    assert mutual_information(labels, [2, 2])[0, 1] > 0.2
    assert mutual_information(labels, [2, 2], condition=hidden.astype(np.int32))[0, 1] < 1e-3


def test_a_label_out_of_range_is_named():
    with pytest.raises(ValueError, match="block 1 holds 5; allowed is below 3"):
        mutual_information(np.array([[0, 5]], dtype=np.int32), [2, 3])


# ---- tree and blocks ----


@given(seeds, st.integers(1, 30), st.booleans())
@settings(max_examples=60, deadline=None)
def test_chow_liu_is_a_largest_tree_rooted_at_its_centre(seed, n_blocks, ties):
    rng = np.random.default_rng(seed)
    half = rng.integers(3, size=(n_blocks, n_blocks)) if ties else rng.random((n_blocks, n_blocks))
    information = (half + half.T).astype(float)
    order, parent = chow_liu(information)
    assert sorted(order) == list(range(n_blocks))
    assert parent[0] == -1
    assert all(0 <= parent[at] < at for at in range(1, n_blocks))
    total = sum(information[order[at], order[parent[at]]] for at in range(1, n_blocks))
    assert total == pytest.approx(reference.largest_tree_total(information))
    eccentricities = reference.eccentricities(parent)
    assert eccentricities[0] == eccentricities.min()
    np.testing.assert_array_equal(chow_liu(information)[0], order)


def test_a_chain_is_rooted_in_the_middle_and_ties_go_to_more_information():
    information = np.zeros((4, 4))
    for i, value in enumerate([1.0, 1.0, 2.0]):
        information[i, i + 1] = information[i + 1, i] = value
    order, parent = chow_liu(information)
    assert order.tolist() == [2, 1, 3, 0]
    assert parent.tolist() == [-1, 0, 0, 1]


@given(seeds, st.integers(1, 200), st.integers(1, 5))
@settings(max_examples=40, deadline=None)
def test_correlations_equal_their_twin(seed, n_rows, n_columns):
    rng = np.random.default_rng(seed)
    z = (rng.normal(size=(n_rows, n_columns)) @ rng.normal(size=(n_columns, n_columns))).astype("f")
    z[rng.random(z.shape) < 0.2] = np.nan
    weight = rng.integers(0, 4, size=n_rows).astype(float)
    expected = [[reference.correlation(x, y, weight) for y in z.T] for x in z.T]
    np.testing.assert_allclose(correlations(z, weight), expected, atol=1e-6)


def test_correlated_columns_share_a_block():
    rng = np.random.default_rng(10)
    shared = rng.normal(size=(1000, 3, 1))
    z = (shared + 0.3 * rng.normal(size=(1000, 3, 4))).reshape(1000, 12).astype(np.float32)
    z[rng.random(z.shape) < 0.1] = np.nan
    blocks = [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    assert numeric_blocks(z) == blocks
    assert numeric_blocks(z, n_blocks=1) == [list(range(12))]
    assert numeric_blocks(z, n_blocks=3, threshold=1.0) == blocks
    assert numeric_blocks(z[:, :0]) == []


@pytest.mark.parametrize("n_blocks", [None, 1])
def test_no_block_is_larger_than_allowed(n_blocks):
    rng = np.random.default_rng(11)
    z = (rng.normal(size=(300, 1)) + 0.5 * rng.normal(size=(300, 50))).astype(np.float32)
    blocks = numeric_blocks(z, max_columns=8, n_blocks=n_blocks)
    assert sorted(j for block in blocks for j in block) == list(range(50))
    assert max(map(len, blocks)) <= 8
    assert len(blocks) <= 12
