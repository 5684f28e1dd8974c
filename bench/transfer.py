"""What a model of other rows is worth beside few rows, and rows without a class.

python bench/transfer.py --data DIR --out bench/RESULTS.md
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import predict_sets
import results
import scores
import transfer_sets
from comparison import Comparison, command_line
from results import number, table, verdict
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.semi_supervised import LabelSpreading, SelfTrainingClassifier
from transfer_sets import MOST_TEST_ROWS, Pair, for_nats, load

from jointprob import JEPAClassifier, JEPADensity, JEPARegressor

NEAR = 0.01  # of the best: counts as level
LEVELS = (np.arange(20) + 0.5) / 20
LABELLED, MOST_UNLABELLED = 100, 3000
WAYS = ("source only", "target only", "pooled", "fine-tuned")

Cells = dict[tuple[str, str, int], dict[str, float]]  # set, measure, rows -> way -> mean loss


# ---- losses ----


def density_losses(pair: Pair, n: int, seeds: int, source: JEPADensity):
    """-nats of the target by each way, one dict for each seed."""
    for seed in range(seeds):
        train, test = _drawn(pair.target, n, seed)
        fresh = JEPADensity(random_state=0, n_jobs=1)
        both = pd.concat([pair.source, train], ignore_index=True)
        yield {
            "source only": lambda test=test: -source.score(test),
            "target only": lambda f=fresh, a=train, test=test: -f.fit(a).score(test),
            "pooled": lambda f=fresh, b=both, test=test: -f.fit(b).score(test),
            "fine-tuned": lambda a=train, test=test: -source.fine_tune(a).score(test),
        }


def prediction_losses(pair: Pair, n: int, seeds: int, source: JEPAClassifier | JEPARegressor):
    """Log loss (or CRPS) of the target's label by each way, one dict for each seed."""
    kind = JEPAClassifier if pair.is_classification else JEPARegressor

    def halves(rows: pd.DataFrame):
        y = rows[pair.label]
        return rows.drop(columns=pair.label), y.astype(str) if pair.is_classification else y

    classes = np.unique(halves(pd.concat([pair.source, pair.target]))[1].to_numpy())
    for seed in range(seeds):
        train, test = _drawn(pair.target, n, seed)
        if pair.is_classification and train[pair.label].nunique() < 2:
            continue
        fresh, both = kind(random_state=0, n_jobs=1), pd.concat([pair.source, train])
        both = both.reset_index(drop=True)

        def loss(model, test=test) -> float:
            X, y = halves(test)
            if not pair.is_classification:
                return scores.crps(model.predict_quantiles(X, LEVELS), LEVELS, y.to_numpy())
            proba = scores.whole_table(model.predict_proba(X), model.classes_, classes)
            return scores.log_loss(scores.with_floor(proba), np.searchsorted(classes, y))

        yield {
            "source only": lambda loss=loss: loss(source),
            "target only": lambda f=fresh, a=train, loss=loss: loss(f.fit(*halves(a))),
            "pooled": lambda f=fresh, b=both, loss=loss: loss(f.fit(*halves(b))),
            "fine-tuned": lambda a=train, loss=loss: loss(source.fine_tune(*halves(a))),
        }


