"""Ways to meet a class of few rows: new rows, the same rows again, weights, or nothing.

Each takes a seed and the names of the table's categorical columns.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd


@dataclass
class Method:
    """A resampler, None for none; whether it needs a plain table; what LightGBM is told."""

    resampler: Any = None
    plain: bool = False
    params: dict[str, Any] = field(default_factory=dict)

    def fit_resample(self, X: pd.DataFrame, y: np.ndarray) -> tuple[Any, Any]:
        return (X, y) if self.resampler is None else self.resampler.fit_resample(X, y)


def nothing(seed: int, categories: list[str]) -> Method:
    return Method()


def nothing_plain(seed: int, categories: list[str]) -> Method:
    return Method(plain=True)


def weights(seed: int, categories: list[str]) -> Method:
    return Method(params={"class_weight": "balanced"})


def repeats(seed: int, categories: list[str]) -> Method:
    from imblearn.over_sampling import RandomOverSampler

    return Method(RandomOverSampler(random_state=seed))


def smote(seed: int, categories: list[str]) -> Method:
    from imblearn.over_sampling import SMOTE

    return Method(SMOTE(random_state=seed), plain=True)


def smotenc(seed: int, categories: list[str]) -> Method:
    from imblearn.over_sampling import SMOTENC

    return Method(SMOTENC(categories, random_state=seed), plain=True)


def adasyn(seed: int, categories: list[str]) -> Method:
    from imblearn.over_sampling import ADASYN

    return Method(ADASYN(random_state=seed), plain=True)


def ours(seed: int, categories: list[str], n_jobs: int, strength: float | None = None) -> Method:
    from jointprob.augment.tables import TableAugmenter

    augmenter = TableAugmenter(random_state=seed, n_jobs=n_jobs)
    return Method(augmenter if strength is None else augmenter.set_params(strength=strength))
