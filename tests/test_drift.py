"""Drift: false alarms are as rare as stated, changes are found and named."""

import pickle

import numpy as np
import pandas as pd
import pytest

from jointprob import JEPADensity
from jointprob.adapt.adwin import Adwin
from jointprob.adapt.drift import DriftMonitor
from jointprob.adapt.shares import Shares
from jointprob.table import conform


def rows(n_rows, seed, step=0.0):
    """Four columns in two pairs; `step` moves the third."""
    rng = np.random.default_rng(seed)
    a, c = rng.normal(size=(2, n_rows))
    label = np.where(a + 0.3 * rng.normal(size=n_rows) > 0, "high", "low")
    d = c + 0.3 * rng.normal(size=n_rows)
    return pd.DataFrame({"a": a, "label": label, "c": c + step, "d": d})


@pytest.fixture(scope="module")
def joint():
    return JEPADensity(n_subsets=8, n_trees=1, random_state=0).fit(rows(2000, 0)).joint_


def batches(table, n_rows=100):
    return [table[i : i + n_rows] for i in range(0, len(table), n_rows)]


def first_alarm(monitor, table):
    return next((r for r in map(monitor.update, batches(table)) if r.drift), None)


def test_false_alarms_are_as_rare_as_stated():
    """Of 200 streams of one distribution, bounded, skewed and bursts of two values."""
    rng = np.random.default_rng(0)
    alarms = 0
    for k in range(200):
        window = Adwin.empty(0.05)
        draws = rng.beta(0.3, 2, 3000) if k % 2 else (rng.random(3000) < 0.02).astype(float)
        cuts = []
        for part in np.split(draws, 30):
            window, cut = window.update(part[:, None])
            cuts.append(cut is not None)
        alarms += any(cuts)
    assert alarms <= 10


def test_a_change_of_the_mean_is_found_near_its_place():
    rng = np.random.default_rng(0)
    window, found = Adwin.empty(0.05), None
    for part in np.split(np.r_[rng.random(2000), rng.random(2000) * 0.6], 40):
        window, cut = window.update(part[:, None])
        found = found or cut
    assert 0 < found < 400
    assert window.n_rows < 2200


def test_a_mean_that_was_always_too_low_is_found_once():
    """Seldom where it is just what it may be."""
    rng = np.random.default_rng(0)
    alarms = 0
    for k in range(200):
        window = Adwin.empty(0.05, least=0.25)
        draws = rng.random((30, 100)) < 0.25 if k % 2 else rng.random((30, 100)) / 2
        cuts = []
        for part in draws.astype(float):
            window, cut = window.update(part[:, None])
            cuts.append(cut is not None)
        alarms += any(cuts)
    assert alarms <= 10
    window, found = Adwin.empty(0.05, least=0.25), []
    for part in np.split(rng.random(2000) * 0.3, 20):
        window, cut = window.update(part[:, None])
        found += [] if cut is None else [cut]
    assert len(found) == 1
    assert found[0] <= 500
    assert window.n_rows == 2000


def test_the_window_stays_bounded():
    window = Adwin.empty(0.05)
    for _ in range(3):
        window, cut = window.update(np.full((20_000, 1), 0.5))
        assert cut is None
    assert len(window.buckets) == 512
    assert window.n_rows == 60_000


def test_series_share_the_rate_and_are_cut_together():
    rng = np.random.default_rng(0)
    alarms = 0
    for _ in range(50):
        window, cuts = Adwin.empty(0.05, n_series=9), []
        for part in np.split(rng.beta(0.3, 2, (2000, 9)), 20):
            window, cut = window.update(part)
            cuts.append(cut is not None)
        alarms += any(cuts)
    assert alarms <= 2
    draws = rng.random((2000, 9))
    draws[1000:, 4] *= 0.5
    window = Adwin.empty(0.05, n_series=9)
    cuts = []
    for part in np.split(draws, 20):
        window, cut = window.update(part)
        cuts += [] if cut is None else [(cut, window.n_rows)]
    assert 0 < cuts[0][0] <= 400
    assert cuts[0][0] == cuts[0][1]


def test_numbers_that_are_not_known_do_not_count():
    """One series is known of every fifth row, and one of none."""
    rng = np.random.default_rng(0)
    draws = np.full((3000, 3), np.nan)
    draws[:, 0] = rng.random(3000)
    draws[::5, 1] = rng.random(600)
    draws[1500::5, 1] *= 0.3
    window, cuts = Adwin.empty(0.05, n_series=3), []
    for i, part in enumerate(np.split(draws, 30)):
        window, cut = window.update(part)
        cuts += [] if cut is None else [(i, cut)]
    assert len(cuts) == 1
    assert 15 <= cuts[0][0] <= 21
    assert abs(cuts[0][1] - 100 * (cuts[0][0] - 14)) <= 100


