"""Which pass comes next: survey, draw, then expected counts until held-out rows gain no more."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from jointprob.encode import encodings_of
from jointprob.joint import Member, View, fit_bag
from jointprob.joint.nursery import LEAST_WEIGHT, mixture_weights
from jointprob.joint.tree import Floats
from jointprob.joint.views import view_of, views_of
from jointprob.progress import Progress, silent
from jointprob.query import Joint
from jointprob.scale.counts import Count, Growing, maximised, merge_counts
from jointprob.scale.draw import Draw, Drawn, Layout, Lot, merge_drawn
from jointprob.scale.source import Source
from jointprob.scale.survey import Survey, TakeSurvey
from jointprob.schema import Schema, preview
from jointprob.table import Table, conform

logger = logging.getLogger("jointprob")

SAMPLE_ROWS = 131_072  # on which everything but the tables' last digits is chosen
MOST_TREES = 4  # that are carried through the passes, unless a number is asked for
SHARES = (1 / 16, 1 / 4, 1.0)  # of the rows, that a pass counts
COUNTED_ROWS = 1 << 20  # at least, where there are as many
LEAST_GAIN = 3e-4  # relative gain of a pass that is worth another one


@dataclass(frozen=True)
class Settings:
    """What an estimator asks of a fit.

    Parameters
    ----------
    n_subsets, n_trees : int or None
        As `fit_bag`.
    categorical_features : as `read_table`
    seed : int
    estimator_name : str
        What error messages call the estimator.
    n_jobs : int or None
        Threads of what this process does between passes.
    progress : callable
    """

    n_subsets: int | None = None
    n_trees: int | None = None
    categorical_features: Any = "from_dtype"
    seed: int = 0
    estimator_name: str = "JEPADensity"
    n_jobs: int | None = None
    progress: Progress = silent


def fit_batches(source: Source, settings: Settings, X_val: Any = None) -> Joint:
    """The joint of all rows of a source.

    Parameters
    ----------
    source : Source
    settings : Settings
    X_val : frame, array or dict, optional
        Rows to choose and stop on, instead of rows held out.

    Raises
    ------
    ValueError, TypeError
        Naming the column, the value and what is allowed.

    Notes
    -----
    1. A survey: rows of each batch, columns, levels by value.
    2. A draw: rows to start from and rows to hold out by their number in the source, and a
       quantile sketch of every numeric column. Structure, sizes, subsets and a bag of trees are
       fitted to the rows drawn, under the marginals of all rows.
    3. Expected counts of rows under all trees, and the trees that follow: EM, each pass an
       iteration, on a sixteenth of the rows (a million at least), on a quarter, on all. Early
       iterations move the tables farther than few rows' noise does (Meek, Thiesson & Heckerman
       2002, JMLR 2:397-418). A tree stops where held-out rows lose by a pass; a pass that gains
       little is followed by the one over all rows, if that has not been.

    Where all rows are drawn (up to 131,072), the second pass ends the fit, which is then the one of
    the rows in one table, bit for bit.
    """
    layout, validation = _survey(source, settings, X_val)
    drawn = source.fold(Draw(layout, source.n_jobs), merge_drawn)
    assert drawn is not None  # the survey found rows
    logger.debug("draw: %d rows, %d held out", drawn.sample.n_rows, drawn.held_out.n_rows)
    views = _views(drawn, layout, validation, settings)
    members = fit_bag(
        views,
        settings.n_subsets,
        settings.n_trees,
        settings.seed,
        settings.n_jobs,
        settings.progress,
    )
    logger.debug("start: %d trees", len(members))
    n_rows = layout.lot.n_rows
    if not layout.lot.whole:
        most = MOST_TREES if settings.n_trees is None else settings.n_trees
        members = _Passes(source, layout, views, members[:most], settings).members()
    return Joint(layout.schema, members, float(n_rows))


def _survey(source: Source, settings: Settings, X_val: Any) -> tuple[Layout, Table | None]:
    task = TakeSurvey(settings.categorical_features, settings.estimator_name)
    survey = source.fold(task, Survey.merged)
    schema, n_rows = survey.schema, sum(survey.n_rows)
    if schema is None:
        raise ValueError("X holds no row in any batch; allowed are one or more")
    if all(column.empty for column in schema):
        raise ValueError(
            f"X holds no value: every cell of the columns {preview(schema.names)} is missing; "
            "at least one must be known"
        )
    starts = tuple(np.cumsum((0, *survey.n_rows)).tolist())
    lot = Lot(n_rows, SAMPLE_ROWS, settings.seed, X_val is None)
    validation = (
        None if X_val is None else conform(X_val, schema, False, "X_val", settings.estimator_name)
    )
    logger.debug("survey: %d rows in %d batches", n_rows, len(survey.n_rows))
    return Layout(schema, starts, lot, settings.estimator_name), validation


def _views(
    drawn: Drawn, layout: Layout, validation: Table | None, settings: Settings
) -> list[View]:
    sample, n_jobs = drawn.sample, settings.n_jobs
    if layout.lot.whole:
        return views_of(sample, np.ones(sample.n_rows), validation, settings.seed, n_jobs)
    held_out = drawn.held_out if validation is None else validation
    encodings = encodings_of(layout.schema, _values_by_sketch(drawn, layout.schema), n_jobs)
    weight, held_weight = np.ones(sample.n_rows), np.ones(held_out.n_rows)
    kept = encodings if encodings[0].numeric else encodings[:1]
    return [view_of(e, sample, weight, held_out, held_weight, n_jobs) for e in kept]


def _values_by_sketch(drawn: Drawn, schema: Schema) -> Callable[[int], tuple[Floats, Floats]]:
    sketches = dict(zip(schema.numeric, drawn.sketches, strict=True))
    return lambda column: (sketches[column].values, sketches[column].evidence)


class _Passes:
    """EM of some trees over all rows of a source, each stopped on held-out rows."""

    def __init__(
        self,
        source: Source,
        layout: Layout,
        views: list[View],
        members: tuple[Member, ...],
        settings: Settings,
    ) -> None:
        self.source, self.layout, self.settings = source, layout, settings
        self.views = {id(view.encoding): view for view in views}
        self.trees = [Growing(m.tree, m.encoding, m.plan) for m in members]
        self.scores = [self._score(growing) for growing in self.trees]
        self.open = list(range(len(self.trees)))

    def _view(self, growing: Growing) -> View:
        return self.views[id(growing.encoding)]

    def _score(self, growing: Growing) -> Floats:
        view = self._view(growing)
        held_out = view.held_out
        log_prob = growing.tree.log_prob(held_out.codes, held_out.z, self.settings.n_jobs)
        return log_prob + view.log_jacobian

    def _mixture(self) -> tuple[Floats, float]:
        weight = self.views[id(self.trees[0].encoding)].held_out.weight
        return mixture_weights(np.stack(self.scores, axis=1), weight)

    def members(self) -> tuple[Member, ...]:
        """The trees after the last pass, heaviest first; those of little weight are dropped."""
        score, least = self._mixture()[1], COUNTED_ROWS / self.layout.lot.n_rows
        shares = [min(1.0, max(share, least)) for share in SHARES]
        while shares and self.open:
            share, before = shares.pop(0), score
            self._iterate(share)
            score = self._mixture()[1]
            self._tell(f"pass over {share:.2f} of the rows", score)
            if score - before < LEAST_GAIN * abs(score):
                shares = shares[-1:] if share < 1 else []
        return self._weighted()

    def _tell(self, what: str, score: float) -> None:
        logger.debug("%s: held out %.4f", what, score)
        self.settings.progress(f"{what}, held out {score:.4f} nats")

    def _iterate(self, share: float) -> None:
        """One pass; a tree that it does not help stays as it was, and is left alone from then."""
        trees = tuple(self.trees[i] for i in self.open)
        task = Count(self.layout, trees, share, self.source.n_jobs)
        counts = self.source.fold(task, merge_counts)
        assert counts is not None  # the survey found rows
        for i, own in zip(list(self.open), counts, strict=True):
            moved = maximised(self.trees[i], own, self._view(self.trees[i]).held_out)
            score = self._score(moved)
            if score.mean() > self.scores[i].mean():
                self.trees[i], self.scores[i] = moved, score
            else:
                self.open.remove(i)

    def _weighted(self) -> tuple[Member, ...]:
        weights, _ = self._mixture()
        kept = np.flatnonzero(weights >= min(LEAST_WEIGHT, weights.max()))
        kept = kept[np.argsort(-weights[kept], kind="stable")]
        log_weights = np.log(weights[kept] / weights[kept].sum())
        return tuple(
            Member(self.trees[i].tree, self.trees[i].encoding, float(w), self.trees[i].plan)
            for i, w in zip(kept, log_weights, strict=True)
        )
