"""Models as ONNX graphs, run by onnxruntime, against the models themselves."""

import numpy as np
import pytest
from joints import fit_joint, mixed_joint, mixed_table, take
from sklearn.datasets import load_diabetes, load_iris, load_wine

from jointprob import JEPAClassifier, JEPADensity

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")


def session_of(model):
    onnx.checker.check_model(model, full_check=True)
    return runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def feed(session, X):
    """Cells as the graph takes them: NaN or an empty string where missing."""
    fed = {}
    for wanted in session.get_inputs():
        if wanted.name == "X":
            return {"X": np.asarray(X, float)}
        cells = np.asarray(X[wanted.name], object)
        text = wanted.type == "tensor(string)"
        missing = "" if text else np.nan
        plain = [missing if c is None or c != c else str(c) if text else float(c) for c in cells]
        fed[wanted.name] = np.array(plain, object if text else float)[:, None]
    return fed


def holed(X, share=0.2, seed=0):
    rng = np.random.default_rng(seed)
    return np.where(rng.random(X.shape) < share, np.nan, X)


def check_density(joint, *tables):
    session = session_of(joint.to_onnx())
    for X in tables:
        (said,) = session.run(None, feed(session, X))
        np.testing.assert_allclose(said, joint.log_prob(X), rtol=2e-6, atol=2e-5)


@pytest.mark.parametrize("apart", [False, True])
def test_density_of_a_mixed_table(apart):
    """Strings, booleans, atoms, missing cells, tails, and a level that fit did not see."""
    X = mixed_table(300, seed=3, missing=0.2)
    X["a"][:3] = [1e6, -1e300, 7.0]
    X["color"][5] = "mauve"
    check_density(mixed_joint(apart), X, take(X, [8]))


def test_density_of_numbers():
    X = load_diabetes().data
    joint = fit_joint(X, blocks=((0, 2, 3), (1,), tuple(range(4, 10))))
    check_density(joint, X, holed(X), X * np.nan, X[:1])


def test_density_of_every_pattern_of_missing_cells():
    X = load_iris().data
    patterns = (np.arange(16)[:, None] >> np.arange(4) & 1).astype(bool)
    check_density(fit_joint(X, n_gaussians=6), np.where(patterns, np.nan, X[:1]))


def test_density_of_more_rows_with_missing_cells_than_are_held_at_once():
    X = np.random.default_rng(0).normal(size=(400, 24)).cumsum(axis=1)
    check_density(fit_joint(X, seeds=(0,), n_gaussians=16, n_epochs=1), holed(X, 0.1))


def test_density_of_levels():
    """Levels that are numbers, negative and of no order; a column with the empty string."""
    rng = np.random.default_rng(0)
    X = {
        "zip": np.array([20, -3, 7, None], object)[rng.integers(4, size=200)],
        "note": np.array(["", "b", "a"], object)[rng.integers(3, size=200)],
        "empty": np.full(200, np.nan),
    }
    model = JEPADensity(n_trees=1, n_subsets=4, categorical_features=["zip", "note"])
    joint = model.set_params(random_state=0).fit(X).joint_
    more = {"zip": np.array([20, 8, None, 7.5]), "note": ["", "b", "c", "a"], "empty": [None] * 4}
    check_density(joint, X, more)


def test_cells_that_the_joint_refuses():
    """Infinity is as far as numbers go; 0.5 is no boolean, so it is an unseen level."""
    joint = mixed_joint()
    X = take(mixed_table(20, seed=3), [0, 0, 0, 0])
    fed = feed(session := session_of(joint.to_onnx()), X)
    fed["a"][:2, 0] = [np.inf, 1e300]
    fed["flag"][2:, 0] = [0.5, 2.0]
    (said,) = session.run(None, fed)
    assert np.isfinite(said).all()
    assert said[0] == said[1] and said[2] == said[3]
    seen = joint.log_prob({**take(X, [0, 0]), "flag": np.array([False, True])})
    assert said[2] < seen.min()


def test_marginals_have_graphs_too():
    """Blocks may be hidden, with others below them."""
    X = mixed_table(50)
    for columns in (["zero", "color"], ["flag"], ["a", "flag"], ["zero", "a", "b"]):
        part = {name: X[name] for name in columns}
        for apart in (False, True):
            check_density(mixed_joint(apart).marginal(columns), part)


def test_columns_may_have_the_names_of_other_tensors():
    rng = np.random.default_rng(0)
    X = {name: rng.normal(size=60) for name in ("log_prob", "IsNaN_0", "table_3")}
    session = session_of(fit_joint(X).to_onnx())
    assert [value.name for value in session.get_outputs()] == ["_log_prob"]
    check_density(fit_joint(X), X)


def test_levels_that_onnx_cannot_hold():
    for levels, what in ((["a\0b", "c"], "NUL"), ([2**60, 1], "whole numbers")):
        X = {"odd": np.array(levels, object)[np.arange(40) % 2]}
        with pytest.raises(ValueError, match=f"'odd'.*{what}"):
            fit_joint(X, categorical_features=["odd"]).to_onnx()


def check_classifier(classifier, *tables):
    session = session_of(classifier.to_onnx())
    for X in tables:
        label, probability = session.run(None, feed(session, X))
        expected = classifier.predict_proba(X)
        np.testing.assert_allclose(probability, expected, atol=3e-6)
        sure = np.sort(expected, axis=1)[:, -1] - np.sort(expected, axis=1)[:, -2] > 1e-5
        assert (label == classifier.predict(X))[sure].all()


def test_classes_of_numbers():
    """Rows that miss cells as none did in fit go both ways down the trees."""
    X, y = load_wine(return_X_y=True)
    names = load_wine().target_names
    fitted = JEPAClassifier(random_state=0).fit(X[::2, :6], names[y[::2]])
    check_classifier(fitted, X[1::2, :6], holed(X[:20, :6]), X[:3, :6] * np.nan, X[:1, :6])


def test_classes_of_a_mixed_table():
    """Sets of levels, atoms, missing cells in fit, an unseen level, a boolean class."""
    X = mixed_table(400, seed=1)
    flag = X.pop("flag")
    known = np.flatnonzero(flag != None)  # noqa: E711
    fitted = JEPAClassifier(random_state=0).fit(take(X, known), flag[known].astype(bool))
    new = mixed_table(60, seed=2, missing=0.3)
    new.pop("flag")
    new["color"][3] = "mauve"
    check_classifier(fitted, take(X, known), new)


def test_classifiers_that_have_no_graph():
    X, y = load_iris(return_X_y=True)
    fitted = JEPAClassifier(random_state=0).fit(X[::6], y[::6])
    with pytest.raises(ValueError, match="fine-tuned"):
        fitted.fine_tune(X[1::10], y[1::10]).to_onnx()
    with pytest.raises(AttributeError, match="no to_onnx after partial_fit"):
        JEPAClassifier().partial_fit(X, y).to_onnx()
