import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Points = NDArray[np.float32]
Index = NDArray[np.int64]
Work = NDArray[np.uint8]

gauss_work_size_c: object
gauss_leaf_c: object

class Sums:
    def __init__(self, weight: Floats, sum: Floats, square: Floats) -> None: ...

class Gauss:
    def __init__(
        self,
        n_states: int,
        mean_lanes: Points,
        whitening_lanes: Points,
        log_norm: Points,
        covariance_lanes: Floats,
        grain: Floats | None,
        writable: bool,
    ) -> None: ...
    writable: bool
    def work_size(self) -> int: ...
    def derive(self, work: Work) -> None: ...
    def leaf(
        self,
        z: Points,
        rows: Index | None,
        start: int,
        stop: int,
        negligible: float,
        leaf: Points,
        leaf_at: int,
        log_scale: Floats,
        work: Work,
    ) -> None: ...
    def expect(
        self,
        z: Points,
        rows: Index | None,
        posterior: Points,
        leaf_at: int,
        start: int,
        stop: int,
        sums: Sums,
    ) -> None: ...
    def maximise(
        self,
        batch: Sums,
        running: Sums,
        batch_rows: float,
        step: float,
        rows: float,
        shrinkage: float,
        floor: float,
        work: Work,
    ) -> None: ...
