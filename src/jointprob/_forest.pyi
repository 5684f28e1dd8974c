from typing import Any

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]
Labels = NDArray[np.uint16]
Rows = NDArray[np.uint32]

MISSING_BIN: int
SET_WORDS: int
THRESHOLD_SETS: int
SPREAD_CELLS: int
SLOPES_ONE: int
SLOPES_MANY: int
SMALL_LEAVES: int

class Edges:
    def __init__(self, edges: tuple[NDArray[Any], ...], categorical: tuple[bool, ...]) -> None: ...
    def bin(self, columns: list[NDArray[Any]], start: int, stop: int, by_column: Bytes) -> None: ...

class Bins:
    def __init__(
        self, by_column: Bytes, by_row: Bytes, categorical: Bytes, n_bins: Bytes
    ) -> None: ...
    def work_size(self, n_bagged: int, n_classes: int) -> int: ...
    def boost_work_size(self, n_listed: int, width: int, most_leaves: int) -> int: ...

class Grown:
    def __init__(
        self, node: NDArray[np.int32], sets: NDArray[np.uint32], value: Floats
    ) -> None: ...
    @property
    def n_nodes(self) -> int: ...
    @property
    def n_sets(self) -> int: ...
    @property
    def n_leaves(self) -> int: ...
    def grow_classes(
        self,
        bins: Bins,
        rows: Rows,
        label: Labels,
        weight: Floats,
        n_candidates: int,
        least_rows: int,
        most_depth: int,
        random_splits: bool,
        seed: int,
        stream: int,
        tree: int,
        work: Bytes,
    ) -> None: ...
    def grow_means(
        self,
        bins: Bins,
        rows: Rows,
        target: Floats,
        weight: Floats,
        n_candidates: int,
        least_rows: int,
        most_depth: int,
        random_splits: bool,
        seed: int,
        stream: int,
        tree: int,
        work: Bytes,
    ) -> None: ...
    def shrink(self, prior: Floats | None, strength: float, means: Floats) -> None: ...
    def boost(
        self,
        bins: Bins,
        rows: Rows,
        slopes: Floats,
        most_leaves: int,
        most_depth: int,
        least_rows: float,
        penalty: float,
        level_penalty: float,
        level_rows: float,
        least_gain: float,
        leaf_of: NDArray[np.int32],
        work: Bytes,
    ) -> None: ...
    def steps(self, penalty: float, rate: float, most: float, values: Floats) -> None: ...
    def small_leaves(
        self, sets: NDArray[np.uint32], by_column: Bytes, leaves: NDArray[np.int32]
    ) -> None: ...

class Forest:
    def __init__(
        self,
        node_at: NDArray[np.int64],
        leaf_at: NDArray[np.int64],
        node: NDArray[np.int32],
        sets: NDArray[np.uint32],
    ) -> None: ...
    def leaves(
        self, tree: int, by_row: Bytes, start: int, stop: int, leaves: NDArray[np.int32]
    ) -> None: ...
    def add(
        self,
        values: Floats | Labels,
        by_row: Bytes,
        start: int,
        stop: int,
        out: Floats,
        first: int = 0,
        last: int | None = None,
    ) -> None: ...
    def count(
        self,
        by_row: Bytes,
        label: NDArray[np.int64],
        weight: NDArray[np.float64],
        grown: Floats,
        worth: float,
        counts: Floats,
        values: Floats,
    ) -> None: ...
    def add_both_ways(
        self,
        values: Floats | Labels,
        everywhere: bool,
        by_row: Bytes,
        start: int,
        stop: int,
        out: Floats,
    ) -> None: ...

def say(counts: Floats, grown: Floats, worth: float, values: Floats) -> None: ...
def check_trees(
    node_at: NDArray[np.int64],
    leaf_at: NDArray[np.int64],
    node: NDArray[np.int32],
    sets: NDArray[np.uint32],
    n_columns: int,
    seen: Bytes,
) -> None: ...
def thresholds(sets: NDArray[np.uint32]) -> None: ...
def bootstrap(seed: int, stream: int, tree: int, n_drawn: int, times: Bytes) -> None: ...
def log_loss_slopes(
    label: Labels,
    weight: Floats,
    scores: Floats,
    sketch: Floats | None,
    gradient: Floats,
    curvature: Floats,
    slopes: Floats,
) -> None: ...
def square_loss_slopes(target: Floats, weight: Floats, scores: Floats, slopes: Floats) -> None: ...
def leaf_values(
    leaf_of: NDArray[np.int32],
    gradient: Floats,
    curvature: Floats,
    penalty: float,
    rate: float,
    most: float,
    work: NDArray[np.float64],
    values: Floats,
) -> None: ...
def move(leaf_of: NDArray[np.int32], values: Floats, scores: Floats) -> None: ...
def spread(
    leaf: NDArray[np.int32],
    first: NDArray[np.int64],
    cell: Bytes,
    weight: Floats,
    out: Floats,
) -> None: ...
def gains(
    node: NDArray[np.int32],
    said: Floats,
    sums: NDArray[np.float64],
    gains: NDArray[np.float64],
) -> None: ...
