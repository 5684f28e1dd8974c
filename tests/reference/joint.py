"""A latent tree in plain NumPy: the specification of csrc/joint.c and csrc/tile.h.

`own` is a list with, for each block, P(own cells | z_b) of one row, (n_states,).
All in float64, one row at a time.
"""

from itertools import product

import numpy as np


def transitions(tree):
    """P(z_b | z_parent) of each block, (n_states[parent], n_states[b]); one row for the root."""
    return [tree_table(tree, tree.transition, b) for b in range(len(tree.parent))]


def tree_table(tree, flat, b):
    n_above = 1 if b == 0 else tree.n_states[tree.parent[b]]
    start, n_states = tree.transition_at[b], tree.n_states[b]
    return flat[start : start + n_above * n_states].reshape(n_above, n_states).astype(float)


def emission(tree, b, level):
    """P(level | z_b): zero outside the level's cell."""
    width = tree.n_states[b] // tree.n_cells[b]
    cell, start = tree.cell[tree.cell_at[b] + level], tree.emission_at[b] + level * width
    probability = np.zeros(tree.n_states[b])
    probability[cell * width : (cell + 1) * width] = tree.emission[start : start + width]
    return probability


def likelihoods(tree, codes, leaf, leaf_at):
    """`own` of a row: soft likelihoods where leaf_at >= 0, else by level, missing or unseen."""
    own = []
    for b, n_states in enumerate(tree.n_states):
        code = codes[tree.code_column[b]] if tree.code_column[b] >= 0 else -1
        if leaf_at[b] >= 0:
            own.append(leaf[leaf_at[b] : leaf_at[b] + n_states].astype(float))
        elif code >= 0:
            own.append(emission(tree, b, code))
        else:
            own.append(np.full(n_states, float(tree.unseen[b]) if code == -2 else 1.0))
    return own


def children(tree, b):
    return np.flatnonzero(tree.parent == b)


# ---- by enumeration: the definition ----


def enumerated(tree, own):
    """P(row, z) for every z: an array with one axis for each block."""
    table = np.zeros(tuple(tree.n_states))
    tables = transitions(tree)
    for z in product(*(range(n) for n in tree.n_states)):
        above = [0] + [z[tree.parent[b]] for b in range(1, len(z))]
        table[z] = np.prod([tables[b][above[b], z[b]] * own[b][z[b]] for b in range(len(z))])
    return table


# ---- by messages: the same in polynomial time ----


def up(tree, own):
    """Messages P(cells of b and below | z_parent), each divided by its sum, and log p(row)."""
    tables, messages = transitions(tree), [None] * len(own)
    log_prob = 0.0
    for b in reversed(range(len(own))):
        beta = own[b] * np.prod([messages[c] for c in children(tree, b)], axis=0)
        message = tables[b] @ beta
        log_prob += np.log(message.sum()) if message.any() else -np.inf
        messages[b] = message / message.sum() if message.any() else message
    return messages, log_prob


def down(tree, own, messages):
    """For each block: P(z_b | other blocks), P(z_b | row), P(z_parent, z_b | row).

    Zeros where the evidence conditioned on is impossible.
    """
    tables, n = transitions(tree), len(own)
    below = [np.prod([messages[c] for c in children(tree, b)], axis=0) for b in range(n)]
    above = [tables[0][0]] + [None] * (n - 1)
    pair = [normalised((above[0] * own[0] * below[0])[None])] + [None] * (n - 1)
    for b in range(1, n):
        p = tree.parent[b]
        siblings = [messages[c] for c in children(tree, p) if c != b]
        rest = normalised(above[p] * own[p] * np.prod(siblings, axis=0))
        above[b] = rest @ tables[b]
        pair[b] = normalised(rest[:, None] * tables[b] * (own[b] * below[b]))
    cavity = [normalised(above[b] * below[b]) for b in range(n)]
    return cavity, [p.sum(axis=0) for p in pair], pair


def normalised(x):
    return x / x.sum() if x.any() else x


# ---- EM ----


