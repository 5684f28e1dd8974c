"""Streams: running counts are those of a fit, and what a batch may bring."""

import copy
import pickle

import numpy as np
import pytest
from tables import frame

from jointprob import JEPADensity
from jointprob.adapt.counts import counts_of, with_levels
from jointprob.adapt.stream import JointStream, _batches
from jointprob.estimators import density as estimator
from jointprob.table import extend, read_table


def small(**settings):
    return JEPADensity(**{"n_subsets": 4, "n_trees": 2, "random_state": 0, **settings})


def batches(table, n_rows):
    return [table[i : i + n_rows] for i in range(0, len(table), n_rows)]


@pytest.fixture
def short_reservoir(monkeypatch):
    monkeypatch.setattr(estimator, "RESERVOIR_ROWS", 300)


def test_counts_are_those_the_tables_follow_from():
    """A step of no size from the counts of a tree gives the tree again."""
    joint = small().fit(frame(n_rows=400)).joint_
    for member in joint.members:
        start = counts_of(member.tree, member.plan)
        root = start.transition[: start.tree.n_states[0]]
        np.testing.assert_allclose(root.sum(), 1, atol=1e-5)
        for moments, gaussians in zip(start.moments, member.tree.gaussians, strict=True):
            np.testing.assert_allclose(moments.weight.sum(), 1, atol=1e-5)
            mean = moments.sum / moments.weight[:, None]
            np.testing.assert_allclose(mean, gaussians.means, atol=1e-5)


def test_what_the_fit_shrank_is_not_shrunk_again():
    """A row of next to no weight leaves every density nearly as it was."""
    X = frame(n_rows=400)
    model = small(n_subsets=8, n_trees=1).fit(X[:300])
    before = model.score_samples(X[300:])
    model.partial_fit(X[:1], sample_weight=[1e-6])
    np.testing.assert_allclose(model.score_samples(X[300:]), before, atol=0.05)


def test_room_for_levels_leaves_the_known_density_as_it_was():
    model = small().fit(frame("categorical", 300))
    member = model.joint_.members[0]
    start = counts_of(member.tree, member.plan)
    grown = with_levels(start, (5,))
    codes, z = np.array([[0], [1], [2], [-1]], np.int32), np.empty((4, 0), np.float32)
    np.testing.assert_allclose(
        grown.tree.log_prob(codes, z), member.tree.log_prob(codes, z), rtol=1e-6
    )


def test_one_call_is_a_fit():
    X = frame(n_rows=200)
    once, fitted = small().partial_fit(X), small().fit(X)
    np.testing.assert_array_equal(once.score_samples(X), fitted.score_samples(X))


def test_one_pass_comes_near_a_fit(short_reservoir):
    X, new = frame(n_rows=3000), frame(n_rows=1000, seed=1)
    model = small()
    for batch in batches(X, 200):
        model.partial_fit(batch)
    fitted = small().fit(X).score(new)
    assert model.score(new) > fitted - 0.005 * abs(fitted)
    assert model.joint_.n_rows == 3000


def test_it_is_deterministic(short_reservoir):
    X = frame(n_rows=700)
    one, other = small(n_jobs=1), small(n_jobs=2)
    for batch in batches(X, 100):
        one.partial_fit(batch)
        other.partial_fit(batch)
    np.testing.assert_array_equal(one.score_samples(X), other.score_samples(X))


def test_it_goes_on_from_a_fit_and_forgets(short_reservoir):
    """After a shift of the whole table, what forgets is likelier than what does not."""
    X = frame("numeric", 600)
    moved = frame("numeric", 600, seed=1) + 4.0
    for_ever, forgetful = small().fit(X), small(half_life=100).fit(X)
    before = for_ever.score(moved)
    for batch in batches(moved[:400], 50):
        for_ever.partial_fit(batch)
        forgetful.partial_fit(batch)
    assert before < for_ever.score(moved[400:]) < forgetful.score(moved[400:])
    assert forgetful.joint_.n_rows < 200


@pytest.mark.parametrize("labels", [["w"], ["a", "b", "c", "d", "e", "f", "g", "h"]])
def test_new_levels_are_learnt_without_a_fit(short_reservoir, labels):
    X = frame(n_rows=400)
    model = small().partial_fit(X)
    structure = model.joint_.members[0].tree.parent
    new = X[:200].assign(label=np.resize(np.array(labels, object), 200))
    unseen = model.joint_.probability({"label": "nobody"})
    model.partial_fit(new)
    share = model.joint_.probability({"label": set(labels)})
    np.testing.assert_array_equal(model.joint_.members[0].tree.parent, structure)
    np.testing.assert_allclose(share, 200 / 576, atol=0.06)  # some labels of X are missing
    levels = model.joint_.schema.columns[2].levels
    assert levels == ("x", "y", "z", *labels)
    every = model.joint_.probability({"label": set(levels)})
    np.testing.assert_allclose(every, 1 - unseen, atol=0.02)
    drawn = set(model.sample(500, random_state=0)["label"])
    assert drawn & set(labels)


