"""What one resampler makes of one set: LightGBM's average precision, rows a second, copies."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import predict_sets as sets
from measure import Result, timed
from plain_tables import categories_of, codes
from resamplers import Method
from sklearn.metrics import average_precision_score
from sklearn.neighbors import NearestNeighbors

N_SEEDS = 5
TRAIN_SHARE = 0.6
MORE_ROWS = 20_000
POSITIVE = {
    "hypothyroid": "hypothyroid", "mammography": "1", "annthyroid": "1",
    "cardio": "1", "htru2": "1", "phoneme": "1", "magic": "h", "adult": ">50K",
    "german_credit": "bad",
}  # fmt: skip
THINNED = {  # rows of the class, and others, that are left to train on
    "cardio": (100, 2000), "htru2": (200, 4000), "phoneme": (150, 3000), "magic": (200, 6000),
    "adult": (250, 5000), "german_credit": (100, 400),
}  # fmt: skip

Maker = Callable[..., Method]


def resampling(make: Maker, name: str, folder: Path) -> Result:
    """Five splits: the seed shuffles the table, resamples and trains."""
    runs = [_one_seed(make, name, folder, seed) for seed in range(N_SEEDS)]
    scores = [run.pop("average_precision") for run in runs]
    means = {key: float(np.mean([run[key] for run in runs])) for key in runs[0]}
    if "more_seconds" in means:  # what takes less than a millisecond cannot be told apart
        means["more_rows_per_second"] = MORE_ROWS / max(means["more_seconds"], 1e-3)
    return {"average_precision": float(np.mean(scores)), "scores": scores, **means}


def _one_seed(make: Maker, name: str, folder: Path, seed: int) -> Result:
    from lightgbm import LGBMClassifier

    train, test = _parts(name, folder, seed)
    categories = categories_of(train.X)
    method = make(seed=seed, categories=categories)
    if method.plain:
        medians = codes(train.X).median()
        train, test = (sets.Labelled(codes(p.X).fillna(medians), p.y) for p in (train, test))
    (X, y), seconds = timed(lambda: method.fit_resample(train.X, train.y))
    model = LGBMClassifier(random_state=seed, n_jobs=1, verbose=-1, **method.params).fit(X, y)
    proba = model.predict_proba(test.X)[:, 1]
    result = {"average_precision": float(average_precision_score(test.y, proba))}
    if method.resampler is None:
        return result
    return result | _cost(method, train, len(y) - len(train.y), seconds) | _novelty(X, train)


def _parts(name: str, folder: Path, seed: int) -> tuple[sets.Labelled, sets.Labelled]:
    table = sets.load(name, folder)
    order = np.random.default_rng(seed).permutation(len(table))
    y = (table[sets.TARGETS[name]].astype(str) == POSITIVE[name]).to_numpy()
    whole = sets.Labelled(table.drop(columns=sets.TARGETS[name]), y)
    cut = int(TRAIN_SHARE * len(order))
    train, test = order[:cut], order[cut:]
    if name in THINNED:
        n_rare, n_others = THINNED[name]
        rank = np.where(y[train], y[train].cumsum(), (~y[train]).cumsum())
        train = train[rank <= np.where(y[train], n_rare, n_others)]
    return whole.take(train), whole.take(test)


def _cost(method: Method, train: sets.Labelled, n_new: int, seconds: float) -> Result:
    """Rows a second of the whole call, and of rows asked for beyond those: the fit is then paid."""
    n = int(train.y.sum()) + n_new
    method.resampler.set_params(sampling_strategy={True: n + MORE_ROWS})
    more = timed(lambda: method.fit_resample(train.X, train.y))[1]
    method.resampler.set_params(sampling_strategy={True: n})
    less = min(seconds, timed(lambda: method.fit_resample(train.X, train.y))[1])
    cost = {"rows_per_second": n_new / less, "more_seconds": more - less}
    if hasattr(method.resampler, "sample"):
        drawn = timed(lambda: method.resampler.sample(MORE_ROWS, y=True))[1]
        cost["drawn_rows_per_second"] = MORE_ROWS / drawn
    return cost


def _novelty(X: Any, train: sets.Labelled) -> Result:
    """Copies of training rows among the new ones, and how far the others are from real rows.

    Distances between standardised rows of the class; levels count as codes, medians fill gaps.
    Divided by the median distance of the class's own rows, each to its nearest.
    """
    new, real = X.iloc[len(train.y) :], train.X
    known = set(map(tuple, codes(real).fillna(np.inf).to_numpy().tolist()))
    copied = [tuple(row) in known for row in codes(new).fillna(np.inf).to_numpy().tolist()]
    own = codes(real[train.y]).drop_duplicates()
    centre, spread = codes(real).median(), codes(real).std().replace(0, 1).fillna(1)
    scaled = [((part - centre) / spread).fillna(0).to_numpy() for part in (own, codes(new))]
    near = NearestNeighbors(n_neighbors=2).fit(scaled[0])
    among = np.median(near.kneighbors(scaled[0])[0][:, 1])
    away = np.median(near.kneighbors(scaled[1], n_neighbors=1)[0])
    return {"copied": float(np.mean(copied)), "distance": float(away / among)}
