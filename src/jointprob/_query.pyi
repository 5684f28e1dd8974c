import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Points = npt.NDArray[np.float32]
Index = npt.NDArray[np.int64]

class States:
    def __init__(self, mean: Floats, covariance: Floats) -> None: ...
    def work_size(self) -> int: ...
    def condition(
        self,
        z: Points,
        rows: Index,
        state: npt.NDArray[np.int32],
        order: Index,
        target: Index,
        work: Floats,
        mean: Floats,
        factor: Floats,
    ) -> None: ...
    def draw(
        self,
        z: Floats,
        state: npt.NDArray[np.int32],
        order: Index,
        normal: Floats,
        work: Floats,
        out: Floats,
    ) -> None: ...
    def leave_one_out(
        self,
        z: Points,
        order: Index,
        prior: Points,
        prior_at: int,
        work: Floats,
        whole: Floats,
        rest: Floats,
    ) -> None: ...

def uniform(seed: int, key: npt.NDArray[np.uint64], out: Floats) -> None: ...