def test_first_batches_of_one_row():
    model = small()
    for row in batches(frame(n_rows=6), 1):
        model.partial_fit(row)
    assert np.isfinite(model.score_samples(frame(n_rows=20))).all()


def test_a_column_that_was_empty_joins():
    X = frame(n_rows=100)
    model = small().partial_fit(X[:80].assign(count=np.nan))
    assert model.joint_.schema.columns[1].empty
    model.partial_fit(X[80:])
    assert not model.joint_.schema.columns[1].empty


def test_weights_are_repeats_and_nothing_is_learnt_from_weight_0(short_reservoir):
    X = frame(n_rows=400)
    one, other = small().fit(X), small().fit(X)
    weight = np.r_[np.zeros(10), np.full(90, 2.0)]
    one.partial_fit(X[:100], sample_weight=weight)
    other.partial_fit(X.loc[np.repeat(np.arange(10, 100), 2)])
    np.testing.assert_allclose(one.score_samples(X), other.score_samples(X), atol=1e-4)


@pytest.mark.parametrize("half_life", [None, 300])
def test_weights_of_many_rows_are_repeats_too(half_life):
    """Rows are taken in batches, which are those of the repeated rows."""
    X = frame(n_rows=900)
    one, other = (small(half_life=half_life).fit(X[:300]) for _ in range(2))
    times = np.random.default_rng(0).integers(1, 5, 600)
    one.partial_fit(X[300:], sample_weight=times.astype(float))
    other.partial_fit(X.loc[np.repeat(np.arange(300, 900), times)])
    np.testing.assert_allclose(one.score_samples(X), other.score_samples(X), atol=1e-4)


def test_batches_share_out_all_weight():
    """In the order of the rows, in like parts, and with no more batches than repeats would give."""
    random = np.random.default_rng(0)
    for weight in (
        np.ones(1400), np.full(5, 300.0), random.exponential(size=2000), np.full(2000, 1e-3),
        random.exponential(size=1500) ** 6, np.r_[1e9, np.full(10, 1e-9)],
    ):  # fmt: skip
        batches, part = _batches(weight)
        rows = np.concatenate(batches)
        assert (np.diff(rows) >= 0).all()
        assert (part >= 0).all()
        given = np.bincount(rows, part, len(weight))
        np.testing.assert_allclose(given, weight, rtol=1e-9, atol=1e-15 * weight.sum())
        each = np.add.reduceat(part, np.cumsum([0, *map(len, batches[:-1])]))
        whole = (weight == np.floor(weight)).all()  # then they are cut between repeats
        np.testing.assert_allclose(each, each.mean(), rtol=1e-6, atol=1.0 if whole else 0.0)
        assert len(batches) <= 196


@pytest.mark.parametrize("numbers", [False, True])
def test_the_first_rows_of_a_new_level_count(numbers):
    """A third of all rows is a third of the probability, in one batch and in ten."""
    X = frame(n_rows=400)[["label", "length"]].assign(label=["a", "b"] * 200)
    X = X if numbers else X[["label"]]
    new = X[:200].assign(label="new")
    for size in (200, 20):
        model = small().fit(X)
        for batch in batches(new, size):
            model.partial_fit(batch)
        np.testing.assert_allclose(model.joint_.probability({"label": "new"}), 1 / 3, rtol=0.005)


BAD = {
    "another kind": (lambda X: X.assign(count="many"), ValueError, "count"),
    "levels of another kind": (lambda X: X.assign(label=1.5), ValueError, "label"),
    "no rows": (lambda X: X[:0], ValueError, "0 sample"),
    "another column": (lambda X: X.rename(columns={"count": "n"}), ValueError, "count"),
    "infinity": (lambda X: X.assign(length=np.inf), ValueError, "length"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_failed_call_leaves_no_trace(case):
    change, error, match = BAD[case]
    X = frame(n_rows=60)
    model = small().partial_fit(X)
    before = pickle.dumps(model)
    with pytest.raises(error, match=match):
        model.partial_fit(change(X[:10]))
    assert pickle.dumps(model) == before


@pytest.mark.parametrize("half_life", [0, -1.0, np.nan, np.inf, True, "long"])
def test_half_lives_that_are_none(half_life):
    with pytest.raises(ValueError, match="half_life"):
        small(half_life=half_life).partial_fit(frame())


def test_learning_returns_the_next_stream():
    """A stream is immutable: the old one stays what it was."""
    X = frame(n_rows=200)
    stream = JointStream.of(small().fit(X).joint_)
    before = copy.deepcopy(stream.joint).log_prob(X)
    table = extend(X, stream.schema)
    after = stream.learn(table, np.ones(200))
    np.testing.assert_array_equal(stream.joint.log_prob(X), before)
    assert (after.joint.log_prob(X) != before).any()


def test_extending_keeps_codes():
    schema = read_table({"a": np.array(["x", "y"])}).schema
    table = extend({"a": np.array(["long", "y"])}, schema)
    assert table.columns[0].tolist() == [2, 1]
    assert table.schema.columns[0].dtype == "<U4"