def expect(tree, codes, leaf, leaf_at, weight):
    """Expected (n_states[parent], n_states[b]) transitions and (n_levels, width) emissions.

    A childless block whose cell is missing or unseen learns nothing from that row: whatever its
    transitions, they sum to one.
    """
    n = len(tree.parent)
    moved = [np.zeros_like(table) for table in transitions(tree)]
    emitted = [np.zeros((tree.n_levels[b], tree.n_states[b] // tree.n_cells[b])) for b in range(n)]
    for row, soft, w in zip(codes, leaf, weight, strict=True):
        own = likelihoods(tree, row, soft, leaf_at)
        _, posterior, pair = down(tree, own, up(tree, own)[0])
        for b in range(n):
            code = -1 if leaf_at[b] >= 0 else row[tree.code_column[b]]
            if code >= 0:
                width = emitted[b].shape[1]
                begin = tree.cell[tree.cell_at[b] + code] * width
                emitted[b][code] += w * posterior[b][begin : begin + width]
            if code >= 0 or leaf_at[b] >= 0 or tree.message_at[b] < 0:
                moved[b] += w * pair[b]
    return moved, emitted


def maximise(tree, moved, emitted, level_share, rows, smoothing, emission_smoothing):
    """Transition and emission tables from counts that are shares of a row; `rows` turns these
    into counts."""
    tables, levels = [], []
    for b in range(len(moved)):
        sizes = [
            (1, 1) if b == 0 else cells_and_width(tree, tree.parent[b]),
            cells_and_width(tree, b),
        ]
        tables.append(smoothed_transitions(moved[b].reshape(sum(sizes, ())) * rows, smoothing))
        cell = tree.cell[tree.cell_at[b] : tree.cell_at[b] + tree.n_levels[b]]
        share = level_share[tree.cell_at[b] : tree.cell_at[b] + tree.n_levels[b]]
        shares = smoothed_emissions(emitted[b] * rows, cell, share, emission_smoothing)
        levels.append((1 - float(tree.unseen[b])) * shares)
    return tables, levels


def cells_and_width(tree, b):
    return int(tree.n_cells[b]), int(tree.n_states[b] // tree.n_cells[b])


def smoothed_transitions(counts, pull):
    """From counts (v', k', v, k) of state (cell v', subset k') to state (v, k).

    P(v, k | v', k') leans on P(v | v', k') P(k | k'): subsets persist from block to block.
    P(v | v', k') leans on P(v | v'), that and P(k | k') on the marginals of v and k, and these by
    half a row on uniform ones.
    """
    subset = leaning(counts.sum(axis=(0, 1, 2)), 0.5, 1 / counts.shape[3])
    cell = leaning(counts.sum(axis=(0, 1, 3)), 0.5, 1 / counts.shape[2])
    subset = leaning(counts.sum(axis=(0, 2)), pull, subset)  # k', k
    cell = leaning(counts.sum(axis=(1, 3)), pull, cell)  # v', v
    cell = leaning(counts.sum(axis=3), pull, cell[:, None])  # v', k', v
    prior = cell[:, :, :, None] * subset[None, :, None, :]
    n_above = counts.shape[0] * counts.shape[1]
    return leaning(counts.reshape(n_above, -1), pull, prior.reshape(n_above, -1))


def leaning(counts, pull, prior):
    """Probabilities along the last axis, with `pull` pseudo-rows spread like `prior`."""
    return (counts + pull * prior) / (counts.sum(axis=-1, keepdims=True) + pull)


def smoothed_emissions(counts, cell, share, pull):
    """P(level | state) within each cell, (n_levels, width); one level alone has all of it."""
    total = np.array([counts[cell == c].sum(axis=0) for c in cell]).reshape(counts.shape)
    return (counts + pull * share[:, None]) / (total + pull)


# ---- adaptation ----


def adapted(count, prior, above, marginal_rows, state_rows):
    """P(j | i) leaning on a prior table (n_above, n): tilted, then row by row.

    `above`: share of each row of the table in the prior's tree.
    """
    usual, led_to = marginal_rows * (above @ prior), count.sum(axis=1) @ prior
    seen, expected = count.sum(axis=0) + usual, led_to + usual
    tilt = np.divide(seen, expected, out=np.ones(len(seen)), where=expected > 1e-12)
    tilted = prior * (tilt if marginal_rows else 1.0)
    tilted /= tilted.sum(axis=1, keepdims=True)
    return (count + state_rows * tilted) / (count.sum(axis=1, keepdims=True) + state_rows)


def emission_tables(tree, b):
    """States and levels of each cell of a block that has something to learn within its cells."""
    if tree.n_levels[b] <= tree.n_cells[b]:
        return []
    width = tree.n_states[b] // tree.n_cells[b]
    cell = tree.cell[tree.cell_at[b] : tree.cell_at[b] + tree.n_levels[b]]
    return [(np.arange(c * width, (c + 1) * width), np.flatnonzero(cell == c)) for c in set(cell)]


def emission_table(tree, flat, b, states, levels):
    """P(level | state) of one cell, or counts in its layout: (n_states, n_levels)."""
    width = len(states)
    table = flat[tree.emission_at[b] :][: tree.n_levels[b] * width].reshape(-1, width)
    return table[levels].T.astype(float)
