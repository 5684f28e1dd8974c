from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jointprob.score.plan import Plan

Floats = NDArray[np.float64]

_C_API: Any

class Kernel:
    work_size: int
    def __new__(cls, plan: Plan) -> Self: ...
    @property
    def address(self) -> int: ...
    @property
    def capsule(self) -> Any: ...
    def __call__(
        self, rows: ArrayLike, *, out: Floats | None = None, n_jobs: int | None = None
    ) -> float | Floats: ...
    def score(self, rows: Floats, start: int, stop: int, out: Floats) -> None: ...
