"""Tables as plain numbers, for methods that take no categories or no missing cells."""

from __future__ import annotations

from typing import Any

import pandas as pd
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

MISSING = -1

numbers_of = make_column_selector(dtype_include="number")
categories_of = make_column_selector(dtype_include="category")


def codes(table: pd.DataFrame, missing: float = MISSING) -> pd.DataFrame:
    """Categories as codes, `missing` where missing; numbers as they are, NaN where missing."""
    coded = {
        name: table[name].cat.codes.replace(-1, missing).astype(float)
        for name in categories_of(table)
    }
    return table.assign(**coded).astype(float)


def as_codes() -> FunctionTransformer:
    return FunctionTransformer(codes)


def one_hot() -> Any:
    """Numbers filled with medians and standardised; categories filled with the commonest, 0/1."""
    numeric = make_pipeline(
        SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler()
    )
    categorical = make_pipeline(
        as_codes(),
        SimpleImputer(missing_values=MISSING, strategy="most_frequent", keep_empty_features=True),
        OneHotEncoder(handle_unknown="ignore"),
    )
    return make_column_transformer((numeric, numbers_of), (categorical, categories_of))
