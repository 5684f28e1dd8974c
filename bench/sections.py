"""The sections of the density comparison, each a function that returns Markdown."""

from __future__ import annotations

import data
import targets
import test_joint
from comparison import Comparison
from measure import Result
from results import figure, megabytes, number, table, verdict

SCALE = [(10**4, 20), (10**5, 20), (10**6, 20), (10**5, 5), (10**5, 10), (10**5, 40)]
THREAD_SETS = [("binary", "dna"), ("continuous", "htru2"), ("mixed", "german_credit")]


def above(value: float | None, least: float | None) -> str:
    return verdict(None if value is None or least is None else value >= least)


def below(value: float | None, most: float | None) -> str:
    return verdict(None if value is None or most is None else value <= most)


def ratio(ours: Result, other: Result, key: str, other_key: str | None = None) -> float | None:
    numerator, denominator = ours.get(key), other.get(other_key or key)
    return numerator / denominator if numerator and denominator else None


def binary(comparison: Comparison) -> str:
    """Two-level tables beside independent columns and published figures."""
    rows = [_binary_row(comparison, name) for name in comparison.named(data.BINARY)]
    header = (
        "set | ours | at least | | best published | | independent columns | fit s "
        f"| within {targets.BINARY_SECONDS} s | rows/s | peak MB"
    )
    return (
        "### Binary sets, nats per test row\n\n"
        + table(header, rows)
        + "\nBest published: the best figure of any method in print, as listed in targets.py; "
        "not run here. Peak memory is above the input, in the fit.\n"
    )


def _binary_row(comparison: Comparison, name: str) -> list[str]:
    ours = comparison.ours("default", "binary", name)
    independent = comparison.peer("peers.independent_bits", "binary", name)
    nats, least, best = ours.get("nats"), targets.BINARY_LEAST[name], targets.BINARY_PUBLISHED[name]
    return [
        name, number(nats, 3), number(least, 3), above(nats, least),
        number(best), above(nats, best), number(independent.get("nats")),
        figure(ours.get("fit_seconds")), below(ours.get("fit_seconds"), targets.BINARY_SECONDS),
        figure(ours.get("rows_per_second")), megabytes(ours.get("peak_bytes")),
    ]  # fmt: skip


def continuous(comparison: Comparison) -> str:
    """Numeric tables beside scikit-learn's two densities: nats, then cost."""
    runs = {name: _continuous_runs(comparison, name) for name in comparison.named(data.CONTINUOUS)}
    nats_header = (
        "set | ours | at least | | GaussianMixture | K, reg_covar | KernelDensity | bandwidth "
        "| independent columns | neural spline flow, 130 s of CPU (not run here)"
    )
    cost_header = (
        f"set | our fit s | within {targets.CONTINUOUS_SECONDS} s | GaussianMixture search s "
        "| ours / search | <= 1/5 | its chosen fit s | our rows/s | our Gaussians "
        f"| GaussianMixture rows/s, same number | ratio | >= {targets.GAUSSIAN_SPEED} "
        f"| KernelDensity rows/s | ratio | >= {targets.KERNEL_SPEED} "
        "| peak MB ours | GaussianMixture | KernelDensity"
    )
    return (
        "### Continuous sets, nats per test row\n\n"
        + table(nats_header, [_nats_row(name, *runs[name]) for name in runs])
        + "\n### Continuous sets, cost\n\n"
        + table(cost_header, [_cost_row(name, *runs[name]) for name in runs])
        + "\nGaussianMixture: the best on valid of K in 1, 4, 16, 64, 128 (at most a tenth of the "
        "rows) and reg_covar in 1e-6, 1e-4; float32 as stored, float64 where that breaks down; all "
        "cores through BLAS; the search is all its fits and scores of valid. KernelDensity: "
        "bandwidth chosen on the first 1,000 rows of valid, nats and rows/s on the first 2,000 of "
        "test, for it is slow. Rows/s at the same number of Gaussians: a GaussianMixture of that "
        "many full covariances, unfitted; one of ours over a block of some columns counts as one.\n"
    )


