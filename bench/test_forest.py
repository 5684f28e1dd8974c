"""The forest kernels beside scikit-learn, one thread: growing and descending as ratios.

``python -m pytest bench/test_forest.py`` on an idle machine. Both sides grow trees of the same
settings: no least leaf, the square root of the columns tried at a node, bootstrapped rows. Bytes
are the least that growing and descending touch: a bin and a row number for each row, candidate
column and level; a node and a bin for each row, tree and level. There are no FLOPs to speak of.
The ratio is of CPU seconds of this thread, the only ones that a busy machine does not stretch.
"""

from __future__ import annotations

from functools import partial
from time import thread_time

import numpy as np
import pytest
from machine import state
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier

from jointprob import _forest
from jointprob.forest.trees import Nursery, pack

N_TREES = 20
SHAPES = [(5_000, 5, 2), (30_000, 14, 2), (12_000, 16, 26)]  # rows, columns, classes


class Trees:
    """Bins that tell classes apart with some noise, and room to grow in."""

    def __init__(self, n_rows, n_columns, n_classes, random_splits):
        rng = np.random.default_rng(n_classes)
        self.random_splits = random_splits
        centers = rng.normal(size=(n_classes, n_columns))
        self.label = rng.integers(n_classes, size=n_rows).astype(np.uint16)
        values = centers[self.label] + rng.normal(scale=0.8, size=(n_rows, n_columns))
        self.by_row = np.clip(128 + 40 * values, 0, 253).astype(np.uint8)
        by_column = np.ascontiguousarray(self.by_row.T)
        kinds, n_bins = np.zeros(n_columns, np.uint8), np.full(n_columns, 254, np.uint8)
        self.bins = _forest.Bins(by_column, self.by_row, kinds, n_bins)
        self.nursery = Nursery(n_rows, n_classes)
        self.work = np.empty(self.bins.work_size(n_rows, n_classes), np.uint8)
        self.times = np.empty(n_rows, np.uint8)

    def grow(self, n_trees=1):
        n_candidates = max(1, int(np.sqrt(self.by_row.shape[1])))
        trees = []
        for tree in range(n_trees):
            _forest.bootstrap(1, 2, tree, len(self.times), self.times)
            rows = np.flatnonzero(self.times).astype(np.uint32)
            weight = self.times[rows].astype(np.float32)
            self.nursery.kernel.grow_classes(
                self.bins, rows, self.label[rows], weight, n_candidates, 1, 64,
                self.random_splits, 1, 3, tree, self.work,
            )  # fmt: skip
            trees.append(self.nursery.tree())
        return trees

    def pack(self):
        trees = self.grow(N_TREES)
        return pack(trees, [np.ones((len(t.leaves), 1), np.float32) for t in trees])

    @property
    def peer(self):
        method = ExtraTreesClassifier if self.random_splits else RandomForestClassifier
        return method(N_TREES, bootstrap=True, n_jobs=1, random_state=0)


def cpu_seconds(*calls, rounds=3):
    """Least CPU seconds of each call; they take turns."""
    seconds = [np.inf] * len(calls)
    for _ in range(rounds):
        for k, call in enumerate(calls):
            start = thread_time()
            call()
            seconds[k] = min(seconds[k], thread_time() - start)
    return seconds


def mean_depth(trees):
    """Levels that a row goes down, in the mean over training rows and trees."""
    peer = trees.peer.fit(trees.by_row, trees.label)
    passed = [e.decision_path(trees.by_row).sum() / len(trees.by_row) - 1 for e in peer.estimators_]
    return float(np.mean(passed))


def compare(benchmark, ours, theirs):
    own, peer = cpu_seconds(ours, theirs)
    benchmark.extra_info["times_as_fast_as_scikit_learn"] = round(peer / own, 2)


@pytest.fixture(params=SHAPES, ids=lambda shape: "x".join(map(str, shape)))
def shape(request):
    return request.param


@pytest.mark.parametrize("random_splits", [False, True])
def test_grow(benchmark, limits, shape, random_splits):
    trees = Trees(*shape, random_splits)
    benchmark.pedantic(trees.grow, (N_TREES,), rounds=3, warmup_rounds=1)
    columns = int(np.sqrt(shape[1])) + 1  # and once to divide
    state(benchmark, limits, N_TREES * 0.63 * shape[0] * 5 * columns * mean_depth(trees), 0)
    fit = partial(trees.peer.fit, trees.by_row, trees.label)
    compare(benchmark, partial(trees.grow, N_TREES), fit)


def test_descend(benchmark, limits, shape):
    trees = Trees(*shape, False)
    forest, n_rows = trees.pack(), shape[0]
    out = np.zeros((n_rows, 1), np.float32)
    add = partial(forest.kernel.add, forest.values, trees.by_row, 0, n_rows, out)
    benchmark(add)
    state(benchmark, limits, N_TREES * n_rows * 17 * mean_depth(trees), 0)
    peer = trees.peer.fit(trees.by_row, trees.label)
    compare(benchmark, add, lambda: peer.predict_proba(trees.by_row))
