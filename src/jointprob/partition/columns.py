"""Who stands with whom among the columns: a tree over blocks, blocks of numeric columns."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from jointprob.partition.weights import Floats, Labels, Points, row_weights

BLOCK_ROWS = 4096


def chow_liu(information: Floats) -> tuple[Labels, Labels]:
    """Tree of largest total information, rooted at its centre.

    Parameters
    ----------
    information : float64 array, shape (n_blocks, n_blocks)
        Symmetric; the diagonal is ignored.

    Returns
    -------
    order : int32 array, shape (n_blocks,)
        Block at each position, parents first.
    parent : int32 array, shape (n_blocks,)
        Position of each position's parent; -1 for the root.

    Notes
    -----
    Maximum spanning tree (Prim; of equal edges the one to the lower block first) as in Chow & Liu
    (1968), doi:10.1109/TIT.1968.1054142. The root is the block with the fewest steps to its
    farthest block; of equals the one with the larger total information, then the lower.

    Examples
    --------
    >>> order, parent = chow_liu(np.array([[0, 2.0, 1], [2, 0, 3], [1, 3, 0]]))
    >>> order.tolist(), parent.tolist()
    ([1, 0, 2], [-1, 0, 0])
    """
    neighbours = _spanning_tree(information)
    total = information.sum(axis=1) - np.diag(information)
    root = min(_centres(neighbours), key=lambda block: (-total[block], block))
    order, parent = _breadth_first(neighbours, root)
    position = {block: at for at, block in enumerate(order)}
    parents = [position.get(parent[block], -1) for block in order]
    return np.array(order, dtype=np.int32), np.array(parents, dtype=np.int32)


def _spanning_tree(information: Floats) -> list[list[int]]:
    """Neighbours of each block in the maximum spanning tree."""
    n_blocks = len(information)
    neighbours: list[list[int]] = [[] for _ in range(n_blocks)]
    best, nearest = information[0].copy(), np.zeros(n_blocks, dtype=np.intp)
    best[0] = -np.inf  # blocks of the tree so far
    inside = np.arange(n_blocks) == 0
    for _ in range(n_blocks - 1):
        new = int(np.argmax(best))
        old = int(nearest[new])
        neighbours[old].append(new)
        neighbours[new].append(old)
        inside[new] = True
        closer = (information[new] > best) & ~inside
        best = np.where(closer, information[new], best)
        best[new] = -np.inf
        nearest[closer] = new
    return [sorted(blocks) for blocks in neighbours]


def _centres(neighbours: list[list[int]]) -> list[int]:
    """The one or two blocks in the middle of a longest path: those of least eccentricity."""
    end = _breadth_first(neighbours, 0)[0][-1]
    order, parent = _breadth_first(neighbours, end)
    path = [order[-1]]
    while parent[path[-1]] >= 0:
        path.append(parent[path[-1]])
    return path[(len(path) - 1) // 2 : len(path) // 2 + 1]


def _breadth_first(neighbours: list[list[int]], root: int) -> tuple[list[int], dict[int, int]]:
    """Blocks by distance from the root, and each one's parent."""
    order, parent = [root], {root: -1}
    for block in order:
        for child in neighbours[block]:
            if child not in parent:
                parent[child] = block
                order.append(child)
    return order, parent


def numeric_blocks(
    z: Points,
    weight: ArrayLike | None = None,
    max_columns: int = 64,
    threshold: float = 0.2,
    n_blocks: int | None = None,
) -> list[list[int]]:
    """Group numeric columns that are correlated.

    The two groups with the largest mean absolute correlation merge, again and again, until no mean
    reaches `threshold`, or a merged group would have more than `max_columns`.

    Parameters
    ----------
    z : float32 array, shape (n_rows, n_numeric)
        Normal scores; NaN where missing.
    weight : array, shape (n_rows,), optional
        Row weights.
    max_columns : int
        Most columns of a group.
    threshold : float
        Least mean absolute correlation of two groups that merge.
    n_blocks : int, optional
        Merge whatever the correlation until so many groups are left (or `max_columns` forbids).

    Returns
    -------
    list of lists of int
        Column positions, ascending; groups by their first column.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(500, 2)).astype(np.float32)
    >>> numeric_blocks(np.hstack([x, x]))
    [[0, 2], [1, 3]]
    >>> numeric_blocks(np.hstack([x, x]), n_blocks=1)
    [[0, 1, 2, 3]]
    """
    groups = {j: [j] for j in range(z.shape[1])}
    if not groups:
        return []
    least, wanted = (threshold, 1) if n_blocks is None else (0.0, max(n_blocks, 1))
    merging = _Merging(np.abs(correlations(z, weight)), max_columns)
    while len(groups) > wanted:
        a, b, similarity = merging.closest_pair()
        if similarity < least:
            break
        merging.merge(a, b)
        groups[a] += groups.pop(b)
    return sorted(sorted(group) for group in groups.values())