def test_the_scores_of_rows_are_those_that_the_joint_answers(joint):
    table = rows(40, 1)
    table.loc[3, ["a", "label"]] = None
    shares = Shares.of(joint, joint.sample(4096, random_state=0), None)
    scores = shares.scores(conform(table, joint.schema), None)
    surprise = joint.explain(table)
    np.testing.assert_allclose(scores[0], joint.log_prob(table))
    np.testing.assert_allclose(scores[1:5].T, -surprise.to_numpy())
    for j, name in enumerate(table):
        inside = table[name].notna() if name == "label" else table[name].abs() < 2
        alone = joint.marginal([name]).log_prob(table[[name]])
        want = (-surprise[name].to_numpy() - alone)[inside]
        np.testing.assert_allclose(scores[5 + j][inside], want, atol=0.05)
    among = shares.among_own(scores)
    unknown = np.isnan(among)
    assert np.all(unknown[3, [1, 2, 5, 6]]) and unknown.sum() == 4
    assert np.all((among >= 0) & (among <= 1) | unknown)
    some = shares.scores(conform(table, joint.schema), None, step=7)
    np.testing.assert_allclose(some[:, ::7], scores[:, ::7], rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(some[0], scores[0])
    assert np.isnan(np.delete(some[1:], np.arange(0, 40, 7), axis=1)).all()
    assert shares.step(100) == 1 and shares.step(10**6) > 1
    np.testing.assert_allclose(shares.among_own(shares.own).mean(axis=0), 0.5)


def test_rows_as_before_raise_no_alarm(joint):
    monitor = DriftMonitor(joint)
    assert first_alarm(monitor, rows(3000, 1)) is None
    assert monitor.n_rows_ == 3000


def test_a_shifted_column_is_named(joint):
    monitor = DriftMonitor(joint)
    assert first_alarm(monitor, rows(1500, 1)) is None
    report = first_alarm(monitor, rows(1500, 2, step=1.0))
    assert next(iter(report.columns)) in ("c", "d")  # each is off from the other by as much
    assert report.nats > 0.5
    assert abs(report.n_since - (report.n_rows - 1500)) <= 200


def test_rows_that_are_wrong_from_the_first_one(joint):
    """One alarm; rows that then are as expected raise another."""
    moved = rows(600, 1)
    moved["a"] += 5
    monitor = DriftMonitor(joint)
    reports = [monitor.update(batch) for batch in batches(moved)]
    assert [r.drift for r in reports] == [True] + [False] * 5
    assert reports[0].n_since == 100
    assert reports[0].nats == pytest.approx(reports[0].expected - reports[0].log_prob)
    assert next(iter(reports[0].columns)) == "a"
    assert "d" not in reports[0].columns
    assert first_alarm(monitor, rows(1500, 2)).n_since <= 400


def test_a_joint_of_few_rows_raises_no_alarm_over_others():
    """It is overfitted, and its own samples are likelier than rows it has not seen."""
    for seed in range(5):
        few = JEPADensity(n_trees=1, random_state=seed).fit(rows(150, seed)).joint_
        assert first_alarm(DriftMonitor(few), rows(2000, 10 + seed)) is None


def test_a_permuted_column_is_named_with_its_pair(joint):
    monitor = DriftMonitor(joint)
    first_alarm(monitor, rows(1500, 1))
    broken = rows(1500, 2)
    broken["label"] = rows(1500, 3)["label"]
    report = monitor.update(broken[:300])
    assert report.drift
    assert next(iter(report.columns)) in ("label", "a")
    assert "c" not in report.columns
    moved = [{*one, *other} for one, other in report.pairs]
    assert any("label" in names for names in moved)


def test_weak_dependence_that_ends_is_found():
    """Ten columns of which two hang together a little: no row's density tells."""

    def weak(n_rows, seed):
        X = np.random.default_rng(seed).normal(size=(n_rows, 10))
        X[:, 1] += 0.7 * X[:, 0]
        return X

    density = JEPADensity(n_subsets=1, n_trees=1, random_state=0)
    monitor = DriftMonitor(density.fit(weak(2000, 0)).joint_)
    assert first_alarm(monitor, weak(1500, 1)) is None
    broken = weak(1500, 2)
    broken[:, 1] = weak(1500, 3)[:, 1]
    report = first_alarm(monitor, broken)
    assert report.n_rows - 1500 <= 1000
    assert next(iter(report.columns)) in (0, 1)


def test_a_reference_tells_a_small_change_from_misfit():
    """From the first rows on; without it, it passes for what a joint of few rows gets wrong."""
    few = JEPADensity(n_trees=1, random_state=0).fit(rows(300, 0)).joint_
    reference, moved = rows(1000, 1), rows(1000, 2, step=0.5)
    assert first_alarm(DriftMonitor(few), moved) is None
    report = first_alarm(DriftMonitor(few, reference=reference), moved)
    assert report.n_rows <= 300
    assert report.n_since <= report.n_rows
    assert next(iter(report.columns)) in ("c", "d")
    assert report.expected == pytest.approx(few.log_prob(reference).mean())
    for seed in range(5):
        monitor = DriftMonitor(few, reference=reference)
        assert first_alarm(monitor, rows(1500, 10 + seed)) is None
        assert monitor.n_rows_ == 1500


def test_a_reference_is_read_as_rows_are(joint):
    with pytest.raises(ValueError, match="reference"):
        DriftMonitor(joint, reference=rows(0, 1))
    with pytest.raises(ValueError, match="now missing: 'd'"):
        DriftMonitor(joint, reference=rows(50, 1).drop(columns="d"))


def test_a_refresh_learns_what_comes_now(joint):
    monitor = DriftMonitor(joint, adapt="refresh")
    first_alarm(monitor, rows(1000, 1))
    new = rows(2000, 2, step=2.0).assign(label="other")
    reports = [monitor.update(batch) for batch in batches(new)]
    assert any(r.drift for r in reports)
    assert any(r.refreshed for r in reports)
    test = rows(500, 3, step=2.0).assign(label="other")
    assert monitor.joint_.log_prob(test).mean() > joint.log_prob(test).mean() + 1
    assert "other" in monitor.joint_.schema.columns[1].levels


def test_rows_are_scored_as_the_joint_scores_them(joint):
    """Also those with levels that only rows which are kept have had."""
    monitor = DriftMonitor(joint)
    for seed, label in enumerate(["zeta", "eta", "zeta"]):
        batch = rows(100, seed)
        batch.loc[::7, "label"] = label
        batch.loc[::5, "a"] = np.nan
        assert monitor.update(batch).log_prob == pytest.approx(joint.log_prob(batch).mean())


def test_a_failed_update_leaves_no_trace(joint):
    monitor = DriftMonitor(joint)
    monitor.update(rows(50, 1))
    before = pickle.dumps(monitor)
    for bad in (rows(5, 1).assign(a="text"), rows(0, 1), rows(5, 1).drop(columns="d")):
        with pytest.raises(ValueError):
            monitor.update(bad)
    assert pickle.dumps(monitor) == before


def test_batches_of_one_row_and_rows_all_alike(joint):
    monitor = DriftMonitor(joint)
    row = rows(1, 1)
    reports = [monitor.update(row) for _ in range(3)]
    assert [r.n_rows for r in reports] == [1, 2, 3]
    assert np.isfinite(reports[-1].log_prob)


def test_columns_of_all_sorts():
    """Without values, of one value, with atoms, with missing cells; then a level never seen."""

    def table(seed):
        rng = np.random.default_rng(seed)
        wait = np.where(rng.random(400) < 0.4, 0.0, rng.exponential(size=400))
        size = np.where(rng.random(400) < 0.1, None, rng.choice(["S", "L"], 400))
        nothing, one = np.full(400, np.nan), np.ones(400)
        return pd.DataFrame({"wait": wait, "size": size, "nothing": nothing, "one": one})

    monitor = DriftMonitor(JEPADensity(n_trees=2, random_state=0).fit(table(0)).joint_)
    assert first_alarm(monitor, pd.concat([table(seed) for seed in (1, 2, 3)])) is None
    filled = table(5).assign(nothing=1.5)
    assert monitor.update(filled).log_prob == pytest.approx(monitor.joint_.log_prob(filled).mean())
    report = first_alarm(monitor, table(4).assign(size="M"))
    assert next(iter(report.columns)) == "size"


@pytest.mark.parametrize("bad", [{"false_alarm": 0}, {"adapt": "panic"}, {"n_kept": 10}])
def test_settings_that_are_none(joint, bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        DriftMonitor(joint, **bad)
