"""The latent tree's kernels alone: seconds, bytes, FLOPs, and the share of the machine's limit.

``python -m pytest bench/test_joint.py`` on an idle machine; ``python bench/test_joint.py`` prints
the EM pass as a Markdown table. An edge costs 2 * width_parent * width FLOPs a row for each matrix
product: one up, and in EM one down and one of expected transitions. Nothing else is counted:
neither element-wise work nor childless columns, which answer from a table.
"""

from __future__ import annotations

import pytest
from latent_tree import batch, edge_products, expect, maximise, two_level_tree
from machine import (
    MATMUL_FLOPS,
    fastest,
    matmul,
    state,
)

SHAPES = ["random", "chain"]


@pytest.fixture(params=SHAPES)
def tree(request):
    return two_level_tree(request.param)


def message_bytes(tree, n_rows):
    """What a row leaves behind at each block: beta and a message, written and read."""
    return 16 * n_rows * int(tree.n_states.sum())


def table_bytes(tree):
    return tree.transition.nbytes + tree.emission.nbytes + tree.message.nbytes


def test_log_prob(benchmark, limits, tree):
    b = batch(tree)
    benchmark(tree.kernel.log_prob, b.evidence, 0, b.n_rows, b.work, b.log_prob)
    n_bytes = b.codes.nbytes + table_bytes(tree) + message_bytes(tree, b.n_rows)
    state(benchmark, limits, n_bytes, 2 * b.n_rows * edge_products(tree))


def test_expect(benchmark, limits, tree):
    b = batch(tree)
    benchmark(expect, tree, b)
    n_bytes = b.codes.nbytes + 4 * table_bytes(tree) + 2 * message_bytes(tree, b.n_rows)
    state(benchmark, limits, n_bytes, 6 * b.n_rows * edge_products(tree))


def test_maximise(benchmark, limits, tree):
    """Counts are read and cleared, running counts and tables rewritten, the transpose written."""
    b = batch(tree)
    benchmark(maximise, tree, b)
    state(benchmark, limits, 7 * table_bytes(tree), 12 * tree.transition.size)


def test_marginals(benchmark, limits, tree):
    """Down, the states of every level of the block are asked for."""
    b = batch(tree)
    benchmark(
        tree.kernel.marginals, b.evidence, b.state_at, 0, b.n_rows, b.work, b.log_prob, b.cavity,
        b.posterior,
    )  # fmt: skip
    width = tree.n_states // tree.n_cells
    up = (width[1:] * tree.n_states[tree.parent[1:]]).sum()
    down = (width[tree.parent[1:]] * tree.n_states[1:]).sum()
    n_bytes = b.cavity.nbytes + b.posterior.nbytes + 2 * message_bytes(tree, b.n_rows)
    state(benchmark, limits, n_bytes, 2 * b.n_rows * int(up + down))


def test_sample(benchmark, limits, tree):
    b = batch(tree)
    benchmark(
        tree.kernel.sample, b.evidence, 1, b.draw_key, 0, b.n_rows, b.work, b.log_prob, b.states
    )
    width = tree.n_states // tree.n_cells
    products = int((width[1:] * width[tree.parent[1:]]).sum())
    state(benchmark, limits, message_bytes(tree, b.n_rows), 2 * b.n_rows * products)


@pytest.mark.parametrize("width", [4, 8, 16, 32, 64, 128])
def test_expect_by_width(benchmark, limits, width):
    tree = two_level_tree("chain", 40, width)
    b = batch(tree)
    benchmark(expect, tree, b)
    n_bytes = 4 * table_bytes(tree) + 2 * message_bytes(tree, b.n_rows)
    state(benchmark, limits, n_bytes, 6 * b.n_rows * edge_products(tree))


def em_pass(shape: str) -> str:
    """One line: the E-step of a 512-row batch, and with its M-step, beside the matmul."""
    tree = two_level_tree(shape)
    b = batch(tree)
    e_step, both, product = fastest(
        lambda: expect(tree, b), lambda: (expect(tree, b), maximise(tree, b)), matmul(), rounds=15
    )
    flops, limit = 6 * b.n_rows * edge_products(tree), MATMUL_FLOPS / product
    cells = [
        shape, int((tree.message_at < 0).sum()) - 1, f"{flops / 1e6:.0f}",
        f"{1e3 * e_step:.2f}", f"{flops / e_step / 1e9:.1f}", f"{flops / e_step / limit:.0%}",
        f"{1e3 * both:.2f}", f"{flops / both / limit:.0%}", f"{limit / 1e9:.1f}",
    ]  # fmt: skip
    return "| " + " | ".join(map(str, cells)) + " |"


HEADER = (
    "| tree | edges multiplied | MFLOP a batch | E-step ms | GFLOP/s | of matmul "
    "| with M-step ms | of matmul | matmul GFLOP/s |"
)


def em_passes() -> str:
    """The EM pass of 100 two-level columns, as a Markdown table."""
    lines = [HEADER, "|---" + "|---:" * 8 + "|", *map(em_pass, SHAPES)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print("EM pass, 100 two-level columns of 64 states, 512 rows, one thread\n")
    print(em_passes())
