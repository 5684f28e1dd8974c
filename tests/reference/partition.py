"""The partition stage in plain NumPy: slow, obvious, and read as its specification."""

from itertools import combinations

import numpy as np


def features(codes, n_levels, z, weight):
    two = [j for j, n in enumerate(n_levels) if n == 2]
    many = [j for j, n in enumerate(n_levels) if n > 2]
    columns = [np.clip(np.where(np.isnan(x), 0, x), -4, 4) for x in z.T]
    for j in two:
        known = codes[:, j] >= 0
        mass = weight[known].sum()
        mean = (weight * codes[:, j])[known].sum() / mass if mass > 0 else 0.5
        columns.append(np.where(known, codes[:, j], mean))
    for j in many:
        for level in commonest(codes[:, j], n_levels[j], weight, 31):
            columns.append((codes[:, j] == level) / np.sqrt(2))
    return np.array(columns).T.reshape(len(codes), len(columns))


def commonest(codes, n_levels, weight, n):
    counts = [weight[codes == level].sum() for level in range(n_levels)]
    return sorted(sorted(range(n_levels), key=lambda level: (-counts[level], level))[:n])


def cells(codes, n_levels, weight, n_cells):
    if n_levels <= n_cells:
        return list(range(n_levels))
    own = commonest(codes, n_levels, weight, n_cells - 1)
    return [own.index(level) if level in own else n_cells - 1 for level in range(n_levels)]


def squared_distances(points, centers):
    """float64 (n_rows, n_subsets)."""
    differences = points[:, None].astype(float) - centers[None]
    return (differences**2).sum(axis=2)


def subset_sums(points, weight, labels, n_subsets):
    sums, mass = np.zeros((n_subsets, points.shape[1])), np.zeros(n_subsets)
    for point, w, label in zip(points, weight, labels, strict=True):
        sums[label] += w * point.astype(float)
        mass[label] += w
    return sums, mass


def mutual_information(labels, n_states, weight, condition=None):
    """Plug-in estimate less Miller and Madow's bias, at least 0."""
    n_blocks = labels.shape[1]
    condition = np.zeros(len(labels), dtype=int) if condition is None else condition
    out = np.zeros((n_blocks, n_blocks))
    for i in range(n_blocks):
        for j in range(n_blocks):
            total, mass = 0.0, 0.0
            for group in set(condition[condition >= 0].tolist()):
                rows = (condition == group) & (labels[:, i] >= 0) & (labels[:, j] >= 0)
                table = np.zeros((n_states[i], n_states[j]))
                np.add.at(table, (labels[rows, i], labels[rows, j]), weight[rows])
                if table.sum() > 0:
                    total += table.sum() * information_of_table(table)
                    mass += table.sum()
            out[i, j] = max(total / mass, 0) if mass > 0 else 0
    return out


def information_of_table(table):
    p = table / table.sum()
    independent = p.sum(axis=1, keepdims=True) * p.sum(axis=0)
    occurs = p > 0
    plug_in = (p[occurs] * np.log(p[occurs] / independent[occurs])).sum()
    extra = occurs.sum() - occurs.any(axis=1).sum() - occurs.any(axis=0).sum() + 1
    return plug_in - extra / (2 * table.sum())


def largest_tree_total(information):
    """Kruskal: total information of a maximum spanning tree."""
    group = list(range(len(information)))
    total = 0.0
    for i, j in sorted(combinations(group, 2), key=lambda edge: -information[edge]):
        if group[i] != group[j]:
            total += information[i, j]
            group = [group[i] if g == group[j] else g for g in group]
    return total


def eccentricities(parent):
    """Steps from each node to its farthest one, by all shortest paths."""
    n = len(parent)
    steps = np.where(np.eye(n, dtype=bool), 0, n)
    for child, above in enumerate(parent):
        if above >= 0:
            steps[child, above] = steps[above, child] = 1
    for k in range(n):
        steps = np.minimum(steps, steps[:, k, None] + steps[k])
    return steps.max(axis=1)


def correlation(x, y, weight):
    rows = ~(np.isnan(x) | np.isnan(y))
    x, y, w = x[rows].astype(float), y[rows].astype(float), weight[rows]
    if w.sum() == 0:
        return 0.0
    x, y = x - np.average(x, weights=w), y - np.average(y, weights=w)
    scale = np.sqrt((w * x * x).sum() * (w * y * y).sum())
    return (w * x * y).sum() / scale if scale > 0 else 0.0
