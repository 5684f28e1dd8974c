"""The latent tree's kernels against their twin; same bits whatever the blocking; EM climbs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import joint as reference
from scipy.stats import chisquare
from trees import Block, observe, random_blocks

from jointprob import JEPADensity, _joint

TILE = 128  # JP_TILE
WIDTHS = [1, 2, 3, 4, 5, 8, 16, 17, 32, 48]

seeds = st.integers(0, 2**32 - 1)


def close(got, want, tolerance=1e-5):
    np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance)


def check_log_prob(problem):
    want = [reference.up(problem.tree, problem.own(i))[1] for i in range(len(problem.rows))]
    close(problem.log_prob(), want)


def check_marginals(problem):
    log_prob, cavity, posterior = problem.marginals()
    for i in range(len(problem.rows)):
        own = problem.own(i)
        messages, want = reference.up(problem.tree, own)
        want_cavity, want_posterior, _ = reference.down(problem.tree, own, messages)
        close(log_prob[i], want)
        close(cavity[i], np.concatenate(want_cavity))
        close(posterior[i], np.concatenate(want_posterior))


def expected_counts(problem):
    codes = problem.codes[problem.rows]
    return reference.expect(problem.tree, codes, problem.leaf, problem.leaf_at, problem.weight)


def check_expect(problem):
    """The raw counts, brought to one form: transitions and emissions of every block."""
    _, leaf, counts = problem.expect()
    want_moved, want_emitted = expected_counts(problem)
    moved, emitted = finished_counts(problem.tree, counts)
    _, posterior = problem.marginals()[1:]
    for b in range(problem.tree.n_blocks):
        close(moved[b], want_moved[b], 1e-4)
        if problem.tree.n_levels[b] > problem.tree.n_cells[b]:
            close(emitted[b], want_emitted[b], 1e-4)
        if problem.leaf_at[b] >= 0:
            n_states, at = problem.tree.n_states[b], problem.state_at[b]
            got = leaf[:, problem.leaf_at[b] : problem.leaf_at[b] + n_states]
            close(got, posterior[:, at : at + n_states] * problem.weight[:, None], 1e-5)


def finished_counts(tree, counts):
    """Expected transitions and emissions from what `expect` counts (see jp_counts)."""
    transition, emission, message = counts
    moved, emitted = [], []
    for b, table in enumerate(reference.transitions(tree)):
        raw = reference.tree_table(tree, transition, b)
        moved.append(raw if b == 0 else raw * table)
        width, start = tree.n_states[b] // tree.n_cells[b], tree.emission_at[b]
        end = start + tree.n_levels[b] * width
        emitted.append(emission[start:end].reshape(tree.n_levels[b], width).astype(float))
        for level in range(tree.n_levels[b] if tree.message_at[b] >= 0 else 0):
            at = tree.message_at[b] + level * len(table)
            pair = message[at : at + len(table), None] * table * reference.emission(tree, b, level)
            begin = tree.cell[tree.cell_at[b] + level] * width
            moved[b] += pair
            emitted[b][level] += pair.sum(axis=0)[begin : begin + width]
    return moved, emitted


def check_all(problem):
    check_log_prob(problem)
    check_marginals(problem)
    check_expect(problem)


# ---- the twin itself ----


@given(seeds, st.integers(1, 4))
@settings(max_examples=20)
def test_messages_equal_enumeration(seed, n_blocks):
    rng = np.random.default_rng(seed)
    problem = observe(rng, random_blocks(rng, n_blocks, [1, 2]), 3)
    for i in range(3):
        own = problem.own(i)
        joint = reference.enumerated(problem.tree, own)
        messages, log_prob = reference.up(problem.tree, own)
        cavity, posterior, pair = reference.down(problem.tree, own, messages)
        close(log_prob, np.log(joint.sum()), 1e-12)
        free = [np.ones_like(x) for x in own]
        for b in range(n_blocks):
            others = tuple(c for c in range(n_blocks) if c != b)
            alone = reference.enumerated(problem.tree, [*own[:b], free[b], *own[b + 1 :]])
            close(posterior[b], joint.sum(axis=others) / joint.sum(), 1e-12)
            close(cavity[b], alone.sum(axis=others) / alone.sum(), 1e-12)
            if b:
                p = problem.tree.parent[b]
                rest = tuple(c for c in range(n_blocks) if c not in (b, p))
                close(pair[b], joint.sum(axis=rest) / joint.sum(), 1e-12)


# ---- kernels against the twin ----


@given(seeds, st.integers(1, 12), st.sampled_from(["random", "star", "chain"]), st.integers(1, 12))
@settings(max_examples=60)
def test_kernels_equal_their_twin(seed, n_blocks, shape, n_rows):
    rng = np.random.default_rng(seed)
    blocks = random_blocks(rng, n_blocks, WIDTHS[:6], shape)
    check_all(observe(rng, blocks, n_rows, n_codes_rows=n_rows + 3))


@pytest.mark.parametrize("width", WIDTHS)
def test_every_width(width):
    rng = np.random.default_rng(width)
    blocks = [
        Block(-1, width, (1, 2, 1)),
        Block(0, width),
        Block(1, 1 + width // 2, (1, 1)),
        Block(1, width, (3,), soft=True),
        Block(0, width, ()),
        Block(4, width, (2, 1)),
        Block(4, width, ()),
    ]
    check_all(observe(rng, blocks, 33))


@pytest.mark.parametrize("n_rows", [1, 3, TILE - 1, TILE, TILE + 1, 2 * TILE + 5])
def test_rows_that_are_no_multiple_of_the_tile(n_rows):
    rng = np.random.default_rng(n_rows)
    check_all(observe(rng, random_blocks(rng, 5, [2, 3]), n_rows))


@pytest.mark.parametrize("n_levels", [64, 65, 300])
def test_childless_columns_of_many_levels(n_levels):
    rng = np.random.default_rng(n_levels)
    last = Block(0, 4, (1, 1, n_levels - 2))
    check_all(observe(rng, [Block(-1, 3), Block(0, 2), last], 50))


@pytest.mark.parametrize("shape", ["random", "star", "chain"])
def test_hundreds_of_columns_do_not_underflow(shape):
    rng = np.random.default_rng(300)
    blocks = [Block(-1 if b == 0 else p, 4, (1, 9)) for b, p in enumerate(parents(rng, 300, shape))]
    problem = observe(rng, blocks, 5, missing=0.02, unseen=0.3)
    assert problem.log_prob().max() < -400  # far below the smallest float
    check_all(problem)


def parents(rng, n_blocks, shape):
    return [
        {"star": 0, "chain": b - 1}.get(shape, int(rng.integers(max(1, b))))
        for b in range(n_blocks)
    ]


@pytest.mark.parametrize("n_states", [64, 100, 257])
def test_sharp_subsets(n_states):
    """Rows that leave a handful of many states, among rows that leave all."""
    rng = np.random.default_rng(n_states)
    blocks = [
        Block(-1, 3),
        Block(0, n_states, ()),
        Block(1, 5),
        Block(1, n_states, ()),
        Block(3, 2),
    ]
    problem = observe(rng, blocks, 40, missing=0.5)
    sharp = rng.random(40) < 0.7
    kept = problem.leaf > 0.9  # a leaf's largest is 1
    problem.leaf[sharp] = np.where(kept, problem.leaf, 0)[sharp]
    check_all(problem)
    alone = problem.log_prob(cuts=range(1, 40))
    assert alone.tobytes() == problem.log_prob().tobytes()


def test_nothing_known():
    rng = np.random.default_rng(0)
    problem = observe(rng, [Block(-1, 3), Block(0, 4, (2, 1)), Block(0, 2)], 7, missing=1, unseen=0)
    close(problem.log_prob(), 0)
    check_all(problem)


def test_without_weights_every_row_counts_once():
    rng = np.random.default_rng(1)
    problem = observe(rng, random_blocks(rng, 6, [2, 3]), 40)
    plain = problem.expect(weighted=False)
    problem.weight[:] = 1
    for a, b in zip(plain[2], problem.expect()[2], strict=True):
        assert a.tobytes() == b.tobytes()


# ---- the M-step ----


def level_shares(tree):
    """Every level of a cell alike."""
    shares = []
    for b in range(tree.n_blocks):
        cell = tree.cell[tree.cell_at[b] : tree.cell_at[b] + tree.n_levels[b]]
        shares.append(1 / np.bincount(cell)[cell] if len(cell) else np.empty(0))
    return np.concatenate(shares).astype(np.float32)


def maximise(problem, counts, running, batch_rows, step, rows=1000.0, pull=1.0, level_pull=1.0):
    tree = problem.tree
    tree.kernel.maximise(
        _joint.Counts(*counts), *running, level_shares(tree), rows, pull, level_pull, batch_rows,
        step, 0, tree.n_blocks, np.empty(tree.kernel.maximise_work_size()),
    )  # fmt: skip


@given(seeds, st.integers(1, 8), st.sampled_from([1.0, 0.3]), st.sampled_from([0.01, 1.0, 50.0]))
@settings(max_examples=40)
def test_tables_after_a_step_equal_their_twin(seed, n_blocks, step, pull):
    rng = np.random.default_rng(seed)
    problem = observe(rng, random_blocks(rng, n_blocks, WIDTHS[:6]), 40)
    tree, batch_rows = problem.tree, float(problem.weight.sum())
    running = [rng.random(a.shape, np.float32) / a.size for a in (tree.transition, tree.emission)]
    moved, emitted = [
        [
            (1 - step) * old + step / batch_rows * new
            for old, new in zip(before, counted, strict=True)
        ]
        for before, counted in zip(by_block(tree, *running), expected_counts(problem), strict=True)
    ]
    counts = problem.expect()[2]
    want = reference.maximise(tree, moved, emitted, level_shares(tree), 1000, pull, 2 * pull)
    maximise(problem, counts, running, batch_rows, step, 1000.0, pull, 2 * pull)
    for b, (table, levels) in enumerate(
        zip(*by_block(tree, tree.transition, tree.emission), strict=True)
    ):
        close(table, want[0][b], 1e-4)
        close(table.sum(axis=1), 1)
        if tree.n_levels[b] > tree.n_cells[b]:
            close(levels, want[1][b], 1e-4)
    assert not any(a.any() for a in counts)
    check_log_prob(problem)  # and the tables that follow from these


def by_block(tree, transition, emission):
    moved, emitted = [], []
    for b in range(tree.n_blocks):
        moved.append(reference.tree_table(tree, transition, b))
        shape = (tree.n_levels[b], tree.n_states[b] // tree.n_cells[b])
        start = tree.emission_at[b]
        emitted.append(emission[start : start + shape[0] * shape[1]].reshape(shape).astype(float))
    return moved, emitted


@pytest.mark.parametrize("seed", range(6))
def test_em_never_loses_likelihood(seed):
    """All rows in every step, next to no smoothing."""
    rng = np.random.default_rng(seed)
    problem = observe(rng, random_blocks(rng, 7, [1, 2, 3, 4]), 200)
    tree, before = problem.tree, -np.inf
    running = [np.zeros_like(tree.transition), np.zeros_like(tree.emission)]
    # a tree's own emissions must start as the M-step leaves them: alike where a cell has one level
    maximise(problem, problem.expect()[2], running, problem.weight.sum(), 1.0, 200.0, 1.0, 1.0)
    for _ in range(25):
        log_prob, _, counts = problem.expect()
        total = float(log_prob @ problem.weight)
        assert total > before - 1e-3
        before = total
        maximise(problem, counts, running, problem.weight.sum(), 1.0, 200.0, 1e-7, 1e-7)


# ---- blocking ----


@given(seeds, st.lists(st.integers(0, 3 * TILE), max_size=4))
@settings(max_examples=25)
def test_same_bits_whatever_the_row_ranges(seed, cuts):
    rng = np.random.default_rng(seed)
    problem = observe(rng, random_blocks(rng, 6, WIDTHS[1:9]), 3 * TILE)
    keys = rng.integers(2**60, size=len(problem.rows)).astype(np.uint64)
    assert problem.log_prob().tobytes() == problem.log_prob(cuts).tobytes()
    pairs = [
        *zip(problem.marginals(), problem.marginals(cuts), strict=True),
        *zip(problem.sample(7, keys), problem.sample(7, keys, cuts), strict=True),
        *zip(problem.expect()[:2], problem.expect(cuts)[:2], strict=True),
    ]
    for whole, parts in pairs:
        assert whole.tobytes() == parts.tobytes()


@given(seeds)
@settings(max_examples=25)
def test_same_bits_in_any_company(seed):
    rng = np.random.default_rng(seed)
    problem = observe(rng, random_blocks(rng, 6, WIDTHS[1:9]), TILE + 30)
    chosen = rng.permutation(len(problem.rows))[: rng.integers(1, len(problem.rows))]
    keys = rng.integers(2**60, size=len(problem.rows)).astype(np.uint64)
    some = problem.take(chosen)
    assert some.log_prob().tobytes() == problem.log_prob()[chosen].tobytes()
    for part, whole in zip(some.marginals(), problem.marginals(), strict=True):
        assert part.tobytes() == whole[chosen].tobytes()
    part, whole = some.sample(3, keys[chosen])[1], problem.sample(3, keys)[1]
    assert part.tobytes() == whole[chosen].tobytes()


# ---- impossible rows ----


@given(seeds, st.integers(0, TILE + 1))
@settings(max_examples=25)
def test_impossible_rows_are_minus_infinity_and_poison_nothing(seed, dead):
    rng = np.random.default_rng(seed)
    blocks = [*random_blocks(rng, 5, WIDTHS[:8]), Block(0, 3, (2, 1), soft=True), Block(5, 2, ())]
    problem = observe(rng, blocks, TILE + 2)
    soft = rng.choice(np.flatnonzero(problem.leaf_at >= 0))
    at = problem.leaf_at[soft]
    problem.leaf[dead, at : at + problem.tree.n_states[soft]] = 0
    alive = problem.take(np.delete(np.arange(TILE + 2), dead))
    log_prob, leaf, counts = problem.expect()
    assert log_prob[dead] == -np.inf and problem.log_prob()[dead] == -np.inf
    assert not leaf[dead].any()
    assert np.delete(log_prob, dead).tobytes() == alive.log_prob().tobytes()
    for got, want in zip(counts, alive.expect()[2], strict=True):
        close(got, want, 1e-4)
    for answer in problem.marginals()[1:]:
        assert not np.isnan(answer).any()
    assert not problem.marginals()[2][dead].any()
    states = problem.sample(0, np.arange(TILE + 2, dtype=np.uint64))[1]
    assert ((states >= 0) & (states < problem.tree.n_states)).all()


# ---- draws ----


@pytest.mark.parametrize("seed", range(4))
def test_draws_follow_the_posterior(seed):
    rng = np.random.default_rng(seed)
    blocks = [Block(-1, 2, (1, 2)), Block(0, 2), Block(0, 3, ()), Block(1, 1, (1, 1, 1))]
    one = observe(rng, blocks, 1, missing=0.4)
    n = 20_000
    many = one.take(np.zeros(n, int))
    states = many.sample(seed, np.arange(n, dtype=np.uint64))[1]
    joint = reference.enumerated(one.tree, one.own(0))
    count = np.bincount(np.ravel_multi_index(states.T, joint.shape), minlength=joint.size)
    share = joint.ravel() / joint.sum()
    assert count[share == 0].sum() == 0
    often = n * share > 5
    rest = [~often] if (n * share[~often]).sum() > 1 else []
    parts = [*np.eye(joint.size, dtype=bool)[often], *rest]
    observed = np.array([count[part].sum() for part in parts])
    wanted = np.array([share[part].sum() for part in parts])
    if len(parts) > 1:
        assert chisquare(observed, observed.sum() * wanted / wanted.sum()).pvalue > 1e-4


def test_draws_depend_on_seed_and_key_alone():
    rng = np.random.default_rng(5)
    problem = observe(rng, random_blocks(rng, 4, [3]), 60)
    keys = np.arange(60, dtype=np.uint64)
    states = problem.sample(1, keys)[1]
    assert (states == problem.sample(1, keys)[1]).all()
    assert (states != problem.sample(2, keys)[1]).any()
    assert (states != problem.sample(1, keys + 1)[1]).any()


def test_pairs_of_labels_are_counted_by_weight():
    rng = np.random.default_rng(2)
    first, second = rng.integers(-1, 4, size=(2, 500)).astype(np.int32)
    weight, counts = rng.uniform(size=500), np.ones((4, 4))
    _joint.count_pairs(first, second, weight, counts)
    want = np.ones((4, 4))
    known = (first >= 0) & (second >= 0)
    np.add.at(want, (first[known], second[known]), weight[known])
    close(counts, want, 1e-12)
    with pytest.raises(ValueError, match="refused"):
        _joint.count_pairs(first, second, None, np.ones((3, 4)))


def test_a_cell_that_all_neighbours_contradict_is_not_impossible():
    hub = np.random.default_rng(0).random(3000) < 0.5
    copies = np.repeat(hub[:, None], 41, axis=1)
    tree = JEPADensity(n_subsets=1, n_trees=1, random_state=0).fit(copies).joint_.members[0].tree
    codes = np.eye(41, dtype=np.int32)  # each row has one cell against forty
    z, n_total = np.empty((41, 0), np.float32), int(tree.n_states.sum())
    leaf, _ = tree.leaves([], np.arange(41))
    log_prob, tables = np.empty(41), np.empty((2, 41, n_total), np.float32)
    state_at = (np.cumsum(tree.n_states) - tree.n_states).astype(np.int64)
    evidence = tree.evidence(codes, np.arange(41), leaf)
    tree.kernel.marginals(evidence, state_at, 0, 41, tree.work(full=True), log_prob, *tables)
    np.testing.assert_allclose(log_prob, tree.log_prob(codes, z), rtol=1e-5)
    np.testing.assert_allclose(tables.sum(axis=2), tree.n_blocks, rtol=1e-4)
