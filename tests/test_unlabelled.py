"""Rows without a class: walks on a graph of rows, and students of a first model."""

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import cdist

from jointprob import JEPAClassifier
from jointprob.encode import fit_encodings
from jointprob.joint.families import best_loss
from jointprob.predict import graph
from jointprob.predict.graph import fit_graph, points_of
from jointprob.table import read_table


def moons(n_rows, seed):
    """Two thin arcs, a colour that says nothing, and some missing cells."""
    rng = np.random.default_rng(seed)
    side, angle = rng.integers(2, size=n_rows), rng.uniform(0, np.pi, n_rows)
    a = np.where(side, 1 - np.cos(angle), np.cos(angle)) + 0.08 * rng.normal(size=n_rows)
    b = np.where(side, 0.4 - np.sin(angle), np.sin(angle)) + 0.08 * rng.normal(size=n_rows)
    X = pd.DataFrame({"a": a, "b": b, "c": rng.choice(["r", "g", "b"], n_rows)})
    X.loc[rng.random(n_rows) < 0.03, "b"] = np.nan
    return X, np.where(side, "low", "high")


def log_loss(model, X, y):
    place = np.searchsorted(model.classes_, y)
    return -model.predict_log_proba(X)[np.arange(len(y)), place].mean()


def dense_walks(points, ends, alpha):
    """Where walks end, by a sum over all paths: (1 - alpha) sum_t (alpha P)^t."""
    n, k = len(points), graph.NEIGHBOURS
    near = np.argsort(cdist(points, points), axis=1, kind="stable")[:, :k]
    tied = np.zeros((n, n))
    tied[np.arange(n)[:, None], near] = 1
    tied = np.maximum(tied, tied.T)
    step = tied / tied.sum(axis=1, keepdims=True)
    power, out = np.eye(n), np.zeros_like(ends)
    for _ in range(graph.STEPS):
        out += (1 - alpha) * power @ ends
        power = alpha * power @ step
    return out


def test_walks_are_those_of_the_reference():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(60, 3)).astype(np.float32)
    ends = np.eye(60)[:, :7]
    for found, alpha in zip(graph._walks(points, ends), graph.STAYING, strict=True):
        np.testing.assert_allclose(found, dense_walks(points, ends, alpha), atol=1e-10)


def test_two_levels_are_a_distance_of_one_apart():
    table = read_table({"a": [0.0, 1.0, 2.0, 3.0], "c": ["r", "g", "r", None]})
    encoding = fit_encodings(table, np.ones(4), 1)[0]
    same = table.take(np.array([0, 0]))
    same.columns[1][:] = [0, 1]
    points = points_of(encoding, same, 1)
    assert points.shape[1] == graph.coordinates(encoding)
    assert np.linalg.norm(points[0] - points[1]) == pytest.approx(1)
    assert (points_of(encoding, table, 1)[3, 1:] == 0).all()


def test_labels_of_a_fold_say_nothing_of_it(monkeypatch):
    monkeypatch.setattr(graph, "STAYING", (0.9,))
    X, y = moons(80, 0)
    table, label = read_table(X), (y == "low").astype(int)
    few, rest = table.take(np.arange(20)), table.take(np.arange(20, 80))
    folds, prior = np.arange(20) % 4, np.array([0.5, 0.5])
    _, seen = fit_graph(few, label[:20], np.ones(20), prior, folds, rest, 1)
    other = np.where(folds == 1, 1 - label[:20], label[:20])
    _, again = fit_graph(few, other, np.ones(20), prior, folds, rest, 1)
    rows = np.flatnonzero(folds == 1)
    np.testing.assert_array_equal(seen.reached[1], again.reached[1])
    loss = best_loss(seen.evidence(np.arange(20), few), label[:20], np.ones(20), np.log(prior))
    assert loss < np.log(2)
    assert np.isfinite(seen.evidence(rows, few.take(rows))).all()


@pytest.fixture(scope="module")
def both():
    X, y = moons(500, 1)
    few, more = X[:16], X[16:300]
    alone = JEPAClassifier(random_state=0, n_jobs=1).fit(few, y[:16])
    helped = JEPAClassifier(random_state=0, n_jobs=1).fit(few, y[:16], unlabeled=more)
    return alone, helped, X, y


def test_arcs_are_found_by_rows_without_a_class(both):
    alone, helped, X, y = both
    assert log_loss(helped, X[300:], y[300:]) < 0.95 * log_loss(alone, X[300:], y[300:])
    np.testing.assert_allclose(helped.predict_proba(X).sum(axis=1), 1)
    assert np.isfinite(helped.predict_log_proba(X)).all()


def test_the_joint_knows_all_rows(both):
    alone, helped, X, _ = both
    assert helped.joint_.n_rows == 300
    assert helped.score_samples(X[300:]).mean() > alone.score_samples(X[300:]).mean()


def test_neither_order_nor_batches_nor_threads_matter(both):
    _, helped, X, y = both
    order = np.random.default_rng(0).permutation(284)
    again = JEPAClassifier(random_state=0, n_jobs=2).fit(
        X[:16][::-1], y[:16][::-1], unlabeled=X[16:300].iloc[order]
    )
    want = helped.predict_log_proba(X[300:330])
    assert again.predict_log_proba(X[300:330]).tobytes() == want.tobytes()
    parts = [helped.predict_log_proba(X[i : i + 7]) for i in range(300, 330, 7)]
    assert np.concatenate(parts)[:30].tobytes() == want.tobytes()


def test_a_file_keeps_graph_and_students(both, tmp_path):
    _, helped, X, _ = both
    helped.save(tmp_path / "model")
    read = JEPAClassifier.load(tmp_path / "model")
    assert read._model.graph is not None
    assert len(read._model.students) == len(helped._model.students) == 3
    assert read.predict_proba(X).tobytes() == helped.predict_proba(X).tobytes()


def test_no_row_without_a_class_is_as_none():
    X, y = moons(40, 3)
    model = JEPAClassifier(random_state=0, n_jobs=1)
    want = model.fit(X, y).predict_proba(X)
    one = model.fit(X, y, unlabeled=X[:1]).predict_proba(X)
    assert one.shape == want.shape
    assert np.isfinite(one).all()
    with pytest.raises(ValueError, match="0 sample"):
        model.fit(X, y, unlabeled=X[:0])
