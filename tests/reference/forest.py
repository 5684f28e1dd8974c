"""The forest stage in plain NumPy: slow, obvious, and read as its specification.

A tree is (node, sets): node int32 (n_nodes, 4), sets uint32 (n_sets, 8), as `forest.trees.Tree`.
"""

import numpy as np

MISSING, FIRST_SET = 255, 512
TEST_LEVELS, TEST_MISSING_LEFT, TEST_MISSING_UNSEEN = 1, 2, 4


# ---- bins ----


def bins(cells, edges, categorical):
    """Bin of each cell of one column."""
    if categorical:
        return [edges[c] if 0 <= c < len(edges) else MISSING for c in cells]
    return [MISSING if np.isnan(c) else sum(edge < c for edge in edges) for c in cells]


# ---- descent ----


def is_leaf(tree, at):
    return tree[0][at, 0] == at


def leaf_number(tree, at):
    return int(tree[0][at, 3])


def share(tree, at):
    """Of the node's weight that goes left."""
    return float(tree[0][at, 3:4].view(np.float32)[0])


def test_of(tree, at):
    """Column, threshold, flags."""
    test = int(tree[0][at, 1]) % 2**32
    return test >> 16, test >> 8 & 255, test & 255


def goes_left(tree, at, bins):
    """Where a node sends rows with these bins of its column."""
    _, threshold, flags = test_of(tree, at)
    missing_left = bool(flags & TEST_MISSING_LEFT)
    if flags & TEST_LEVELS:
        right = tree[1][tree[0][at, 2] - FIRST_SET]
        known = (right[bins // 32] >> (bins % 32).astype(np.uint32)) & 1 == 0
    else:
        known = bins <= threshold - missing_left
    return np.where(bins == MISSING, missing_left, known)


def rows_of_nodes(tree, by_row):
    """Rows that pass each node, a list of index arrays."""
    rows = [np.arange(len(by_row))] + [np.empty(0, int)] * (len(tree[0]) - 1)
    for at in range(len(tree[0])):
        if not is_leaf(tree, at):
            left = goes_left(tree, at, by_row[rows[at], test_of(tree, at)[0]])
            child = tree[0][at, 0]
            rows[child], rows[child + 1] = rows[at][left], rows[at][~left]
    return rows


def leaves(tree, by_row):
    out = np.full(len(by_row), -1)
    for at, rows in enumerate(rows_of_nodes(tree, by_row)):
        if is_leaf(tree, at):
            out[rows] = leaf_number(tree, at)
    return out


def both_ways(tree, bins, values, everywhere, at=0):
    """Expected leaf value of one row, missing cells by the shares of the weight."""
    if is_leaf(tree, at):
        return values[leaf_number(tree, at)].astype(float)
    column, _, flags = test_of(tree, at)
    child = tree[0][at, 0]
    if bins[column] == MISSING and (everywhere or flags & TEST_MISSING_UNSEEN):
        left, right = (both_ways(tree, bins, values, everywhere, child + k) for k in (0, 1))
        return share(tree, at) * left + (1 - share(tree, at)) * right
    left = bool(goes_left(tree, at, bins[column : column + 1])[0])
    return both_ways(tree, bins, values, everywhere, child + (not left))


# ---- leaves that go on counting ----


def said(counts, grown, worth):
    """Shares of the classes in every leaf."""
    return (counts + worth * grown) / (counts.sum(axis=1, keepdims=True) + worth)


def counted(counts, leaf, label, weight):
    """Counts with the weight of every row added at its leaf and class."""
    counts = counts.copy()
    for row in zip(leaf, label, weight, strict=True):
        counts[row[:2]] += row[2]
    return counts


# ---- splits ----


def score(left, y, weight):
    """Sum over both sides of |weighted sum of y|^2 / weight: y (n_rows, n_outputs).

    For classes as indicators it is largest where Gini's index is least, for numbers where the
    variance within the sides is.
    """
    total = 0.0
    for side in (left, ~left):
        w = weight[side].sum()
        if w > 0:
            total += ((weight[side, None] * y[side]).sum(axis=0) ** 2).sum() / w
    return total


def level_order(bins, y, weight):
    """Levels that occur by their mean of y (n_rows,), one row of the overall mean added."""
    overall = np.average(y, weights=weight)
    known = np.unique(bins[bins != MISSING])
    means = [
        ((weight * y)[bins == b].sum() + overall) / (weight[bins == b].sum() + 1) for b in known
    ]
    return known[np.argsort(means, kind="stable")]


def sides(bins, order):
    """Divisions that cut the order of bins, missing rows on either side."""
    missing = bins == MISSING
    for n in range(1, len(order) + 1):
        left = np.isin(bins, order[:n])
        yield left
        if missing.any():
            yield left | missing


def best_score(bins, categorical, y, weight, least_rows=1, ordered_by=0):
    """Best division by one column, -1 where there is none."""
    order = level_order(bins, y[:, ordered_by], weight) if categorical else np.unique(bins)
    allowed = [
        score(left, y, weight)
        for left in sides(bins, order[order != MISSING])
        if min(left.sum(), (~left).sum()) >= least_rows
    ]
    return max(allowed, default=-1.0)


# ---- values ----


def shrink(tree, totals, outputs, strength, prior=None):
    """Means of nodes: totals (n_nodes,) weights, outputs (n_nodes, n) weighted sums."""
    mean = outputs / totals[:, None]
    means = mean.copy()
    if prior is not None:
        means[0] = (outputs[0] + 0.5 * prior) / (totals[0] + 0.5)
    for at in range(len(totals)):
        if not is_leaf(tree, at):
            child = tree[0][at, 0]
            for side in (child, child + 1):
                step = (mean[side] - mean[at]) / (1 + strength / totals[at])
                means[side] = means[at] + step
                if prior is not None:
                    means[side] = np.clip(means[side], 0, 1)
    return means


# ---- boosting ----


def boost_score(left, slopes, penalty, least):
    """Sum over both sides of |gradient|^2 / (curvature + penalty), the curvature last."""
    total = 0.0
    for side in (left, ~left):
        s = slopes[side].sum(axis=0)
        if s[-1] < least:
            return -1.0
        total += (s[:-1] ** 2).sum() / (s[-1] + penalty)
    return total


def boost_gain(bins, n_bins, slopes, penalty, least_rows):
    """Best gain of a threshold over the undivided rows, -1 where there is none."""
    s = slopes.sum(axis=0)
    least = least_rows * s[-1] / len(slopes)
    undivided = (s[:-1] ** 2).sum() / (s[-1] + penalty)
    missing = bins == MISSING
    gains = [-1.0]
    for b in range(n_bins):
        left = bins <= b
        for side in (left, left | missing) if missing.any() else (left,):
            if 0 < side.sum() < len(bins):
                gains.append(boost_score(side, slopes, penalty, least) - undivided)
    return max(gains)


def softmax(scores):
    e = np.exp(scores - scores.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def log_loss_slopes(scores, label, weight):
    """Gradient and curvature of each score; one score is the log odds of the second class."""
    if scores.shape[1] == 1:
        p = 1 / (1 + np.exp(-scores))
        target = label[:, None]
    else:
        p = softmax(scores)
        target = label[:, None] == np.arange(scores.shape[1])
    w = weight[:, None]
    return w * (p - target), w * np.maximum(p * (1 - p), 1e-6)


def leaf_values(leaf, n_leaves, gradient, curvature, penalty, rate, most):
    out = np.zeros((n_leaves, gradient.shape[1]))
    for k in range(n_leaves):
        g, h = gradient[leaf == k].sum(axis=0), curvature[leaf == k].sum(axis=0)
        out[k] = rate * np.clip(-g / (h + penalty), -most, most)
    return out
