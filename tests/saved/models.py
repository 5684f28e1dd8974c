"""The models of the saved files: every estimator on one small mixed table with missing cells."""

import numpy as np

from jointprob import (
    JEPAClassifier,
    JEPADensity,
    JEPAImputer,
    JEPAOutlierDetector,
    JEPARegressor,
)
from jointprob.augment.tables import TableAugmenter

N_ROWS = 60


def table(n_rows=N_ROWS, seed=0):
    """Numbers, a grid, an atom, levels, and gaps in all of them."""
    random = np.random.default_rng(seed)
    length = random.normal(size=n_rows)
    columns = {
        "length": np.where(random.random(n_rows) < 0.1, np.nan, length),
        "count": random.poisson(1.0, n_rows).astype(float),
        "rain": np.where(random.random(n_rows) < 0.5, 0.0, random.exponential(size=n_rows)),
        "kind": np.where(length + random.normal(size=n_rows) > 0, "long", "short").astype(object),
        "place": random.choice(["north", "south", "east"], n_rows).astype(object),
    }
    columns["place"][random.random(n_rows) < 0.2] = None
    return columns


def target(columns):
    """A number without gaps that the other columns tell of."""
    return np.nan_to_num(columns["length"]) * 2 + columns["count"]


def label(columns):
    """Three classes."""
    return np.array(["low", "middle", "high"])[np.digitize(target(columns), [0.0, 2.0])]


def fitted():
    """Name of its file, and the model."""
    whole = table()
    few = table(24)  # leaves of several hundred trees are most of a file
    yield "density", JEPADensity(n_trees=2, random_state=0).fit(whole)
    yield "imputer", JEPAImputer(n_trees=1, random_state=0).fit(whole)
    yield "outliers", JEPAOutlierDetector(n_trees=1, random_state=0).fit(whole)
    yield "classifier", JEPAClassifier(random_state=0).fit(few, label(few))
    stream = JEPAClassifier(random_state=0)
    for rows in (table(40, seed=2), whole):
        stream.partial_fit(rows, label(rows))
    yield "stream", stream
    numbers = JEPARegressor(random_state=0).fit(few, target(few))
    yield "number_stream", numbers.partial_fit(whole, target(whole))
    yield "regressor", JEPARegressor(random_state=0).fit(few, target(few))
    yield "augmenter", TableAugmenter(random_state=0).fit(few, label(few))
    yield "joint", JEPADensity(n_trees=1, random_state=0).fit(whole).joint_


def is_stream(model):
    """A classifier or regressor that has learnt batch by batch."""
    predicts = isinstance(model, JEPAClassifier | JEPARegressor)
    return predicts and not hasattr(model, "feature_importances_")


def answers(model):
    """What a model says of rows that it has not seen, as arrays by question."""
    rows = table(20, seed=1)
    questions = (
        "log_prob", "score_samples", "predict_proba", "predict", "transform", "explain", "impute"
    )  # fmt: skip
    said = {q: getattr(model, q)(rows) for q in questions if hasattr(model, q)}
    if hasattr(model, "predict_distribution"):
        said["quantiles"] = model.predict_quantiles(rows, [0.1, 0.9])
    if hasattr(model, "jitter"):
        said["jitter"] = model.jitter(rows, 0.5)
    joint = getattr(model, "joint_", model)
    said["log density"] = joint.log_prob(rows)
    said["sample"] = joint.sample(5, random_state=0)
    flat = {}
    for question, answer in said.items():
        if isinstance(answer, dict):
            flat |= {f"{question}.{name}": np.asarray(column) for name, column in answer.items()}
        else:
            flat[question] = np.asarray(answer)
    return flat
