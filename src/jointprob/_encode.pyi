import numpy as np
import numpy.typing as npt

encode_column_c: object

def forward(
    x: npt.NDArray[np.float64],
    keys: npt.NDArray[np.float64],
    pieces: npt.NDArray[np.float64],
    tails: npt.NDArray[np.float64],
    z: npt.NDArray[np.float64],
    log_slope: npt.NDArray[np.float64],
) -> None: ...
def inverse(
    z: npt.NDArray[np.float64],
    keys: npt.NDArray[np.float64],
    pieces: npt.NDArray[np.float64],
    tails: npt.NDArray[np.float64],
    x: npt.NDArray[np.float64],
) -> None: ...
def encode_column(
    x: npt.NDArray[np.float64],
    start: int,
    stop: int,
    keys: npt.NDArray[np.float64],
    pieces: npt.NDArray[np.float64],
    tails: npt.NDArray[np.float64],
    atoms: npt.NDArray[np.float64],
    codes: npt.NDArray[np.int32],
    code_column: int,
    z: npt.NDArray[np.float32],
    z_column: int,
    log_jacobian: npt.NDArray[np.float64],
) -> None: ...
