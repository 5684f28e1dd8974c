"""Estimators with scikit-learn's interface."""

from jointprob.estimators.density import JEPADensity

__all__ = ["JEPADensity"]
