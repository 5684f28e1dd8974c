import numpy as np
import numpy.typing as npt

from .augment.images.operation import Program

def run(program: Program, first: int, last: int, scratch: npt.NDArray[np.uint8]) -> int: ...
def uniforms(
    seed: int,
    epoch: int,
    position: int,
    indices: npt.NDArray[np.int64],
    draws: npt.NDArray[np.float64],
) -> None: ...
def product(
    first: npt.NDArray[np.float64],
    second: npt.NDArray[np.float64],
    result: npt.NDArray[np.float64],
) -> None: ...
def reach(
    matrices: npt.NDArray[np.float64], sizes: npt.NDArray[np.int64]
) -> tuple[float, float]: ...
