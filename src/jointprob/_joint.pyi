import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Points = NDArray[np.float32]
Codes = NDArray[np.int32]
Index = NDArray[np.int64]
Work = NDArray[np.uint8]

tree_work_size_c: object
tree_log_prob_c: object
tree_marginals_c: object

class Evidence:
    n_rows: int
    def __init__(
        self,
        codes: Codes,
        code_column: Index,
        rows: Index | None = None,
        leaf: Points | None = None,
        leaf_at: Index | None = None,
    ) -> None: ...

class Counts:
    def __init__(self, transition: Points, emission: Points, message: Points) -> None: ...

class Tree:
    def __init__(
        self,
        parent: Index,
        n_states: Index,
        n_cells: Index,
        n_levels: Index,
        transition_at: Index,
        emission_at: Index,
        cell_at: Index,
        message_at: Index,
        cell: Codes,
        transition: Points,
        transposed: Points,
        emission: Points,
        unseen: Points,
        message: Points,
        writable: bool,
    ) -> None: ...
    writable: bool
    def work_size(self, full: bool) -> int: ...
    def log_prob(
        self, evidence: Evidence, start: int, stop: int, work: Work, log_prob: Floats
    ) -> None: ...
    def expect(
        self,
        evidence: Evidence,
        weight: Floats | None,
        start: int,
        stop: int,
        work: Work,
        log_prob: Floats,
        counts: Counts,
        leaf_posterior: Points,
    ) -> None: ...
    def marginals(
        self,
        evidence: Evidence,
        state_at: Index,
        start: int,
        stop: int,
        work: Work,
        log_prob: Floats,
        cavity: Points,
        posterior: Points,
    ) -> None: ...
    def sample(
        self,
        evidence: Evidence,
        seed: int,
        draw_key: NDArray[np.uint64],
        start: int,
        stop: int,
        work: Work,
        log_prob: Floats,
        states: Codes,
    ) -> None: ...
    def maximise_work_size(self) -> int: ...
    def derive(self, first: int, last: int) -> None: ...
    def maximise(
        self,
        batch: Counts,
        transition: Points,
        emission: Points,
        level_share: Points,
        rows: float,
        smoothing: float,
        emission_smoothing: float,
        batch_rows: float,
        step: float,
        first: int,
        last: int,
        work: Floats,
    ) -> None: ...
    def finish_counts(self, counts: Counts) -> None: ...
    def adapt_work_size(self) -> int: ...
    def adapt(
        self, counts: Counts, marginal_rows: float, state_rows: float, to: Tree, work: Floats
    ) -> None: ...
    def check(self, rounding: float, first: int, last: int, work: Floats) -> tuple[int, int]: ...

def count_pairs(first: Codes, second: Codes, weight: Floats | None, counts: Floats) -> None: ...
