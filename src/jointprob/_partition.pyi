import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Labels = NDArray[np.int32]

LANES: int

def packed_size(n_features: int, n_subsets: int) -> int: ...
def kmeans_pack(centers: Floats, packed: Floats) -> None: ...
def kmeans_assign(
    points: Floats,
    centers: Floats,
    packed: Floats,
    start: int,
    stop: int,
    labels: Labels,
    distances: Floats,
) -> None: ...
def kmeans_nearer(
    points: Floats, center: Floats, start: int, stop: int, distances: Floats
) -> None: ...
def kmeans_sums(
    points: Floats,
    weight: Doubles,
    labels: Labels,
    start: int,
    stop: int,
    sums: Doubles,
    mass: Doubles,
) -> None: ...
def information_scatter(
    labels: Labels,
    n_states: Labels,
    weight: Doubles,
    start: int,
    stop: int,
    work: Doubles,
    information: Doubles,
    mass: Doubles,
) -> None: ...
def indicators(
    labels: Labels,
    n_states: Labels,
    first: NDArray[np.int64],
    known: NDArray[np.int64],
    weight: Doubles,
    start: int,
    depth: int,
    n_indicators: int,
    plain: Floats,
    weighted: Floats,
) -> None: ...
def indicator_gram(
    plain: Floats, weighted: Floats, depth: int, start: int, stop: int, gram: Doubles
) -> None: ...
def information_gram(
    gram: Doubles,
    n_states: Labels,
    first: NDArray[np.int64],
    known: NDArray[np.int64],
    least: float,
    start: int,
    stop: int,
    work: Doubles,
    information: Doubles,
    mass: Doubles,
) -> None: ...
