"""Random latent trees and evidence for the tests of the joint stage."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from reference import joint as reference

from jointprob import _joint
from jointprob.density import Gaussians
from jointprob.joint.tree import empty_tree


@dataclass
class Block:
    """One block: its cells have `width` states each; no levels means numeric."""

    parent: int
    width: int
    levels: tuple[int, ...] = (1, 1)  # levels of each cell
    soft: bool = False  # takes likelihoods although it has levels


@dataclass
class Problem:
    """A tree, what is known of each row, and the kernels' answers to it."""

    tree: object
    codes: np.ndarray
    rows: np.ndarray
    leaf: np.ndarray
    leaf_at: np.ndarray
    weight: np.ndarray

    @property
    def state_at(self):
        return np.cumsum([0, *self.tree.n_states[:-1]]).astype(np.int64)

    def evidence(self):
        return _joint.Evidence(
            self.codes, self.tree.code_column, self.rows, self.leaf, self.leaf_at
        )

    def take(self, chosen):
        """The same tree with some of the rows, in the order given."""
        leaf = np.ascontiguousarray(self.leaf[chosen])
        return Problem(
            self.tree, self.codes, self.rows[chosen], leaf, self.leaf_at, self.weight[chosen]
        )

    def ranges(self, cuts=()):
        return list(pairwise([0, *sorted(cuts), len(self.rows)]))

    def log_prob(self, cuts=()):
        out, work = np.full(len(self.rows), np.nan), self.tree.work()
        for start, stop in self.ranges(cuts):
            self.tree.kernel.log_prob(self.evidence(), start, stop, work, out)
        return out

    def marginals(self, cuts=()):
        shape = (len(self.rows), int(self.tree.n_states.sum()))
        cavity, posterior = np.full(shape, np.nan, np.float32), np.full(shape, np.nan, np.float32)
        out, work = np.empty(len(self.rows)), self.tree.work(full=True)
        for start, stop in self.ranges(cuts):
            self.tree.kernel.marginals(
                self.evidence(), self.state_at, start, stop, work, out, cavity, posterior
            )
        return out, cavity, posterior

    def expect(self, cuts=(), weighted=True):
        """log_prob, leaf posteriors, and counts of transitions, emissions, messages."""
        tree = self.tree
        counts = [np.zeros_like(a) for a in (tree.transition, tree.emission, tree.message)]
        out, leaf = np.empty(len(self.rows)), np.zeros_like(self.leaf)
        for start, stop in self.ranges(cuts):
            tree.kernel.expect(
                self.evidence(), self.weight if weighted else None, start, stop, tree.work(), out,
                _joint.Counts(*counts), leaf,
            )  # fmt: skip
        return out, leaf, counts

    def sample(self, seed, draw_key, cuts=()):
        states = np.full((len(self.rows), self.tree.n_blocks), -1, np.int32)
        out, work = np.empty(len(self.rows)), self.tree.work()
        for start, stop in self.ranges(cuts):
            self.tree.kernel.sample(self.evidence(), seed, draw_key, start, stop, work, out, states)
        return out, states

    def own(self, i):
        """P(own cells | z_b) of row i for each block."""
        codes = self.codes[self.rows[i]]
        return reference.likelihoods(self.tree, codes, self.leaf[i], self.leaf_at)


def grow_tree(rng, blocks):
    """A tree of these blocks with random tables; block b is column b of the codes."""
    cells = [np.repeat(np.arange(len(b.levels)), b.levels).astype(np.int32) for b in blocks]
    numeric = [len(c) == 0 for c in cells]
    tree = empty_tree(
        np.array([b.parent for b in blocks]),
        np.where(numeric, -1, np.arange(len(blocks))),
        cells,
        [b.width for b in blocks],
        [
            Gaussians.empty(np.arange(1), b.width) if no_levels else None
            for b, no_levels in zip(blocks, numeric, strict=True)
        ],
    )
    for b, block in enumerate(blocks):
        tree.unseen[b] = 1 if numeric[b] else rng.uniform(0.001, 0.1)
        fill_transitions(rng, tree, b)
        fill_emissions(rng, tree, b, block)
    tree.derive()
    return tree


def fill_transitions(rng, tree, b):
    shape = reference.tree_table(tree, tree.transition, b).shape
    table = rng.dirichlet(np.full(shape[1], 0.3), size=shape[0]) + 1e-9
    start = tree.transition_at[b]
    tree.transition[start : start + table.size] = (table / table.sum(axis=1, keepdims=True)).ravel()


def fill_emissions(rng, tree, b, block):
    start = tree.emission_at[b]
    for n_levels in block.levels:
        table = rng.dirichlet(np.ones(n_levels), size=block.width).T * (1 - tree.unseen[b])
        tree.emission[start : start + table.size] = table.ravel()
        start += table.size


def observe(rng, blocks, n_rows, missing=0.2, unseen=0.05, n_codes_rows=None):
    """A random problem: levels, missing and unseen codes, soft likelihoods, weights."""
    tree = grow_tree(rng, blocks)
    shape = (n_codes_rows or n_rows, len(blocks))
    codes = np.stack([rng.integers(max(1, sum(b.levels)), size=shape[0]) for b in blocks], axis=1)
    fate = rng.random(shape)
    codes[fate < missing] = -1
    codes[fate > 1 - unseen] = -2
    soft = np.array([b.soft or not b.levels for b in blocks])
    sizes = np.where(soft, tree.n_states, 0)
    leaf_at = np.where(soft, np.cumsum(sizes) - sizes, -1)
    leaf = rng.random((n_rows, sizes.sum())).astype(np.float32) ** 4
    leaf[rng.random(leaf.shape) < 0.1] = 0
    for b in np.flatnonzero(soft):  # a row's largest is 1
        best = leaf_at[b] + rng.integers(sizes[b], size=n_rows)
        leaf[np.arange(n_rows), best] = 1
    return Problem(
        tree,
        codes.astype(np.int32),
        rng.integers(shape[0], size=n_rows),
        leaf,
        leaf_at.astype(np.int64),
        rng.uniform(0, 3, size=n_rows),
    )


def random_blocks(rng, n_blocks, widths, shape="random"):
    """Blocks parents first: numeric, few levels, several levels a cell, soft."""
    above = {"star": lambda b: 0, "chain": lambda b: b - 1}
    parent = above.get(shape, lambda b: int(rng.integers(b)))
    return [
        random_block(rng, parent(b) if b else -1, int(rng.choice(widths))) for b in range(n_blocks)
    ]


def random_block(rng, parent, width):
    kind = rng.random()
    if kind < 0.15:
        return Block(parent, width, ())
    levels = rng.integers(1, 2 if kind < 0.5 else 5, size=rng.integers(1, 5))
    return Block(parent, width, tuple(levels.tolist()), soft=kind > 0.85)