def _drawn(target: pd.DataFrame, n: int, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    order = np.random.default_rng(seed).permutation(len(target))
    parts = order[:n], order[n : n + MOST_TEST_ROWS]
    return tuple(target.iloc[rows].reset_index(drop=True) for rows in parts)


MEASURES: dict[str, Callable] = {"-nats": density_losses, "loss": prediction_losses}


class Task(NamedTuple):
    """Cells of one set and one measure: source and target are the same in all."""

    name: str
    measure: str
    change: Callable[[Pair], pd.DataFrame]
    ways: tuple[str, ...]

    def cells(self, folder: Path, sizes: list[int], seeds: int) -> Cells:
        """Mean loss of each way, for each number of rows."""
        losses, found = MEASURES[self.measure], {}
        pair = load(self.name, folder)
        pair = for_nats(pair) if self.measure == "-nats" else pair
        pair = pair._replace(source=self.change(pair))
        source = _source(pair, self.measure)
        for n in sizes:
            runs = [
                {way: run[way]() for way in self.ways} for run in losses(pair, n, seeds, source)
            ]
            if runs:
                mean = {w: float(np.mean([r[w] for r in runs])) for w in self.ways}
                found[self.name, self.measure, n] = mean
                print(self.name, self.measure, n, mean, file=sys.stderr, flush=True)
        return found


def measured(comparison: Comparison, change: Callable, ways: tuple[str, ...]) -> Cells:
    """All cells, sets and measures side by side, each with one thread."""
    options = comparison.options
    names = comparison.named(tuple(transfer_sets.SETS))
    tasks = [Task(name, measure, change, ways) for name in names for measure in MEASURES]
    given = options.data, options.sizes, options.seeds
    with ProcessPoolExecutor(options.jobs) as pool:
        parts = [pool.submit(task.cells, *given) for task in reversed(tasks)]  # the longest first
        found = [part.result() for part in reversed(parts)]
    return {key: loss for cells in found for key, loss in cells.items()}


def _source(pair: Pair, measure: str):
    if measure == "-nats":
        return JEPADensity(random_state=0, n_jobs=1).fit(pair.source)
    kind = JEPAClassifier if pair.is_classification else JEPARegressor
    y = pair.source[pair.label]
    y = y.astype(str) if pair.is_classification else y
    return kind(random_state=0, n_jobs=1).fit(pair.source.drop(columns=pair.label), y)


def as_it_is(pair: Pair) -> pd.DataFrame:
    """The source's rows."""
    return pair.source


def shuffled(pair: Pair) -> pd.DataFrame:
    """The source's cells, each column in an order of its own."""
    random, rows = np.random.default_rng(0), pair.source
    columns = {c: rows[c].iloc[random.permutation(len(rows))] for c in rows}
    return pd.DataFrame({c: v.reset_index(drop=True) for c, v in columns.items()})


# ---- sections ----


def related(comparison: Comparison) -> str:
    """Is fine-tuning the best of four ways, whatever source and size?"""
    cells = measured(comparison, as_it_is, WAYS)
    rows, good = [], 0
    for (name, measure, n), loss in cells.items():
        best = min(loss.values())
        near = loss["fine-tuned"] <= best + NEAR * abs(best)
        good += near
        shown = (number(loss[way], 4) for way in WAYS)
        rows.append([name, measure, n, *shown, "yes" if near else "no"])
    text = "### A source that is like the target\n\n"
    text += table("set | measure | rows | " + " | ".join(WAYS) + " | within 1 % of the best", rows)
    for measure in MEASURES:
        own = [loss for (_, m, _), loss in cells.items() if m == measure]
        beyond = {way: float(np.mean([_beyond(loss, way) for loss in own])) for way in WAYS}
        met = beyond["fine-tuned"] <= min(beyond.values())
        listed = ", ".join(f"{way} {value:.1%}" for way, value in beyond.items())
        text += f"\nMean {measure} beyond the best way of each cell: {listed}. "
        text += f"Asked: fine-tuned is the best on the mean: {verdict(met)}.\n"
    share = good / max(1, len(cells))
    asked = "asked at least 90 %"
    return (
        text
        + f"\nWithin 1 % of the best: {good} of {len(cells)} cells ({share:.1%}), {asked}: "
        + (verdict(share >= 0.9) + ".\n")
    )


def _beyond(loss: dict[str, float], way: str) -> float:
    """Of the best way's loss, by how much a way exceeds it."""
    best = min(loss.values())
    return (loss[way] - best) / abs(best)


def unrelated(comparison: Comparison) -> str:
    """A source whose columns are shuffled, each on its own, does no harm."""
    cells = measured(comparison, shuffled, ("target only", "fine-tuned"))
    rows, worst = [], -np.inf
    for (name, measure, n), loss in cells.items():
        alone, tuned = loss["target only"], loss["fine-tuned"]
        worse = (tuned - alone) / abs(alone)
        worst = max(worst, worse)
        rows.append([name, measure, n, number(alone, 4), number(tuned, 4), f"{worse:+.1%}"])
    text = "### An unrelated source: every column shuffled\n\n"
    text += table("set | measure | rows | target only | fine-tuned | change", rows)
    return text + f"\nWorst {worst:+.1%}, asked at most +1 %: {verdict(worst <= NEAR)}.\n"


def unlabelled(comparison: Comparison) -> str:
    """100 rows with a class, others without."""
    options, rows, better = comparison.options, [], 0
    names = comparison.named(predict_sets.CLASSIFICATION)
    with ProcessPoolExecutor(options.jobs) as pool:
        parts = {
            name: [pool.submit(_semi, options.data, name, s) for s in range(options.seeds)]
            for name in names
        }
        losses = {name: [part.result() for part in of_one] for name, of_one in parts.items()}
    for name in names:
        draws = losses[name]
        mean = {way: float(np.mean([loss[way] for loss in draws])) for way in draws[0]}
        better += mean["with the others"] < mean["100 rows alone"]
        rows.append([name, *(number(value, 4) for value in mean.values())])
    text = f"### {LABELLED} rows with a class, at most {MOST_UNLABELLED:,} without (log loss)\n\n"
    text += table("set | " + " | ".join(mean), rows)
    asked = "asked at least 6 of 8"
    return (
        text
        + f"\nBetter for the others on {better} of {len(rows)} tables, {asked}: "
        + (verdict(better >= 6) + ".\n")
    )


def _semi(folder: Path, name: str, seed: int) -> dict[str, float]:
    label = predict_sets.TARGETS[name]
    frame = pd.read_parquet(folder / "tables" / f"{name}.parquet")
    frame = frame[frame[label].notna()].sample(frac=1, random_state=seed).reset_index(drop=True)
    y, X = frame[label].astype(str).to_numpy(), frame.drop(columns=label)
    classes = np.unique(y)
    stop = min(LABELLED + MOST_UNLABELLED, 2 * len(frame) // 3)
    test = slice(stop, stop + MOST_TEST_ROWS)
    few, others = slice(0, LABELLED), slice(LABELLED, stop)

    def loss(model, X_test=X[test]) -> float:
        known = np.asarray(model.classes_)
        proba = scores.whole_table(model.predict_proba(X_test), known, classes)
        return scores.log_loss(scores.with_floor(proba), np.searchsorted(classes, y[test]))

    ours = JEPAClassifier(random_state=seed, n_jobs=1)
    prepare = _numbers()
    both = prepare.fit_transform(X[:stop])
    known, codes = np.unique(y[few], return_inverse=True)
    partly = np.concatenate([codes, np.full(stop - LABELLED, -1)])
    forest = RandomForestClassifier(100, min_samples_leaf=2, random_state=seed, n_jobs=1)
    spreading = LabelSpreading(kernel="knn", n_neighbors=10, max_iter=100)
    out = {
        "100 rows alone": loss(ours.fit(X[few], y[few])),
        "with the others": loss(ours.fit(X[few], y[few], unlabeled=X[others])),
    }
    for way, peer in (
        ("SelfTrainingClassifier (random forest)", SelfTrainingClassifier(forest)),
        ("LabelSpreading", spreading),
    ):
        peer.fit(both, partly)
        named = _Named(peer, known[peer.classes_])
        out[way] = loss(named, prepare.transform(X[test]))
    return out


class _Named:
    """A model of codes that speaks of classes; rows of which it says nothing get equal shares."""

    def __init__(self, model, classes: np.ndarray) -> None:
        self.model, self.classes_ = model, classes

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        proba = np.nan_to_num(self.model.predict_proba(X))
        silent = proba.sum(axis=1) == 0
        proba[silent] = 1 / proba.shape[1]
        return proba


def _numbers():
    """Scaled numbers and one column for each level."""
    levels = make_pipeline(
        SimpleImputer(strategy="constant", fill_value="missing"),
        OneHotEncoder(handle_unknown="ignore", sparse_output=False),
    )
    numbers = make_pipeline(SimpleImputer(keep_empty_features=True), StandardScaler())
    return make_column_transformer(
        (numbers, make_column_selector(dtype_include="number")),
        (levels, make_column_selector(dtype_exclude="number")),
    )


SECTIONS = {"related": related, "unrelated": unrelated, "unlabelled": unlabelled}


def main(arguments: list[str]) -> None:
    parser = command_line(__doc__.splitlines()[0], SECTIONS)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--sizes", type=lambda s: [int(n) for n in s.split(",")])
    options = parser.parse_args(arguments)
    options.sizes = options.sizes or [20, 50, 100, 500]
    heading = (
        f"## Transfer\n\n{results.machine([])}\n"
        f"At most {transfer_sets.MOST_SOURCE_ROWS:,} rows of the source, {MOST_TEST_ROWS:,} to "
        f"report; mean of {options.seeds} draws of target rows; one random_state. -nats: features "
        "alone, numbers with uniform noise of one grid step, so that all have one measure. Loss: "
        "log loss, 1 % of the mass shared by all classes of source and target, or the continuous "
        "ranked probability score. gas_drift: 16 of 128 columns; mnist_test: means of 4 x 4 "
        "pixels.\n"
    )
    Comparison(options, Path(__file__)).report("transfer", heading, SECTIONS)


if __name__ == "__main__":
    main(sys.argv[1:])