def _continuous_runs(comparison: Comparison, name: str) -> tuple[Result, ...]:
    ours = comparison.ours("default", "continuous", name)
    mixture = _tuned_mixture(comparison, name)
    kernel = comparison.peer("peers.kernel_density", "continuous", name)
    same = {}
    if ours.get("n_gaussians"):
        n_gaussians = ours["n_gaussians"]
        same = comparison.peer(
            "peers.gaussian_mixture_speed", "continuous", name, n_gaussians=n_gaussians
        )
    independent = comparison.ours("independent_columns", "continuous", name)
    return ours, mixture, kernel, same, independent


def _tuned_mixture(comparison: Comparison, name: str) -> Result:
    search = comparison.peer("peers.gaussian_mixture_search", "continuous", name)
    if "chosen" not in search:
        return search
    choice = {key: search[key] for key in ("n_gaussians", "floor")}
    return search | comparison.peer("peers.gaussian_mixture", "continuous", name, **choice)


def _nats_row(
    name: str, ours: Result, mixture: Result, kernel: Result, same: Result, independent: Result
) -> list[str]:
    nats, least = ours.get("nats"), targets.CONTINUOUS_LEAST[name]
    return [
        name, number(nats), number(least), above(nats, least),
        number(mixture.get("nats")), mixture.get("chosen", "-"),
        number(kernel.get("nats")), kernel.get("chosen", "-"),
        number(independent.get("nats")), number(targets.FLOW.get(name)),
    ]  # fmt: skip


def _cost_row(
    name: str, ours: Result, mixture: Result, kernel: Result, same: Result, independent: Result
) -> list[str]:
    seconds = ours.get("fit_seconds")
    share = ratio(ours, mixture, "fit_seconds", "search_seconds")
    gaussian, kernels = (ratio(ours, other, "rows_per_second") for other in (same, kernel))
    return [
        name, figure(seconds), below(seconds, targets.CONTINUOUS_SECONDS),
        figure(mixture.get("search_seconds")), figure(share), below(share, targets.SEARCH_SHARE),
        figure(mixture.get("fit_seconds")),
        figure(ours.get("rows_per_second")), figure(ours.get("n_gaussians")),
        figure(same.get("rows_per_second")), figure(gaussian),
        above(gaussian, targets.GAUSSIAN_SPEED), figure(kernel.get("rows_per_second")),
        figure(kernels), above(kernels, targets.KERNEL_SPEED),
        *(megabytes(run.get("peak_bytes")) for run in (ours, mixture, kernel)),
    ]  # fmt: skip


def mixed(comparison: Comparison) -> str:
    """Tables of both kinds, beside simpler models of our own and arfpy."""
    names = comparison.named(data.MIXED)
    whole = [_whole_row(comparison, name) for name in names]
    parts = [_part_row(comparison, name) for name in names]
    whole_header = (
        "table | ours | independent columns | mixture of 256 | above both | our fit s "
        "| mixture's fit s | our rows/s | peak MB"
    )
    part_header = (
        "table | ours | arfpy | above arfpy | our fit s | arfpy's fit s | our rows/s "
        "| arfpy's rows/s | peak MB ours | arfpy | arfpy's answer"
    )
    return (
        "### Mixed tables, all columns with the target among them, nats per test row\n\n"
        + table(whole_header, whole)
        + "\nShuffled by `default_rng(0)`, cut 70/10/20. A value that holds more than 5 % of a "
        "numeric column is an atom: there the log density is with respect to counting measure. "
        "All three models of this table have the same atoms, so their figures compare.\n\n"
        "### Mixed tables, the part on which other packages compare\n\n"
        + table(part_header, parts)
        + "\narfpy gives a density (Lebesgue) on every numeric column, atoms or not, so it and "
        "ours do not compare on whole tables. This part leaves out numeric columns with atoms and "
        "columns less than half observed, then incomplete rows (arfpy takes no missing cell), and "
        "spreads numeric cells evenly over their grid step; both are fitted on it anew. arfpy has "
        "no likelihood of its own: the density that its `forde` describes is evaluated by "
        "`bench/adversarial_forest.py`, levels smoothed by a pseudo-count chosen on valid "
        "(its rows/s are those of this evaluation); "
        f"stopped after {targets.FOREST_SECONDS} s in all.\n"
    )