class _Merging:
    """Mean similarity of groups, -1 where two may not merge, and the closest other group of each.

    Only groups whose closest one merged look for another: a merge costs one row, not the matrix.
    """

    def __init__(self, similarity: Floats, max_columns: int) -> None:
        self.similarity, self.max_columns = similarity, max_columns
        self.sizes = np.ones(len(similarity), np.int64)
        np.fill_diagonal(similarity, -1)
        if max_columns < 2:
            similarity[:] = -1
        self.closest = similarity.argmax(axis=1)

    def closest_pair(self) -> tuple[int, int, float]:
        """The first of the closest pairs, and its similarity."""
        best = self.similarity[np.arange(len(self.closest)), self.closest]
        a = int(best.argmax())
        return a, int(self.closest[a]), float(best[a])

    def merge(self, a: int, b: int) -> None:
        """Let group a take in group b > a."""
        similarity, sizes = self.similarity, self.sizes
        mean = (sizes[a] * similarity[a] + sizes[b] * similarity[b]) / (sizes[a] + sizes[b])
        sizes[a] += sizes[b]
        mean[(sizes[a] + sizes > self.max_columns) | (similarity[a] < 0)] = -1
        mean[[a, b]] = similarity[b] = similarity[:, b] = -1
        similarity[a] = similarity[:, a] = mean
        # A mean never exceeds what went into it, so elsewhere at most a tie is new.
        best = similarity[np.arange(len(mean)), self.closest]
        self.closest[(mean == best) & (a < self.closest)] = a
        stale = np.flatnonzero((self.closest == a) | (self.closest == b))
        stale = np.append(stale, a)
        self.closest[stale] = similarity[stale].argmax(axis=1)


def correlations(z: Points, weight: ArrayLike | None = None) -> Floats:
    """Correlation of each pair of columns on the rows that know both; 0 where undefined.

    Parameters
    ----------
    z : float32 array, shape (n_rows, n_numeric)
        Values, NaN where missing.
    weight : array, shape (n_rows,), optional
        Row weights.

    Returns
    -------
    float64 array, shape (n_numeric, n_numeric)

    Examples
    --------
    >>> correlations(np.array([[0, 1], [1, 0], [2, np.nan]], dtype=np.float32)).round(6)
    array([[ 1., -1.],
           [-1.,  1.]])
    """
    weight = row_weights(weight, len(z))
    count, sums, squares, products = np.zeros((4, z.shape[1], z.shape[1]))
    for start in range(0, len(z), BLOCK_ROWS):
        block = z[start : start + BLOCK_ROWS].astype(np.float64)
        w = weight[start : start + BLOCK_ROWS, None]
        known = ~np.isnan(block)
        if known.all():  # every pair knows all rows: sums of columns are enough
            count += w.sum()
            sums += (w * block).sum(axis=0)[:, None]
            squares += (w * block**2).sum(axis=0)[:, None]
        else:
            block[~known] = 0
            count += (w * known).T @ known
            sums += (w * block).T @ known
            squares += (w * block**2).T @ known
        products += (w * block).T @ block
    return _correlations_of_sums(count, sums, squares, products)


def _correlations_of_sums(count: Floats, sums: Floats, squares: Floats, products: Floats) -> Floats:
    """`sums` and `squares` [i, j]: of column i on the rows that know j as well."""
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = squares - sums**2 / count
        covariance = products - sums * sums.T / count
        correlation = covariance / np.sqrt(variance * variance.T)
    defined = np.isfinite(correlation) & (variance > 1e-9 * squares)
    return np.where(defined & defined.T, np.clip(correlation, -1, 1), 0.0)
