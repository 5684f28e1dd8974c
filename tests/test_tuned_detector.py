"""A detector of few rows that leans on one of many."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from jointprob import JEPAOutlierDetector
from jointprob.adapt.norm import quantiles
from jointprob.estimators.strangeness import fit_tail


def line(n_rows, seed, shift=0.0):
    """Columns tied in pairs, and a label that follows the first."""
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(2, n_rows))
    return pd.DataFrame(
        {
            "a": a + shift,
            "a2": 100 * (a + 0.2 * rng.normal(size=n_rows)),
            "b": b,
            "sign": np.where(a > 0, "up", "down"),
        }
    )


def torn(frame, seed=0):
    """The same cells in other rows."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame({c: rng.permutation(frame[c].to_numpy()) for c in frame})


@pytest.fixture(scope="module")
def source():
    model = JEPAOutlierDetector(n_subsets=4, n_trees=2, random_state=0, n_jobs=1)
    return model.fit(line(600, 0))


def found(model, shift=0.0):
    """Area under the curve, and false alarms."""
    good, bad = line(400, 8, shift), line(400, 8, shift).pipe(torn)
    score = model.score_samples(pd.concat([good, bad]))
    assert np.isfinite(score).all() and (score <= 0).all()
    truth = np.repeat([0, 1], 400)
    return roc_auc_score(truth, -score), float((model.predict(good) < 0).mean())


def test_few_rows_of_the_same_kind_lean_on_the_source(source):
    target = line(20, 1)
    tuned = source.fine_tune(target)
    alone = JEPAOutlierDetector(random_state=0, n_jobs=1).fit(target)
    area, alarms = found(tuned)
    assert area > found(alone)[0]
    assert area > found(source)[0] - 0.02
    assert alarms < 0.05


def test_a_shift_is_learnt(source):
    tuned = source.fine_tune(line(60, 1, shift=2.0))
    assert found(source, 2.0)[1] > 0.5
    area, alarms = found(tuned, 2.0)
    assert area > found(source, 2.0)[0] + 0.1
    assert alarms < 0.1


def test_the_source_stays_and_the_call_repeats(source):
    before, target = pickle.dumps(source), line(30, 2)
    first, again = source.fine_tune(target), source.fine_tune(target[::-1])
    test = line(50, 3)
    assert first.score_samples(test).tobytes() == again.score_samples(test).tobytes()
    for bad, match in (
        ({"q": [1.0]}, "no column in common"),
        ({"a": ["x"]}, "'a'"),
        ({"a": [np.nan], "b": [np.nan]}, "no value"),
    ):
        with pytest.raises(ValueError, match=match):
            source.fine_tune(bad)
    with pytest.raises(ValueError, match="strength is 2"):
        source.fine_tune(target, strength=2)
    assert pickle.dumps(source) == before


@pytest.mark.parametrize("n_rows", [1, 9])
def test_rows_all_alike_keep_the_tails_of_the_source(source, n_rows):
    tuned = source.fine_tune(line(1, 4).iloc[np.zeros(n_rows, int)])
    area, alarms = found(tuned)
    assert area > 0.8
    assert alarms < 0.2


def test_new_columns_and_levels(source):
    target = line(60, 5).drop(columns="b").assign(new=np.arange(60.0), kind="p")
    target.loc[:9, "sign"] = "level"
    tuned = source.fine_tune(target)
    assert set(tuned.joint_.schema.names) == {"a", "a2", "sign", "new", "kind"}
    assert tuned.n_features_in_ == 5
    score = tuned.score_samples(target)
    assert np.isfinite(score).all()
    assert score.min() < tuned.score_samples(target.assign(new=1e6)).max() + 50
    assert (tuned.score_samples(target.assign(new=1e6)) < np.log(0.05)).all()
    assert tuned.explain(target).shape == (60, 5)


def test_a_file_keeps_it(source, tmp_path):
    tuned, test = source.fine_tune(line(20, 1)), line(30, 3)
    tuned.save(tmp_path / "model")
    read = JEPAOutlierDetector.load(tmp_path / "model")
    assert read.score_samples(test).tobytes() == tuned.score_samples(test).tobytes()


def test_strength_runs_from_the_target_to_the_source(source):
    target = line(40, 1, shift=3.0)
    weak, strong = (source.fine_tune(target, strength=s) for s in (0.0, 1.0))
    assert weak.joint_.n_rows == pytest.approx(40 * weak.kept_share_, rel=0.01)
    assert strong.joint_.n_rows > 600
    assert weak.joint_.log_prob(line(200, 6)).mean() < strong.joint_.log_prob(line(200, 6)).mean()


def test_quantiles_undo_a_tail():
    values = np.random.default_rng(0).normal(size=300)
    tail = fit_tail(values, np.ones(300))
    share = np.array([1e-4, 0.01, 0.1, 0.5, 0.9])
    np.testing.assert_allclose(np.exp(tail.log_prob(quantiles(tail, share))), share, rtol=1e-6)
