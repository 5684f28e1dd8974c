"""New data from old: whole batches of images, and classifiers that learn from changed copies."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .classifier import AugmentedClassifier

__all__ = ["AugmentedClassifier"]


def __getattr__(name: str) -> object:
    # On first use: images need no scikit-learn.
    if name != "AugmentedClassifier":
        raise AttributeError(f"module 'jointprob.augment' has no attribute {name!r}")
    return import_module(".classifier", __name__).AugmentedClassifier
