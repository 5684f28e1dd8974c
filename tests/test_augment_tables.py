"""New rows of tables: counts, containers, gaps, laws that moves keep, and bad input."""

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joints import levels_of, mixed_joint
from reference import joint as reference
from scipy.stats import chisquare, ks_2samp
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.utils.estimator_checks import parametrize_with_checks
from trees import grow_tree, random_blocks

from jointprob.augment.tables import TableAugmenter
from jointprob.augment.tables.append import append_labels
from jointprob.augment.tables.gaps import Gaps
from jointprob.augment.tables.strategy import new_rows
from jointprob.query.answers import shares
from jointprob.query.evidence import Given, read_rows
from jointprob.query.moving import _redraw_state, move_rows
from jointprob.table import read_table

RARE, USUAL = 25, 95


def labelled(seed=0, n_rare=RARE, n_usual=USUAL):
    """A mixed table in which the rare class misses other cells than the usual one."""
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.repeat(["rare", "usual"], [n_rare, n_usual]))
    rare = y == "rare"
    n = len(y)
    X = pd.DataFrame(
        {
            "length": rng.normal(np.where(rare, 2.0, 0.0)).astype(np.float32),
            "count": rng.poisson(np.where(rare, 9, 4)),
            "label": pd.Categorical(rng.choice(["x", "y"], n), ["z", "y", "x"], ordered=True),
            "flag": rng.random(n) < np.where(rare, 0.8, 0.2),
            "size": pd.array(rng.integers(0, 50, n), dtype="Int64"),
        }
    )
    X.loc[rng.random(n) < np.where(rare, 0.5, 0.1), "size"] = pd.NA
    X["twin"] = X["size"].astype("Float64") * 1.5
    return X, y


def dense(seed=0, n_rare=RARE, n_usual=USUAL):
    rng = np.random.default_rng(seed)
    y = np.repeat([1, 0], [n_rare, n_usual])
    return rng.normal(2.0 * y[:, None], size=(len(y), 3)), y


