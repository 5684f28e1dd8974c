"""What scikit-learn is told of every estimator here."""

from __future__ import annotations

from typing import Any

from sklearn.utils import Tags, check_random_state


class TakesTables:
    """Missing cells, categories and strings are welcome, and a seed fixes every result."""

    random_state: Any

    def _seed(self) -> int:
        """The seed of one call."""
        return int(check_random_state(self.random_state).randint(2**31 - 1))

    def __sklearn_tags__(self) -> Tags:
        tags: Tags = super().__sklearn_tags__()  # type: ignore[misc]
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        tags.non_deterministic = False
        return tags
