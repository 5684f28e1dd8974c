"""Joints of classes: tables lean on pooled ones as the twin says; Bayes' rule; honest folds."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joints import mixed_table, take, without
from reference import joint as reference
from scipy.special import logsumexp
from sklearn.datasets import load_wine
from trees import observe, random_blocks

from jointprob import _joint
from jointprob.joint import Rows, families
from jointprob.joint import classes as module
from jointprob.joint.adaptation import Strength, adapt, expect, lean, total
from jointprob.joint.classes import fit_class_joints
from jointprob.joint.rows import encoded_rows
from jointprob.query import Joint
from jointprob.table import conform, read_table

NONE, ALL = Strength(0.0, 0.0, 0.0, 0.0), Strength(1e15, 1e15, 1e15, 1e15)


def close(got, want, tolerance=1e-5):
    np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance)


def fit(table, labels, weight=None, **options):
    weight = np.ones(table.n_rows) if weight is None else weight
    return fit_class_joints(table, labels, weight, int(labels.max()) + 1, **options)[0]


def fit_and_judge(table, labels, weight=None, n_classes=None, **options):
    """Joints, and their `log_prob` and `evidence` of all rows out of fold."""
    weight = np.ones(table.n_rows) if weight is None else weight
    n_classes = n_classes or int(labels.max()) + 1
    joints, seen = fit_class_joints(table, labels, weight, n_classes, **options)
    return joints, *seen.both(np.arange(table.n_rows), table)


def colours(n_rows=400, seed=0):
    """Three columns of few levels that follow a hidden group, and a label that follows it too."""
    rng = np.random.default_rng(seed)
    group = rng.integers(3, size=n_rows)
    names = np.array(["a", "b", "c"], dtype=object)
    noisy = [(group + (rng.random(n_rows) < 0.3)) % 3 for _ in range(3)]
    table = {name: names[codes] for name, codes in zip("xyz", noisy, strict=True)}
    return table, (group + (rng.random(n_rows) < 0.2)) % 3


@pytest.fixture(scope="module")
def mixed():
    table = read_table(mixed_table(300))
    labels = (np.nan_to_num(table.columns[0]) > 2).astype(np.int64)
    return table, labels, fit(table, labels, n_trees=2, n_jobs=1)


@pytest.fixture(scope="module")
def coloured():
    X, labels = colours()
    table = read_table(X)
    return table, labels, fit(table, labels, n_trees=2)


# ---- tables lean on tables ----


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.floats(0.1, 50), st.floats(0.1, 50))
def test_adapted_tables_follow_the_twin(seed, n_blocks, marginal, state):
    rng = np.random.default_rng(seed)
    problem = observe(rng, random_blocks(rng, n_blocks, [1, 2, 5]), 40)
    problem = problem.take(np.flatnonzero(np.isfinite(problem.log_prob())))
    _, _, (transition, emission, message) = problem.expect()
    tree, adapted = problem.tree, problem.tree.copy()
    counts = _joint.Counts(transition, emission, message)
    tree.kernel.finish_counts(counts)
    work = np.empty(tree.kernel.adapt_work_size())
    tree.kernel.adapt(counts, marginal, state, adapted.kernel, work)
    usual = []
    for b, before in enumerate(reference.transitions(tree)):
        above = np.ones(1) if b == 0 else usual[tree.parent[b]]
        usual.append(above @ before)
        got, count = (
            reference.tree_table(tree, flat, b) for flat in (adapted.transition, transition)
        )
        rows = (0.0, marginal) if b == 0 else (marginal, state)
        close(got, reference.adapted(count, before, above, *rows))
        for states, levels in reference.emission_tables(tree, b):
            before, got, count = (
                reference.emission_table(tree, flat, b, states, levels)
                for flat in (tree.emission, adapted.emission, emission)
            )
            seen = 1 - tree.unseen[b]
            want = reference.adapted(count, before / seen, usual[b][states], marginal, state)
            close(got / seen, want)


def pooled_and_rows(table, labels):
    encoding = fit(table, labels, n_trees=1).encoding
    rows = encoded_rows(encoding, table.schema, encoding.encode(table), np.ones(table.n_rows))
    plan = replace(module._plans(rows, 2, 1)[0], n_subsets=2)
    return families.pooled_tree(rows, plan, 0), rows, plan


def test_with_endless_strength_a_class_is_the_pooled_tree(mixed):
    table, labels, _ = mixed
    tree, rows, _ = pooled_and_rows(table, labels)
    adapted = adapt(tree, rows, ALL, chosen=np.flatnonzero(labels == 1))
    close(adapted.log_prob(rows.codes, rows.z), tree.log_prob(rows.codes, rows.z), 1e-4)


def test_without_strength_a_class_has_its_own_statistics(mixed):
    table, labels, _ = mixed
    tree, rows, plan = pooled_and_rows(table, labels)
    own = np.flatnonzero(labels == 1)
    statistics = expect(tree, rows, own)
    adapted = lean(tree, statistics, NONE, plan.floor)
    n_root = tree.n_states[0]
    close(adapted.transition[:n_root], statistics.transition[:n_root] / len(own))
    for g, weight, sums in zip(adapted.gaussians, statistics.weight, statistics.sum, strict=True):
        close(g.means[weight > 1], (sums / np.maximum(weight, 1e-9)[:, None])[weight > 1])
    fits = [adapt(tree, rows, NONE, n_passes=n, chosen=own) for n in (1, 4)]
    scores = [t.log_prob(rows.codes, rows.z)[own].mean() for t in (tree, *fits)]
    assert scores[0] < scores[1] < scores[2]


def test_statistics_of_parts_add_up(mixed):
    table, labels, _ = mixed
    tree, rows, _ = pooled_and_rows(table, labels)
    parts = [expect(tree, rows, np.arange(i, 300, 3)) for i in range(3)]
    whole, together = expect(tree, rows, np.arange(300)), total(parts)
    close(together.transition, whole.transition, 1e-3)
    close(sum(w.sum() for w in together.weight), sum(w.sum() for w in whole.weight))
    close(whole.transition[: tree.n_states[0]].sum(), 300)


# ---- densities and Bayes' rule ----


def test_log_prob_is_that_of_the_twin(coloured):
    table, _, joints = coloured
    codes, z = joints.encoding.encode(table).codes[:20], np.empty((1, 0), np.float32)
    want = np.empty((len(joints.trees), 20, 3))
    for m, trees in enumerate(joints.trees):
        for c, tree in enumerate(trees.classes):
            for i, row in enumerate(codes):
                own = reference.likelihoods(tree, row, z[0], np.full(tree.n_blocks, -1))
                want[m, i, c] = reference.up(tree, own)[1]
    got, mean = joints.both(table.take(np.arange(20)))
    close(got, logsumexp(want + joints.log_weights[:, None, None], axis=0))
    close(mean, want.mean(axis=0))
    close(joints.evidence(table.take(np.arange(20))), mean)


def test_a_missing_cell_is_the_sum_over_its_completions(coloured):
    table, _, joints = coloured
    rows = {"x": ["a", "b"], "z": ["c", "c"]}
    missing = joints.log_prob(conform(rows, table.schema, partial=True))
    every = [conform({**rows, "y": [v] * 2}, table.schema) for v in ("a", "b", "c", "new")]
    completed = [joints.log_prob(one) for one in every]
    close(missing, logsumexp(completed, axis=0))


def test_the_members_mix_to_the_density_of_the_row(mixed):
    table, _, joints = mixed
    log_prior = np.log([0.3, 0.7])
    joint = Joint(table.schema, joints.members(log_prior), 300.0)
    want = logsumexp(joints.log_prob(table) + log_prior, axis=1)
    close(joint.log_prob(mixed_table(300)), want)
    filled = joint.impute(mixed_table(300))
    assert not np.isnan(filled["a"]).any() and len(joint.sample(5)["a"]) == 5
    one_class = Joint(table.schema, joints.members(np.array([0.0, -np.inf])), 300.0)
    close(one_class.log_prob(mixed_table(300)), joints.log_prob(table)[:, 0])


def test_classes_are_told_apart():
    X, labels = load_wine(return_X_y=True)
    _, log_prob, evidence = fit_and_judge(read_table(X), labels)
    assert (evidence.argmax(axis=1) == labels).mean() > 0.94
    assert (log_prob.argmax(axis=1) == labels).mean() > 0.94


def test_classes_not_asked_about_are_zero(mixed):
    table, _, joints = mixed
    asked = np.random.default_rng(0).random((300, 2)) < 0.3
    want = np.where(asked, joints.evidence(table), 0)
    np.testing.assert_array_equal(joints.evidence(table, 1, asked), want)


# ---- few rows, odd rows ----


def test_classes_of_two_rows_have_finite_densities():
    X = take(mixed_table(80), np.arange(80))
    labels = np.arange(80) // 2
    table = read_table(X)
    joints, log_prob, evidence = fit_and_judge(table, labels, n_classes=42)  # two without rows
    for scores in (joints.log_prob(table), log_prob, evidence):
        assert scores.shape == (80, 42) and np.isfinite(scores).all()


@pytest.mark.parametrize("n_rows", [1, 2, 5, 12])
def test_a_handful_of_rows(n_rows):
    X = take(mixed_table(20), np.arange(n_rows))
    joints, log_prob, _ = fit_and_judge(read_table(X), np.arange(n_rows) % 2)
    assert np.isfinite(log_prob).all()
    assert np.isfinite(joints.log_prob(conform(mixed_table(50), read_table(X).schema))).all()


def test_a_column_may_be_missing_and_a_level_present_in_one_class_only():
    X, labels = mixed_table(200), np.arange(200) % 2
    gone = without(X, "a", "color")
    X["a"] = np.where(labels == 1, gone["a"], X["a"])
    X["color"] = np.where(labels == 1, gone["color"], X["color"])
    X["flag"] = np.where(labels == 1, np.array("only here", dtype=object), X["flag"])
    table = read_table({**X, "flag": X["flag"].astype(str)})
    joints, log_prob, _ = fit_and_judge(table, labels, n_trees=2)
    assert np.isfinite(joints.log_prob(table)).all()
    means = log_prob.argmax(axis=1) == labels
    assert means.mean() > 0.95  # the level tells the class


def test_labels_are_checked():
    table = read_table({"x": [1.0, 2.0]})
    with pytest.raises(ValueError, match=r"labels are 0 to 2; allowed are 0 to 1"):
        fit_class_joints(table, np.array([0, 2]), np.ones(2), 2)
    with pytest.raises(ValueError, match=r"columns 'x' is missing"):
        fit(read_table({"x": [np.nan, np.nan]}), np.array([0, 1]))


# ---- the same for any order, threads, repeats ----


def test_order_of_rows_and_threads_do_not_matter(mixed):
    table, labels, _ = mixed
    order = np.random.default_rng(0).permutation(300)
    joints, log_prob, _ = fit_and_judge(table, labels, n_trees=2, n_jobs=1)
    other, ordered, _ = fit_and_judge(table.take(order), labels[order], n_trees=2, n_jobs=2)
    np.testing.assert_array_equal(ordered, log_prob[order])
    np.testing.assert_array_equal(other.log_prob(table, 1), joints.log_prob(table, 2))


def test_a_weight_is_a_repeat(mixed):
    table, labels, _ = mixed
    weight = np.arange(300) % 3
    spelt = np.repeat(np.arange(300), weight)
    once, judged, _ = fit_and_judge(table, labels, weight.astype(float), n_trees=1)
    twice, spelt_out, _ = fit_and_judge(table.take(spelt), labels[spelt], n_trees=1)
    np.testing.assert_array_equal(once.log_prob(table), twice.log_prob(table))
    np.testing.assert_array_equal(judged[spelt], spelt_out)
    absent = np.flatnonzero(weight == 0)
    close(judged[absent], once.log_prob(table)[absent])


def test_weights_need_not_be_whole(mixed):
    table, labels, _ = mixed
    weight = np.random.default_rng(0).uniform(0.1, 3, 300)
    _, log_prob, _ = fit_and_judge(table, labels, weight, n_trees=1)
    assert np.isfinite(log_prob).all()


# ---- out of fold ----


@pytest.mark.parametrize("apart", [False, True])
def test_a_row_is_scored_by_classes_that_did_not_see_its_label(mixed, monkeypatch, apart):
    table, labels, joints = mixed
    if not apart:
        monkeypatch.setattr(families, "APART_ROWS", 0)
    rows = encoded_rows(joints.encoding, table.schema, joints.encoding.encode(table), np.ones(300))
    folds, changed = np.arange(300) % 5, labels.copy()
    changed[10] = 1 - labels[10]
    scores = [out_of_fold(rows, one, folds) for one in (labels, changed)]
    same_fold = folds == folds[10]
    np.testing.assert_array_equal(scores[0][same_fold], scores[1][same_fold])
    assert (scores[0][~same_fold] != scores[1][~same_fold]).any(axis=1).mean() > 0.5


def out_of_fold(rows: Rows, labels, folds):
    task = families.Task(rows, labels, folds, 2, 1)
    grown = families.grow_families(task, rows, module._plans(rows, 2, 1), seed=0)
    return grown[0].out_of_fold([ALL, Strength()], np.arange(300))[1]


def test_equal_rows_of_a_class_share_a_fold():
    X, labels = colours(200)
    table, order = read_table(X), np.arange(200)
    folds = module._folds(table, labels, order, seed=0)
    keys = np.stack([*table.columns, labels], axis=1)
    for key in np.unique(keys, axis=0):
        assert len(np.unique(folds[(keys == key).all(axis=1)])) == 1
    assert len(np.unique(folds)) == 5


def test_the_strength_is_chosen_by_the_class():
    """Labels that say nothing want the pooled tree; labels that tell all do not."""
    rng = np.random.default_rng(0)
    X = {"x": rng.normal(size=200), "y": rng.normal(size=200)}
    noise = fit(read_table(X), rng.integers(2, size=200), n_trees=1)
    X["y"] = X["y"] + 4 * (X["x"] > 0)
    signal = fit(read_table(X), (X["y"] > 2).astype(np.int64), n_trees=1)
    assert noise.trees[0].strength.mean > signal.trees[0].strength.mean
