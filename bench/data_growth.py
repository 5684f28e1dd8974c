"""How far data goes: learning curves read ahead, rows chosen, repeats, and a stock used up.

python bench/data_growth.py --data DIR --out bench/RESULTS.md
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import predict_sets
import results
from comparison import Comparison, command_line
from results import number, table, verdict
from sklearn.linear_model import SGDClassifier
from sklearn.preprocessing import StandardScaler
from transfer_sets import load

from jointprob import JEPAClassifier, JEPADensity
from jointprob.data import diverse, exhaustion, learning_curve, repetition, select
from jointprob.data.growth import log_losses
from jointprob.data.repetition import Repetition

CURVES = ("adult", "magic", "letter")
RARE = ("hypothyroid", "annthyroid")
SHARE = 0.1
MOST_TEST_ROWS = 5000
CHOSEN, NOISE, POOL_ROWS, TARGET_ROWS = 500, 0.7, 4000, 300
RARE_ROWS, LEAST_SHARE = 200, 0.1
DENSITY_ROWS = 1200


def _labelled(options, name: str, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray]:
    frame = pd.read_parquet(options.data / "tables" / f"{name}.parquet")
    label = predict_sets.TARGETS[name]
    frame = frame[frame[label].notna()].sample(frac=1, random_state=seed).reset_index(drop=True)
    return frame.drop(columns=label), frame[label].astype(str).to_numpy()


def curves(comparison: Comparison) -> str:
    """Fitted on a tenth of the rows, the law says the loss of all."""
    options, rows, inside = comparison.options, [], 0
    for name in comparison.named(CURVES):
        X, y = _labelled(options, name)
        held_out = min(len(y) // 5, MOST_TEST_ROWS)
        n = len(y) - held_out
        few = held_out + int(SHARE * n)
        model = JEPAClassifier(random_state=0, n_jobs=options.jobs)
        curve = learning_curve(model, X[held_out:few], y[held_out:few], random_state=0)
        model.fit(X[held_out:], y[held_out:])
        loss = log_losses(model, X[:held_out], y[:held_out], y).mean()
        low, high = curve.interval(n)
        met = low <= loss <= high
        inside += met
        law = f"{curve.limit:.3f} + {curve.factor:.3g} n^-{curve.exponent:.2f}"
        figures = (number(v, 4) for v in (curve.predict(n), low, high, loss))
        rows.append([name, few - held_out, law, *figures, verdict(met)])
        print(rows[-1], file=sys.stderr, flush=True)
    text = "### Learning curves from a tenth of the rows\n\n" + table(
        "set | rows | law | expected of all | 5 % | 95 % | reached | inside", rows
    )
    return text + f"\nInside on {inside} of {len(rows)}: {verdict(inside == len(rows))}.\n"


def selected(comparison: Comparison) -> str:
    """Rows chosen from a pool of which 70 % are noise: every cell from some row of its column."""
    options, rows, better = comparison.options, [], 0
    for name in comparison.named(("adult", "magic", "phoneme")):
        losses = np.array([_select(options, name, seed) for seed in range(options.seeds)])
        some, chosen = losses.mean(axis=0)
        better += chosen < some
        rows.append([name, number(some, 4), number(chosen, 4)])
        print(rows[-1], file=sys.stderr, flush=True)
    text = f"### {CHOSEN} rows of a pool of {POOL_ROWS:,}, {NOISE:.0%} noise (log loss)\n\n"
    text += table("set | random rows | selected rows", rows)
    return text + f"\nBetter on {better} of {len(rows)}: {verdict(better == len(rows))}.\n"


def _select(options, name: str, seed: int) -> tuple[float, float]:
    X, y = _labelled(options, name, seed)
    random = np.random.default_rng(seed)
    stop = POOL_ROWS
    pool, labels = X[:stop].copy(), y[:stop].copy()
    noise = random.permutation(stop)[: int(NOISE * stop)]
    for column in pool:
        pool.loc[noise, column] = pool[column].iloc[random.permutation(stop)[: len(noise)]].values
    labels[noise] = random.permutation(labels)[: len(noise)]
    target = X[stop : stop + TARGET_ROWS].reset_index(drop=True)
    test = slice(stop + TARGET_ROWS, stop + TARGET_ROWS + MOST_TEST_ROWS)
    choices = (
        random.permutation(stop)[:CHOSEN],
        select(pool, target, CHOSEN, random_state=seed, n_jobs=options.jobs),
    )
    model = JEPAClassifier(random_state=seed, n_jobs=options.jobs)
    return tuple(
        log_losses(model.fit(pool.iloc[rows], labels[rows]), X[test], y[test], y).mean()
        for rows in choices
    )


def spread(comparison: Comparison) -> str:
    """Rows that cover the subsets hold more of the rare classes."""
    options, rows, better = comparison.options, [], 0
    for name in comparison.named(RARE):
        found = []
        for seed in range(options.seeds):
            X, y = _labelled(options, name, seed)
            X, y = X[:4000], y[:4000]
            names, counts = np.unique(y, return_counts=True)
            rare = np.isin(y, names[counts < LEAST_SHARE * len(y)])
            chosen = diverse(X, RARE_ROWS, random_state=seed, n_jobs=options.jobs)
            found.append((rare.mean() * RARE_ROWS, rare[chosen].sum()))
        some, held = np.mean(found, axis=0)
        better += held > some
        rows.append([name, number(some, 1), number(held, 1)])
        print(rows[-1], file=sys.stderr, flush=True)
    text = f"### Rows of classes below {LEAST_SHARE:.0%} among {RARE_ROWS}\n\n"
    text += table("set | random (expected) | diverse", rows)
    return text + f"\nMore on {better} of {len(rows)}: {verdict(better == len(rows))}.\n"


def repeats(comparison: Comparison) -> str:
    """Passes over the same rows: of stochastic gradients, and of a density's batches."""
    rows = []
    for name in comparison.named(("magic", "mnist_test")):
        if name == "magic":
            X, y = _labelled(comparison.options, name)
        else:
            pair = load(name, comparison.options.data)
            X, y = pair.source.drop(columns=pair.label), pair.source[pair.label].to_numpy()
        model = SGDClassifier(loss="log_loss", alpha=1e-6, random_state=0)
        found = repetition(model, StandardScaler().fit_transform(X), y, random_state=0)
        rows.append(_repeated(name, found))
    if comparison.named(("magic",)):
        X = _labelled(comparison.options, "magic")[0][:DENSITY_ROWS]
        model = JEPADensity(n_subsets=4, n_trees=1, random_state=0, n_jobs=comparison.options.jobs)
        found = repetition(model, X, n_passes=8, random_state=0)
        rows.append(_repeated("magic, JEPADensity", found))
    header = "set | rows | R* | least loss after pass | 4 passes are worth, in rows of one"
    return "### Passes over the same rows\n\n" + table(header, rows)


