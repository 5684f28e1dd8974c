"""AugmentedClassifier: any scikit-learn classifier, trained on images and changed copies."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from numbers import Integral
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone
from sklearn.utils import Tags, get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    _check_sample_weight,
    check_is_fitted,
    check_X_y,
    has_fit_parameter,
    validate_data,
)

from jointprob.augment.images.mixing import Mixing

Array = NDArray[Any]
Floats = NDArray[np.float64]
PIXELS = (np.uint8, np.uint16, np.float32)


def _has(method: str) -> Callable[[Any], bool]:
    """Whether the wrapped classifier offers `method`; it raises AttributeError if not."""
    return lambda self: hasattr(getattr(self, "estimator_", self.estimator), method)


def _shape_and_rows(X: Any, shape: tuple[int, ...] | None) -> tuple[tuple[int, ...] | None, Any]:
    """Shape of an image, for rows the given one, and the images as rows, not yet checked."""
    if isinstance(X, list | tuple):
        found = {np.shape(image) for image in X}
        if len(found) > 1:
            raise ValueError(f"X holds images of shapes {sorted(found)}; allowed is one for all")
    X = X if hasattr(X, "shape") else np.asarray(X)
    if len(X.shape) not in (3, 4):
        return shape, X
    images = np.asarray(X)
    return images.shape[1:], images.reshape(len(images), -1)


class AugmentedClassifier(ClassifierMixin, MetaEstimatorMixin, BaseEstimator):
    """A classifier that learns from images and from augmented copies of them.

    `fit` trains `estimator` on the images and on `copies` augmented epochs of them. Where there are
    few images, it learns in this way which changes do not matter.

    Parameters
    ----------
    estimator : scikit-learn classifier
        Trained on rows of pixels (or of `features`); it is cloned. What should be learnt from the
        training rows, such as scaling or PCA, belongs into a `Pipeline` here.
    augment : jointprob.augment.images.Compose, callable or None
        Called as ``augment(images, indices=..., epoch=..., n_jobs=...)``; gives images of the
        same shape and dtype. None makes no copies.
    copies : int
        Augmented images for each one; copy k = 1, 2, ... is epoch k.
    test_copies : int
        Also predict that many augmented copies of every image, and average. All images get the
        same draws (those of index 0 in the epochs after the training copies), so that a prediction
        does not depend on the other rows.
    shape : tuple (H, W) or (H, W, C), optional
        Of an image, where X holds rows of H * W * C pixels.
    features : callable, optional
        Images (N, H, W[, C]) -> 2-D array for the estimator, row by row; the pixels if not given.
    n_jobs : int or None
        Threads of the augmentation, None for all cores. No result depends on it.

    Attributes
    ----------
    estimator_ : the fitted classifier
    classes_ : ndarray (n_classes,)
    image_shape_ : tuple
        (H, W) or (H, W, C); (n_features_in_,) for rows without a shape.
    n_features_in_ : int
        Pixels of an image times channels.

    Notes
    -----
    Pixels of uint8, uint16 and float32 stay as they are; any other type becomes float32 (an
    `augment` of None leaves rows as they are). The estimator sees values of the scale that X
    has: changes of dtype or shape (`ToFloat`, `RandomCrop`) are not allowed in `augment`, as the
    images themselves would not get them. Changes that need labels (`MixUp`, `CutMix`) neither.

    The copies of an image carry its class and its `sample_weight`. They are not independent: what
    an estimator holds out or leaves out of bag by itself has copies among its training rows, so
    that such scores are too good; cross-validate the whole AugmentedClassifier instead.

    Which changes help, and how far they may go, depends on the images and the estimator: an SVM
    gained more from turns, shifts and scales twice as far on 100 digits, and lost by them on 1,000;
    and a large `C` makes it follow noisy copies. Let held-out images choose, as for any other
    parameter: the copies are then of the other images alone (see the examples). Test copies were
    worth nothing on digits and clothes where the changes held noise: they hide the clean image.

    Averaging predictions over changed copies: Krizhevsky et al. 2012, doi:10.1145/3065386, 4.1.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.neighbors import KNeighborsClassifier
    >>> from jointprob.augment import AugmentedClassifier
    >>> from jointprob.augment.images import Affine, Compose
    >>> digits = load_digits()
    >>> learnt, asked = slice(0, 100), slice(100, None)
    >>> plain = KNeighborsClassifier(3).fit(digits.data[learnt], digits.target[learnt])
    >>> augment = Compose([Affine(rotate=10, translate=1 / 16)], seed=0)
    >>> model = AugmentedClassifier(KNeighborsClassifier(3), augment)
    >>> gain = model.fit(digits.images[learnt], digits.target[learnt]).score(
    ...     digits.images[asked], digits.target[asked]
    ... ) - plain.score(digits.data[asked], digits.target[asked])
    >>> gain > 0.01
    True

    Held-out images choose between two pipelines:

    >>> from sklearn.model_selection import GridSearchCV
    >>> weaker = Compose([Affine(rotate=5, translate=1 / 32)], seed=0)
    >>> search = GridSearchCV(model, {"augment": [weaker, augment]}, cv=3)
    >>> search.fit(digits.images[learnt], digits.target[learnt]).best_params_["augment"] in (
    ...     weaker, augment
    ... )
    True
    """

    def __init__(
        self,
        estimator: Any,
        augment: Any,
        copies: int = 4,
        *,
        test_copies: int = 0,
        shape: tuple[int, ...] | None = None,
        features: Callable[[Array], Array] | None = None,
        n_jobs: int | None = None,
    ) -> None:
        self.estimator = estimator
        self.augment = augment
        self.copies = copies
        self.test_copies = test_copies
        self.shape = shape
        self.features = features
        self.n_jobs = n_jobs

    def fit(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> Self:
        """Train on the images and their copies.

        Parameters
        ----------
        X : (N, H, W), (N, H, W, C), or rows (N, H * W * C) with `shape`
        y : (N,)
        sample_weight : (N,), optional
            Of the images; each copy has the weight of its image.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            Naming the parameter, the value and what is allowed; the estimator stays as it was.
        """
        self._check_options()
        shape, table = _shape_and_rows(X, self.shape)
        if shape is None and self.augment is not None:
            raise ValueError("X holds rows; allowed are images, or rows with shape=(H, W[, C])")
        rows, y = check_X_y(table, y, dtype=None, ensure_all_finite=False, estimator=self)
        check_classification_targets(y)
        images = self._pixels(rows, shape or rows.shape[1:])
        fit_options = self._weights(sample_weight, images)
        n_copies = 0 if self.augment is None else self.copies
        epochs = range(1, n_copies + 1)
        copies = self._copies(images, np.arange(len(images)), epochs)
        learnt = np.concatenate([self._flat(each) for each in (images, *copies)])
        self.estimator_ = clone(self.estimator).fit(learnt, np.tile(y, 1 + n_copies), **fit_options)
        validate_data(self, table, skip_check_array=True)  # keeps n_features_in_, feature_names_in_
        self.image_shape_ = images.shape[1:]
        self.classes_: Array = self.estimator_.classes_
        return self

    def predict(self, X: Any) -> Array:
        """Class of each image, (N,): of the largest mean where `test_copies` are averaged."""
        check_is_fitted(self)
        if not self._n_test_copies():
            return np.asarray(self.estimator_.predict(self._flat(self._images(X))))
        has_proba = hasattr(self.estimator_, "predict_proba")
        mean = self._mean("predict_proba" if has_proba else "decision_function", X)
        likeliest = mean.argmax(axis=1) if mean.ndim == 2 else (mean > 0).astype(np.intp)
        return np.asarray(self.classes_[likeliest])

    @available_if(_has("predict_proba"))
    def predict_proba(self, X: Any) -> Floats:
        """Probability of each class, (N, n_classes): the mean over image and test copies."""
        check_is_fitted(self)
        return self._mean("predict_proba", X)

    @available_if(_has("decision_function"))
    def decision_function(self, X: Any) -> Floats:
        """Scores as the estimator gives them: the mean over image and test copies."""
        check_is_fitted(self)
        return self._mean("decision_function", X)

    def _mean(self, method: str, X: Any) -> Floats:
        images = self._images(X)
        first = self.copies + 1
        same_draws = np.zeros(len(images), np.int64)
        copies = self._copies(images, same_draws, range(first, first + self._n_test_copies()))
        ask = getattr(self.estimator_, method)
        answers = [ask(self._flat(each)) for each in (images, *copies)]
        return np.asarray(np.mean(answers, axis=0) if len(answers) > 1 else answers[0])

    def _n_test_copies(self) -> int:
        return 0 if self.augment is None else self.test_copies

    def _copies(self, images: Array, indices: Array, epochs: range) -> Iterator[Array]:
        """The augmented images of each epoch."""
        for epoch in epochs:
            copy = self.augment(images, indices=indices, epoch=epoch, n_jobs=self.n_jobs)
            if copy.shape != images.shape or copy.dtype != images.dtype:
                raise ValueError(
                    f"augment turns images of shape {images.shape[1:]} and dtype {images.dtype} "
                    f"into {copy.shape[1:]} and {copy.dtype}; allowed are operations that keep "
                    "both, as the images themselves are learnt from too"
                )
            yield copy

    def _flat(self, images: Array) -> Array:
        """The estimator's rows."""
        if self.features is not None:
            return self.features(images)
        return images.reshape(len(images), -1)

    def _images(self, X: Any) -> Array:
        """Images to predict, of the shape of those in fit."""
        shape, rows = _shape_and_rows(X, self.image_shape_)
        if rows.shape == self.image_shape_ and len(self.image_shape_) > 1:
            raise ValueError(
                f"X is one image of shape {self.image_shape_}; allowed are several, "
                f"{('n', *self.image_shape_)}: give X[np.newaxis]"
            )
        rows = validate_data(self, rows, dtype=None, ensure_all_finite=False, reset=False)
        if shape != self.image_shape_:
            raise ValueError(
                f"X holds images of shape {shape}; allowed is {self.image_shape_}, as in fit"
            )
        return self._pixels(rows, self.image_shape_)

    def _pixels(self, rows: Array, shape: tuple[int, ...]) -> Array:
        if math.prod(shape) != rows.shape[1]:
            raise ValueError(
                f"X holds rows of {rows.shape[1]} pixels; shape {shape} has {math.prod(shape)}"
            )
        if self.augment is not None and rows.dtype not in PIXELS:
            rows = rows.astype(np.float32)
        return rows.reshape(len(rows), *shape)

    def _weights(self, sample_weight: ArrayLike | None, images: Array) -> dict[str, Array]:
        if sample_weight is None:
            return {}
        if not has_fit_parameter(self.estimator, "sample_weight"):
            raise TypeError(
                f"sample_weight is given, but {type(self.estimator).__name__} takes none in fit"
            )
        weight = _check_sample_weight(sample_weight, images.reshape(len(images), -1))
        return {"sample_weight": np.tile(weight, 1 + (self.augment is not None) * self.copies)}

    def _check_options(self) -> None:
        for name in ("copies", "test_copies"):
            value = getattr(self, name)
            if not isinstance(value, Integral) or value < 0:
                raise ValueError(f"{name} is {value!r}; allowed are whole numbers of at least 0")
        if self.augment is not None and not callable(self.augment):
            raise TypeError(
                f"augment is {self.augment!r}; allowed are a Compose of operations, a callable of "
                "the same parameters, and None"
            )
        for operation in getattr(self.augment, "operations", ()):
            if isinstance(operation, Mixing):
                raise ValueError(
                    f"augment holds {operation!r}, which mixes the labels too; allowed are "
                    "operations that leave an image in its class"
                )

    def __sklearn_tags__(self) -> Tags:
        tags: Tags = super().__sklearn_tags__()
        inner = get_tags(self.estimator)
        tags.classifier_tags = inner.classifier_tags
        tags.input_tags.allow_nan = inner.input_tags.allow_nan
        tags.input_tags.three_d_array = True
        return tags
