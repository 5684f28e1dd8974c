"""Fine-tuning: between source and target as a0 says, over all the target's columns, source kept."""

import pickle
from copy import copy

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from joints import mixed_table, take

from jointprob import JEPAClassifier, JEPADensity, JEPAImputer, JEPARegressor, Joint
from jointprob.adapt.columns import read_target, widen, widen_member
from jointprob.adapt.power import PowerPrior, between_tables, gaussian_score
from jointprob.adapt.transfer import transfer
from jointprob.predict.offset import NumberSource
from jointprob.predict.source import LabelSource
from jointprob.table import read_table

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def source():
    return JEPADensity(n_subsets=3, n_trees=2, random_state=0).fit(mixed_table(800)).joint_


def frozen(joint):
    return pickle.dumps((joint.schema, joint.members, joint.n_rows))


def other(n_rows=60, seed=5):
    """The same columns, numbers shifted."""
    table = mixed_table(n_rows, seed=seed)
    return {**table, "a": table["a"] + 1.0}


# ---- tables and Gaussians between two ----


def test_tables_go_from_the_rows_to_the_prior():
    prior, counts = RNG.dirichlet(np.ones(3), 4), RNG.uniform(1, 5, (4, 3))
    above = np.full(4, 0.25)
    got = between_tables(prior, counts, above, 0.0, 0.0)
    np.testing.assert_allclose(got, counts / counts.sum(axis=1, keepdims=True), rtol=1e-6)
    np.testing.assert_allclose(between_tables(prior, counts, above, 1e15, 1e15), prior, rtol=1e-6)


def test_a_power_prior_adds_source_counts_times_a0():
    prior, counts = RNG.dirichlet(np.ones(3), 4), RNG.uniform(1, 5, (4, 3))
    above, rows = RNG.dirichlet(np.ones(4)), 40.0
    want = counts + rows * above[:, None] * prior
    want /= want.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(between_tables(prior, counts, above, 1e15, rows), want, rtol=1e-6)


def test_what_all_rows_of_a_table_share_is_learnt_first():
    prior = np.array([[0.8, 0.2], [0.2, 0.8]])
    counts = np.array([[0.0, 20.0], [0.0, 0.0]])  # the second row of the table was not seen
    got = between_tables(prior, counts, np.array([0.5, 0.5]), 2.0, 1000.0)
    assert got[1, 1] > 0.85


def test_gaussian_score_is_a_sum_of_log_densities():
    x = RNG.normal(size=(30, 2))
    mean, covariance = np.array([[0.3, -0.2]]), np.array([[1.5, 0.4], [0.4, 0.8]])
    i, j = np.tril_indices(2)
    sums = x.sum(axis=0)[None], (x.T @ x)[i, j][None]
    off = x - mean
    want = -0.5 * (
        30 * np.linalg.slogdet(covariance)[1]
        + np.einsum("ni,ij,nj->", off, np.linalg.inv(covariance), off)
    )
    got = gaussian_score(mean, covariance[i, j][None], np.array([30.0]), *sums)
    assert got == pytest.approx(want)


def test_state_shares_are_distributions(source):
    for member in source.members:
        for share in PowerPrior(member.tree, 800.0).shares:
            assert share.sum() == pytest.approx(1, abs=1e-4)


# ---- the whole ----


def test_a_like_source_is_believed_and_an_unrelated_one_is_not(source):
    like = transfer(source, mixed_table(100, seed=9))
    rng = np.random.default_rng(1)
    noise = {
        "a": rng.exponential(size=400) - 30,
        "color": rng.choice(np.array(["red", "teal"], object), 400, p=[0.98, 0.02]),
        "b": rng.normal(90, 0.01, 400),
        "zero": rng.gamma(50.0, size=400),
        "flag": np.ones(400, bool).astype(object),
    }
    unrelated = transfer(source, noise)
    assert like.source_share > 0.6
    assert unrelated.source_share < 0.1
    assert all(((e.mean >= 0) & (e.mean <= e.covariance)).all() for e in like.exponents)