@parametrize_with_checks([TableAugmenter(random_state=0, n_jobs=1)])
def test_estimator_checks(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def fitted():
    return TableAugmenter(random_state=0).fit(*labelled())


@pytest.fixture(scope="module")
def unlabelled():
    return TableAugmenter(random_state=0).fit(labelled()[0])


# ---- resampling ----


def test_new_rows_stand_below_the_old_ones_in_their_dtypes():
    X, y = labelled()
    before = X.copy()
    more, labels = TableAugmenter(random_state=0).fit_resample(X, pd.Series(y, name="what"))
    pd.testing.assert_frame_equal(X, before)
    pd.testing.assert_frame_equal(more.iloc[: len(X)], X)
    pd.testing.assert_series_equal(labels.iloc[: len(X)], pd.Series(y, name="what"))
    assert (more.dtypes == X.dtypes).all() and more.index.equals(pd.RangeIndex(2 * USUAL))
    assert (labels[len(X) :] == "rare").all()
    assert not pd.concat([X, more.iloc[len(X) :]]).duplicated().any()


@pytest.mark.parametrize("convert", [pd.DataFrame, pl.DataFrame, pa.table])
def test_targets_of_one_column_stay_a_column(convert):
    y = np.array(["usual", "usual", "rare"])
    more = append_labels(convert({"what": y}), np.array(["rare"]))
    assert type(more) is type(convert({"what": y}))
    assert np.asarray(more["what"]).tolist() == [*y, "rare"]
    assert append_labels(y[:, None], np.array(["rare"])).tolist() == [[c] for c in [*y, "rare"]]


def test_new_rows_miss_cells_as_the_rows_of_their_class_do():
    more, _ = TableAugmenter(random_state=0).fit_resample(*labelled(n_usual=400))
    new = more.iloc[425:]
    assert 0.3 < new["size"].isna().mean() < 0.7
    assert (new["size"].isna() == new["twin"].isna()).all()
    assert not new.drop(columns=["size", "twin"]).isna().any(axis=None)


@pytest.mark.parametrize(
    "convert",
    [
        pl.from_pandas,
        pa.Table.from_pandas,
        lambda X: X.to_numpy(dtype=object),
        lambda X: X[["length", "count"]].to_numpy(np.float32),
        lambda X: {name: X[name].to_numpy() for name in ("length", "count", "flag")},
    ],
    ids=["polars", "pyarrow", "objects", "floats", "dict"],
)
def test_containers_come_back_as_they_were(convert):
    X, y = labelled()
    X = X.drop(columns=["size", "twin"])
    own = convert(X)
    augmenter = TableAugmenter(random_state=0)
    more, labels = augmenter.fit_resample(own, pl.Series("what", y))
    assert isinstance(more, type(own)) and isinstance(labels, pl.Series)
    assert labels.name == "what" and len(labels) == 2 * USUAL
    for table in (more, augmenter.sample(4)[0], augmenter.jitter(own, 0.5)):
        assert kinds(table) == kinds(own)
    assert rows(more)[: len(y)] == rows(own) == rows(augmenter.jitter(own, 0))


def kinds(table):
    """Dtypes of a table of any kind."""
    if isinstance(table, dict):
        return {name: cells.dtype for name, cells in table.items()}
    return getattr(table, "schema", None) or table.dtype


def rows(table):
    if isinstance(table, dict):
        return list(zip(*(cells.tolist() for cells in table.values()), strict=True))
    if isinstance(table, pa.Table):
        return table.to_pylist()
    return table.tolist() if isinstance(table, np.ndarray) else table.rows()


def test_no_result_depends_on_threads():
    results = []
    for n_jobs in (1, 2):
        augmenter = TableAugmenter(random_state=3, n_jobs=n_jobs)
        more, _ = augmenter.fit_resample(*dense(), sampling_strategy={1: 4500})
        results.append((more, augmenter.sample(4500)[0], augmenter.jitter(more, 0.5)))
    for one, two in zip(*results, strict=True):
        np.testing.assert_array_equal(one, two)


def test_longer_samples_start_with_the_shorter_and_moves_know_no_order(fitted):
    X, _ = labelled(1)
    longer, shorter = fitted.sample(40)[0], fitted.sample(7)[0]
    pd.testing.assert_frame_equal(longer.iloc[:7], shorter)
    whole, part = fitted.jitter(X, 0.4), fitted.jitter(X.iloc[30:50], 0.4)
    pd.testing.assert_frame_equal(whole.iloc[30:50], part)


def test_more_new_rows_start_with_the_fewer():
    one, two = (
        TableAugmenter(random_state=0).fit_resample(*dense(), sampling_strategy={1: n})[0]
        for n in (60, 90)
    )
    np.testing.assert_array_equal(one, two[: len(one)])


def test_new_rows_keep_off_the_other_class():
    """Rows that are moved far and not judged would often land on the other class's ground."""
    X, y = dense(n_rare=40, n_usual=400)
    judge = LogisticRegression().fit(X, y)
    augmenter = TableAugmenter(strength=1.0, random_state=0)
    bred = augmenter.fit_resample(X, y)[0][len(y) :]
    moved = augmenter.jitter(np.repeat(X[y == 1], 9, axis=0), 1.0, y=1)
    assert judge.predict(bred).mean() > judge.predict(moved).mean() > 0.7


def test_weights_are_repeats_and_rows_of_no_weight_are_not_there():
    X, y = dense()
    weight = np.r_[np.zeros(10), np.ones(len(y) - 10)]
    with_weight = TableAugmenter(random_state=0).fit(X, y, sample_weight=weight).sample(20)
    without = TableAugmenter(random_state=0).fit(X[10:], y[10:]).sample(20)
    np.testing.assert_array_equal(with_weight[0], without[0])
    more, labels = TableAugmenter(random_state=0).fit_resample(X, y, sample_weight=weight)
    assert len(more) == 2 * USUAL == 2 * (labels == 1).sum()


@pytest.mark.parametrize("kind", [bool, float])
def test_labels_keep_their_kind(kind):
    X, y = dense()
    more, labels = TableAugmenter(random_state=0).fit_resample(X, y.astype(kind))
    assert labels.dtype == y.astype(kind).dtype and len(labels) == len(more)
    assert labels[-1] == y.astype(kind)[0]


@pytest.mark.parametrize("kind", [pd.Categorical, pa.chunked_array, list])
def test_labels_keep_their_container(kind):
    X, y = dense()
    names = np.where(y == 1, "rare", "usual").tolist()
    own = kind([names]) if kind is pa.chunked_array else kind(names)
    own = pd.Series(own) if kind is pd.Categorical else own
    _, labels = TableAugmenter(random_state=0).fit_resample(X, own)
    assert isinstance(labels, np.ndarray if kind is list else type(own))
    assert [str(label) for label in labels] == names + ["rare"] * (USUAL - RARE)


def test_many_classes_and_plain_lists():
    X, y = dense(n_rare=6, n_usual=20)
    y[-4:] = 2
    more, labels = TableAugmenter(random_state=0).fit_resample(X.tolist(), y.tolist())
    assert np.bincount(labels).tolist() == [16, 16, 16] and more.shape == (48, 3)


def test_imbalanced_learns_pipeline_takes_it():
    imblearn = pytest.importorskip("imblearn.pipeline")
    X, y = dense()
    pipeline = imblearn.make_pipeline(TableAugmenter(random_state=0), LogisticRegression())
    by_hand = LogisticRegression().fit(*TableAugmenter(random_state=0).fit_resample(X, y))
    np.testing.assert_array_equal(pipeline.fit(X, y)[-1].coef_, by_hand.coef_)


def test_it_is_cloned_pickled_and_described_as_estimators_are(fitted):
    other = clone(fitted)
    assert other.get_params() == fitted.get_params() and not hasattr(other, "joint_")
    again = pickle.loads(pickle.dumps(fitted))
    pd.testing.assert_frame_equal(again.sample(5)[0], fitted.sample(5)[0])
    assert fitted.n_features_in_ == 6 and fitted.feature_names_in_[0] == "length"
    assert fitted.joint_.schema.names == tuple(labelled()[0])


# ---- strategies ----


@given(
    st.lists(st.integers(2, 30), min_size=2, max_size=5),
    st.sampled_from(["auto", "not majority", "not minority", "minority", "all"]),
)
def test_named_strategies_level_with_the_commonest(counts, strategy):
    counts = np.array(counts)
    after = counts + new_rows(strategy, np.arange(len(counts)), counts, None)
    untouched = after == counts
    assert (after[~untouched] == counts.max()).all()
    chosen = {"minority": [counts.argmin()], "not minority": [counts.argmin()]}
    if strategy == "minority":
        assert untouched.sum() >= len(counts) - 1 and after[counts.argmin()] == counts.max()
    elif strategy == "not minority":
        assert untouched[chosen[strategy]].all() and (after == counts.max()).sum() >= (
            len(counts) - 1
        )
    else:
        assert (after == counts.max()).all()


def test_ratios_dicts_and_callables():
    classes, counts = np.array(["a", "b"]), np.array([10, 40])
    assert new_rows(0.5, classes, counts, None).tolist() == [10, 0]
    assert new_rows({"b": 41}, classes, counts, None).tolist() == [0, 1]
    assert new_rows(lambda y: {"a": len(y)}, classes, counts, range(12)).tolist() == [2, 0]


@pytest.mark.parametrize(
    ("strategy", "message"),
    [
        ("more", "'more'; allowed are 'auto'"),
        (1.5, "above 0, at most 1"),
        (0.1, "asks for 4 rows of the class 'a', which has 10 already"),
        ({"a": 9}, "asks for 9 rows of the class 'a', which has 10 already"),
        ({"c": 50}, "class 'c'; allowed are 'a', 'b'"),
        ({"a": 10.5}, "10.5 rows of the class 'a'"),
        (lambda y: 3, "returned 3"),
        (None, "None"),
    ],
)
def test_strategies_that_cannot_be(strategy, message):
    with pytest.raises(ValueError, match=message):
        new_rows(strategy, np.array(["a", "b"]), np.array([10, 40]), None)
    with pytest.raises(ValueError, match="and y holds 3"):
        new_rows(0.5, np.arange(3), np.array([1, 2, 3]), None)


# ---- samples ----


def test_samples_of_a_class_follow_it(fitted):
    X, y = labelled()
    drawn, labels = fitted.sample(2000, y="rare")
    assert (labels == "rare").all() and (drawn.dtypes == X.dtypes).all()
    own = X[y == "rare"]
    assert abs(drawn["length"].mean() - own["length"].mean()) < 0.5
    assert abs(drawn["flag"].mean() - own["flag"].mean()) < 0.15
    assert abs(drawn["size"].isna().mean() - own["size"].isna().mean()) < 0.15
    _, both = fitted.sample(2000)
    assert (both == "rare").mean() == pytest.approx(RARE / (RARE + USUAL), abs=0.05)


def test_evidence_is_kept_and_tells_of_the_class(fitted):
    known = {"length": (3.0, None), "flag": True, "size": 7}
    drawn, labels = fitted.sample(300, given=known, random_state=1)
    assert (drawn["length"] >= 3).all() and drawn["flag"].all() and (drawn["size"] == 7).all()
    assert (labels == "rare").mean() > 0.6
    table = pd.DataFrame({"label": ["x", "y"]})
    drawn, labels = fitted.sample(2, y=["rare", "usual"] * 2, given=table)
    assert drawn["label"].tolist() == ["x", "x", "y", "y"]
    assert labels.tolist() == ["rare", "usual"] * 2


def test_without_a_target_there_are_rows_alone(unlabelled):
    X, _ = labelled()
    drawn = unlabelled.sample(50)
    assert (drawn.dtypes == X.dtypes).all() and drawn["size"].isna().any()
    assert (unlabelled.jitter(X, 0.5).isna() == X.isna()).all(axis=None)
    assert drawn["count"].between(0, 2 * X["count"].max()).all()
    with pytest.raises(ValueError, match="without a target"):
        unlabelled.sample(2, y="rare")


def test_columns_without_a_value_stay_so():
    X, y = dense()
    X[:, 1] = np.nan
    augmenter = TableAugmenter(random_state=0)
    more, _ = augmenter.fit_resample(X, y)
    for table in (more, augmenter.sample(5)[0], augmenter.jitter(X, 0.5)):
        assert np.isnan(table[:, 1]).all() and not np.isnan(table[:, [0, 2]]).any()


# ---- moves ----


@given(st.integers(0, 10**6), st.floats(0, 0.7))
@settings(max_examples=6)
def test_strength_0_returns_the_rows(fitted, seed, missing):
    X, _ = labelled(seed)
    X = X.mask(np.random.default_rng(seed).random(X.shape) < missing)
    pd.testing.assert_frame_equal(fitted.jitter(X, 0), X)


@given(st.integers(0, 10**6), st.floats(0.01, 1.0))
@settings(max_examples=6)
def test_moves_keep_dtypes_gaps_and_bounds(fitted, seed, strength):
    X, _ = labelled(seed)
    X.loc[::7, "count"] = 60
    X.index += 3
    moved = fitted.jitter(X, strength)
    assert (moved.dtypes == X.dtypes).all() and moved.index.equals(X.index)
    assert (moved.isna() == X.isna()).all(axis=None)
    assert (moved["count"] >= 0).all()


def test_stronger_moves_go_further(fitted):
    X, y = labelled()
    far = [
        np.abs(fitted.jitter(X, strength, y)["length"] - X["length"]).mean()
        for strength in (0.01, 0.1, 0.5, 1.0)
    ]
    assert far == sorted(far) and far[0] < 0.05 < 0.3 < far[-1]


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("strength", [0.3, 1.0])
def test_moved_rows_follow_the_joint_that_they_came_from(apart, strength):
    """Rows drawn from a joint, moved, and drawn anew have one law: so for each column and pair."""
    joint = mixed_joint(apart)
    before, fresh = joint.sample(6000, random_state=0), joint.sample(6000, random_state=1)
    passes = joint._passes(Given(read_rows(before, joint.schema)))
    rows = np.arange(6000)
    share = shares(np.array([one.log_prob(2) for one in passes]), rows)
    columns = move_rows(passes, share, rows, rows.astype(np.uint64), 5, strength)
    moved = dict(zip(before, columns, strict=True))
    for name in ("color", "flag"):
        moved[name] = np.array(levels_of(joint, name), object)[moved[name]]
        assert chisquare(*tallies(moved[name], fresh[name])).pvalue > 1e-3
    for one, two in (("color", "flag"), ("color", "zero")):
        pairs = [
            [
                f"{a} {b == 0 or b}"
                for a, b in zip(t[one], np.sign(t[two].astype(float)), strict=True)
            ]
            for t in (moved, fresh)
        ]
        assert chisquare(*tallies(*map(np.array, pairs))).pvalue > 1e-3
    for numbers in ([t["a"] for t in (moved, fresh)], [t["b"] for t in (moved, fresh)],
                    [t["a"] - t["b"] for t in (moved, fresh)],
                    [t["zero"] for t in (moved, fresh)]):  # fmt: skip
        assert ks_2samp(*numbers).pvalue > 1e-3
    stays = np.corrcoef(moved["a"], before["a"])[0, 1]
    assert stays > 0.9 if strength < 0.5 else stays < 0.95


@given(st.integers(0, 10**6))
@settings(max_examples=10)
def test_states_are_redrawn_given_their_neighbours(seed):
    """Evenly spaced numbers fall to each state as often as P(state | all other states) says."""
    rng = np.random.default_rng(seed)
    tree = grow_tree(rng, random_blocks(rng, n_blocks=5, widths=[1, 2, 3]))
    states = np.array([rng.integers(tree.n_states)], np.int32)
    even = (np.arange(2000) + 0.5) / 2000
    for block in range(tree.n_blocks):
        others = np.repeat(states, tree.n_states[block], axis=0)
        others[:, block] = np.arange(tree.n_states[block])
        mass = np.array([prior(tree, z) for z in others])
        drawn = _redraw_state(tree, block, np.repeat(states, len(even), axis=0), even)
        share = np.bincount(drawn, minlength=len(mass)) / len(even)
        np.testing.assert_allclose(share, mass / mass.sum(), atol=2e-3)


def prior(tree, states):
    """P(states) of all blocks."""
    above = [0 if p < 0 else states[p] for p in tree.parent]
    tables = reference.transitions(tree)
    return np.prod([t[a, z] for t, a, z in zip(tables, above, states, strict=True)])


def tallies(found, expected):
    """Counts of each value, and those expected of as many rows (with the error of both halves)."""
    values = np.unique(np.concatenate([found, expected]))
    counts = [np.array([(part == v).sum() for v in values]) for part in (found, expected)]
    pooled = (counts[0] + counts[1]) / 2
    return (counts[0] - counts[1]) / np.sqrt(2) + pooled, pooled


def test_a_level_unseen_in_fit_becomes_one_of_its_subset(fitted):
    X, _ = labelled()
    X["label"] = X["label"].cat.add_categories("w").where(X.index > 0, "w")
    assert fitted.jitter(X, 0)["label"][0] == "w"
    assert fitted.jitter(X, 0.1)["label"][0] in ("x", "y")


def test_gaps_tell_which_cells_are_there():
    table = read_table({"a": [1.0, None, 2.0], "b": ["u", None, "v"], "c": [None, 1.0, 1.0]})
    gaps = Gaps.of(table)
    assert gaps.groups == ((0, 1), (2,))
    told = gaps.tell(table)
    assert [cells.tolist() for cells in told.columns[3:]] == [[0, 1, 0], [1, 0, 0]]
    blank = gaps.blank([np.zeros(3), np.zeros(3, np.int32), np.zeros(3), *told.columns[3:]])
    assert np.isnan(blank[0]).tolist() == (blank[1] < 0).tolist() == [False, True, False]
    assert gaps.assume(table, [2]).columns[4].tolist() == [0, 0, 0]


# ---- bad input ----


def test_targets_that_are_no_classes():
    X, y = dense()
    augmenter = TableAugmenter()
    with pytest.raises(ValueError, match="continuous"):
        augmenter.fit_resample(X, y + np.linspace(0, 0.9, len(y)))
    with pytest.raises(ValueError, match="one class only"):
        augmenter.fit(X, 0 * y)
    with pytest.raises(ValueError, match=r"one row of the class 1 .* at least two"):
        augmenter.fit_resample(X, np.r_[1, 0 * y[1:]])
    with pytest.raises(ValueError, match="y is None"):
        augmenter.fit_resample(X, None)
    with pytest.raises(ValueError, match="no row of the class 1"):
        augmenter.fit_resample(X, y, sample_weight=1 - y)
    assert not hasattr(augmenter, "joint_")


@pytest.mark.parametrize("strength", [-0.1, 1.1, np.nan, "much", None, True])
def test_strengths_outside_0_to_1(fitted, strength):
    with pytest.raises(ValueError, match="strength="):
        fitted.jitter(labelled()[0], strength)
    with pytest.raises(ValueError, match="strength="):
        TableAugmenter(strength=strength).fit_resample(*dense())


def test_rows_never_move_by_0_in_resampling():
    with pytest.raises(ValueError, match="above 0 to 1"):
        TableAugmenter(strength=0).fit_resample(*dense())


def test_questions_that_have_no_answer(fitted):
    X, y = labelled()
    with pytest.raises(ValueError, match="'size'"):
        fitted.jitter(X.drop(columns="size"), 0.5)
    with pytest.raises(ValueError, match="'more'"):
        fitted.jitter(X.assign(more=1), 0.5)
    with pytest.raises(
        ValueError, match=r"'odd', a class that fit did not see; allowed are 'rare'"
    ):
        fitted.sample(3, y="odd")
    with pytest.raises(ValueError, match="inconsistent"):
        fitted.jitter(X, 0.5, y[:4])
    for n in (0, -1, 1.5, True):
        with pytest.raises(ValueError, match="n="):
            fitted.sample(n)
    with pytest.raises(ValueError, match="'breadth'"):
        fitted.sample(3, given={"breadth": 2.0})
    with pytest.raises(ValueError, match="low end exceeds"):
        fitted.sample(3, given={"length": (2, 1)})
