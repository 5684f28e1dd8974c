"""A service: the model is fitted once, kept in a file, and mapped by every worker that answers.

python examples/predictions_from_a_file.py
"""

import tempfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from sklearn.datasets import load_diabetes

from jointprob import JEPARegressor

COVERAGE = 0.9
worker_model: JEPARegressor


def start(model: Path) -> None:
    """Once in every worker: milliseconds, and the pages of the file are shared."""
    global worker_model
    worker_model = JEPARegressor.load(model).set_params(n_jobs=1)


def answer(rows: np.ndarray) -> np.ndarray:
    """Mean and interval of each row, (n_rows, 3)."""
    said = worker_model.predict_distribution(rows)
    return np.column_stack([said.mean(), said.interval(COVERAGE)])


def main() -> None:
    """Two workers share the requests; half of the rows have a gap."""
    X, y = load_diabetes(return_X_y=True)
    train, test = slice(None, 300), slice(300, None)
    requests, truth = X[test].copy(), y[test]
    requests[::2, 3] = np.nan
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "progress.jp"
        JEPARegressor(random_state=0).fit(X[train], y[train]).save(model)
        print(f"a model of {model.stat().st_size / 1e6:.1f} MB")
        fresh = get_context("spawn")
        with ProcessPoolExecutor(2, fresh, initializer=start, initargs=(model,)) as workers:
            said = np.concatenate(list(workers.map(answer, np.array_split(requests, 4))))
    mean, low, high = said.T
    inside = np.mean((low <= truth) & (truth <= high))
    error, usual = np.abs(mean - truth).mean(), np.abs(y[train].mean() - truth).mean()
    print(f"mean error {error:.0f}, that of a constant {usual:.0f}")
    print(f"{inside:.0%} of the truth inside intervals of {COVERAGE:.0%}")


if __name__ == "__main__":
    main()