def _repeated(name: str, found: Repetition) -> list:
    after = found.overfits_after or "-"
    worth = found.effective_rows(4) / found.n_unique
    return [name, found.n_unique, number(found.half_value), after, number(worth)]


def stock(comparison: Comparison) -> str:
    """The published projection for public text."""
    found = exhaustion((320, 65, 1700), (0.38, 0.2, 0.5), 15, start=2024.3, random_state=0)
    low, high = found.interval(0.9)
    met = round(found.median) == 2028
    return (
        "### A stock used up: public text\n\n"
        "320T tokens [65T, 1700T], sets of 15T in spring 2024 (an assumption) that grow by .38 "
        "[.2, .5] (the interval is one too) orders of magnitude a year: full use in "
        f"{found.median:.1f}, 90 % from {low:.1f} to {high:.1f}; published: median 2028, 2026 to "
        f"2032: {verdict(met)}.\n"
    )


SECTIONS = {
    "curves": curves, "selected": selected, "spread": spread, "repeats": repeats, "stock": stock,
}  # fmt: skip


def main(arguments: list[str]) -> None:
    parser = command_line(__doc__.splitlines()[0], SECTIONS)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args(arguments)
    heading = f"## How far the data goes\n\n{results.machine([])}"
    Comparison(options, Path(__file__)).report("data_growth", heading, SECTIONS)


if __name__ == "__main__":
    main(sys.argv[1:])