def test_fine_tuned_beats_source_and_target_alone(source):
    train, test = other(60), other(400, seed=6)
    tuned = source.fine_tune(train, random_state=0).log_prob(test).mean()
    alone = source.fine_tune(train, strength=0, random_state=0).log_prob(test).mean()
    assert tuned > max(alone, source.log_prob(test).mean())


def test_the_source_stays_as_it_was(source):
    before = frozen(source)
    source.fine_tune(other(), random_state=0)
    for bad in ({"q": [1.0]}, {"a": ["x"]}):
        with pytest.raises(ValueError, match="column"):
            source.fine_tune(bad)
    assert frozen(source) == before


def test_neither_the_order_of_rows_nor_threads_matter(source):
    table = other(40)
    first = source.fine_tune(table, random_state=0, n_jobs=1)
    again = source.fine_tune(take(table, RNG.permutation(40)), random_state=0, n_jobs=2)
    assert first.log_prob(table).tobytes() == again.log_prob(table).tobytes()


def test_whole_weights_are_repeats(source):
    table = other(20)
    repeats = np.arange(20) % 3
    weighted = source.fine_tune(table, repeats, strength=0.3, random_state=0)
    repeated = source.fine_tune(
        take(table, np.repeat(np.arange(20), repeats)), strength=0.3, random_state=0
    )
    assert weighted.log_prob(table).tobytes() == repeated.log_prob(table).tobytes()


def test_strength_runs_from_the_target_to_the_source(source):
    table = other(60)
    fit = [source.fine_tune(table, strength=s, random_state=0) for s in (0.0, 0.01, 1.0)]
    on_target = [joint.log_prob(table).mean() for joint in fit]
    assert on_target[1] > on_target[2] > source.log_prob(table).mean()
    assert fit[2].n_rows == pytest.approx(860, rel=1e-6)
    assert fit[0].n_rows == pytest.approx(60)


# ---- columns and levels ----


def test_widening_by_nothing_changes_nothing(source):
    table = mixed_table(50, seed=3)
    target = read_target(table, source.schema)
    wide = [widen_member(m, widen(m.encoding, target, None), None) for m in source.members]
    got = Joint(source.schema, tuple(wide), 800.0).log_prob(table)
    np.testing.assert_allclose(got, source.log_prob(table), atol=1e-6)


def test_columns_that_the_target_lacks_are_summed_out(source):
    less = {k: v for k, v in other(60).items() if k not in ("b", "flag")}
    tuned = source.fine_tune(less, random_state=0)
    assert set(tuned.schema.names) == {"a", "color", "zero"}
    assert np.isfinite(tuned.log_prob(less)).all()


@pytest.mark.parametrize("strength", ["auto", 0.1])
def test_new_columns_and_levels_are_added(source, strength):
    rng = np.random.default_rng(2)
    table = other(200)
    group = np.nan_to_num(table["a"]) > 3
    table["color"] = table["color"].copy()
    table["color"][:30] = "violet"
    table["new"] = rng.normal(4.0 * group)
    table["kind"] = np.where(group ^ (rng.random(200) < 0.1), "p", "q").astype(object)
    tuned = source.fine_tune(table, strength=strength, random_state=0)
    assert tuned.schema.names[-2:] == ("new", "kind")
    levels = tuned.schema.columns[tuned.schema.position("color")].levels
    mass = sum(tuned.probability({"color": {level}}) for level in levels)
    assert mass == pytest.approx(1, abs=0.02)  # but for what unseen levels keep
    assert tuned.probability({"color": {"violet"}}) > 0.05
    rest = {k: v for k, v in table.items() if k != "kind"}
    empty = np.full(200, None, object)
    summed = np.logaddexp.reduce(
        [tuned.log_prob({**rest, "kind": np.full(200, v, object)}) for v in ("p", "q")]
    )
    np.testing.assert_allclose(summed, tuned.log_prob({**rest, "kind": empty}), atol=0.02)
    assert set(tuned.sample(20, random_state=0)) == set(tuned.schema.names)