def _whole_row(comparison: Comparison, name: str) -> list[str]:
    runs = [
        comparison.ours(method, "mixed", name)
        for method in ("default", "independent_columns", "mixture")
    ]
    ours, _, mixture = runs
    nats = [run.get("nats") for run in runs]
    rivals = None if None in nats else max(nats[1:])
    return [
        name, *(number(value, 3) for value in nats), above(nats[0], rivals),
        figure(ours.get("fit_seconds")), figure(mixture.get("fit_seconds")),
        figure(ours.get("rows_per_second")), megabytes(ours.get("peak_bytes")),
    ]  # fmt: skip


def _part_row(comparison: Comparison, name: str) -> list[str]:
    ours = comparison.ours("default", "comparable", name)
    forest = comparison.peer(
        "adversarial_forest.adversarial_forest", "comparable", name, targets.FOREST_SECONDS
    )
    runs = ours, forest
    return [
        name, *(number(run.get("nats"), 3) for run in runs),
        above(ours.get("nats"), forest.get("nats")),
        *(figure(run.get("fit_seconds")) for run in runs),
        *(figure(run.get("rows_per_second")) for run in runs),
        *(megabytes(run.get("peak_bytes")) for run in runs),
        forest.get("error", forest.get("chosen", "-")),
    ]  # fmt: skip


def scale(comparison: Comparison) -> str:
    """Cost against rows and against columns, on a generated table."""
    rows = [_scale_row(comparison, n_rows, n_cols) for n_rows, n_cols in SCALE]
    header = (
        "rows x columns | fit s | microseconds per row | per cell | peak MB above the input "
        "| nats | rows/s | within 180 s and 2 GB"
    )
    return (
        "### Scale: half numeric, half categorical columns, 5 % of the cells missing\n\n"
        + table(header, rows)
        + "\nNats on 10,000 fresh rows of the same generator (`bench/data.py`).\n"
    )


def _scale_row(comparison: Comparison, n_rows: int, n_cols: int) -> list[str]:
    run = comparison.ours("scaling", "synthetic", f"{n_rows} x {n_cols}")
    seconds, peak = run.get("fit_seconds"), run.get("peak_bytes")
    per_row = None if seconds is None else 1e6 * seconds / n_rows
    per_cell = None if per_row is None else per_row / n_cols
    within = (
        None
        if seconds is None
        else seconds <= targets.SCALE_SECONDS and peak <= targets.SCALE_BYTES
    )
    return [
        f"{n_rows:,} x {n_cols}", figure(seconds), figure(per_row), figure(per_cell),
        megabytes(peak), number(run.get("nats")), figure(run.get("rows_per_second")),
        verdict(within) if n_rows == 10**6 else "-",
    ]  # fmt: skip


def threads(comparison: Comparison) -> str:
    """Same bits for one and two threads, and for any order of the query rows."""
    rows = [_threads_row(comparison, kind, name) for kind, name in THREAD_SETS]
    header = (
        "set | fit s, 1 thread | 2 threads | same bits "
        "| shuffled queries same bits | largest difference"
    )
    return "### Threads and row order\n\n" + table(header, rows)


def _threads_row(comparison: Comparison, kind: str, name: str) -> list[str]:
    one, two = (comparison.ours("bits", kind, name, n_jobs=n) for n in (1, 2))
    complete = "digest" in one and "digest" in two
    return [
        name, figure(one.get("fit_seconds")), figure(two.get("fit_seconds")),
        verdict(one["digest"] == two["digest"] if complete else None),
        verdict(two.get("shuffle_same_bits")), figure(two.get("shuffle_difference")),
    ]  # fmt: skip


def kernels(comparison: Comparison) -> str:
    """The hot path on its own, beside a matrix product in the same run."""
    return (
        "### EM pass, 100 two-level columns of 64 states, 512 rows, one thread\n\n"
        + test_joint.em_passes()
        + "\nThe limit is NumPy's float32 product of two 2048 x 2048 matrices on one thread, timed "
        "in turn with the kernel; the aim is 35 % of it. FLOPs are those of the edges that are "
        "multiplied: three products an edge and row; childless columns are looked up instead.\n"
    )
