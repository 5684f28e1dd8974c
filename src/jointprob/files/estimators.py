"""Checks of estimators: their parts belong to one table."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from jointprob.adapt.labels import LabelStream
from jointprob.adapt.numbers import NumberStream
from jointprob.augment.tables.augmenter import TableAugmenter
from jointprob.augment.tables.gaps import Gaps
from jointprob.augment.tables.model import Model
from jointprob.estimators.classifier import JEPAClassifier
from jointprob.estimators.density import JEPADensity
from jointprob.estimators.imputer import JEPAImputer
from jointprob.estimators.outliers import JEPAOutlierDetector
from jointprob.estimators.regressor import JEPARegressor
from jointprob.estimators.strangeness import Levels
from jointprob.files.checks import ROUNDING, check, require, shaped, within
from jointprob.files.joints import check_encoding
from jointprob.forest.bins import Binning
from jointprob.predict.labels import LabelModel
from jointprob.predict.numbers import NumberModel
from jointprob.predict.offset import NumberSource, TunedNumbers
from jointprob.predict.source import LabelSource
from jointprob.schema import Schema

PARTS_OF_A_FIT = ("joint_", "feature_importances_")  # that no stream has set


@check.register
def _density(density: JEPADensity) -> None:
    require(density.n_trees_ == len(density.joint_.members), "another number of trees")
    require(density.n_subsets_ > 0, "there are no subsets")
    share = vars(density).get("source_share_", 0.0)
    require(0 <= share <= 1 + ROUNDING, f"the share of the source is {share}")


@check.register
def _imputer(imputer: JEPAImputer) -> None:
    shaped(imputer.bounds_, (len(imputer.joint_.schema), 2), "bounds")
    require((imputer.bounds_[:, 0] <= imputer.bounds_[:, 1]).all(), "bounds are out of order")


@check.register
def _detector(detector: JEPAOutlierDetector) -> None:
    norm, schema = detector._norm, detector.joint_.schema
    require(len(norm.cells) == len(schema), "tails of other columns")
    for tail, column in zip(norm.cells, schema, strict=True):
        require(isinstance(tail, Levels) == column.is_categorical, "a tail of another kind")
        if isinstance(tail, Levels):
            shaped(tail.log_mass, (len(column.levels) + 2,), "masses of levels")
    require(np.isfinite(detector.offset_), f"offset is {detector.offset_}")
    require(0 <= detector.kept_share_ <= 1 + ROUNDING, f"kept share is {detector.kept_share_}")


@check.register
def _classifier(classifier: JEPAClassifier) -> None:
    model = classifier._model
    _check_parts(classifier, isinstance(model, LabelStream))
    if isinstance(model, LabelStream):
        _check_classes(classifier.classes_, len(model.forest.class_rows))
        if model.before is not None and model.fitted is not None:
            _check_labels(model.before, model.before.n_classes, model.fitted.schema)
        return
    _check_classes(classifier.classes_, model.n_classes)
    _check_labels(model, model.n_classes, classifier.joint_.schema)
    shaped(classifier.feature_importances_, (len(classifier.joint_.schema),), "importances")


@check.register
def _regressor(regressor: JEPARegressor) -> None:
    model = regressor._model
    _check_parts(regressor, isinstance(model, NumberStream))
    if isinstance(model, NumberStream):
        if model.before is not None and model.fitted is not None:
            _check_numbers(model.before, model.fitted.schema)
        return
    _check_numbers(model, regressor.joint_.schema)
    shaped(regressor.feature_importances_, (len(regressor.joint_.schema),), "importances")


def _check_parts(estimator: JEPAClassifier | JEPARegressor, streaming: bool) -> None:
    for name in PARTS_OF_A_FIT:
        known = name in vars(estimator)
        require(known != streaming, f"{name} in a stream" if known else f"{name} is lacking")


def _check_classes(classes: NDArray[Any], n: int) -> None:
    shaped(classes, (n,), "classes")
    require(len(set(classes.tolist())) == n, "equal classes")


def _check_labels(model: LabelModel, n_classes: int, schema: Schema) -> None:
    require(model.n_classes == n_classes, "a model of other classes")
    check_encoding(schema, model.joints.encoding)
    _check_bins(model.binning, schema)
    if model.source is not None:
        _check_kinds(model.source.schema, schema)
    if model.graph is not None:
        check_encoding(schema, model.graph.encoding)
    for student in model.students:
        _check_labels(student, n_classes, schema)


def _check_numbers(model: NumberModel | TunedNumbers, schema: Schema) -> None:
    if isinstance(model, TunedNumbers):
        _check_kinds(model.source.schema, schema)
        for part in (model.corrected, model.alone):
            _check_numbers(part, schema)
        return
    check_encoding(schema, model.joint.joints.encoding)
    _check_bins(model.binning, schema)


def _check_kinds(source: Schema, target: Schema) -> None:
    """Columns of one name are read as one another."""
    kinds = {column.name: column.kind for column in target}
    for column in source:
        require(kinds.get(column.name, column.kind) == column.kind, "a source of other kinds")


def _check_bins(binning: Binning, schema: Schema) -> None:
    kinds = tuple(column.is_categorical for column in schema)
    require(binning.categorical == kinds, "bins of columns of another kind")
    for edges, column in zip(binning.edges, schema, strict=True):
        require(
            not column.is_categorical or len(edges) == len(column.levels), "bins of other levels"
        )


# ---- sources of fine-tuned models ----


@check.register
def _label_source(source: LabelSource) -> None:
    known, n = source.model.n_classes, source.n_classes
    _check_labels(source.model, known, source.schema)
    shaped(source.position, (known,), "places of classes")
    within(source.position, 0, n - 1, "places of classes")
    require(len(np.unique(source.position)) == known, "two classes in one place")
    within(source.present, 0, n - 1, "classes present")
    require(len(source.present) > 1, "fewer than two classes present")
    require((np.diff(source.present) > 0).all(), "classes present out of order")
    _check_strength(source.strength)


@check.register
def _number_source(source: NumberSource) -> None:
    _check_numbers(source.model, source.schema)
    _check_strength(source.strength)


def _check_strength(strength: float | None) -> None:
    require(strength is None or 0 <= strength <= 1, f"the strength of a source is {strength}")


# ---- new rows of tables ----


@check.register
def _gaps(gaps: Gaps) -> None:
    for group in gaps.groups:
        require(group and min(group) >= 0, "a group of gaps has no columns")


@check.register
def _model(model: Model) -> None:
    schema, n = model.joint.schema, model.n_classes
    n_columns = len(schema) - len(model.gaps.groups)
    require(n_columns > 0, "there are no columns but gaps")
    require(all(max(group) < n_columns for group in model.gaps.groups), "gaps of other columns")
    for column in schema.columns[n_columns:]:
        require(column.levels == (False, True), "a column of gaps has other levels")
    shaped(model.bounds, (n_columns, 2), "bounds")
    require((model.bounds[:, 0] <= model.bounds[:, 1]).all(), "bounds are out of order")
    require(set(model.whole) <= set(schema.numeric), "whole numbers in other columns")
    require(n >= 1 and len(model.joint.members) % n == 0, f"{n} classes for other members")
    require((model.labels is None) == (n == 1), f"{n} classes, and what tells them apart")
    if model.labels is not None:
        _check_labels(model.labels, n, schema)


@check.register
def _augmenter(augmenter: TableAugmenter) -> None:
    model, schema = augmenter._model, augmenter._schema
    n_columns = len(model.joint.schema) - len(model.gaps.groups)
    require(schema.columns == model.joint.schema.columns[:n_columns], "a model of other columns")
    require(schema == augmenter.joint_.schema, "a joint of other columns")
    classes = vars(augmenter).get("classes_")
    require((classes is None) == (model.n_classes == 1), "classes")
    if classes is not None:
        _check_classes(classes, model.n_classes)