def test_frames_of_another_container_and_order(source):
    frame = pd.DataFrame(other(40))[["flag", "b", "a", "zero", "color"]]
    tuned = source.fine_tune(frame, random_state=0)
    assert isinstance(tuned.sample(3, random_state=0), pd.DataFrame)


CONTAINERS = {
    "pandas": pd.DataFrame,
    "polars": lambda t: pl.DataFrame({k: v.tolist() for k, v in t.items()}, nan_to_null=True),
    "pyarrow": lambda t: pa.table(
        {k: pa.array(v.tolist(), from_pandas=True) for k, v in t.items()}
    ),
    "dict": dict,
}


def typed(n_rows, seed):
    """Texts, levels, true and false, whole numbers and others."""
    random = np.random.default_rng(seed)
    return {
        "name": np.array(["ann", "bo"])[random.integers(0, 2, n_rows)].astype(object),
        "ok": random.random(n_rows) < 0.5,
        "count": random.integers(0, 1000, n_rows),
        "size": random.normal(size=n_rows),
    }


@pytest.mark.parametrize("there", CONTAINERS)
@pytest.mark.parametrize("here", CONTAINERS)
def test_a_joint_moves_to_another_container(there, here):
    """It draws and fills in the target's dtypes, which the source's library does not know."""
    model = JEPADensity(n_subsets=2, n_trees=1, random_state=0)
    joint = model.fit(CONTAINERS[there](typed(150, 0))).joint_
    rows = CONTAINERS[here](typed(20, 1))
    tuned = joint.fine_tune(rows, strength=0.5, random_state=0)
    drawn = tuned.sample(30, random_state=0)
    assert type(drawn) is type(rows)
    assert read_table(drawn).schema.names == tuple(typed(1, 0))
    for name in typed(1, 0):
        own, got = (np.asarray(table[name]) for table in (rows, drawn))
        assert own.dtype == got.dtype
    filled = tuned.impute(rows)
    np.testing.assert_array_equal(np.asarray(filled["count"]), np.asarray(rows["count"]))


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("name", pl.Series(["bo"] * 20, dtype=pl.Categorical)),
        ("name", pl.Series(["bo"] * 20, dtype=pl.Enum(["bo", "cy"]))),
        ("name", pl.Series([None] * 20)),
        ("ok", pl.Series([None] * 20, dtype=pl.Boolean)),
        ("count", pl.Series(range(20), dtype=pl.Int8)),
        ("size", pl.Series(range(20))),
        ("size", pl.Series([None] * 20)),
    ],
)
def test_dtypes_that_do_not_hold_the_sources_values_widen(column, values):
    joint = JEPADensity(n_subsets=2, n_trees=1, random_state=0).fit(pd.DataFrame(typed(150, 0)))
    rows = CONTAINERS["polars"](typed(20, 1)).with_columns(values.alias(column))
    drawn = joint.joint_.fine_tune(rows, strength=1.0, random_state=0).sample(200, random_state=0)
    before = typed(150, 0)[column]
    if before.dtype == object or before.dtype == bool:
        assert set(drawn[column]) >= set(before.tolist())
    else:
        assert drawn[column].max() > np.quantile(before, 0.9)
        assert drawn[column].n_unique() > 50


def test_rows_without_a_class_may_be_of_another_container():
    table = typed(80, 0)
    more = CONTAINERS["polars"](typed(30, 1))
    X, y = pd.DataFrame(table).drop(columns="ok"), table["ok"]
    classifier = JEPAClassifier(random_state=0).fit(X, y, unlabeled=more.drop("ok"))
    assert classifier.predict(X).shape == (80,)


# ---- bad input ----


