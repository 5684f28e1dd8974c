"""The joint distribution of any table, and every question about it.

``jointprob`` implements Joint Empirical Probability Approximation: divide the rows into subsets,
estimate a distribution for each subset, combine them into one joint distribution, ask it.
``JEPADensity`` does so. ``JEPAClassifier`` and ``JEPARegressor`` predict one column with it and
with trees, ``JEPAOutlierDetector`` finds strange rows and cells, ``JEPAImputer`` fills gaps.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .adapt.features import JointFeatures
    from .estimators.classifier import JEPAClassifier
    from .estimators.density import JEPADensity
    from .estimators.imputer import JEPAImputer
    from .estimators.outliers import JEPAOutlierDetector
    from .estimators.regressor import JEPARegressor
    from .query import Conditional, Joint
    from .score import Scorer
    from .versions import get_include, show_versions

__version__ = "0.1.0"
__all__ = [
    "Conditional",
    "JEPAClassifier",
    "JEPADensity",
    "JEPAImputer",
    "JEPAOutlierDetector",
    "JEPARegressor",
    "Joint",
    "JointFeatures",
    "Scorer",
    "__version__",
    "get_include",
    "show_versions",
]

# Names are imported on first use: `import jointprob` alone loads neither NumPy nor scikit-learn.
_HOME = {
    "_C_API": "._score",
    "Conditional": ".query",
    "JEPAClassifier": ".estimators.classifier",
    "JEPADensity": ".estimators.density",
    "JEPAImputer": ".estimators.imputer",
    "JEPAOutlierDetector": ".estimators.outliers",
    "JEPARegressor": ".estimators.regressor",
    "Joint": ".query",
    "JointFeatures": ".adapt.features",
    "Scorer": ".score",
    "get_include": ".versions",
    "show_versions": ".versions",
}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'jointprob' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name], __name__), name)
    globals()[name] = value  # the next look-up no longer comes here
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
