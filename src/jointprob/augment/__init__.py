"""New data from old: whole batches of images (`images`), rows of tables (`tables`).

`AugmentedClassifier` trains any classifier on images and changed copies of them.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jointprob.augment.classifier import AugmentedClassifier

__all__ = ["AugmentedClassifier"]


def __getattr__(name: str) -> object:
    # On first use: images need no scikit-learn.
    if name != "AugmentedClassifier":
        raise AttributeError(f"module 'jointprob.augment' has no attribute {name!r}")
    return import_module("jointprob.augment.classifier").AugmentedClassifier