@pytest.mark.parametrize(
    ("X", "match"),
    [
        ({"q": [1.0, 2.0]}, "no column in common"),
        ({"a": ["x", "y"]}, "'a'"),
        ({"color": [1.5, 2.5]}, "'color'"),
        ({"a": [np.nan, np.nan], "color": [None, None]}, "no value"),
        ({"a": [np.inf, 1.0]}, "infinity"),
        ({"a": []}, "0 sample"),
        (np.zeros((3, 2)), "2 columns and the source 5"),
    ],
)
def test_bad_tables_are_refused_by_name(source, X, match):
    with pytest.raises(ValueError, match=match):
        source.fine_tune(X)


@pytest.mark.parametrize("strength", [-0.1, 1.5, np.nan, "much", True, None])
def test_bad_strengths_are_refused(source, strength):
    with pytest.raises(ValueError, match="strength is"):
        source.fine_tune(other(10), strength=strength)


@pytest.mark.parametrize("n_rows", [1, 7])
def test_rows_all_alike_pool(source, n_rows):
    one = take(mixed_table(20, missing=0), np.zeros(n_rows, int))
    found = transfer(source, one)
    assert found.source_share == 1.0
    assert (found.joint.log_prob(one) >= source.log_prob(one) - 1e-6).all()


# ---- estimators ----


def test_estimators_return_another(source):
    table = read_table(mixed_table(10)).schema.names
    density = JEPADensity(n_subsets=2, n_trees=1, random_state=0).fit(mixed_table(200))
    before = frozen(density.joint_)
    tuned = density.fine_tune(other(30))
    assert frozen(density.joint_) == before
    assert tuned is not density
    assert 0 < tuned.source_share_ <= 1
    assert tuned.score(other(50, seed=8)) > density.score(other(50, seed=8))
    imputer = JEPAImputer(n_subsets=2, n_trees=1, random_state=0).fit(mixed_table(200))
    filled = imputer.fine_tune(other(30)).transform(other(20, seed=4))
    assert not any(pd.isna(pd.Series(filled[name])).any() for name in table)


def labelled(n_rows, seed, shift=0.0, names=("no", "yes")):
    """Two numbers and a colour that tell a label, and a number that they tell."""
    rng = np.random.default_rng(seed)
    X = pd.DataFrame({"a": rng.normal(size=n_rows), "b": rng.normal(size=n_rows)})
    X["c"] = rng.choice(["r", "g"], n_rows)
    score = X["a"] + X["b"] * (X["c"] == "r") + shift
    y = np.array(names)[(score + 0.5 * rng.normal(size=n_rows) > 0).astype(int)]
    return X, y, (score + 0.3 * rng.normal(size=n_rows)).to_numpy()


@pytest.fixture(scope="module")
def classifier():
    X, y, _ = labelled(500, 0)
    return JEPAClassifier(random_state=0, n_jobs=1).fit(X, y)


def log_loss(model, X, y):
    place = np.searchsorted(model.classes_, y)
    return -model.predict_log_proba(X)[np.arange(len(y)), place].mean()


def test_a_classifier_is_better_for_its_source(classifier):
    X, y, _ = labelled(40, 1, shift=0.3)
    X_test, y_test, _ = labelled(400, 2, shift=0.3)
    before = classifier.predict_log_proba(X_test).tobytes()
    tuned = classifier.fine_tune(X, y)
    alone = JEPAClassifier(random_state=0, n_jobs=1).fit(X, y)
    assert log_loss(tuned, X_test, y_test) < log_loss(alone, X_test, y_test)
    assert classifier.predict_log_proba(X_test).tobytes() == before
    np.testing.assert_allclose(tuned.predict_proba(X_test).sum(axis=1), 1)


