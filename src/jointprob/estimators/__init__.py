"""Estimators with scikit-learn's interface."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .classifier import JEPAClassifier
    from .density import JEPADensity
    from .imputer import JEPAImputer
    from .outliers import JEPAOutlierDetector
    from .regressor import JEPARegressor

__all__ = [
    "JEPAClassifier",
    "JEPADensity",
    "JEPAImputer",
    "JEPAOutlierDetector",
    "JEPARegressor",
]


def __getattr__(name: str) -> object:
    """The package's own, imported on first use: whoever wants one need not wait for all."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("jointprob"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