def test_a_source_of_shuffled_labels_does_no_harm():
    X, y, _ = labelled(300, 3)
    wrong = JEPAClassifier(random_state=0, n_jobs=1).fit(X, np.roll(y, 7))
    X, y, _ = labelled(150, 1)
    X_test, y_test, _ = labelled(400, 2)
    alone = JEPAClassifier(random_state=0, n_jobs=1).fit(X, y)
    assert log_loss(wrong.fine_tune(X, y), X_test, y_test) < 1.02 * log_loss(alone, X_test, y_test)


def test_new_classes_levels_and_columns_of_a_classifier(classifier):
    X, y, _ = labelled(60, 4, names=("maybe", "yes"))
    X["c"] = np.where(np.arange(60) % 5 == 0, "blue", X["c"])
    X = X.drop(columns="b").assign(new=(y == "maybe") + 0.1 * np.arange(60))
    tuned = classifier.fine_tune(X, y)
    assert tuned.classes_.tolist() == ["maybe", "no", "yes"]
    assert tuned.predict_proba(X).shape == (60, 3)
    assert (tuned.predict(X) == y).mean() > 0.8
    assert np.isfinite(tuned.score_samples(X)).all()


def test_a_classifier_refuses_and_stays(classifier):
    X, y, _ = labelled(20, 4)
    before = pickle.dumps(classifier)
    for target, match in ((np.arange(20), "kind"), (y[:5], "numbers of samples")):
        with pytest.raises(ValueError, match=match):
            classifier.fine_tune(X, target)
    with pytest.raises(ValueError, match="strength"):
        classifier.fine_tune(X, y, strength=2)
    assert pickle.dumps(classifier) == before


def saved(model, path):
    model.save(path)
    return path.read_bytes()


@pytest.mark.parametrize("n_rows", [2, 3, 8])
def test_few_rows_all_alike_or_of_one_class(classifier, tmp_path, n_rows):
    before = saved(classifier, tmp_path / "before")
    X, y, _ = labelled(n_rows, 4)
    alike = X.iloc[np.zeros(n_rows, int)]
    for rows, label in ((alike, y), (X, np.full(n_rows, "no"))):
        tuned = classifier.fine_tune(rows, label)
        assert tuned.classes_.tolist() == ["no", "yes"]
        np.testing.assert_allclose(tuned.predict_proba(X).sum(axis=1), 1)
    with pytest.raises(ValueError, match="one row only"):
        classifier.fine_tune(X[:1], y[:1])
    with pytest.raises(ValueError, match="no column in common"):
        classifier.fine_tune(X.rename(columns=str.upper), y)
    assert saved(classifier, tmp_path / "after") == before


def test_a_source_that_cannot_predict_its_own_rows_is_doubted(classifier):
    X, y, _ = labelled(300, 3)
    guessing = JEPAClassifier(random_state=0, n_jobs=1).fit(X, np.roll(y, 7))
    knowing, unknowing = (
        LabelSource(m._model, m.joint_.schema, np.arange(2), np.arange(2), 2)
        for m in (classifier, guessing)
    )
    assert knowing.worth == 1.0
    assert unknowing.worth < 0.5
    assert knowing.doubt(1.0) < knowing.doubt(0.0)
    assert unknowing.doubt(1.0) > unknowing.doubt(0.0)


def test_a_source_of_other_classes_does_not_dilute_the_targets(classifier, tmp_path):
    X, y, _ = labelled(40, 4)
    X_test, y_test, _ = labelled(400, 5)
    new, asked = (np.where(label == "yes", "maybe", "never") for label in (y, y_test))
    tuned = classifier.fine_tune(X, new)
    alone = JEPAClassifier(random_state=0, n_jobs=1).fit(X, new)
    assert not tuned._model.source.tells_apart
    assert tuned.classes_.tolist() == ["maybe", "never", "no", "yes"]
    proba = tuned.predict_proba(X_test)
    assert 0 < proba[:, 2:].mean() < 0.05  # no row was of these, but some may come
    own = proba[:, :2] / proba[:, :2].sum(axis=1, keepdims=True)
    lost = [-np.log(p[asked == "never", 1]).sum() for p in (own, alone.predict_proba(X_test))]
    np.testing.assert_allclose(*lost, rtol=0.02)
    tuned.save(tmp_path / "tuned.jp")
    loaded = JEPAClassifier.load(tmp_path / "tuned.jp")
    np.testing.assert_array_equal(loaded.predict_proba(X_test), proba)


def test_what_a_class_without_rows_looks_like_is_the_sources_say():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 900)
    X = rng.normal(size=(900, 4)) + 3 * np.eye(4)[y]
    source = JEPAClassifier(random_state=0, n_jobs=1).fit(X, y)
    few = np.flatnonzero(y[:60] < 2)
    tuned = source.fine_tune(X[few] + 0.2, y[few])
    log_odds = np.diff(tuned.predict_log_proba(X[60:] + 0.2)[:, 1:], axis=1)[:, 0]
    assert np.median(log_odds[y[60:] == 2]) > np.median(log_odds[y[60:] == 1]) + 3


def test_a_regressor_is_better_for_its_source():
    X, _, y = labelled(200, 0)
    source = JEPARegressor(random_state=0, n_jobs=1).fit(X, y)
    X, _, y = labelled(24, 1, shift=1.0)
    X_test, _, y_test = labelled(300, 2, shift=1.0)
    tuned = source.fine_tune(X, y)
    alone = JEPARegressor(random_state=0, n_jobs=1).fit(X, y)
    error = [np.mean((m.predict(X_test) - y_test) ** 2) for m in (tuned, alone, source)]
    assert error[0] < min(error[1:])
    said = tuned.predict_distribution(X_test)
    levels = said.quantile([0.1, 0.5, 0.9])
    np.testing.assert_allclose(said.cdf(levels), np.tile([0.1, 0.5, 0.9], (300, 1)), atol=1e-6)
    np.testing.assert_allclose(said.mean(), tuned.predict(X_test))
    grid = np.linspace(-8, 9, 4000)
    mass = np.exp(said.log_prob(np.tile(grid, (300, 1)))).sum(axis=1) * (grid[1] - grid[0])
    np.testing.assert_allclose(mass, 1, atol=0.05)
    assert NumberSource(source._model, source.joint_.schema).worth == 1.0
    many, _, other_y = labelled(200, 0)
    noise = JEPARegressor(random_state=0, n_jobs=1).fit(many, RNG.permutation(other_y))
    assert NumberSource(noise._model, noise.joint_.schema).worth < 0.5
    whole = source.fine_tune(X, y, strength=1.0)
    np.testing.assert_allclose(whole.predict(X_test), source.predict(X_test))


# ---- rows without a class ----


def test_rows_without_a_class_are_of_use():
    rng = np.random.default_rng(0)
    group = rng.integers(2, size=900)
    X = rng.normal(2.2 * group[:, None] * np.ones(4), 1.0)
    y = np.where(group, "b", "a")
    model = JEPAClassifier(random_state=0, n_jobs=1)
    loss = [
        log_loss(m, X[400:], y[400:])
        for m in (model.fit(X[:24], y[:24]), copy(model).fit(X[:24], y[:24], unlabeled=X[24:400]))
    ]
    assert loss[1] < loss[0]


def test_rows_without_a_class_may_know_other_levels(classifier):
    X, y, _ = labelled(40, 4)
    more, _, _ = labelled(40, 5)
    more["c"] = "blue"
    fresh = JEPAClassifier(random_state=0, n_jobs=1).fit(X, y, unlabeled=more)
    tuned = classifier.fine_tune(X, y, unlabeled=more)
    for model in (fresh, tuned):
        assert "blue" in model.joint_.schema.columns[2].levels
        np.testing.assert_allclose(model.predict_proba(more).sum(axis=1), 1)
    with pytest.raises(ValueError, match="lack the columns 'b'"):
        fresh.fit(X, y, unlabeled=more.drop(columns="b"))
